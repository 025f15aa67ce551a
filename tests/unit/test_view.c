#include <check.h>

#include "scheduler/plan.h"
#include "scheduler/schedule.h"
#include "scheduler/view.h"

static struct view *view;

static void set_up(void)
{
    view = view_new();
}

static void tear_down(void)
{
    view_free(view);
}

static void put_worker(uint64_t seq, uint64_t cluster_seq)
{
    view_put_worker(view, &(struct view_worker){.seq = seq,
                                                .cluster_seq = cluster_seq,
                                                .id = "0",
                                                .zone = "a",
                                                .active = true,
                                                .connected = true,
                                                .cpu = 100,
                                                .memory = 100});
}

static void put_service(uint64_t seq, uint64_t cluster_seq, uint32_t desired)
{
    view_put_service(
        view, &(struct view_service){
                  .seq = seq,
                  .cluster_seq = cluster_seq,
                  .name = "s",
                  .desired_count = desired,
                  .deployments = &(struct view_deployment){.seq = 1, .id = "d", .primary = true},
                  .deployment_count = 1});
}

static void put_task(uint64_t seq, uint64_t worker_seq, uint64_t service_seq, enum view_phase phase)
{
    view_put_task(view, &(struct view_task){.seq = seq,
                                            .worker_seq = worker_seq,
                                            .service_seq = service_seq,
                                            .deployment_seq = service_seq ? 1 : 0,
                                            .phase = phase});
}

static struct view_size size(void)
{
    struct view_size out;

    view_size(view, &out);
    return out;
}

/* Items planned at 1,000 ms; what is planned stays in flight. */
static size_t items(void)
{
    scope(plan_fini) struct plan plan = {0};

    schedule(view, 1000, 4096, &plan);
    return plan.count;
}

static const struct {
    int state; /* state.TaskState */
    bool desired_stopped;
    enum view_phase phase;
} phases[] = {
    {0, false, VIEW_TASK_PENDING},  {1, false, VIEW_TASK_PENDING},  {2, false, VIEW_TASK_PENDING},
    {3, false, VIEW_TASK_RUNNING},  {4, false, VIEW_TASK_STOPPING}, {5, false, VIEW_TASK_STOPPING},
    {6, false, VIEW_TASK_STOPPING}, {7, false, VIEW_TASK_STOPPED},  {0, true, VIEW_TASK_STOPPING},
    {3, true, VIEW_TASK_STOPPING},  {7, true, VIEW_TASK_STOPPED},
};

START_TEST(a_phase_follows_from_state_and_desire)
{
    ck_assert_int_eq(view_task_phase(phases[_i].state, phases[_i].desired_stopped),
                     phases[_i].phase);
}
END_TEST

START_TEST(records_may_come_in_any_order)
{
    put_task(5, 3, 2, VIEW_TASK_RUNNING);
    put_task(6, 3, 0, VIEW_TASK_RUNNING);
    ck_assert_uint_eq(items(), 0); /* Of a service not known yet nothing is planned. */
    put_worker(3, 1);
    put_service(2, 1, 1);
    ck_assert_uint_eq(items(), 1); /* It runs as desired: that is noted. */
}
END_TEST

START_TEST(everything_leaves_without_a_trace_in_any_order)
{
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct view_size left;

    put_worker(3, 1);
    put_service(2, 1, 1);
    put_task(5, 3, 2, VIEW_TASK_RUNNING);
    for (int i = 0; i < 3; i++) {
        if (orders[_i][i] == 0)
            view_remove_worker(view, 3);
        else if (orders[_i][i] == 1)
            view_remove_service(view, 2);
        else
            put_task(5, 3, 2, VIEW_TASK_STOPPED);
    }
    left = size();
    ck_assert_uint_eq(left.workers, 0);
    ck_assert_uint_eq(left.services, 0);
    ck_assert_uint_eq(left.tasks, 0);
    ck_assert_uint_eq(left.clusters, 0);
    ck_assert_uint_eq(left.marked, 0);
}
END_TEST

