#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/place.h"

enum { WORKERS = 4, CLUSTER = 1, SERVICE = 9 };

static const struct view_port web = {80, false};
static const struct view_port dns = {53, true};
static const struct view_port dns_tcp = {53, false};

/* Workers 1 and 2 are in zone a, 3 and 4 in b; each has 1000 cpu and memory but for what is said.
 */
static const struct {
    const char *why;
    struct {
        bool draining, lost;
        uint32_t cpu_used, memory_used;
        const struct view_port *port;
        uint32_t mine, others; /* Tasks there: of the service, and standalone. */
    } workers[WORKERS];
    uint32_t cpu, memory;
    const struct view_port *port;
    size_t count;
    const char *placed; /* Worker seqs in order. */
    enum place_reason reason;
    uint64_t closest;
} cases[] = {
    {"empty: zones in turn, lowest seq first", {{0}}, 1, 1, NULL, 5, "1 3 2 4 1", PLACE_OK, 0},
    {"the thinner zone", {{.mine = 1}, {.mine = 1}, {.mine = 1}}, 1, 1, NULL, 1, "4", PLACE_OK, 0},
    {"zone before worker",
     {{.mine = 2}, {0}, {.mine = 1}, {.mine = 0, .draining = true}},
     1,
     1,
     NULL,
     1,
     "3",
     PLACE_OK,
     0},
    {"then the thinner worker",
     {{.mine = 1}, {0}, {.mine = 1}, {.mine = 1}},
     1,
     1,
     NULL,
     1,
     "2",
     PLACE_OK,
     0},
    {"then the one with fewer tasks in total",
     {{.others = 2}, {.others = 1}, {.others = 3}, {.others = 4}},
     1,
     1,
     NULL,
     2,
     "2 3",
     PLACE_OK,
     0},
    {"a zone that is full does not hold up",
     {{0}, {0}, {.cpu_used = 1000}, {.lost = true}},
     1,
     1,
     NULL,
     3,
     "1 2 1",
     PLACE_OK,
     0},
    {"what is there on a lost worker still counts",
     {{.mine = 1}, {0}, {.lost = true, .mine = 2}},
     1,
     1,
     NULL,
     1,
     "2",
     PLACE_OK,
     0},
    {"until they are full",
     {{.cpu_used = 500}, {.cpu_used = 800}, {.cpu_used = 900}, {0}},
     500,
     1,
     NULL,
     9,
     "1 4 4",
     PLACE_CPU,
     2},
    {"or out of memory",
     {{.memory_used = 500}, {.memory_used = 800}, {.memory_used = 900}, {0}},
     1,
     500,
     NULL,
     9,
     "1 4 4",
     PLACE_MEMORY,
     2},
    {"exactly full is room enough",
     {{.memory_used = 999}, {.memory_used = 1000}},
     1,
     1,
     NULL,
     1,
     "1",
     PLACE_OK,
     0},
    {"no cpu: closest is who has most",
     {{.cpu_used = 900}, {.cpu_used = 800}, {.cpu_used = 800}, {.lost = true}},
     300,
     1,
     NULL,
     2,
     "",
     PLACE_CPU,
     2},
    {"no memory comes closer than no cpu",
     {{.memory_used = 900}, {.cpu_used = 900}, {.lost = true}, {.lost = true}},
     200,
     200,
     NULL,
     1,
     "",
     PLACE_MEMORY,
     1},
    {"more than it has",
     {{.cpu_used = 2000}, {.draining = true}, {.draining = true}, {.draining = true}},
     1,
     1,
     NULL,
     1,
     "",
     PLACE_CPU,
     1},
    {"a fixed port: one on each", {{0}}, 1, 1, &web, 5, "1 3 2 4", PLACE_PORTS, 1},
    {"a port in use",
     {{.port = &web}, {0}, {.port = &web}, {.port = &web}},
     1,
     1,
     &web,
     2,
     "2",
     PLACE_PORTS,
     1},
    {"udp is another port",
     {{.port = &dns}, {.port = &dns}, {.port = &dns}, {.port = &dns}},
     1,
     1,
     &dns_tcp,
     1,
     "1",
     PLACE_OK,
     0},
    {"none connected",
     {{.draining = true}, {.lost = true}, {.lost = true}, {.draining = true}},
     1,
     1,
     NULL,
     1,
     "",
     PLACE_AGENT,
     2},
    {"none active",
     {{.draining = true}, {.draining = true}, {.draining = true, .lost = true}, {.draining = true}},
     1,
     1,
     NULL,
     1,
     "",
     PLACE_INACTIVE,
     1},
};

