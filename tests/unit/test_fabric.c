/*
 * The fabric, with this test as every node: it listens where managers would and calls from
 * their addresses. One loop, run until what is expected has happened or a bound has passed.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "server/lab/fabric.h"

enum { BOUND_MS = 10000, A_WHILE_MS = 60, PEERS = 2 };

static uv_loop_t loop;
static uv_timer_t tick;
static struct layout *layout;
static struct faults *faults;
static struct fabric *fabric;
static int listening;      /* m2's peer port. */
static int caller, callee; /* A connection from m1 to m2. */

static void ticked(uv_timer_t *timer)
{
    (void)timer;
}

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* Run the loop until the condition holds; fail after the bound. */
#define until(condition)                                                                           \
    do {                                                                                           \
        uint64_t end_ = now_ms() + BOUND_MS;                                                       \
        while (!(condition)) {                                                                     \
            ck_assert_msg(now_ms() < end_, "never: %s", #condition);                               \
            uv_run(&loop, UV_RUN_ONCE);                                                            \
        }                                                                                          \
    } while (0)

static void for_a_while(void)
{
    uint64_t end = now_ms() + A_WHILE_MS;

    while (now_ms() < end)
        uv_run(&loop, UV_RUN_ONCE);
}

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static int listen_on(struct sockaddr_in at)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(fd, 64), 0);
    return fd;
}

static struct in_addr address_of(const char *name)
{
    size_t node;

    ck_assert_int_eq(layout_find(layout, name, &node), 0);
    return layout->nodes[node].real;
}

/* Call a manager's face as another node would. The kernel accepts at once: it is loopback. */
static int call_from(struct in_addr from, size_t manager)
{
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr = from};
    struct sockaddr_in face = layout_face(layout, manager, PEERS);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&source, sizeof source), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&face, sizeof face), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int call(const char *from)
{
    return call_from(address_of(from), 1);
}

static int answer(void)
{
    int fd = -1;

    until((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0);
    return fd;
}

static void pair(const char *from)
{
    caller = call(from);
    callee = answer();
}

/* A free place: a port such that it and the two above it are free on a manager's address. */
static unsigned free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010101)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    getsockname(fd, (struct sockaddr *)&at, &size);
    close(fd);
    return ntohs(at.sin_port) < 65000 ? ntohs(at.sin_port) : 64000;
}

static void set_up(void)
{
    struct layout_options options;
    int r = -EADDRINUSE;

    uv_loop_init(&loop);
    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, ticked, 1, 1);
    for (int i = 0; i < 20 && r == -EADDRINUSE; i++) {
        layout_options_default(&options);
        options.workers = 3;
        options.api_port = free_port();
        layout = layout_new(&options);
        faults = faults_new(layout);
        r = fabric_open(&loop, layout, faults, 1, &fabric);
        if (r < 0) {
            faults_free(faults);
            layout_free(layout);
        }
    }
    ck_assert_int_eq(r, 0);
    listening = listen_on(layout_real(layout, 1, PEERS));
    caller = callee = -1;
}

static void tear_down(void)
{
    fabric_close(fabric);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0); /* Nothing was left in the loop. */
    faults_free(faults);
    layout_free(layout);
    close(listening);
    if (caller >= 0)
        close(caller);
    if (callee >= 0)
        close(callee);
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void hear(int fd, const char *text)
{
    char got[64] = {0};
    size_t len = 0;

    while (len < strlen(text)) {
        ssize_t n;

        until(is_readable(fd));
        n = recv(fd, got + len, strlen(text) - len, 0);
        ck_assert_msg(n > 0, "heard \"%s\", then %zd (%s)", got, n, strerror(errno));
        len += (size_t)n;
    }
    ck_assert_str_eq(got, text);
}

static void hear_end(int fd)
{
    char byte;

    until(is_readable(fd));
    ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
}

