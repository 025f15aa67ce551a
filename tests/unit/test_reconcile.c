#include <check.h>
#include <stdlib.h>

#include "proto/base/rng.h"
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

/* ---- rolling, step by step: nobody moves but one task a turn */

static const struct {
    uint32_t desired, minimum, maximum;
    uint32_t lower, upper;
} rolls[] = {
    {6, 100, 200, 6, 12}, {6, 100, 150, 6, 9}, {6, 50, 100, 3, 6},  {5, 50, 150, 3, 7},
    {3, 0, 100, 0, 3},    {7, 75, 125, 6, 8},  {1, 100, 200, 1, 2}, {1, 0, 100, 0, 1},
};

/* Move the n-th task that is on its way. */
static void run_one_task(uint64_t n)
{
    for (size_t i = 0; i < world.task_count; i++) {
        struct world_task *task = &world.tasks[i];

        if (task->phase != VIEW_TASK_PENDING && task->phase != VIEW_TASK_STOPPING)
            continue;
        if (n-- > 0)
            continue;
        world_set_phase(&world, task,
                        task->phase == VIEW_TASK_PENDING ? VIEW_TASK_RUNNING : VIEW_TASK_STOPPED);
        return;
    }
}

static uint32_t moving(const struct world_service *service)
{
    return world_count(&world, service, 0, VIEW_TASK_PENDING) +
           world_count(&world, service, 0, VIEW_TASK_STOPPING);
}

START_TEST(a_new_revision_rolls_within_its_bounds)
{
    struct world_service *service = world_add_service(&world, rolls[_i].desired, 100, 100);
    struct rng rng;
    int turns;

    rng_seed(&rng, (uint64_t)_i);
    service->minimum = rolls[_i].minimum;
    service->maximum = rolls[_i].maximum;
    world_put_service(&world, service);
    world_settle(&world);
    world_add_revision(&world, service, 200, 200);
    for (turns = 0; turns < 500; turns++) {
        size_t items = world_turn(&world);

        ck_assert_uint_ge(world_running(&world, service), rolls[_i].lower);
        ck_assert_uint_le(world_staying(&world, service), rolls[_i].upper);
        if (items == 0 && moving(service) == 0)
            break;
        if (moving(service))
            run_one_task(rng_below(&rng, moving(service)));
    }
    ck_assert_int_lt(turns, 500);
    ck_assert_uint_eq(world_count(&world, service, 2, VIEW_TASK_RUNNING), rolls[_i].desired);
    ck_assert_uint_eq(world_staying(&world, service), rolls[_i].desired);
    ck_assert(world_primary(service)->completed);
    ck_assert(service->deployments[0].gone);
    ck_assert(service->steady);
    ck_assert_uint_eq(world_said(&world, "(deployment ecs-svc/2) deployment completed."), 1);
}
END_TEST

START_TEST(what_remains_of_a_roll_is_balanced)
{
    struct world_service *service = world_add_service(&world, 6, 100, 100);

    world_lose(&world, 5);
    world_lose(&world, 6);
    world_settle(&world);
    ck_assert_str_eq(world_zones(&world, service), "3 3 0");
    world_return(&world, 5);
    world_return(&world, 6);
    world_add_revision(&world, service, 100, 100);
    world_settle(&world);
    ck_assert_str_eq(world_zones(&world, service), "2 2 2");
    for (uint64_t seq = 1; seq <= 6; seq++)
        ck_assert_uint_eq(world_on_worker(&world, service, seq), 1);
}
END_TEST

START_TEST(a_roll_that_cannot_move_is_told_once_a_revision)
{
    struct world_service *service = world_add_service(&world, 3, 100, 100);

    service->maximum = 100;
    world_put_service(&world, service);
    world_settle(&world);
    world_add_revision(&world, service, 100, 100);
    world_settle(&world);
    world_put_service(&world, service);
    world_settle(&world);
    ck_assert_uint_eq(world_said(&world, "was unable to stop or start tasks during a deployment "
                                         "because of the service deployment configuration."),
                      1);
    ck_assert_uint_eq(world_count(&world, service, 1, VIEW_TASK_RUNNING), 3);
    world_add_revision(&world, service, 100, 100);
    world_settle(&world);
    ck_assert_uint_eq(world_said(&world, "was unable to stop or start"), 2);
    service->maximum = 134; /* 4 tasks. */
    world_put_service(&world, service);
    world_settle(&world);
    ck_assert_uint_eq(world_count(&world, service, 3, VIEW_TASK_RUNNING), 3);
}
END_TEST

