/* The server's side against a hand-driven HTTP/2 client, in memory, with a clock of our own. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/endian.h"
#include "proto/limits.h"
#include "server/net/grpc_session.h"
#include "tests/interop/grpc_echo.h"

enum { EXCHANGES_MAX = 2000 };

/* The client's side of one exchange. */
struct asked {
    struct http2_exchange exchange;
    char http_status[8];
    char status[8];
    char text[128];
    bool is_gone;
    uint32_t error_code;
};

static struct grpc_session *session;
static struct http2 *client;
static struct asked asked[EXCHANGES_MAX];
static size_t asked_count;
static struct echo echo;
static uint64_t now_ms, next_ms;

static void keep(char *out, size_t size, struct bytes value)
{
    snprintf(out, size, "%.*s", (int)value.len, (const char *)value.base);
}

static void client_field(struct http2_exchange *exchange, struct bytes name, struct bytes value)
{
    struct asked *one = list_entry(exchange, struct asked, exchange);

    if (name.len == 7 && memcmp(name.base, ":status", 7) == 0)
        keep(one->http_status, sizeof one->http_status, value);
    if (name.len == 11 && memcmp(name.base, "grpc-status", 11) == 0)
        keep(one->status, sizeof one->status, value);
    if (name.len == 12 && memcmp(name.base, "grpc-message", 12) == 0)
        keep(one->text, sizeof one->text, value);
}

static void client_nothing(struct http2_exchange *exchange)
{
    (void)exchange;
}

static void client_body(struct http2_exchange *exchange, struct bytes bytes)
{
    (void)exchange;
    (void)bytes;
}

static void client_gone(struct http2_exchange *exchange, uint32_t error_code)
{
    struct asked *one = list_entry(exchange, struct asked, exchange);

    one->is_gone = true;
    one->error_code = error_code;
}

static void answered(void *context)
{
    (void)context;
}

static void set_up(void)
{
    const struct grpc_session_owner owner = {
        .called = echo_called, .answered = answered, .context = &echo};
    const struct http2_owner client_owner = {.field = client_field,
                                             .fields_ended = client_nothing,
                                             .body = client_body,
                                             .ended = client_nothing,
                                             .gone = client_gone};

    memset(&echo, 0, sizeof echo);
    memset(asked, 0, sizeof asked);
    asked_count = 0;
    now_ms = 1000000;
    session = grpc_session_new(&owner);
    client = http2_new(false, &client_owner);
}

static void tear_down(void)
{
    http2_free(client);
    grpc_session_free(session);
    for (unsigned i = 0; i < echo.held_count; i++)
        grpc_fail(echo.held[i], GRPC_CANCELLED, "");
}

/* Carry bytes both ways until there are none. Returns what the server made of the client's. */
static int talk(void)
{
    struct http2 *server = grpc_session_http2(session);
    struct bytes bytes;
    bool moved;
    int r = 0;

    do {
        moved = false;
        while (r == 0 && http2_next(client, &bytes)) {
            r = http2_receive(server, bytes);
            moved = true;
        }
        next_ms = grpc_session_move(session, now_ms);
        while (http2_next(server, &bytes)) {
            ck_assert_int_eq(http2_receive(client, bytes), 0);
            moved = true;
        }
    } while (moved && r == 0);
    return r;
}

static struct asked *ask_with(const struct http2_field *extra, size_t extra_count,
                              const char *method, const char *type, struct buffer *body)
{
    struct http2_field fields[16] = {{":method", method},
                                     {":scheme", "http"},
                                     {":path", "/test.Echo/Hold"},
                                     {":authority", "test"},
                                     {"content-type", type}};
    struct asked *one = &asked[asked_count++];

    must(asked_count <= EXCHANGES_MAX);
    for (size_t i = 0; i < extra_count; i++)
        fields[5 + i] = extra[i];
    ck_assert_int_eq(http2_request(client, &one->exchange, fields, 5 + extra_count, body), 0);
    return one;
}

static struct asked *ask_body(const void *base, size_t len)
{
    struct buffer body = {0};

    buffer_append(&body, base, len);
    return ask_with(NULL, 0, "POST", "application/grpc", &body);
}

static struct asked *ask(const struct http2_field *extra, size_t extra_count)
{
    struct buffer body = {0};

    grpc_message_append(&body, (struct bytes){"x", 1});
    return ask_with(extra, extra_count, "POST", "application/grpc", &body);
}