static void hear_reset(int fd)
{
    char byte;

    until(is_readable(fd));
    ck_assert_int_eq(recv(fd, &byte, 1, 0), -1);
    ck_assert_int_eq(errno, ECONNRESET);
}

static void hang_up_hard(int *fd)
{
    struct linger hard = {1, 0};

    setsockopt(*fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(*fd);
    *fd = -1;
}

static void cut(const char *a, const char *b, bool one_way)
{
    ck_assert_int_eq(faults_cut(faults, (struct faults_between){a, b, one_way}), 0);
    fabric_refresh(fabric);
}

static void slow(const char *a, const char *b, unsigned delay_ms, unsigned jitter_ms)
{
    struct faults_between between = {a, b, true};

    ck_assert_int_eq(faults_delay(faults, between, delay_ms, jitter_ms), 0);
    fabric_refresh(fabric);
}

static void heal(void)
{
    faults_heal_all(faults);
    fabric_refresh(fabric);
}

START_TEST(bytes_pass_both_ways_and_the_callee_sees_who_calls)
{
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    size_t w1;

    pair("w1");
    say(caller, "hello");
    hear(callee, "hello");
    say(callee, "world");
    hear(caller, "world");
    ck_assert_int_eq(getpeername(callee, (struct sockaddr *)&from, &size), 0);
    ck_assert_int_eq(layout_find(layout, "w1", &w1), 0);
    ck_assert_uint_eq(from.sin_addr.s_addr, layout->nodes[w1].face.s_addr);
}
END_TEST

START_TEST(a_stranger_is_refused)
{
    caller = call_from((struct in_addr){htonl(INADDR_LOOPBACK)}, 1);
    hear_reset(caller);
    ck_assert_uint_eq(fabric_count(fabric), 0);
}
END_TEST

START_TEST(a_call_to_a_dead_process_is_reset_at_once)
{
    caller = call_from(address_of("m1"), 2); /* Nobody listens as m3. */
    hear_reset(caller);
    until(fabric_count(fabric) == 0);
}
END_TEST

START_TEST(half_a_close_is_half_a_close)
{
    pair("m1");
    say(caller, "last");
    shutdown(caller, SHUT_WR);
    hear(callee, "last");
    hear_end(callee);
    say(callee, "still here");
    hear(caller, "still here");
    shutdown(callee, SHUT_WR);
    hear_end(caller);
    until(fabric_count(fabric) == 0);
}
END_TEST

START_TEST(a_reset_is_passed_on)
{
    pair("m1");
    say(caller, "x");
    hear(callee, "x");
    hang_up_hard(&caller);
    hear_reset(callee);
    until(fabric_count(fabric) == 0);
}
END_TEST

START_TEST(a_process_that_ends_is_noticed_by_its_callers)
{
    pair("m1");
    say(callee, "x");
    hear(caller, "x");
    close(callee);
    callee = -1;
    hear_end(caller);
}
END_TEST

START_TEST(a_cut_holds_everything_until_it_is_healed)
{
    pair("m1");
    cut("m1", "m2", false);
    say(caller, "one ");
    say(callee, "two");
    for_a_while();
    ck_assert(!is_readable(callee));
    ck_assert(!is_readable(caller));
    say(caller, "three");
    heal();
    hear(callee, "one three");
    hear(caller, "two");
}
END_TEST

START_TEST(a_cut_one_way_leaves_the_other)
{
    pair("m1");
    cut("m1", "m2", true);
    say(caller, "held");
    say(callee, "free");
    hear(caller, "free");
    for_a_while();
    ck_assert(!is_readable(callee));
    heal();
    hear(callee, "held");
}
END_TEST

START_TEST(other_links_do_not_feel_a_cut)
{
    cut("m1", "m2", false);
    pair("m3");
    say(caller, "hello");
    hear(callee, "hello");
}
END_TEST

START_TEST(a_call_over_a_cut_line_is_answered_when_it_is_mended)
{
    cut("m2", "m1", true); /* The way back: no connection can be made either. */
    caller = call("m1");
    say(caller, "anyone?");
    for_a_while();
    ck_assert(!is_readable(caller));
    ck_assert(!is_readable(listening));
    heal();
    callee = answer();
    hear(callee, "anyone?");
}
END_TEST

START_TEST(a_caller_who_gives_up_on_a_cut_line_leaves_nothing)
{
    cut("m1", "m2", false);
    for (int i = 0; i < 20; i++)
        close(call("m1"));
    until(fabric_count(fabric) > 0);
    until(fabric_count(fabric) == 0);
    heal();
    for_a_while();
    ck_assert(!is_readable(listening));
}
END_TEST

START_TEST(an_end_does_not_cross_a_cut)
{
    pair("m1");
    say(caller, "x");
    hear(callee, "x");
    cut("m1", "m2", false);
    hang_up_hard(&caller);
    for_a_while();
    ck_assert(!is_readable(callee));
    heal();
    hear_reset(callee);
}
END_TEST

START_TEST(both_ends_gone_during_a_cut_leave_nothing)
{
    pair("m1");
    cut("m1", "m2", false);
    close(caller);
    close(callee);
    caller = callee = -1;
    until(fabric_count(fabric) == 0);
}
END_TEST

START_TEST(a_slow_line_delays_and_keeps_the_order)
{
    uint64_t began;

    pair("m1");
    slow("m1", "m2", 40, 20);
    began = now_ms();
    say(caller, "a");
    for_a_while(); /* Apart, so that each gets a delay of its own. */
    say(caller, "b");
    shutdown(caller, SHUT_WR);
    hear(callee, "ab");
    ck_assert_uint_ge(now_ms() - began, A_WHILE_MS + 40 - 2);
    hear_end(callee);
}
END_TEST

START_TEST(a_slow_line_is_slow_one_way)
{
    pair("m1");
    slow("m1", "m2", 60 * 1000, 0);
    say(callee, "quick");
    hear(caller, "quick");
    say(caller, "slow");
    for_a_while();
    ck_assert(!is_readable(callee));
}
END_TEST

START_TEST(a_call_over_a_slow_line_takes_its_time)
{
    uint64_t began;

    slow("m1", "m2", 50, 0);
    began = now_ms();
    pair("m1");
    ck_assert_uint_ge(now_ms() - began, 50 - 2);
}
END_TEST

static void pattern(uint8_t *out, size_t len, size_t from)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)((from + i) * 31 >> 3);
}