START_TEST(a_revision_that_never_starts_leaves_the_old_one_alone)
{
    struct world_service *service = world_add_service(&world, 4, 100, 100);

    world_settle(&world);
    world_add_revision(&world, service, 9999, 100);
    world_settle(&world);
    ck_assert_uint_eq(world_count(&world, service, 1, VIEW_TASK_RUNNING), 4);
    ck_assert_uint_eq(world_said(&world, "insufficient CPU"), 1);
    world_add_revision(&world, service, 50, 50);
    world_settle(&world);
    ck_assert_uint_eq(world_count(&world, service, 3, VIEW_TASK_RUNNING), 4);
    ck_assert(world_primary(service)->completed);
}
END_TEST

/* ---- anything at any time */

enum { FLYING_MAX = 64 };

/* Plans whose items wait to be applied, each in its own time. */
struct flying {
    struct plan_item *items[FLYING_MAX];
    struct plan plans[FLYING_MAX];
    size_t count;
    size_t plan_count;
};

static void check_bounds(const struct plan_item *item)
{
    const struct world_service *service = &world.services[item->service_seq - 1];
    uint32_t staying = world_staying(&world, service);
    uint32_t running = world_running(&world, service), stopping_running = 0;
    uint32_t primary_staying =
        world_count(&world, service, service->deployment_count, VIEW_TASK_PENDING) +
        world_count(&world, service, service->deployment_count, VIEW_TASK_RUNNING);

    if (item->kind == PLAN_START)
        ck_assert_uint_le((staying + item->count) * 100, service->desired * service->maximum);
    if (item->kind != PLAN_STOP || service->status != VIEW_SERVICE_ACTIVE)
        return;
    for (size_t i = 0; i < item->count; i++)
        stopping_running += world.tasks[item->seqs[i] - 1].phase == VIEW_TASK_RUNNING;
    if (primary_staying <= service->desired && stopping_running)
        ck_assert_uint_ge((running - stopping_running) * 100, service->desired * service->minimum);
}

static void plan_some(struct flying *flying)
{
    struct plan *plan = &flying->plans[flying->plan_count];

    if (flying->plan_count == FLYING_MAX || flying->count + 16 > FLYING_MAX)
        return;
    schedule(world.view, world.now_ms, WORLD_BUDGET, plan);
    ck_assert_uint_le(plan->count, 12); /* Three items for each of the four services. */
    flying->plan_count++;
    for (size_t i = 0; i < plan->count; i++) {
        check_bounds(&plan->items[i]);
        flying->items[flying->count++] = &plan->items[i];
    }
}

/* One item is applied, or refused. */
static void land_one(struct flying *flying, struct rng *rng)
{
    size_t at;

    if (flying->count == 0)
        return;
    at = rng_below(rng, flying->count);
    if (rng_below(rng, 5))
        world_apply(&world, flying->items[at]);
    view_release(world.view, flying->items[at]->token, rng_below(rng, 4) ? 0 : world.now_ms + 50);
    flying->items[at] = flying->items[--flying->count];
}

static void plans_fini(struct flying *flying)
{
    ck_assert_uint_eq(flying->count, 0);
    for (size_t i = 0; i < flying->plan_count; i++)
        plan_fini(&flying->plans[i]);
    flying->plan_count = 0;
}

/* A task, whichever, dies by itself. */
static void kill_one_task(struct rng *rng)
{
    struct world_task *task;

    if (world.task_count == 0)
        return;
    task = &world.tasks[rng_below(rng, world.task_count)];
    world_set_phase(&world, task, VIEW_TASK_STOPPED);
}

static void change_service(struct rng *rng)
{
    struct world_service *service = &world.services[rng_below(rng, world.service_count)];

    if (rng_below(rng, 2))
        world_scale(&world, service, (uint32_t)rng_below(rng, 13));
    else if (service->deployment_count < WORLD_REVISIONS)
        world_add_revision(&world, service, 50 + 50 * (uint32_t)rng_below(rng, 8),
                           50 + 50 * (uint32_t)rng_below(rng, 8))
            ->port = rng_below(rng, 3) ? 0 : (uint16_t)(8000 + service->seq);
    world_put_service(&world, service);
}