static void put_tasks(struct view *view, uint64_t worker_seq, uint32_t count, uint64_t service_seq,
                      uint64_t *seq)
{
    for (uint32_t i = 0; i < count; i++)
        view_put_task(view, &(struct view_task){.seq = ++*seq,
                                                .worker_seq = worker_seq,
                                                .service_seq = service_seq,
                                                .deployment_seq = service_seq ? 1 : 0,
                                                .phase = VIEW_TASK_RUNNING});
}

static void put_worker(struct view *view, uint64_t seq, int row)
{
    char id[33];
    const struct view_port *port = cases[row].workers[seq - 1].port;

    snprintf(id, sizeof id, "%032llx", (unsigned long long)seq);
    view_put_worker(view, &(struct view_worker){
                              .seq = seq,
                              .cluster_seq = CLUSTER,
                              .id = id,
                              .zone = seq <= 2 ? "a" : "b",
                              .active = !cases[row].workers[seq - 1].draining,
                              .connected = !cases[row].workers[seq - 1].lost,
                              .cpu = 1000,
                              .memory = 1000,
                              .cpu_used = cases[row].workers[seq - 1].cpu_used,
                              .memory_used = cases[row].workers[seq - 1].memory_used,
                              .ports_used = port,
                              .port_count = port != NULL,
                          });
}

static struct view *picture(int row)
{
    struct view *view = view_new();
    uint64_t seq = 0;

    view_put_service(view, &(struct view_service){
                               .seq = SERVICE,
                               .cluster_seq = CLUSTER,
                               .name = "s",
                               .deployments = &(struct view_deployment){.seq = 1, .primary = true},
                               .deployment_count = 1});
    for (uint64_t worker = WORKERS; worker >= 1; worker--) {
        put_worker(view, worker, row);
        put_tasks(view, worker, cases[row].workers[worker - 1].mine, SERVICE, &seq);
        put_tasks(view, worker, cases[row].workers[worker - 1].others, 0, &seq);
    }
    return view;
}

static const char *listed(const struct place_result *result)
{
    static char text[256];
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < result->placed; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%llu", i ? " " : "",
                                 (unsigned long long)result->workers[i]);
    return text;
}

START_TEST(each_task_finds_its_place)
{
    scope(view_free) struct view *view = picture(_i);
    scope(place_result_fini) struct place_result result = {0};
    struct place_request request = {.cluster_seq = CLUSTER,
                                    .service_seq = SERVICE,
                                    .deployment_seq = 1,
                                    .cpu = cases[_i].cpu,
                                    .memory = cases[_i].memory,
                                    .ports = cases[_i].port,
                                    .port_count = cases[_i].port != NULL,
                                    .count = cases[_i].count};

    place(view, &request, &result);
    ck_assert_msg(strcmp(listed(&result), cases[_i].placed) == 0, "%s: %s", cases[_i].why,
                  listed(&result));
    ck_assert_msg(result.reason == cases[_i].reason, "%s: %s", cases[_i].why,
                  place_reason_name(result.reason));
    ck_assert_msg(result.closest_seq == cases[_i].closest, "%s: closest is %llu", cases[_i].why,
                  (unsigned long long)result.closest_seq);
    ck_assert_uint_eq(result.placed + result.unplaced, cases[_i].count);
    ck_assert_int_eq(result.token != 0, result.placed != 0);
}
END_TEST

