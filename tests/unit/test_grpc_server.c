#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/limits.h"
#include "server/net/address.h"
#include "server/net/grpc_client.h"
#include "server/net/stream.h"
#include "tests/interop/grpc_echo.h"
#include "tests/unit/loop.h"

enum { SHORT_MS = 100 };

/* One call and how it ended. */
struct outcome {
    int done;
    enum grpc_status status;
    char text[256];
    struct buffer reply;
    int *inside; /* Must not be told while this is set. */
    struct grpc_client **closes;
};

static struct sockaddr_storage here;
static struct grpc_server *server;
static struct grpc_client *client;
static struct echo echo;
static int server_closed, client_reason, inside;

static struct bytes text(const char *s)
{
    return (struct bytes){s, strlen(s)};
}

static void on_server_closed(void *context)
{
    (void)context;
    server_closed++;
}

static void on_client_closed(void *context, int reason)
{
    ck_assert_ptr_eq(context, &client);
    ck_assert_int_eq(inside, 0);
    ck_assert_int_eq(client_reason, 0);
    client_reason = reason;
}

static int try_serve(uint64_t keepalive_ms, unsigned connections_max, struct grpc_server **out)
{
    struct grpc_server_config config = {.listen = &here,
                                        .connections_max = connections_max,
                                        .keepalive_ms = keepalive_ms,
                                        .called = echo_called,
                                        .context = &echo};

    return grpc_server_open(&loop, &config, out);
}

static void serve(uint64_t keepalive_ms)
{
    ck_assert_int_eq(address_parse("127.0.0.1:0", &here, NULL), 0);
    ck_assert_int_eq(try_serve(keepalive_ms, 0, &server), 0);
    address_set_port(&here, grpc_server_port(server));
}

static void dial(uint64_t keepalive_ms)
{
    struct grpc_client_config config = {.to = here,
                                        .connect_timeout_ms = 5000,
                                        .keepalive_ms = keepalive_ms,
                                        .closed = on_client_closed,
                                        .context = &client};

    ck_assert_int_eq(grpc_client_open(&loop, &config, &client), 0);
}

static void hang_up(void)
{
    inside++;
    grpc_client_close(client);
    inside--;
    client = NULL;
}

static void stop_serving(void)
{
    grpc_server_close(server, on_server_closed, NULL);
    server = NULL;
}

static void set_up(void)
{
    memset(&echo, 0, sizeof echo);
    server_closed = client_reason = inside = 0;
    loop_set_up();
    serve(0);
    dial(0);
}

static void tear_down(void)
{
    echo_release(&echo);
    if (client)
        hang_up();
    if (server)
        stop_serving();
    loop_tear_down();
    ck_assert_int_eq(server_closed, 1);
}

static void call_done(void *context, enum grpc_status status, const char *why, struct bytes reply)
{
    struct outcome *outcome = context;

    ck_assert_int_eq(inside, 0);
    outcome->done++;
    outcome->status = status;
    snprintf(outcome->text, sizeof outcome->text, "%s", why);
    buffer_append(&outcome->reply, reply.base, reply.len);
    if (outcome->closes && *outcome->closes) {
        grpc_client_close(*outcome->closes);
        *outcome->closes = NULL;
    }
}

static void call(const char *path, struct bytes message, uint64_t timeout_ms,
                 struct outcome *outcome)
{
    inside++;
    grpc_client_call(client, path, message, timeout_ms, call_done, outcome);
    inside--;
}

/* Call, wait, and expect this end. */
static void expect(const char *path, struct bytes message, enum grpc_status status, const char *why,
                   struct bytes reply)
{
    struct outcome outcome = {0};

    call(path, message, 8000, &outcome);
    loop_until(outcome.done);
    ck_assert_int_eq(outcome.status, status);
    ck_assert_str_eq(outcome.text, why);
    ck_assert_uint_eq(outcome.reply.len, reply.len);
    if (reply.len > 0)
        ck_assert_mem_eq(outcome.reply.base, reply.base, reply.len);
    buffer_fini(&outcome.reply);
}

static const struct bytes nothing = {"", 0};

START_TEST(a_call_is_answered)
{
    expect("/test.Echo/Echo", text("hello"), GRPC_OK, "", text("hello"));
    expect("/test.Echo/Echo", nothing, GRPC_OK, "", nothing);
    ck_assert_uint_eq(echo.called, 2);
}
END_TEST

