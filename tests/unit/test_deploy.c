#include <check.h>

#include "proto/base/rng.h"
#include "scheduler/deploy.h"

/* Percentages are min/max; counts are pending, running, stopping of the primary and of the older
 * ones. */
static const struct {
    const char *why;
    struct deploy_now now;
    struct deploy_next next;
} cases[] = {
    {"nothing wanted, nothing there: complete",
     {0, 100, 200, {0}, {0}, false},
     {.complete = true, .steady = true}},
    {"a new service starts all", {6, 100, 200, {0}, {0}, false}, {.start = 6}},
    {"pending ones count", {6, 100, 200, {4, 1, 0}, {0}, false}, {.start = 1}},
    {"stopping ones do not", {6, 100, 200, {0, 5, 3}, {0}, true}, {.start = 1}},
    {"there", {6, 100, 200, {0, 6, 0}, {0}, false}, {.complete = true, .steady = true}},
    {"there before", {6, 100, 200, {0, 6, 0}, {0}, true}, {.steady = true}},
    {"there, but one is leaving", {6, 100, 200, {0, 6, 1}, {0}, false}, {.complete = true}},
    {"there, but an old one is leaving", {6, 100, 200, {0, 6, 0}, {0, 0, 1}, false}, {0}},
    {"surplus goes", {3, 100, 200, {0, 6, 0}, {0}, true}, {.stop_surplus = 3}},
    {"none desired: all go",
     {0, 100, 200, {1, 2, 0}, {1, 2, 0}, false},
     {.stop_surplus = 3, .stop_old_pending = 1, .stop_old_running = 2}},
    {"100/200: all new ones first", {6, 100, 200, {0}, {0, 6, 0}, false}, {.start = 6}},
    {"100/200: then old ones, as new ones run",
     {6, 100, 200, {4, 2, 0}, {0, 6, 0}, false},
     {.stop_old_running = 2}},
    {"100/200: the last old ones",
     {6, 100, 200, {0, 6, 0}, {0, 2, 4}, false},
     {.stop_old_running = 2}},
    {"100/150: within the upper bound", {6, 100, 150, {0}, {0, 6, 0}, false}, {.start = 3}},
    {"the upper bound rounds down", {3, 100, 150, {0}, {0, 3, 0}, false}, {.start = 1}},
    {"50/100: old ones first", {6, 50, 100, {0}, {0, 6, 0}, false}, {.stop_old_running = 3}},
    {"50/100: new ones in their place", {6, 50, 100, {0}, {0, 3, 3}, false}, {.start = 3}},
    {"50/100: and so on", {6, 50, 100, {1, 2, 0}, {0, 3, 0}, false}, {.stop_old_running = 2}},
    {"the lower bound rounds up", {3, 50, 100, {0}, {0, 3, 0}, false}, {.stop_old_running = 1}},
    {"0/100: all old ones at once", {3, 0, 100, {0}, {0, 3, 0}, false}, {.stop_old_running = 3}},
    {"old ones that do not run go at once",
     {4, 100, 200, {0}, {2, 2, 0}, false},
     {.start = 4, .stop_old_pending = 2}},
    {"100/100 never moves", {3, 100, 100, {0}, {0, 3, 0}, false}, {.stuck = true}},
    {"a single task at 50/100 neither", {1, 50, 100, {0}, {0, 1, 0}, false}, {.stuck = true}},
    {"100/100 goes on where an old one died", {3, 100, 100, {0}, {0, 2, 0}, false}, {.start = 1}},
    {"what is pending may unlock it", {3, 100, 100, {1, 0, 0}, {0, 2, 0}, false}, {0}},
    {"scaled down while rolling",
     {3, 100, 200, {6, 0, 0}, {0, 6, 0}, false},
     {.stop_surplus = 3, .stop_old_running = 3}},
    {"surplus that may be running is not relied on",
     {3, 100, 200, {0, 4, 0}, {0, 2, 0}, false},
     {.stop_surplus = 1, .stop_old_running = 2}},
    {"nor twice",
     {4, 100, 200, {3, 2, 0}, {0, 3, 0}, false},
     {.stop_surplus = 1, .stop_old_running = 0}},
    {"a maximum below 100 counts as 100", {4, 50, 10, {0}, {0}, false}, {.start = 4}},
    {"a minimum above 100 counts as 100",
     {2, 300, 200, {0, 2, 0}, {0, 2, 0}, false},
     {.stop_old_running = 2}},
};

START_TEST(each_case_is_decided_as_ecs_would)
{
    struct deploy_next next;

    deploy_decide(&cases[_i].now, &next);
    ck_assert_msg(next.start == cases[_i].next.start, "%s: starts %u", cases[_i].why, next.start);
    ck_assert_msg(next.stop_surplus == cases[_i].next.stop_surplus, "%s: stops %u surplus",
                  cases[_i].why, next.stop_surplus);
    ck_assert_msg(next.stop_old_pending == cases[_i].next.stop_old_pending,
                  "%s: stops %u old pending", cases[_i].why, next.stop_old_pending);
    ck_assert_msg(next.stop_old_running == cases[_i].next.stop_old_running,
                  "%s: stops %u old running", cases[_i].why, next.stop_old_running);
    ck_assert_msg(next.stuck == cases[_i].next.stuck, "%s: stuck", cases[_i].why);
    ck_assert_msg(next.complete == cases[_i].next.complete, "%s: complete", cases[_i].why);
    ck_assert_msg(next.steady == cases[_i].next.steady, "%s: steady", cases[_i].why);
}
END_TEST

static struct deploy_count any_count(struct rng *rng)
{
    return (struct deploy_count){(uint32_t)rng_below(rng, 8), (uint32_t)rng_below(rng, 8),
                                 (uint32_t)rng_below(rng, 3)};
}

/* The promises, for any numbers: starts stay under the upper bound, and stopping old tasks never
 * takes RUNNING ones below the lower bound, even if every surplus task stopped was RUNNING. */
START_TEST(no_numbers_break_the_bounds)
{
    struct rng rng;

    rng_seed(&rng, 7);
    for (int i = 0; i < 100000; i++) {
        struct deploy_now now = {
            .desired_count = (uint32_t)rng_below(&rng, 10),
            .minimum_percent = (uint32_t)rng_below(&rng, 101),
            .maximum_percent = 100 + (uint32_t)rng_below(&rng, 101),
            .primary = any_count(&rng),
            .older = any_count(&rng),
        };
        uint32_t total =
            now.primary.pending + now.primary.running + now.older.pending + now.older.running;
        uint32_t surplus, left;
        struct deploy_next next;

        deploy_decide(&now, &next);
        if (next.start)
            ck_assert_uint_le((total + next.start) * 100, now.desired_count * now.maximum_percent);
        ck_assert_uint_le(next.stop_old_running, now.older.running);
        surplus = next.stop_surplus < now.primary.running ? next.stop_surplus : now.primary.running;
        left = now.primary.running - surplus + now.older.running - next.stop_old_running;
        if (next.stop_old_running)
            ck_assert_uint_ge(left * 100, now.desired_count * now.minimum_percent);
        ck_assert(!next.steady || total == now.desired_count);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("deploy");
    TCase *tc = tcase_create("deploy");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tc, each_case_is_decided_as_ecs_would, 0,
                        (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tc, no_numbers_break_the_bounds);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