/* Send a counted pattern until the line takes no more. Returns how much it took. */
static size_t fill(int fd)
{
    uint8_t bytes[4096];
    size_t total = 0;
    int refusals = 0;

    while (refusals < 50) {
        ssize_t n;

        pattern(bytes, sizeof bytes, total);
        n = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            total += (size_t)n;
        refusals = n > 0 ? 0 : refusals + 1;
        uv_run(&loop, n > 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    }
    return total;
}

static void drain(int fd, size_t total)
{
    uint8_t bytes[65536], expected[65536];
    size_t got = 0;

    while (got < total) {
        ssize_t n;

        until(is_readable(fd));
        n = recv(fd, bytes, sizeof bytes, 0);
        ck_assert_int_gt(n, 0);
        pattern(expected, (size_t)n, got);
        ck_assert_mem_eq(bytes, expected, (size_t)n);
        got += (size_t)n;
    }
    ck_assert(!is_readable(fd));
}

START_TEST(who_does_not_read_stops_who_writes_and_nothing_is_lost)
{
    size_t total;

    pair("m1");
    total = fill(caller);
    ck_assert_uint_lt(total, 64 << 20);
    drain(callee, total);
}
END_TEST

START_TEST(a_slow_line_holds_so_much_and_no_more)
{
    size_t total;

    pair("m1");
    slow("m1", "m2", 60 * 1000, 0);
    total = fill(caller);
    ck_assert_uint_lt(total, 64 << 20);
    heal(); /* What is under way keeps its time; nothing more to see here. */
    ck_assert(!is_readable(callee));
}
END_TEST

START_TEST(a_slow_line_carries_much_unharmed)
{
    size_t total;

    pair("m1");
    slow("m1", "m2", 5, 5);
    total = fill(caller);
    drain(callee, total);
}
END_TEST

START_TEST(a_broken_reader_is_noticed_behind_a_full_line)
{
    pair("m1");
    fill(caller);
    hang_up_hard(&callee);
    until(fabric_count(fabric) == 0);
}
END_TEST

START_TEST(a_reset_on_order_hits_the_pairs_it_names)
{
    bool pairs[36] = {false};
    int other;

    pair("m1");
    other = call("w1");
    until(fabric_count(fabric) == 2);
    ck_assert_int_eq(faults_pairs(layout, (struct faults_between){"m2", "m1", true}, pairs), 0);
    ck_assert_uint_eq(fabric_reset(fabric, pairs), 1);
    hear_reset(caller);
    hear_reset(callee);
    until(fabric_count(fabric) == 1);
    close(other);
}
END_TEST

START_TEST(a_dark_zone_is_silent_and_resets_when_it_is_back)
{
    pair("m1");
    faults_set_dark(faults, 1, true);
    fabric_refresh(fabric);
    close(callee); /* The power is gone: the process too, and nobody hears of it. */
    callee = -1;
    for_a_while();
    ck_assert(!is_readable(caller));
    faults_set_dark(faults, 1, false);
    fabric_reset_node(fabric, 1);
    fabric_refresh(fabric);
    hear_reset(caller);
}
END_TEST

START_TEST(a_face_that_is_taken_is_an_error)
{
    struct fabric *other = NULL;

    ck_assert_int_eq(fabric_open(&loop, layout, faults, 1, &other), -EADDRINUSE);
    ck_assert_ptr_null(other);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lab");
    TCase *tc = tcase_create("fabric");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, bytes_pass_both_ways_and_the_callee_sees_who_calls);
    tcase_add_test(tc, a_stranger_is_refused);
    tcase_add_test(tc, a_call_to_a_dead_process_is_reset_at_once);
    tcase_add_test(tc, half_a_close_is_half_a_close);
    tcase_add_test(tc, a_reset_is_passed_on);
    tcase_add_test(tc, a_process_that_ends_is_noticed_by_its_callers);
    tcase_add_test(tc, a_cut_holds_everything_until_it_is_healed);
    tcase_add_test(tc, a_cut_one_way_leaves_the_other);
    tcase_add_test(tc, other_links_do_not_feel_a_cut);
    tcase_add_test(tc, a_call_over_a_cut_line_is_answered_when_it_is_mended);
    tcase_add_test(tc, a_caller_who_gives_up_on_a_cut_line_leaves_nothing);
    tcase_add_test(tc, an_end_does_not_cross_a_cut);
    tcase_add_test(tc, both_ends_gone_during_a_cut_leave_nothing);
    tcase_add_test(tc, a_slow_line_delays_and_keeps_the_order);
    tcase_add_test(tc, a_slow_line_is_slow_one_way);
    tcase_add_test(tc, a_call_over_a_slow_line_takes_its_time);
    tcase_add_test(tc, who_does_not_read_stops_who_writes_and_nothing_is_lost);
    tcase_add_test(tc, a_slow_line_holds_so_much_and_no_more);
    tcase_add_test(tc, a_slow_line_carries_much_unharmed);
    tcase_add_test(tc, a_broken_reader_is_noticed_behind_a_full_line);
    tcase_add_test(tc, a_reset_on_order_hits_the_pairs_it_names);
    tcase_add_test(tc, a_dark_zone_is_silent_and_resets_when_it_is_back);
    tcase_add_test(tc, a_face_that_is_taken_is_an_error);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
