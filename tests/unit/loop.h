/*
 * A uv loop for tests: run until something is true, for a bounded time.
 */
#pragma once

#include <check.h>
#include <stdbool.h>
#include <uv.h>

static uv_loop_t loop;
static uv_timer_t loop_bound;
static bool loop_is_late;

static void loop_expired(uv_timer_t *timer)
{
    (void)timer;
    loop_is_late = true;
}

static void loop_set_up(void)
{
    loop_is_late = false;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(uv_timer_init(&loop, &loop_bound), 0);
}

/* Everything the test opened must close by itself now. */
static void loop_tear_down(void)
{
    uv_close((uv_handle_t *)&loop_bound, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

/* Run until the condition holds; the test fails if that takes ten seconds. */
#define loop_until(condition)                                                                      \
    do {                                                                                           \
        uv_timer_start(&loop_bound, loop_expired, 10000, 0);                                       \
        while (!(condition) && !loop_is_late)                                                      \
            uv_run(&loop, UV_RUN_ONCE);                                                            \
        uv_timer_stop(&loop_bound);                                                                \
        ck_assert_msg(condition, "it did not come true: %s", #condition);                          \
    } while (0)
