#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/limits.h"
#include "server/net/address.h"
#include "server/net/stream.h"
#include "tests/unit/loop.h"

/* One end of a connection, with what happened to it. */
struct end {
    struct stream *stream;
    struct buffer got;
    int opened;
    int writable;
    int reason;
    int closed;
    int inside; /* A call of the owner is under way: nothing may come now. */
    bool echoes;
    bool closes_when_it_hears;
};

static struct listener *listener;
static struct sockaddr_storage here;
static struct end near, far; /* Connected and accepted. */
static int accepted;

static struct bytes text(const char *s)
{
    return (struct bytes){s, strlen(s)};
}

static void end_opened(void *context)
{
    struct end *end = context;

    ck_assert_int_eq(end->inside, 0);
    end->opened++;
}

static void end_closed(void *context)
{
    struct end *end = context;

    ck_assert_int_eq(end->inside, 0);
    end->closed++;
}

static void end_close(struct end *end)
{
    end->inside++;
    stream_close(end->stream, end_closed, end);
    end->inside--;
    end->stream = NULL;
}

static void end_received(void *context, struct bytes bytes)
{
    struct end *end = context;

    ck_assert_int_eq(end->inside, 0);
    buffer_append(&end->got, bytes.base, bytes.len);
    if (end->echoes)
        ck_assert_int_eq(stream_write(end->stream, bytes), 0);
    if (end->closes_when_it_hears)
        end_close(end);
}

static void end_writable(void *context)
{
    struct end *end = context;

    ck_assert_int_eq(end->inside, 0);
    ck_assert_uint_eq(stream_queued(end->stream), 0);
    end->writable++;
}

static void end_ended(void *context, int reason)
{
    struct end *end = context;

    ck_assert_int_eq(end->inside, 0);
    ck_assert_int_eq(end->reason, 0);
    end->reason = reason;
}

static struct stream_owner owner_of(struct end *end)
{
    return (struct stream_owner){.opened = end_opened,
                                 .received = end_received,
                                 .writable = end_writable,
                                 .ended = end_ended,
                                 .context = end};
}

static void stream_accepted(void *context, struct stream *stream)
{
    struct stream_owner owner = owner_of(&far);

    (void)context;
    accepted++;
    ck_assert_ptr_null(far.stream);
    far.stream = stream;
    stream_own(stream, &owner);
}

static int try_listen(struct sockaddr_storage at, unsigned max, struct listener **out)
{
    struct listener_config config = {
        .at = &at, .connections_max = max, .accepted = stream_accepted};

    return listener_open(&loop, &config, out);
}

static int try_connect(struct sockaddr_storage to, const struct sockaddr_storage *source,
                       uint64_t timeout_ms, struct end *end)
{
    struct stream_connect_config config = {
        .to = &to, .source = source, .timeout_ms = timeout_ms, .owner = owner_of(end)};
    int r;

    end->inside++;
    r = stream_connect(&loop, &config, &end->stream);
    end->inside--;
    return r;
}

static void listen_here(void)
{
    ck_assert_int_eq(address_parse("127.0.0.1:0", &here, NULL), 0);
    ck_assert_int_eq(try_listen(here, 1, &listener), 0);
    address_set_port(&here, listener_port(listener));
}

static void connect_here(void)
{
    ck_assert_int_eq(try_connect(here, NULL, 5000, &near), 0);
    loop_until(near.opened && far.stream);
}

static void set_up(void)
{
    memset(&near, 0, sizeof near);
    memset(&far, 0, sizeof far);
    accepted = 0;
    loop_set_up();
    listen_here();
}

static void tear_down(void)
{
    if (near.stream)
        end_close(&near);
    if (far.stream)
        end_close(&far);
    if (listener)
        listener_close(listener, NULL, NULL);
    listener = NULL;
    loop_tear_down();
    buffer_fini(&near.got);
    buffer_fini(&far.got);
}

/* A connected plain socket, for what a stream would never do. */
static int raw_connect(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&here, sizeof(struct sockaddr_in)), 0);
    return fd;
}