static void change_worker(struct rng *rng)
{
    uint64_t seq = 1 + rng_below(rng, world.worker_count);

    if (world.workers[seq - 1].lost)
        world_return(&world, seq);
    else
        world_lose(&world, seq);
}

static void something_happens(struct flying *flying, struct rng *rng)
{
    uint64_t chance = rng_below(rng, 100);

    world.now_ms += rng_below(rng, 20);
    if (chance < 30)
        plan_some(flying);
    else if (chance < 60)
        land_one(flying, rng);
    else if (chance < 90)
        run_one_task(rng_below(rng, 8));
    else if (chance < 94)
        kill_one_task(rng);
    else if (chance < 97)
        change_worker(rng);
    else
        change_service(rng);
}

static void quiet(struct flying *flying, struct rng *rng)
{
    while (flying->count)
        land_one(flying, rng);
    for (uint64_t seq = 1; seq <= world.worker_count; seq++)
        world_return(&world, seq);
    for (size_t i = 0; i < world.service_count; i++)
        world_scale(&world, &world.services[i], 1 + (uint32_t)i);
    world_settle(&world);
    world.now_ms += SCHEDULE_REPEAT_MS + 50;
    world_settle(&world);
}

/* world_put_worker() proves at each step that no worker is given more than it has. */
START_TEST(whatever_happens_bounds_hold_and_in_the_end_all_is_as_desired)
{
    static struct flying flying;
    struct view_size size;
    struct rng rng;

    rng_seed(&rng, (uint64_t)_i);
    for (int i = 0; i < 4; i++)
        world_add_service(&world, (uint32_t)i * 2, 300, 300);
    for (int round = 0; round < 8; round++) {
        for (int step = 0; step < 100; step++)
            something_happens(&flying, &rng);
        while (flying.count)
            land_one(&flying, &rng);
        plans_fini(&flying);
    }
    quiet(&flying, &rng);
    for (size_t i = 0; i < world.service_count; i++) {
        struct world_service *service = &world.services[i];

        ck_assert_uint_eq(
            world_count(&world, service, service->deployment_count, VIEW_TASK_RUNNING),
            service->desired);
        ck_assert_uint_eq(world_staying(&world, service), service->desired);
        ck_assert(service->steady);
        ck_assert(world_primary(service)->completed);
    }
    view_size(world.view, &size);
    ck_assert_uint_eq(size.flights, 0);
    ck_assert_uint_eq(size.tasks, 1 + 2 + 3 + 4);
}
END_TEST

/* The same picture, put together in another order. */
START_TEST(same_picture_same_plan)
{
    scope(view_free) struct view *other = view_new();
    scope(plan_fini) struct plan plan = {0};
    scope(plan_fini) struct plan same = {0};
    struct world_service *service = world_add_service(&world, 7, 100, 100);
    struct view *own = world.view;

    world_settle(&world);
    world_lose(&world, 3);
    world_scale(&world, service, 11);
    world.view = other;
    for (size_t i = world.task_count; i-- > 0;)
        world_put_task(&world, &world.tasks[i]);
    world_put_service(&world, service);
    for (uint64_t seq = world.worker_count; seq > 0; seq--)
        world_put_worker(&world, seq);
    world.view = own;
    schedule(own, world.now_ms, WORLD_BUDGET, &plan);
    schedule(other, world.now_ms, WORLD_BUDGET, &same);
    ck_assert_uint_eq(plan.count, same.count);
    ck_assert_int_eq(plan.items[0].kind, PLAN_START);
    ck_assert_uint_eq(plan.items[0].count, same.items[0].count);
    ck_assert_mem_eq(plan.items[0].seqs, same.items[0].seqs,
                     plan.items[0].count * sizeof(uint64_t));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reconcile");
    TCase *tc = tcase_create("reconcile");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, a_new_revision_rolls_within_its_bounds, 0,
                        (int)(sizeof rolls / sizeof *rolls));
    tcase_add_test(tc, what_remains_of_a_roll_is_balanced);
    tcase_add_test(tc, a_roll_that_cannot_move_is_told_once_a_revision);
    tcase_add_test(tc, a_revision_that_never_starts_leaves_the_old_one_alone);
    tcase_add_loop_test(tc, whatever_happens_bounds_hold_and_in_the_end_all_is_as_desired, 0, 40);
    tcase_add_test(tc, same_picture_same_plan);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
