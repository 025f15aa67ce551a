#include <check.h>
#include <stdlib.h>

#include "tests/unit/sched_world.h"

static struct world world;

static void set_up(void)
{
    world_init_lab(&world);
}

static void tear_down(void)
{
    world_fini(&world);
}

static void workers_have(const struct world_service *service, uint32_t least, uint32_t most)
{
    for (uint64_t seq = 1; seq <= world.worker_count; seq++) {
        ck_assert_uint_ge(world_on_worker(&world, service, seq), least);
        ck_assert_uint_le(world_on_worker(&world, service, seq), most);
    }
}

START_TEST(scaling_keeps_zones_and_workers_balanced)
{
    struct world_service *service = world_add_service(&world, 0, 100, 100);

    world_settle(&world);
    ck_assert_str_eq(world_zones(&world, service), "0 0 0");
    world_scale(&world, service, 6);
    world_settle(&world);
    ck_assert_str_eq(world_zones(&world, service), "2 2 2");
    workers_have(service, 1, 1);
    world_scale(&world, service, 9);
    world_settle(&world);
    ck_assert_str_eq(world_zones(&world, service), "3 3 3");
    workers_have(service, 1, 2);
    world_scale(&world, service, 3);
    world_settle(&world);
    ck_assert_str_eq(world_zones(&world, service), "1 1 1");
    workers_have(service, 0, 1);
    ck_assert_uint_eq(world.started, 9);
    ck_assert_uint_eq(world.stopped, 6);
}
END_TEST

START_TEST(a_lost_zone_is_replaced_in_one_turn_and_used_again)
{
    struct world_service *service = world_add_service(&world, 6, 100, 100);

    world_settle(&world);
    world_lose(&world, 5);
    world_lose(&world, 6);
    ck_assert_str_eq(world_zones(&world, service), "2 2 0");
    world_turn(&world);
    ck_assert_str_eq(world_zones(&world, service), "3 3 0");
    world_settle(&world);
    world_return(&world, 5);
    world_return(&world, 6);
    world_settle(&world);
    ck_assert_str_eq(world_zones(&world, service), "3 3 0"); /* Nothing that runs is moved. */
    world_scale(&world, service, 9);
    world_settle(&world);
    ck_assert_str_eq(world_zones(&world, service), "3 3 3");
}
END_TEST

START_TEST(tasks_not_yet_running_go_first)
{
    struct world_service *service = world_add_service(&world, 6, 100, 100);

    world_settle(&world);
    world_scale(&world, service, 12);
    world_turn(&world);
    ck_assert_uint_eq(world_count(&world, service, 0, VIEW_TASK_PENDING), 6);
    world_scale(&world, service, 6);
    world_turn(&world);
    ck_assert_uint_eq(world_running(&world, service), 6);
    ck_assert_str_eq(world_zones(&world, service), "2 2 2");
}
END_TEST

/* ---- telling */

START_TEST(completion_and_steadiness_are_told_once)
{
    struct world_service *service = world_add_service(&world, 2, 100, 100);

    world_turn(&world);
    ck_assert_uint_eq(world.event_count, 0);
    world_run_tasks(&world);
    world_turn(&world);
    ck_assert_str_eq(buffer_text(&world.events),
                     "(service s1) (deployment ecs-svc/1) deployment completed.\n"
                     "(service s1) has reached a steady state.\n");
    ck_assert(service->steady);
    world_settle(&world);
    ck_assert_uint_eq(world.event_count, 2);
    world_lose(&world, world.tasks[0].worker_seq);
    world_settle(&world);
    ck_assert_uint_eq(world_said(&world, "deployment completed"), 1);
    ck_assert_uint_eq(world_said(&world, "steady state"), 2);
}
END_TEST

START_TEST(steadiness_that_is_over_is_noted_without_a_word)
{
    struct world_service *service = world_add_service(&world, 1, 100, 100);

    world_settle(&world);
    service->steady = true;
    service->desired = 2;
    world_put_service(&world, service);
    world.event_count = 0;
    world_turn(&world);
    ck_assert(!service->steady);
    ck_assert_uint_eq(world.event_count, 0);
}
END_TEST

START_TEST(a_service_without_news_costs_nothing)
{
    struct view_size size;

    world_add_service(&world, 3, 100, 100);
    world_settle(&world);
    view_size(world.view, &size);
    ck_assert_uint_eq(size.marked, 0);
    ck_assert_uint_eq(size.flights, 0);
    ck_assert_uint_eq(world_turn(&world), 0);
    ck_assert_uint_eq(world.next_wakeup_ms, PLAN_NEVER);
}
END_TEST