START_TEST(bytes_arrive_in_the_order_they_were_written)
{
    scope(buffer_fini) struct buffer all = {0};

    far.echoes = true;
    ck_assert_int_eq(try_connect(here, NULL, 5000, &near), 0);
    for (unsigned i = 0; i < 200; i++) { /* Written before the connection stands; odd sizes. */
        struct buffer piece = {0};

        memset(buffer_extend(&piece, i * 331 % 40000 + 1), (int)i, i * 331 % 40000 + 1);
        buffer_append(&all, piece.base, piece.len);
        near.inside++;
        if (i % 2)
            ck_assert_int_eq(stream_write_buffer(near.stream, &piece), 0);
        else
            ck_assert_int_eq(stream_write(near.stream, (struct bytes){piece.base, piece.len}), 0);
        near.inside--;
        ck_assert_uint_eq(stream_queued(near.stream), all.len);
        buffer_fini(&piece);
    }
    loop_until(near.got.len == all.len);
    ck_assert_mem_eq(near.got.base, all.base, all.len);
    ck_assert_uint_eq(stream_queued(near.stream), 0);
}
END_TEST

static void write_once(uv_prepare_t *prepare)
{
    uv_prepare_stop(prepare);
    ck_assert_int_eq(stream_write(near.stream, text("at the end ")), 0);
    ck_assert_int_eq(stream_write(near.stream, text("of a turn")), 0);
}

START_TEST(a_write_just_before_the_loop_blocks_leaves_at_once)
{
    static uv_prepare_t prepare; /* Outlives the test: it closes in tear_down. */
    uint64_t began = uv_hrtime();

    connect_here();
    uv_prepare_init(&loop, &prepare);
    uv_prepare_start(&prepare, write_once);
    loop_until(far.got.len == 20);
    ck_assert_str_eq(buffer_text(&far.got), "at the end of a turn");
    ck_assert_uint_lt(uv_hrtime() - began, 5000000000u); /* Not when some timer comes by. */
    uv_close((uv_handle_t *)&prepare, NULL);
}
END_TEST

START_TEST(a_peer_that_closes_is_an_end_of_file)
{
    connect_here();
    end_close(&far);
    loop_until(near.reason);
    ck_assert_int_eq(near.reason, STREAM_EOF);
    loop_until(far.closed);
}
END_TEST

START_TEST(closing_offers_what_is_queued_to_the_kernel)
{
    connect_here();
    ck_assert_int_eq(stream_write(far.stream, text("goodbye")), 0);
    end_close(&far);
    loop_until(near.reason);
    ck_assert_str_eq(buffer_text(&near.got), "goodbye");
}
END_TEST

START_TEST(a_reset_is_told)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    int fd = raw_connect();

    loop_until(far.stream);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
    loop_until(far.reason);
    ck_assert_int_eq(far.reason, -ECONNRESET);
    ck_assert_int_eq(stream_write(far.stream, text("to nobody")), 0);
    ck_assert_uint_eq(stream_queued(far.stream), 0);
}
END_TEST

START_TEST(nobody_there_is_a_refusal)
{
    listener_close(listener, NULL, NULL);
    listener = NULL;
    uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert_int_eq(try_connect(here, NULL, 5000, &near), 0);
    loop_until(near.reason);
    ck_assert_int_eq(near.reason, -ECONNREFUSED);
    ck_assert_int_eq(near.opened, 0);
}
END_TEST

START_TEST(connecting_takes_no_longer_than_allowed)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fds[3];
    struct sockaddr_storage silent = here;
    socklen_t len = sizeof silent;

    address_set_port(&silent, 0); /* A backlog that is full answers no one. */
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&silent, sizeof(struct sockaddr_in)), 0);
    ck_assert_int_eq(listen(fd, 0), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&silent, &len), 0);
    for (int i = 0; i < 3; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(fds[i], (struct sockaddr *)&silent, sizeof(struct sockaddr_in));
    }
    ck_assert_int_eq(try_connect(silent, NULL, 50, &near), 0);
    loop_until(near.reason);
    ck_assert_int_eq(near.reason, -ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    close(fd);
}
END_TEST

START_TEST(a_connection_leaves_from_the_address_it_was_given)
{
    struct sockaddr_storage source;
    char host[ADDRESS_TEXT];

    ck_assert_int_eq(address_parse("127.1.2.3:0", &source, NULL), 0);
    ck_assert_int_eq(try_connect(here, &source, 5000, &near), 0);
    loop_until(far.stream);
    ck_assert_str_eq(address_host(stream_peer(far.stream), host), "127.1.2.3");
    ck_assert(address_is(stream_peer(near.stream), &here));
}
END_TEST

START_TEST(a_source_that_is_not_ours_is_refused)
{
    struct sockaddr_storage source;

    ck_assert_int_eq(address_parse("192.0.2.1:0", &source, NULL), 0);
    ck_assert_int_eq(try_connect(here, &source, 5000, &near), -EADDRNOTAVAIL);
    ck_assert_ptr_null(near.stream);
}
END_TEST