static const struct {
    const char *what;
    const char *body;
    size_t len;
    const char *status;
    const char *text;
} bodies[] = {
    {"nothing at all", "", 0, "13", "the request ended before its message"},
    {"half a head", "\0\0", 2, "13", "the request ended before its message"},
    {"half a message", "\0\0\0\0\4ab", 7, "13", "the request ended before its message"},
    {"compressed", "\1\0\0\0\1x", 6, "12", "compressed messages are not supported"},
    {"two messages", "\0\0\0\0\1x\0\0\0\0\1y", 12, "12", "only unary calls are supported"},
    {"too large", "\0\0\x40\0\1", 5, "8", "message is too large"},
    {"absurd", "\0\xff\xff\xff\xff", 5, "8", "message is too large"},
};

START_TEST(a_body_that_is_no_message_is_refused)
{
    struct asked *one = ask_body(bodies[_i].body, bodies[_i].len);

    ck_assert_int_eq(talk(), 0);
    ck_assert_msg(strcmp(one->status, bodies[_i].status) == 0, "%s: %s", bodies[_i].what,
                  one->status);
    ck_assert_str_eq(one->text, bodies[_i].text);
    ck_assert_uint_eq(echo.called, 0);
    ck_assert(one->is_gone);
}
END_TEST

START_TEST(what_is_not_grpc_gets_an_http_status)
{
    struct buffer none = {0};
    struct asked *got, *json;

    got = ask_with(NULL, 0, "GET", "application/grpc", &none);
    json = ask_with(NULL, 0, "POST", "application/json", &none);
    ck_assert_int_eq(talk(), 0);
    ck_assert_str_eq(got->http_status, "405");
    ck_assert_str_eq(json->http_status, "415");
    ck_assert_uint_eq(echo.called, 0);
}
END_TEST

START_TEST(header_fields_beyond_the_limit_are_refused_and_the_session_lives)
{
    static char large[HTTP2_FIELDS_BYTES / 4];
    struct http2_field extra[] = {
        {"a", large}, {"b", large}, {"c", large}, {"d", large}, {"e", large}};
    struct asked *one, *next;

    memset(large, 'x', sizeof large - 1);
    one = ask(extra, 5);
    ck_assert_int_eq(talk(), 0);
    ck_assert_str_eq(one->status, "8");
    ck_assert_str_eq(one->text, "header fields are too large");
    next = ask(extra, 3);
    ck_assert_int_eq(talk(), 0);
    ck_assert_uint_eq(echo.held_count, 1);
    ck_assert(!next->is_gone);
}
END_TEST

START_TEST(a_timeout_that_is_none_is_refused)
{
    const struct http2_field bad = {"grpc-timeout", "soon"}, zero = {"grpc-timeout", "0m"};
    struct asked *one = ask(&bad, 1), *other = ask(&zero, 1);

    ck_assert_int_eq(talk(), 0);
    ck_assert_str_eq(one->status, "13");
    ck_assert_str_eq(other->status, "13");
    ck_assert_uint_eq(echo.called, 0);
}
END_TEST

START_TEST(a_call_is_answered_when_its_time_is_over)
{
    const struct http2_field timeout = {"grpc-timeout", "1500m"};
    struct asked *one = ask(&timeout, 1);

    now_ms += 60000; /* Nothing happened for a while: the time runs from its arrival. */
    ck_assert_int_eq(talk(), 0);
    ck_assert_uint_eq(echo.held_count, 1);
    ck_assert_uint_eq(next_ms, now_ms + 1500);
    now_ms += 1499;
    talk();
    ck_assert(!one->is_gone);
    now_ms += 1;
    talk();
    ck_assert(one->is_gone);
    ck_assert_str_eq(one->status, "4");
    ck_assert(grpc_call_is_gone(echo.held[0]));
}
END_TEST

START_TEST(a_reset_flood_ends_the_session)
{
    struct http2 *server = grpc_session_http2(session);
    int r = 0;

    for (int i = 0; i < 1000 && r == 0 && !http2_is_over(server) && !http2_is_goaway(client); i++) {
        struct asked *one = ask(NULL, 0);
        struct bytes bytes;

        while (http2_next(client, &bytes))
            r = http2_receive(server, bytes); /* It does not read what we answer. */
        http2_cancel(&one->exchange);
        while (r == 0 && http2_next(client, &bytes))
            r = http2_receive(server, bytes);
        if (i % 8 == 7)
            r = talk();
    }
    ck_assert(r < 0 || http2_is_goaway(client));
    ck_assert_uint_lt(asked_count, 200);
    ck_assert_uint_eq(echo.called, 0); /* Gone before they could be handed over. */
}
END_TEST

START_TEST(what_a_peer_makes_us_hold_is_bounded)
{
    struct asked *one = NULL;

    for (unsigned i = 0; i < 5 * LIMIT_RPC_STREAMS; i++) {
        one = ask(NULL, 0);
        ck_assert_int_eq(talk(), 0);
        if (one->is_gone)
            break;
        http2_cancel(&one->exchange);
        ck_assert_int_eq(talk(), 0);
    }
    ck_assert_str_eq(one->status, "8");
    ck_assert_str_eq(one->text, "too many calls are being worked at");
    ck_assert_uint_eq(echo.held_count, 4 * LIMIT_RPC_STREAMS);
    echo_release(&echo);
    ask(NULL, 0);
    ck_assert_int_eq(talk(), 0);
    ck_assert_uint_eq(echo.held_count, 1);
}
END_TEST