START_TEST(a_draining_service_stops_everything_then_is_gone)
{
    struct world_service *service = world_add_service(&world, 5, 100, 100);
    struct view_size size;

    world_settle(&world);
    world_add_revision(&world, service, 100, 100);
    world_turn(&world);
    service->status = VIEW_SERVICE_DRAINING;
    world_put_service(&world, service);
    world_turn(&world);
    ck_assert_uint_eq(world_staying(&world, service), 0);
    world_turn(&world);
    ck_assert_int_eq(service->status, VIEW_SERVICE_DRAINING); /* Some are still stopping. */
    world_settle(&world);
    ck_assert_int_eq(service->status, VIEW_SERVICE_INACTIVE);
    view_remove_service(world.view, service->seq);
    view_size(world.view, &size);
    ck_assert_uint_eq(size.services, 0);
    ck_assert_uint_eq(size.tasks, 0);
}
END_TEST

START_TEST(a_draining_service_without_tasks_is_gone_at_once)
{
    struct world_service *service = world_add_service(&world, 0, 100, 100);

    service->status = VIEW_SERVICE_DRAINING;
    world_put_service(&world, service);
    world_turn(&world);
    ck_assert_int_eq(service->status, VIEW_SERVICE_INACTIVE);
    ck_assert_uint_eq(world_turn(&world), 0);
}
END_TEST

START_TEST(stops_name_the_deployment_that_wanted_them)
{
    struct world_service *service = world_add_service(&world, 2, 100, 100);
    scope(plan_fini) struct plan plan = {0};

    world_settle(&world);
    world_scale(&world, service, 1);
    schedule(world.view, world.now_ms, WORLD_BUDGET, &plan);
    ck_assert_uint_eq(plan.count, 1);
    ck_assert_int_eq(plan.items[0].kind, PLAN_STOP);
    ck_assert_str_eq(plan.items[0].reason, "Scaling activity initiated by (deployment ecs-svc/1)");
}
END_TEST

/* ---- no room */

static const struct {
    const char *why;
    uint32_t cpu, memory;
    bool lost;
    const char *says;
} shortages[] = {
    {"too much cpu", 5000, 100, false,
     "The closest matching (container-instance 00000000000000000000000000000001) has insufficient "
     "CPU units available."},
    {"too much memory", 100, 5000, false,
     "The closest matching (container-instance 00000000000000000000000000000001) has insufficient "
     "memory available."},
    {"nobody connected", 100, 100, true,
     "The closest matching (container-instance 00000000000000000000000000000001) encountered error "
     "\"AGENT\"."},
};

START_TEST(want_of_room_is_explained_once_and_again_after_five_minutes)
{
    char text[512];

    snprintf(text, sizeof text,
             "(service s1) was unable to place a task because no container instance met all of its "
             "requirements. Reason: %s For more information, see the Troubleshooting section of "
             "the Amazon ECS Developer Guide.\n",
             shortages[_i].says);
    for (uint64_t seq = 1; shortages[_i].lost && seq <= 6; seq++)
        world_lose(&world, seq);
    world_add_service(&world, 3, shortages[_i].cpu, shortages[_i].memory);
    world_settle(&world);
    ck_assert_msg(strcmp(buffer_text(&world.events), text) == 0, "%s: %s", shortages[_i].why,
                  buffer_text(&world.events));
    ck_assert_uint_eq(world.event_count, 1);
    for (uint64_t seq = 1; seq <= 6; seq++)
        world_put_worker(&world, seq);
    world_settle(&world);
    ck_assert_uint_eq(world.event_count, 1);
    ck_assert_uint_eq(world.next_wakeup_ms, WORLD_START_MS + SCHEDULE_REPEAT_MS);
    world.now_ms = world.next_wakeup_ms;
    world_settle(&world);
    ck_assert_uint_eq(world.event_count, 2);
}
END_TEST

START_TEST(an_empty_cluster_says_so)
{
    world_fini(&world);
    world_init(&world);
    world_add_service(&world, 1, 100, 100);
    world_settle(&world);
    ck_assert_uint_eq(world_said(&world, "Reason: No Container Instances were found in your "
                                         "cluster. For more information, see"),
                      1);
}
END_TEST