START_TEST(the_largest_message_passes_both_ways)
{
    static uint8_t large[LIMIT_RPC_BYTES];

    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i * 31 >> 3);
    expect("/test.Echo/Echo", (struct bytes){large, sizeof large}, GRPC_OK, "",
           (struct bytes){large, sizeof large});
}
END_TEST

START_TEST(a_larger_message_is_refused_on_either_side)
{
    static uint8_t large[LIMIT_RPC_BYTES + 1];
    char size[16];

    expect("/test.Echo/Echo", (struct bytes){large, sizeof large}, GRPC_RESOURCE_EXHAUSTED,
           "message is too large", nothing);
    snprintf(size, sizeof size, "%zu", sizeof large);
    expect("/test.Echo/Size", text(size), GRPC_RESOURCE_EXHAUSTED, "the answer is too large",
           nothing);
    expect("/test.Echo/Echo", text("on the same connection"), GRPC_OK, "",
           text("on the same connection"));
}
END_TEST

START_TEST(a_refusal_carries_its_status_and_any_text)
{
    expect("/test.Echo/Fail", text("100% wrong\n\xc3\xa9"), GRPC_FAILED_PRECONDITION,
           "100% wrong\n\xc3\xa9", nothing);
    expect("/test.Echo/Nothing", text("x"), GRPC_UNIMPLEMENTED, "no such method", nothing);
}
END_TEST

START_TEST(a_call_that_is_not_answered_in_time_is_over_on_both_sides)
{
    struct outcome outcome = {0};

    call("/test.Echo/Hold", text("x"), SHORT_MS, &outcome);
    loop_until(outcome.done);
    ck_assert_int_eq(outcome.status, GRPC_DEADLINE_EXCEEDED);
    ck_assert_uint_eq(echo.held_count, 1);
    loop_until(grpc_call_is_gone(echo.held[0]));
    echo_release(&echo); /* The late answer goes nowhere. */
    expect("/test.Echo/Echo", text("next"), GRPC_OK, "", text("next"));
    ck_assert_int_eq(outcome.done, 1);
}
END_TEST

START_TEST(a_held_call_is_answered_when_its_time_comes)
{
    struct outcome outcome = {0};

    call("/test.Echo/Hold", text("x"), 8000, &outcome);
    loop_until(echo.held_count == 1);
    ck_assert(!grpc_call_is_gone(echo.held[0]));
    expect("/test.Echo/Echo", text("others pass"), GRPC_OK, "", text("others pass"));
    ck_assert_int_eq(outcome.done, 0);
    echo_release(&echo);
    loop_until(outcome.done);
    ck_assert_int_eq(outcome.status, GRPC_OK);
    ck_assert_str_eq(buffer_text(&outcome.reply), "at last");
    buffer_fini(&outcome.reply);
}
END_TEST

START_TEST(more_calls_than_streams_wait_their_turn)
{
    enum { CALLS = 500 };
    static struct outcome outcomes[CALLS];
    char message[16];
    int done = 0;

    for (int i = 0; i < CALLS; i++) {
        snprintf(message, sizeof message, "%d", i);
        call("/test.Echo/Echo", text(message), 0, &outcomes[i]);
    }
    for (int i = 0; i < CALLS; i++) {
        loop_until(outcomes[i].done);
        done += outcomes[i].status == GRPC_OK;
        snprintf(message, sizeof message, "%d", i);
        ck_assert_str_eq(buffer_text(&outcomes[i].reply), message);
        buffer_fini(&outcomes[i].reply);
    }
    ck_assert_int_eq(done, CALLS);
}
END_TEST

START_TEST(a_call_out_of_time_while_it_waits_its_turn_never_arrives)
{
    struct outcome held[LIMIT_RPC_STREAMS] = {0}, waiting = {0};

    for (unsigned i = 0; i < LIMIT_RPC_STREAMS; i++)
        call("/test.Echo/Hold", text("x"), 0, &held[i]);
    loop_until(echo.held_count == LIMIT_RPC_STREAMS);
    call("/test.Echo/Echo", text("x"), SHORT_MS, &waiting);
    loop_until(waiting.done);
    ck_assert_int_eq(waiting.status, GRPC_DEADLINE_EXCEEDED);
    echo_release(&echo);
    for (unsigned i = 0; i < LIMIT_RPC_STREAMS; i++) {
        loop_until(held[i].done);
        buffer_fini(&held[i].reply);
    }
    expect("/test.Echo/Echo", text("next"), GRPC_OK, "", text("next"));
    ck_assert_uint_eq(echo.called, LIMIT_RPC_STREAMS + 1);
}
END_TEST