/* In HPACK: POST, http, /, authority x, content-type application/grpc. */
static const uint8_t fields[] = {0x83, 0x86, 0x84, 0x01, 0x01, 'x', 0x0f, 0x10, 0x10,
                                 'a',  'p',  'p',  'l',  'i',  'c', 'a',  't',  'i',
                                 'o',  'n',  '/',  'g',  'r',  'p', 'c'};

static void put_frame(struct buffer *out, size_t len, uint8_t type, uint8_t flags, uint32_t id)
{
    uint8_t head[9] = {
        (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags, 0, 0, 0, 0};

    be32_put(head + 5, id);
    buffer_append(out, head, sizeof head);
}

/* A client's preface and empty settings. */
static void put_preface(struct buffer *out)
{
    buffer_append_text(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    put_frame(out, 0, 4, 0, 0);
}

START_TEST(a_request_that_never_ends_is_given_up)
{
    scope(buffer_fini) struct buffer sent = {0};
    struct http2 *server = grpc_session_http2(session);
    struct bytes bytes;
    bool has_reset = false;

    put_preface(&sent);
    put_frame(&sent, sizeof fields, 1, 4, 1);
    buffer_append(&sent, fields, sizeof fields);
    next_ms = grpc_session_move(session, now_ms);
    ck_assert_int_eq(http2_receive(server, (struct bytes){sent.base, sent.len}), 0);
    next_ms = grpc_session_move(session, now_ms);
    ck_assert_uint_eq(next_ms, now_ms + GRPC_PATIENCE_MS);
    while (http2_next(server, &bytes))
        continue;
    now_ms = next_ms;
    ck_assert_uint_eq(grpc_session_move(session, now_ms), UINT64_MAX);
    while (http2_next(server, &bytes))
        has_reset |= bytes.len == 13 && ((const uint8_t *)bytes.base)[3] == 3;
    ck_assert(has_reset);
}
END_TEST

START_TEST(floods_of_pings_and_settings_end_the_session)
{
    for (unsigned type = 4; type <= 6; type += 2) {
        scope(buffer_fini) struct buffer sent = {0};
        size_t len = type == 6 ? 8 : 0;
        int r;

        put_preface(&sent);
        for (int i = 0; i < 2000; i++) {
            put_frame(&sent, len, (uint8_t)type, 0, 0);
            memset(buffer_extend(&sent, len), 0, len);
        }
        tear_down();
        set_up();
        r = http2_receive(grpc_session_http2(session), (struct bytes){sent.base, sent.len});
        ck_assert_int_eq(r, -EPROTO);
    }
}
END_TEST

START_TEST(more_streams_than_allowed_are_refused)
{
    scope(buffer_fini) struct buffer sent = {0}; /* All of it before the server is heard. */
    struct http2 *server = grpc_session_http2(session);
    struct bytes bytes;
    unsigned refused = 0;

    put_preface(&sent);
    for (uint32_t i = 0; i < LIMIT_RPC_STREAMS + 3; i++) {
        put_frame(&sent, sizeof fields, 1, 4, 2 * i + 1);
        buffer_append(&sent, fields, sizeof fields);
    }
    ck_assert_int_eq(http2_receive(server, (struct bytes){sent.base, sent.len}), 0);
    while (http2_next(server, &bytes)) {
        const uint8_t *at = bytes.base;

        refused += bytes.len == 13 && at[3] == 3 && be32_get(at + 9) == 7; /* REFUSED_STREAM */
    }
    ck_assert_uint_eq(refused, 3);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("net");
    TCase *tc = tcase_create("grpc_session");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, a_body_that_is_no_message_is_refused, 0,
                        (int)(sizeof bodies / sizeof *bodies));
    tcase_add_test(tc, what_is_not_grpc_gets_an_http_status);
    tcase_add_test(tc, header_fields_beyond_the_limit_are_refused_and_the_session_lives);
    tcase_add_test(tc, a_timeout_that_is_none_is_refused);
    tcase_add_test(tc, a_call_is_answered_when_its_time_is_over);
    tcase_add_test(tc, a_reset_flood_ends_the_session);
    tcase_add_test(tc, what_a_peer_makes_us_hold_is_bounded);
    tcase_add_test(tc, a_request_that_never_ends_is_given_up);
    tcase_add_test(tc, floods_of_pings_and_settings_end_the_session);
    tcase_add_test(tc, more_streams_than_allowed_are_refused);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
