#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/rng.h"
#include "server/lab/flow.h"

static struct flow flow;
static struct rng rng;

static void set_up(void)
{
    rng_seed(&rng, 7);
    flow_init(&flow, (struct line){0});
}

static void tear_down(void)
{
    flow_fini(&flow);
}

static struct flow_moment at(uint64_t now_ms)
{
    return (struct flow_moment){now_ms, &rng};
}

static void enter(const char *text, uint64_t now_ms)
{
    flow_queue(&flow, (struct bytes){text, strlen(text)}, at(now_ms));
}

static void expect(const char *text, uint64_t now_ms)
{
    struct bytes head = flow_head(&flow, now_ms);

    ck_assert_uint_eq(head.len, strlen(text));
    ck_assert_mem_eq(head.base, text, head.len);
    flow_advance(&flow, head.len);
}

START_TEST(a_good_line_is_straight_until_something_waits)
{
    ck_assert(flow_is_straight(&flow));
    enter("ab", 10);
    ck_assert(!flow_is_straight(&flow));
    ck_assert_uint_eq(flow_next_ms(&flow), 10);
    flow_advance(&flow, 1);
    expect("b", 10);
    ck_assert(flow_is_straight(&flow));
    ck_assert_uint_eq(flow_next_ms(&flow), UINT64_MAX);
}
END_TEST

START_TEST(a_delay_holds_each_for_its_time)
{
    flow.line.delay_ms = 30;
    enter("a", 100);
    enter("b", 110);
    ck_assert_uint_eq(flow_head(&flow, 129).len, 0);
    ck_assert_uint_eq(flow_next_ms(&flow), 130);
    expect("a", 130);
    ck_assert_uint_eq(flow_head(&flow, 139).len, 0);
    expect("b", 140);
}
END_TEST

START_TEST(jitter_stays_in_bounds_and_never_overtakes)
{
    uint64_t last = 0;

    flow.line = (struct line){false, 10, 20};
    for (uint64_t now = 0; now < 200; now += 2) {
        enter("x", now);
        ck_assert_uint_ge(flow.due_ms, now + 10);
        ck_assert_uint_ge(flow.due_ms, last);
        ck_assert_uint_le(flow.due_ms, now + 30);
        last = flow.due_ms;
    }
}
END_TEST

START_TEST(what_is_under_way_keeps_its_time_when_the_line_is_mended)
{
    flow.line.delay_ms = 50;
    enter("slow", 0);
    flow.line.delay_ms = 0;
    enter("quick", 10);
    ck_assert_uint_eq(flow_head(&flow, 49).len, 0);
    expect("slow", 50);
    expect("quick", 50);
}
END_TEST

START_TEST(a_cut_holds_bytes_and_ends)
{
    enter("a", 0);
    flow_finish(&flow, END_EOF, at(0));
    flow.line.cut = true;
    ck_assert_uint_eq(flow_head(&flow, 1000).len, 0);
    ck_assert_uint_eq(flow_next_ms(&flow), UINT64_MAX);
    ck_assert_int_eq(flow_end_due(&flow, 1000), END_NONE);
    flow.line.cut = false;
    ck_assert_int_eq(flow_end_due(&flow, 1000), END_NONE); /* After the bytes. */
    expect("a", 1000);
    ck_assert_int_eq(flow_end_due(&flow, 1000), END_EOF);
}
END_TEST

START_TEST(a_reset_waits_its_time_and_for_no_reader)
{
    flow.line.delay_ms = 20;
    enter("unread", 0);
    flow_finish(&flow, END_RESET, at(5));
    flow.blocked = true;
    ck_assert_int_eq(flow_end_due(&flow, 24), END_NONE);
    ck_assert_uint_eq(flow_next_ms(&flow), 25);
    ck_assert_int_eq(flow_end_due(&flow, 25), END_RESET);
}
END_TEST

START_TEST(a_line_takes_so_much_and_nothing_after_the_end)
{
    static const uint8_t much[1 << 20];

    ck_assert(flow_accepts(&flow));
    flow_queue(&flow, (struct bytes){much, sizeof much - 1}, at(0));
    ck_assert(flow_accepts(&flow));
    enter("x", 0);
    ck_assert(!flow_accepts(&flow));
    flow_advance(&flow, 1);
    ck_assert(flow_accepts(&flow));
    flow_finish(&flow, END_EOF, at(0));
    ck_assert(!flow_accepts(&flow));
}
END_TEST

START_TEST(what_a_gone_receiver_was_sent_is_lost)
{
    enter("a", 0);
    flow_lose(&flow);
    ck_assert(flow.ended);
    ck_assert_uint_eq(flow.queued, 0);
    ck_assert_uint_eq(flow_head(&flow, 0).len, 0);
    ck_assert_int_eq(flow_end_due(&flow, 0), END_NONE);
    ck_assert(!flow_accepts(&flow));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lab");
    TCase *tc = tcase_create("flow");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_good_line_is_straight_until_something_waits);
    tcase_add_test(tc, a_delay_holds_each_for_its_time);
    tcase_add_test(tc, jitter_stays_in_bounds_and_never_overtakes);
    tcase_add_test(tc, what_is_under_way_keeps_its_time_when_the_line_is_mended);
    tcase_add_test(tc, a_cut_holds_bytes_and_ends);
    tcase_add_test(tc, a_reset_waits_its_time_and_for_no_reader);
    tcase_add_test(tc, a_line_takes_so_much_and_nothing_after_the_end);
    tcase_add_test(tc, what_a_gone_receiver_was_sent_is_lost);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