START_TEST(a_server_that_closes_ends_the_calls_and_the_connection)
{
    struct outcome outcome = {0}, late = {0};

    call("/test.Echo/Hold", text("x"), 0, &outcome);
    loop_until(echo.held_count == 1);
    stop_serving();
    loop_until(outcome.done && client_reason && server_closed);
    ck_assert_int_eq(outcome.status, GRPC_UNAVAILABLE);
    ck_assert_int_eq(client_reason, -ESHUTDOWN);
    ck_assert(grpc_call_is_gone(echo.held[0]));
    call("/test.Echo/Echo", text("x"), 0, &late);
    loop_until(late.done);
    ck_assert_int_eq(late.status, GRPC_UNAVAILABLE);
}
END_TEST

START_TEST(an_answer_given_just_before_the_end_arrives)
{
    struct outcome outcome = {0};

    call("/test.Echo/Hold", text("x"), 0, &outcome);
    loop_until(echo.held_count == 1);
    echo_release(&echo);
    stop_serving();
    loop_until(outcome.done);
    ck_assert_int_eq(outcome.status, GRPC_OK);
    buffer_fini(&outcome.reply);
}
END_TEST

START_TEST(a_client_that_closes_cancels_its_calls)
{
    struct outcome outcome = {0};

    call("/test.Echo/Hold", text("x"), 0, &outcome);
    loop_until(echo.held_count == 1);
    hang_up();
    ck_assert_int_eq(outcome.done, 0);
    loop_until(outcome.done);
    ck_assert_int_eq(outcome.status, GRPC_CANCELLED);
    loop_until(grpc_call_is_gone(echo.held[0]));
    ck_assert_int_eq(client_reason, 0);
}
END_TEST

START_TEST(a_client_may_be_closed_from_a_call_that_ends)
{
    struct outcome outcomes[8] = {0};

    outcomes[0].closes = &client;
    for (int i = 0; i < 8; i++)
        call("/test.Echo/Echo", text("x"), 0, &outcomes[i]);
    for (int i = 0; i < 8; i++) {
        loop_until(outcomes[i].done);
        ck_assert_int_eq(outcomes[i].done, 1);
        buffer_fini(&outcomes[i].reply);
    }
    ck_assert_int_eq(outcomes[0].status, GRPC_OK);
    ck_assert_ptr_null(client);
}
END_TEST

START_TEST(nobody_there_ends_the_calls)
{
    struct outcome outcome = {0};

    hang_up();
    stop_serving();
    loop_until(server_closed);
    dial(0);
    call("/test.Echo/Echo", text("x"), 0, &outcome);
    loop_until(outcome.done && client_reason);
    ck_assert_int_eq(outcome.status, GRPC_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(outcome.text, "connection refused"));
    ck_assert_int_eq(client_reason, -ECONNREFUSED);
}
END_TEST

/* An owner that is so disturbed by a call that it closes its server. */
static void called_once(void *context, struct grpc_call *call, const char *path,
                        struct bytes message)
{
    (void)path;
    (void)message;
    ck_assert_ptr_eq(context, &server);
    grpc_reply(call, text("the last one"));
    stop_serving();
}

START_TEST(a_server_may_be_closed_from_a_call)
{
    struct grpc_server_config config = {.listen = &here, .called = called_once, .context = &server};
    struct outcome outcomes[3] = {0};

    hang_up();
    stop_serving();
    loop_until(server_closed);
    server_closed = 0;
    ck_assert_int_eq(grpc_server_open(&loop, &config, &server), 0);
    dial(0);
    for (int i = 0; i < 3; i++)
        call("/", text("x"), 0, &outcomes[i]);
    for (int i = 0; i < 3; i++)
        loop_until(outcomes[i].done);
    ck_assert_int_eq(outcomes[0].status, GRPC_OK);
    ck_assert_int_eq(outcomes[1].status, GRPC_UNAVAILABLE);
    ck_assert_int_eq(outcomes[2].status, GRPC_UNAVAILABLE);
    loop_until(client_reason == -ESHUTDOWN);
    buffer_fini(&outcomes[0].reply);
}
END_TEST

START_TEST(a_busy_port_is_refused)
{
    struct grpc_server *other = NULL;

    ck_assert_int_eq(try_serve(0, 0, &other), -EADDRINUSE);
    ck_assert_ptr_null(other);
}
END_TEST

