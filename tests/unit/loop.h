/*
 * A uv loop for tests: run until something is true, for a bounded time.
 */
#pragma once

#include <check.h>
#include <uv.h>

enum { LOOP_STEP_MS = 20, LOOP_STEPS_MAX = 500 };

static uv_loop_t loop;
static uv_timer_t loop_step; /* A change made just before the loop blocks is seen this soon. */
static int loop_steps;

static void loop_stepped(uv_timer_t *timer)
{
    (void)timer;
    loop_steps++;
}

static void loop_set_up(void)
{
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(uv_timer_init(&loop, &loop_step), 0);
}

/* Everything the test opened must close by itself now. */
static void loop_tear_down(void)
{
    uv_close((uv_handle_t *)&loop_step, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

/* Run until the condition holds; the test fails if that takes ten seconds. */
#define loop_until(condition)                                                                      \
    do {                                                                                           \
        loop_steps = 0;                                                                            \
        uv_timer_start(&loop_step, loop_stepped, LOOP_STEP_MS, LOOP_STEP_MS);                      \
        while (!(condition) && loop_steps < LOOP_STEPS_MAX)                                        \
            uv_run(&loop, UV_RUN_ONCE);                                                            \
        uv_timer_stop(&loop_step);                                                                 \
        ck_assert_msg(condition, "it did not come true: %s", #condition);                          \
    } while (0)