START_TEST(what_fits_is_started_and_the_rest_when_there_is_room)
{
    struct world_service *service;

    world_fini(&world);
    world_init(&world);
    world_add_worker(&world, "a", 1000, 1000);
    service = world_add_service(&world, 3, 400, 400);
    world_settle(&world);
    ck_assert_uint_eq(world_running(&world, service), 2);
    ck_assert_uint_eq(world_said(&world, "insufficient CPU"), 1);
    world_add_worker(&world, "b", 100, 100); /* Too small: no reason to look again. */
    ck_assert_uint_eq(world_turn(&world), 0);
    world_add_worker(&world, "b", 1000, 1000);
    world_turn(&world);
    ck_assert_uint_eq(world_staying(&world, service), 3);
    world_settle(&world);
    ck_assert(service->steady);
    ck_assert_uint_eq(world_said(&world, "insufficient CPU"), 1);
}
END_TEST

START_TEST(own_stopping_tasks_are_waited_for_in_silence)
{
    struct world_service *service;

    world_fini(&world);
    world_init(&world);
    world_add_worker(&world, "a", 1000, 1000);
    service = world_add_service(&world, 2, 500, 500);
    service->minimum = 50;
    service->maximum = 100;
    world_settle(&world);
    world.event_count = 0;
    world_add_revision(&world, service, 500, 500);
    world_turn(&world); /* Stops one old task. */
    world_turn(&world); /* There is no room before it has stopped. */
    ck_assert_uint_eq(world_count(&world, service, 0, VIEW_TASK_STOPPING), 1);
    ck_assert_uint_eq(world.event_count, 0);
    ck_assert_uint_eq(world.next_wakeup_ms, world.now_ms + SCHEDULE_PATIENCE_MS);
    world.now_ms = world.next_wakeup_ms;
    world_turn(&world);
    ck_assert_uint_eq(world_said(&world, "unable to place"), 1);
    world_settle(&world);
    ck_assert_uint_eq(world_count(&world, service, 2, VIEW_TASK_RUNNING), 2);
}
END_TEST

/* ---- back-off, flights, budget */

START_TEST(back_off_is_honoured)
{
    struct world_service *service = world_add_service(&world, 2, 100, 100);

    world_primary(service)->start_after_ms = world.now_ms + 5000;
    world_put_service(&world, service);
    ck_assert_uint_eq(world_turn(&world), 0);
    ck_assert_uint_eq(world.next_wakeup_ms, world.now_ms + 5000);
    world.now_ms += 4999;
    ck_assert_uint_eq(world_turn(&world), 0);
    world.now_ms += 1;
    world_turn(&world);
    ck_assert_uint_eq(world_staying(&world, service), 2);
}
END_TEST

START_TEST(what_is_in_flight_is_not_planned_again)
{
    struct world_service *service = world_add_service(&world, 4, 100, 100);
    scope(plan_fini) struct plan first = {0};
    scope(plan_fini) struct plan second = {0};

    schedule(world.view, world.now_ms, WORLD_BUDGET, &first);
    ck_assert_uint_eq(first.count, 1);
    world_put_service(&world, service);
    schedule(world.view, world.now_ms, WORLD_BUDGET, &second);
    ck_assert_uint_eq(second.count, 0);
    world_apply(&world, &first.items[0]);
    view_release(world.view, first.items[0].token, 0);
    schedule(world.view, world.now_ms, WORLD_BUDGET, &second);
    ck_assert_uint_eq(second.count, 0);
    ck_assert_uint_eq(world.started, 4);
}
END_TEST

START_TEST(room_in_flight_is_not_given_twice)
{
    scope(plan_fini) struct plan plan = {0};

    world_fini(&world);
    world_init(&world);
    world_add_worker(&world, "a", 1000, 1000);
    world_add_service(&world, 1, 600, 100);
    world_add_service(&world, 1, 600, 100);
    schedule(world.view, world.now_ms, WORLD_BUDGET, &plan);
    ck_assert_uint_eq(plan.count, 2);
    ck_assert_int_eq(plan.items[0].kind, PLAN_START);
    ck_assert_int_eq(plan.items[1].kind, PLAN_NOTE);
    ck_assert_uint_eq(plan.items[1].service_seq, 2);
}
END_TEST

START_TEST(a_refused_plan_is_made_again)
{
    scope(plan_fini) struct plan refused = {0};
    scope(plan_fini) struct plan again = {0};

    world_add_service(&world, 2, 100, 100);
    schedule(world.view, world.now_ms, WORLD_BUDGET, &refused);
    view_release(world.view, refused.items[0].token, world.now_ms + 100);
    schedule(world.view, world.now_ms, WORLD_BUDGET, &again);
    ck_assert_uint_eq(again.count, 0);
    ck_assert_uint_eq(again.next_wakeup_ms, world.now_ms + 100);
    schedule(world.view, world.now_ms + 100, WORLD_BUDGET, &again);
    ck_assert_uint_eq(again.count, 1);
    ck_assert_mem_eq(again.items[0].seqs, refused.items[0].seqs, 2 * sizeof(uint64_t));
}
END_TEST