START_TEST(an_idle_connection_lives_on)
{
    uint64_t began;

    hang_up();
    dial(40);
    expect("/test.Echo/Echo", text("x"), GRPC_OK, "", text("x"));
    began = uv_now(&loop);
    loop_until(uv_now(&loop) - began > 500);
    ck_assert_int_eq(client_reason, 0);
    expect("/test.Echo/Echo", text("x"), GRPC_OK, "", text("x"));
}
END_TEST

/* A peer that accepts, and then neither speaks nor closes. */
static int silent_peer(void)
{
    socklen_t len = sizeof here;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address_set_port(&here, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&here, sizeof(struct sockaddr_in)), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&here, &len), 0);
    return fd;
}

START_TEST(a_server_that_falls_silent_is_given_up)
{
    struct outcome outcome = {0};
    int fd = silent_peer();

    hang_up();
    dial(SHORT_MS);
    call("/test.Echo/Echo", text("x"), 0, &outcome);
    loop_until(outcome.done && client_reason);
    ck_assert_int_eq(outcome.status, GRPC_UNAVAILABLE);
    ck_assert_int_eq(client_reason, -ETIMEDOUT);
    close(fd);
}
END_TEST

static bool is_readable_end(int fd)
{
    char bytes[4096];
    ssize_t got;

    while ((got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        continue;
    return got == 0 || (errno != EAGAIN && errno != EINTR);
}

/* A plain socket to a server with a short keep-alive. */
static int raw_client(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    stop_serving();
    loop_until(server_closed);
    server_closed = 0;
    serve(SHORT_MS);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&here, sizeof(struct sockaddr_in)), 0);
    return fd;
}

START_TEST(a_client_that_never_speaks_is_given_up)
{
    int fd = raw_client();

    loop_until(is_readable_end(fd));
    close(fd);
}
END_TEST

START_TEST(a_client_that_speaks_something_else_is_closed)
{
    static const char http1[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = raw_client();

    ck_assert_int_eq(send(fd, http1, sizeof http1 - 1, 0), sizeof http1 - 1);
    loop_until(is_readable_end(fd));
    close(fd);
}
END_TEST

START_TEST(a_peer_that_vanishes_leaves_its_call_to_the_owner)
{
    struct outcome outcome = {0};

    call("/test.Echo/Hold", text("x"), 0, &outcome);
    loop_until(echo.held_count == 1);
    hang_up();
    loop_until(grpc_call_is_gone(echo.held[0]));
    loop_until(outcome.done);
    stop_serving();
    loop_until(server_closed);
    grpc_fail(echo.held[0], GRPC_ABORTED, "to nobody, after the server is gone");
    echo.held_count = 0;
    ck_assert_int_eq(outcome.status, GRPC_CANCELLED);
}
END_TEST

static TCase *case_of_calls(void)
{
    TCase *tc = tcase_create("calls");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_call_is_answered);
    tcase_add_test(tc, the_largest_message_passes_both_ways);
    tcase_add_test(tc, a_larger_message_is_refused_on_either_side);
    tcase_add_test(tc, a_refusal_carries_its_status_and_any_text);
    tcase_add_test(tc, a_call_that_is_not_answered_in_time_is_over_on_both_sides);
    tcase_add_test(tc, a_held_call_is_answered_when_its_time_comes);
    tcase_add_test(tc, more_calls_than_streams_wait_their_turn);
    tcase_add_test(tc, a_call_out_of_time_while_it_waits_its_turn_never_arrives);
    return tc;
}

static TCase *case_of_ends(void)
{
    TCase *tc = tcase_create("ends");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_server_that_closes_ends_the_calls_and_the_connection);
    tcase_add_test(tc, an_answer_given_just_before_the_end_arrives);
    tcase_add_test(tc, a_client_that_closes_cancels_its_calls);
    tcase_add_test(tc, a_client_may_be_closed_from_a_call_that_ends);
    tcase_add_test(tc, nobody_there_ends_the_calls);
    tcase_add_test(tc, a_server_may_be_closed_from_a_call);
    tcase_add_test(tc, a_busy_port_is_refused);
    tcase_add_test(tc, an_idle_connection_lives_on);
    tcase_add_test(tc, a_server_that_falls_silent_is_given_up);
    tcase_add_test(tc, a_client_that_never_speaks_is_given_up);
    tcase_add_test(tc, a_client_that_speaks_something_else_is_closed);
    tcase_add_test(tc, a_peer_that_vanishes_leaves_its_call_to_the_owner);
    return tc;
}

int main(void)
{
    Suite *s = suite_create("net");
    SRunner *sr;
    int failed;

    suite_add_tcase(s, case_of_calls());
    suite_add_tcase(s, case_of_ends());
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