START_TEST(what_flies_keeps_its_worker_and_service_until_it_lands)
{
    scope(plan_fini) struct plan plan = {0};

    put_worker(3, 1);
    put_service(2, 1, 4);
    schedule(view, 1000, 4096, &plan);
    ck_assert_uint_eq(plan.count, 1);
    view_remove_worker(view, 3);
    view_remove_service(view, 2);
    ck_assert_uint_eq(size().workers, 1);
    ck_assert_uint_eq(size().services, 1);
    view_release(view, plan.items[0].token, 0);
    ck_assert_uint_eq(size().workers, 0);
    ck_assert_uint_eq(size().services, 0);
    ck_assert_uint_eq(size().flights, 0);
}
END_TEST

START_TEST(unknown_things_may_be_removed)
{
    view_remove_worker(view, 1);
    view_remove_service(view, 1);
    view_remove_task(view, 1);
    put_task(1, 1, 1, VIEW_TASK_STOPPED);
    view_release(view, 0, 0);
    view_release(view, 99, 0);
    ck_assert_uint_eq(size().tasks + size().workers + size().services, 0);
}
END_TEST

START_TEST(an_older_deployment_stays_as_long_as_its_tasks)
{
    put_worker(3, 1);
    put_service(2, 1, 0);
    view_put_task(view, &(struct view_task){.seq = 5,
                                            .worker_seq = 3,
                                            .service_seq = 2,
                                            .deployment_seq = 7,
                                            .phase = VIEW_TASK_RUNNING});
    put_service(2, 1, 0); /* Does not list it. */
    ck_assert_uint_eq(items(), 1);
    ck_assert_uint_eq(size().tasks, 1);
    view_remove_task(view, 5);
    ck_assert_uint_eq(size().tasks, 0);
}
END_TEST

START_TEST(a_worker_may_change_its_zone_and_cluster)
{
    put_worker(3, 1);
    put_service(2, 9, 1);
    ck_assert_uint_eq(items(), 1); /* No room: an event. */
    view_release_all(view);
    view_put_worker(
        view,
        &(struct view_worker){
            .seq = 3, .cluster_seq = 9, .id = "0", .zone = "b", .active = true, .connected = true});
    ck_assert_uint_eq(size().clusters, 1);
    ck_assert_uint_eq(items(), 1); /* A start. */
}
END_TEST

START_TEST(services_that_come_and_go_unseen_leave_nothing)
{
    for (uint64_t seq = 1; seq <= 10000; seq++) {
        put_service(seq, 1, 1);
        view_remove_service(view, seq);
    }
    ck_assert_uint_eq(size().marked, 0);
    put_service(10001, 1, 1);
    ck_assert_uint_eq(items(), 1);
}
END_TEST

START_TEST(services_are_taken_in_ascending_order)
{
    scope(plan_fini) struct plan plan = {0};

    put_worker(1, 1);
    put_service(3, 1, 1);
    put_service(1, 1, 1);
    put_service(2, 1, 1);
    schedule(view, 1000, 4096, &plan);
    ck_assert_uint_eq(plan.count, 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(plan.items[i].service_seq, i + 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("view");
    TCase *tc = tcase_create("view");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, a_phase_follows_from_state_and_desire, 0,
                        (int)(sizeof phases / sizeof *phases));
    tcase_add_test(tc, records_may_come_in_any_order);
    tcase_add_loop_test(tc, everything_leaves_without_a_trace_in_any_order, 0, 6);
    tcase_add_test(tc, what_flies_keeps_its_worker_and_service_until_it_lands);
    tcase_add_test(tc, unknown_things_may_be_removed);
    tcase_add_test(tc, an_older_deployment_stays_as_long_as_its_tasks);
    tcase_add_test(tc, a_worker_may_change_its_zone_and_cluster);
    tcase_add_test(tc, services_that_come_and_go_unseen_leave_nothing);
    tcase_add_test(tc, services_are_taken_in_ascending_order);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