START_TEST(a_leader_that_lost_office_lets_everything_go)
{
    scope(plan_fini) struct plan plan = {0};
    scope(plan_fini) struct plan again = {0};
    struct view_size size;

    world_add_service(&world, 6, 4096, 4096); /* Each takes a whole worker. */
    schedule(world.view, world.now_ms, WORLD_BUDGET, &plan);
    view_release_all(world.view);
    view_size(world.view, &size);
    ck_assert_uint_eq(size.flights, 0);
    view_release(world.view, plan.items[0].token, 0); /* Too late: harmless. */
    schedule(world.view, world.now_ms, WORLD_BUDGET, &again);
    ck_assert_uint_eq(again.items[0].count, 6);
}
END_TEST

START_TEST(a_budget_bounds_the_call_and_starves_nobody)
{
    for (int i = 0; i < 4; i++)
        world_add_service(&world, 1, 100, 100);
    for (size_t i = 0; i < 9; i++) {
        scope(plan_fini) struct plan plan = {0};

        schedule(world.view, world.now_ms, 1, &plan);
        ck_assert_uint_eq(plan.count, 1);
        ck_assert_uint_eq(plan.items[0].service_seq, i % 4 + 1);
        ck_assert_uint_eq(plan.next_wakeup_ms, world.now_ms); /* There is more to do. */
        view_release(world.view, plan.items[0].token, 0);     /* Refused: it wants to go again. */
    }
}
END_TEST

START_TEST(a_large_start_comes_in_pieces)
{
    struct world_service *service = world_add_service(&world, 2500, 1, 1);
    scope(plan_fini) struct plan plan = {0};

    schedule(world.view, world.now_ms, WORLD_BUDGET, &plan);
    ck_assert_uint_eq(plan.items[0].count, PLAN_TASKS_MAX);
    world_apply(&world, &plan.items[0]);
    view_release(world.view, plan.items[0].token, 0);
    world_turn(&world);
    world_turn(&world);
    ck_assert_uint_eq(world_staying(&world, service), 2500);
    ck_assert_str_eq(world_zones(&world, service), "834 833 833");
}
END_TEST

START_TEST(fixed_ports_spread_a_service_over_workers)
{
    struct world_service *service = world_add_service(&world, 0, 100, 100);

    world_primary(service)->port = 8080;
    world_scale(&world, service, 7);
    world_settle(&world);
    workers_have(service, 1, 1);
    ck_assert_uint_eq(world_said(&world, "is already using a port required by your task."), 1);
}
END_TEST

static TCase *planning(void)
{
    TCase *tc = tcase_create("planning");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, scaling_keeps_zones_and_workers_balanced);
    tcase_add_test(tc, a_lost_zone_is_replaced_in_one_turn_and_used_again);
    tcase_add_test(tc, tasks_not_yet_running_go_first);
    tcase_add_test(tc, completion_and_steadiness_are_told_once);
    tcase_add_test(tc, steadiness_that_is_over_is_noted_without_a_word);
    tcase_add_test(tc, a_service_without_news_costs_nothing);
    tcase_add_test(tc, a_draining_service_stops_everything_then_is_gone);
    tcase_add_test(tc, a_draining_service_without_tasks_is_gone_at_once);
    tcase_add_test(tc, stops_name_the_deployment_that_wanted_them);
    tcase_add_loop_test(tc, want_of_room_is_explained_once_and_again_after_five_minutes, 0, 3);
    tcase_add_test(tc, an_empty_cluster_says_so);
    tcase_add_test(tc, what_fits_is_started_and_the_rest_when_there_is_room);
    tcase_add_test(tc, own_stopping_tasks_are_waited_for_in_silence);
    tcase_add_test(tc, back_off_is_honoured);
    tcase_add_test(tc, what_is_in_flight_is_not_planned_again);
    tcase_add_test(tc, room_in_flight_is_not_given_twice);
    tcase_add_test(tc, a_refused_plan_is_made_again);
    tcase_add_test(tc, a_leader_that_lost_office_lets_everything_go);
    tcase_add_test(tc, a_budget_bounds_the_call_and_starves_nobody);
    tcase_add_test(tc, a_large_start_comes_in_pieces);
    tcase_add_test(tc, fixed_ports_spread_a_service_over_workers);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("schedule");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, planning());
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