START_TEST(a_busy_port_is_refused)
{
    struct listener *other = NULL;

    ck_assert_int_eq(try_listen(here, 1, &other), -EADDRINUSE);
    ck_assert_ptr_null(other);
}
END_TEST

START_TEST(whoever_comes_beyond_the_limit_is_closed_until_one_leaves)
{
    struct end second = {0}, third = {0};

    connect_here();
    ck_assert_int_eq(try_connect(here, NULL, 5000, &second), 0);
    loop_until(second.reason);
    ck_assert_int_eq(accepted, 1);
    end_close(&far);
    loop_until(far.closed);
    ck_assert_int_eq(try_connect(here, NULL, 5000, &third), 0);
    loop_until(accepted == 2);
    end_close(&second);
    end_close(&third);
    loop_until(second.closed && third.closed);
}
END_TEST

START_TEST(a_peer_that_does_not_read_meets_the_bound_of_the_queue)
{
    static uint8_t block[1 << 20];
    struct bytes bytes = {block, sizeof block};
    int fd = raw_connect(), r = 0;

    loop_until(far.stream);
    for (size_t sent = 0; r == 0 && sent < 4 * LIMIT_STREAM_QUEUED_BYTES; sent += sizeof block) {
        r = stream_write(far.stream, bytes);
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    ck_assert_int_eq(r, -ENOBUFS);
    ck_assert_uint_le(stream_queued(far.stream), LIMIT_STREAM_QUEUED_BYTES);
    ck_assert_uint_gt(stream_queued(far.stream), LIMIT_STREAM_QUEUED_BYTES - sizeof block);
    close(fd);
}
END_TEST

START_TEST(who_asks_is_called_once_when_there_is_room)
{
    ck_assert_int_eq(try_connect(here, NULL, 5000, &near), 0);
    near.inside++;
    stream_ask(near.stream);
    near.inside--;
    ck_assert_int_eq(near.writable, 0);
    loop_until(near.writable);
    ck_assert_int_eq(near.opened, 1);
    ck_assert_int_eq(stream_write(near.stream, text("x")), 0);
    loop_until(far.got.len == 1);
    ck_assert_int_eq(near.writable, 1);
}
END_TEST

START_TEST(a_stream_may_be_closed_from_its_own_callback)
{
    far.closes_when_it_hears = true;
    connect_here();
    ck_assert_int_eq(stream_write(near.stream, text("hello")), 0);
    loop_until(far.closed);
    loop_until(near.reason);
    ck_assert_int_eq(far.reason, 0);
}
END_TEST

START_TEST(closing_while_connecting_calls_nothing_but_closed)
{
    ck_assert_int_eq(try_connect(here, NULL, 5000, &near), 0);
    end_close(&near);
    loop_until(near.closed);
    ck_assert_int_eq(near.opened + near.reason, 0);
}
END_TEST

static TCase *case_of_connections(void)
{
    TCase *tc = tcase_create("connections");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, nobody_there_is_a_refusal);
    tcase_add_test(tc, connecting_takes_no_longer_than_allowed);
    tcase_add_test(tc, a_connection_leaves_from_the_address_it_was_given);
    tcase_add_test(tc, a_source_that_is_not_ours_is_refused);
    tcase_add_test(tc, a_busy_port_is_refused);
    tcase_add_test(tc, whoever_comes_beyond_the_limit_is_closed_until_one_leaves);
    tcase_add_test(tc, closing_while_connecting_calls_nothing_but_closed);
    return tc;
}

static TCase *case_of_bytes(void)
{
    TCase *tc = tcase_create("bytes");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, bytes_arrive_in_the_order_they_were_written);
    tcase_add_test(tc, a_write_just_before_the_loop_blocks_leaves_at_once);
    tcase_add_test(tc, a_peer_that_closes_is_an_end_of_file);
    tcase_add_test(tc, closing_offers_what_is_queued_to_the_kernel);
    tcase_add_test(tc, a_reset_is_told);
    tcase_add_test(tc, a_peer_that_does_not_read_meets_the_bound_of_the_queue);
    tcase_add_test(tc, who_asks_is_called_once_when_there_is_room);
    tcase_add_test(tc, a_stream_may_be_closed_from_its_own_callback);
    return tc;
}

int main(void)
{
    Suite *s = suite_create("net");
    SRunner *sr;
    int failed;

    suite_add_tcase(s, case_of_connections());
    suite_add_tcase(s, case_of_bytes());
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