START_TEST(a_cluster_without_workers_has_no_place)
{
    scope(view_free) struct view *view = view_new();
    scope(place_result_fini) struct place_result result = {0};
    struct place_request request = {.cluster_seq = 5, .cpu = 1, .count = 2};

    place(view, &request, &result);
    ck_assert_int_eq(result.reason, PLACE_NO_WORKERS);
    ck_assert_uint_eq(result.unplaced, 2);
    ck_assert_uint_eq(result.closest_seq, 0);
    ck_assert_str_eq(result.closest_id, "");
}
END_TEST

START_TEST(another_cluster_is_another_world)
{
    scope(view_free) struct view *view = picture(0);
    scope(place_result_fini) struct place_result result = {0};
    struct place_request request = {.cluster_seq = CLUSTER + 1, .cpu = 1, .count = 1};
    struct view_worker worker = {.seq = 77,
                                 .cluster_seq = CLUSTER + 1,
                                 .id = "",
                                 .zone = "a",
                                 .active = true,
                                 .connected = true,
                                 .cpu = 1};

    view_put_worker(view, &worker);
    place(view, &request, &result);
    ck_assert_str_eq(listed(&result), "77");
}
END_TEST

/* As RunTask calls one after the other do, before any of them is applied. */
START_TEST(standalone_tasks_in_flight_are_seen_by_the_next)
{
    scope(view_free) struct view *view = picture(0);
    struct place_request request = {.cluster_seq = CLUSTER, .cpu = 400, .memory = 1, .count = 1};
    uint64_t order[9], tokens[9];

    for (int i = 0; i < 9; i++) {
        scope(place_result_fini) struct place_result result = {0};

        place(view, &request, &result);
        order[i] = result.placed ? result.workers[0] : 0;
        tokens[i] = result.token;
        ck_assert_int_eq(result.reason, i < 8 ? PLACE_OK : PLACE_CPU);
    }
    ck_assert_mem_eq(order, ((uint64_t[9]){1, 3, 2, 4, 1, 3, 2, 4, 0}), sizeof order);
    view_release(view, tokens[6], 0);
    scope(place_result_fini) struct place_result result = {0};
    place(view, &request, &result);
    ck_assert_str_eq(listed(&result), "2");
}
END_TEST

START_TEST(tasks_of_an_older_deployment_do_not_count)
{
    scope(view_free) struct view *view = picture(0);
    scope(place_result_fini) struct place_result result = {0};
    struct place_request request = {
        .cluster_seq = CLUSTER, .service_seq = SERVICE, .deployment_seq = 2, .count = 4};
    struct view_deployment deployments[] = {{.seq = 1}, {.seq = 2, .primary = true}};
    uint64_t seq = 0;

    view_put_service(view, &(struct view_service){.seq = SERVICE,
                                                  .cluster_seq = CLUSTER,
                                                  .name = "s",
                                                  .deployments = deployments,
                                                  .deployment_count = 2});
    put_tasks(view, 1, 3, SERVICE, &seq);
    put_tasks(view, 2, 2, SERVICE, &seq);
    place(view, &request, &result);
    ck_assert_str_eq(listed(&result), "3 2 4 1");
}
END_TEST

START_TEST(every_reason_has_ecs_name)
{
    ck_assert_str_eq(place_reason_name(PLACE_CPU), "RESOURCE:CPU");
    ck_assert_str_eq(place_reason_name(PLACE_MEMORY), "RESOURCE:MEMORY");
    ck_assert_str_eq(place_reason_name(PLACE_PORTS), "RESOURCE:PORTS");
    ck_assert_str_eq(place_reason_name(PLACE_AGENT), "AGENT");
    ck_assert_str_eq(place_reason_name(PLACE_NO_WORKERS), "NO ACTIVE INSTANCES");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("place");
    TCase *tc = tcase_create("place");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tc, each_task_finds_its_place, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tc, a_cluster_without_workers_has_no_place);
    tcase_add_test(tc, another_cluster_is_another_world);
    tcase_add_test(tc, standalone_tasks_in_flight_are_seen_by_the_next);
    tcase_add_test(tc, tasks_of_an_older_deployment_do_not_count);
    tcase_add_test(tc, every_reason_has_ecs_name);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
