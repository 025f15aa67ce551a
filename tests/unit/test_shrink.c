#include <check.h>
#include <stdio.h>
#include <string.h>

#include "scheduler/schedule.h"

/* Workers 1 and 2 are in zone a, 3 and 4 in b. A task is its worker and its phase, r for RUNNING
 * and p for PENDING; O marks one of the older deployment. Its seq is its place in the list, from 1.
 */
static const struct {
    const char *why;
    const char *tasks;
    uint32_t desired;
    const char *stops; /* Seqs, in order. */
} cases[] = {
    {"the newest", "1r 1r 1r", 2, "3"},
    {"not RUNNING before newer", "1r 1p 1r", 2, "2"},
    {"the fuller zone before newer", "1r 2r 3r", 2, "2"},
    {"the fuller zone before not RUNNING", "1r 2r 3p", 2, "2"},
    {"the fuller worker before newer", "1r 1r 2r 3r", 3, "2"},
    {"the fuller worker before not RUNNING", "1r 1r 2p", 2, "2"},
    {"one after the other, zones in turn", "1r 1r 1r 2r 3r 3r 4r", 2, "3 6 2 7 4"},
    {"a crowd of one zone", "1r 1r 1r 1r 3r", 1, "4 3 2 5"},
    {"all", "1r 3p 2r", 0, "3 2 1"},
    {"old ones that do not run, all", "1rO 1pO 3pO 1r", 1, "2 3 1"},
    {"old ones beside new ones in the zone", "3rO 1rO 4r 4r", 3, "1"},
    {"old ones beside new ones on the worker", "3rO 4rO 3r 3p 1r 1p", 4, "1"},
};

static void put_workers(struct view *view)
{
    for (uint64_t seq = 1; seq <= 4; seq++)
        view_put_worker(view, &(struct view_worker){.seq = seq,
                                                    .cluster_seq = 1,
                                                    .id = "",
                                                    .zone = seq <= 2 ? "a" : "b",
                                                    .active = true,
                                                    .connected = true});
}

static void put_tasks(struct view *view, const char *tasks)
{
    uint64_t seq = 0;

    for (const char *at = tasks; *at; at += strcspn(at, " "), at += *at == ' ') {
        bool old = at[2] == 'O';

        view_put_task(view, &(struct view_task){.seq = ++seq,
                                                .worker_seq = (uint64_t)(at[0] - '0'),
                                                .service_seq = 1,
                                                .deployment_seq = old ? 1 : 2,
                                                .phase = at[1] == 'r' ? VIEW_TASK_RUNNING
                                                                      : VIEW_TASK_PENDING});
    }
}

/* The maximum is such that nothing is started. */
static void put_service(struct view *view, uint32_t desired)
{
    struct view_deployment deployments[] = {{.seq = 1, .id = "old"},
                                            {.seq = 2, .id = "new", .primary = true}};

    view_put_service(view, &(struct view_service){.seq = 1,
                                                  .cluster_seq = 1,
                                                  .name = "s",
                                                  .desired_count = desired,
                                                  .minimum_healthy_percent = 75,
                                                  .maximum_percent = 100,
                                                  .deployments = deployments,
                                                  .deployment_count = 2});
}

static const char *stops(const struct plan *plan)
{
    static char text[64];
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < plan->count; i++)
        for (size_t j = 0; plan->items[i].kind == PLAN_STOP && j < plan->items[i].count; j++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%llu", used ? " " : "",
                                     (unsigned long long)plan->items[i].seqs[j]);
    return text;
}

START_TEST(those_go_whose_going_leaves_balance)
{
    scope(view_free) struct view *view = view_new();
    scope(plan_fini) struct plan plan = {0};

    put_workers(view);
    put_tasks(view, cases[_i].tasks);
    put_service(view, cases[_i].desired);
    schedule(view, 1, 4096, &plan);
    ck_assert_msg(strcmp(stops(&plan), cases[_i].stops) == 0, "%s: %s", cases[_i].why,
                  stops(&plan));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shrink");
    TCase *tc = tcase_create("shrink");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tc, those_go_whose_going_leaves_balance, 0,
                        (int)(sizeof cases / sizeof *cases));
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
