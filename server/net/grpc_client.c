#include "server/net/grpc_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/limits.h"
#include "server/net/address.h"
#include "server/net/http2_link.h"

/*
 * A call is finished when its result is known, told when `done` was called with it, and gone when
 * its exchange is over; its memory goes when it is told and gone. HTTP/2 only finishes calls;
 * they are told in client_tell(), where the owner may do what it likes.
 */

struct call {
    struct http2_exchange exchange; /* First: they are the same to http2. */
    struct list link;               /* Of the client's calls, all of them. */
    struct list finished_link;
    struct grpc_client *client;
    grpc_called_fn *done;
    void *context;
    uint64_t deadline_ms; /* UINT64_MAX: none. */

    int http_status;
    bool is_grpc;
    bool has_status;
    enum grpc_status said; /* grpc-status, if has_status. */
    struct buffer said_text;
    struct grpc_message message;

    bool is_finished;
    bool is_told;
    enum grpc_status status;
    struct buffer text;
};

struct grpc_client {
    struct grpc_client_config config;
    uv_loop_t *loop;
    struct http2 *http2;
    struct http2_link *io;
    char authority[ADDRESS_TEXT];
    struct list calls;
    struct list finished; /* To be told. */
    uint64_t next_ms;     /* No deadline is earlier. */
    bool is_ended;        /* The connection is over. */
    bool is_closing;
};

static struct call *call_of(struct http2_exchange *exchange)
{
    return list_entry(exchange, struct call, exchange);
}

static void call_release(struct call *call)
{
    if (!call->is_told || call->exchange.session)
        return;
    list_remove(&call->link);
    must(list_is_empty(&call->finished_link));
    buffer_fini(&call->said_text);
    buffer_fini(&call->text);
    grpc_message_fini(&call->message);
    free(call);
}

static void call_finish(struct call *call, enum grpc_status status, const char *text)
{
    if (call->is_finished)
        return;
    call->is_finished = true;
    call->deadline_ms = UINT64_MAX;
    call->status = status;
    buffer_append_text(&call->text, text);
    list_append(&call->client->finished, &call->finished_link);
}

/* Finish a call that the server still believes in. */
static void call_abandon(struct call *call, enum grpc_status status, const char *text)
{
    call_finish(call, status, text);
    http2_cancel(&call->exchange);
}

static bool bytes_are(struct bytes bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.base, text, bytes.len) == 0;
}

/* An HTTP status; nghttp2 has seen to it that it is one. */
static int three_digits(struct bytes value)
{
    const uint8_t *digits = value.base;
    int number = 0;

    for (size_t i = 0; i < value.len && i < 3; i++)
        number = number * 10 + (digits[i] - '0');
    return number;
}

static void response_field(struct http2_exchange *exchange, struct bytes name, struct bytes value)
{
    struct call *call = call_of(exchange);

    if (bytes_are(name, ":status")) {
        call->http_status = three_digits(value);
    } else if (bytes_are(name, "content-type")) {
        call->is_grpc = grpc_content_type_is_ours(value);
    } else if (bytes_are(name, "grpc-status")) {
        call->has_status = true;
        call->said = grpc_status_parse(value);
    } else if (bytes_are(name, "grpc-message")) {
        buffer_clear(&call->said_text);
        grpc_text_decode(&call->said_text, value);
    }
}

static void response_fields_ended(struct http2_exchange *exchange)
{
    struct call *call = call_of(exchange);
    scope(buffer_fini) struct buffer text = {0};

    if (exchange->fields_bytes > HTTP2_FIELDS_BYTES) {
        call_abandon(call, GRPC_RESOURCE_EXHAUSTED, "header fields are too large");
    } else if (!call->has_status && (call->http_status != 200 || !call->is_grpc)) {
        buffer_append_format(&text, "the server does not speak gRPC: HTTP status %d",
                             call->http_status);
        call_abandon(call, grpc_status_from_http(call->http_status), buffer_text(&text));
    }
}

static void response_body(struct http2_exchange *exchange, struct bytes bytes)
{
    struct call *call = call_of(exchange);

    if (call->is_finished)
        return;
    switch (grpc_message_feed(&call->message, bytes)) {
    case GRPC_MESSAGE_COMPRESSED:
        call_abandon(call, GRPC_INTERNAL, "the answer is compressed, unasked");
        break;
    case GRPC_MESSAGE_TOO_LARGE:
        call_abandon(call, GRPC_RESOURCE_EXHAUSTED, "the answer is too large");
        break;
    case GRPC_MESSAGE_SECOND:
        call_abandon(call, GRPC_INTERNAL, "the answer is more than one message");
        break;
    default:
        break;
    }
}

/* All that can come has come: what does it amount to? */
static void response_ended(struct http2_exchange *exchange)
{
    struct call *call = call_of(exchange);
    struct bytes message;

    if (!call->has_status)
        call_finish(call, GRPC_INTERNAL, "the answer has no status");
    else if (call->said != GRPC_OK)
        call_finish(call, call->said, buffer_text(&call->said_text));
    else if (!grpc_message_is_whole(&call->message, &message))
        call_finish(call, GRPC_INTERNAL, "the answer has no whole message");
    else
        call_finish(call, GRPC_OK, "");
}

static void response_gone(struct http2_exchange *exchange, uint32_t error_code)
{
    struct call *call = call_of(exchange);

    if (http2_is_goaway(call->client->http2))
        call_finish(call, GRPC_UNAVAILABLE, "the server is going away");
    else
        call_finish(call, grpc_status_from_reset(error_code), "the server cut the call off");
    call_release(call);
}

static void call_tell(struct call *call)
{
    struct bytes reply = {NULL, 0};

    list_remove(&call->finished_link);
    if (call->status == GRPC_OK)
        must(grpc_message_is_whole(&call->message, &reply));
    call->done(call->context, call->status, buffer_text(&call->text), reply);
    call->is_told = true; /* Not before: done may close the client, and with it the stream. */
    call_release(call);
}

/* Tell what is finished by now. What the owner adds meanwhile is told in a later turn, and so is
 * the rest if it closes the client on the way. */
static void client_tell(struct grpc_client *client)
{
    struct list telling;

    list_init(&telling);
    list_splice(&telling, &client->finished);
    list_each (link, &telling) {
        if (client->is_closing)
            break;
        call_tell(list_entry(link, struct call, finished_link));
    }
    list_splice(&telling, &client->finished);
    list_splice(&client->finished, &telling);
}

static void expire_calls(struct grpc_client *client)
{
    uint64_t now_ms = uv_now(client->loop), next_ms = UINT64_MAX;

    if (now_ms < client->next_ms)
        return;
    list_each (link, &client->calls) {
        struct call *call = list_entry(link, struct call, link);

        if (call->deadline_ms <= now_ms)
            call_abandon(call, GRPC_DEADLINE_EXCEEDED, "the time for this call is over");
        if (call->deadline_ms < next_ms)
            next_ms = call->deadline_ms;
    }
    client->next_ms = next_ms;
}

static void client_moved(void *context)
{
    struct grpc_client *client = context;

    expire_calls(client);
    client_tell(client);
    if (client->is_closing)
        return;
    if (http2_has_next(client->http2))
        http2_link_send(client->io);
    if (client->next_ms != UINT64_MAX)
        http2_link_wake(client->io, client->next_ms);
}

static void finish_all(struct grpc_client *client, enum grpc_status status, const char *text)
{
    list_each (link, &client->calls)
        call_finish(list_entry(link, struct call, link), status, text);
}

static void client_ended(void *context, int reason)
{
    struct grpc_client *client = context;
    scope(buffer_fini) struct buffer text = {0};

    client->is_ended = true;
    buffer_append_format(&text, "connection to %s: %s", client->authority, uv_strerror(reason));
    finish_all(client, GRPC_UNAVAILABLE, buffer_text(&text));
    client_tell(client);
    if (!client->is_closing && client->config.closed)
        client->config.closed(client->config.context, reason);
}

static void client_closed(void *context)
{
    struct grpc_client *client = context;

    list_each (link, &client->finished)
        call_tell(list_entry(link, struct call, finished_link));
    http2_free(client->http2);
    must(list_is_empty(&client->calls));
    free(client);
}

int grpc_client_open(uv_loop_t *loop, const struct grpc_client_config *config,
                     struct grpc_client **out)
{
    struct grpc_client *client = mem_new(struct grpc_client);
    const struct http2_owner http2_owner = {.field = response_field,
                                            .fields_ended = response_fields_ended,
                                            .body = response_body,
                                            .ended = response_ended,
                                            .gone = response_gone,
                                            .context = client};
    struct http2_link_config link = {
        .keepalive_ms = config->keepalive_ms > 0 ? config->keepalive_ms : GRPC_CLIENT_KEEPALIVE_MS,
        .owner = {.moved = client_moved, .ended = client_ended, .context = client}};
    int r;

    client->config = *config;
    client->config.source = NULL; /* Borrowed for this call only. */
    client->loop = loop;
    client->next_ms = UINT64_MAX;
    list_init(&client->calls);
    list_init(&client->finished);
    address_format(&config->to, client->authority);
    link.session = client->http2 = http2_new(false, &http2_owner);
    r = http2_link_connect(loop, &link, &config->to, config->source, config->connect_timeout_ms,
                           &client->io);
    if (r < 0) {
        http2_free(client->http2);
        free(client);
        return err_up(r);
    }
    *out = client;
    return 0;
}

static int call_send(struct call *call, const char *path, struct bytes message, uint64_t timeout_ms)
{
    struct grpc_client *client = call->client;
    scope(buffer_fini) struct buffer body = {0};
    char timeout[GRPC_TIMEOUT_TEXT];
    struct http2_field fields[8] = {
        {":method", "POST"},
        {":scheme", "http"},
        {":path", path},
        {":authority", client->authority},
        {"te", "trailers"},
        {"content-type", "application/grpc+proto"},
        {"user-agent", "cais/" CAIS_VERSION},
    };

    if (timeout_ms > 0) {
        grpc_timeout_format(timeout_ms, timeout);
        fields[7] = (struct http2_field){"grpc-timeout", timeout};
    }
    grpc_message_append(&body, message);
    return err_up(
        http2_request(client->http2, &call->exchange, fields, timeout_ms > 0 ? 8 : 7, &body));
}

static struct call *call_new(struct grpc_client *client, grpc_called_fn *done, void *context)
{
    struct call *call = mem_new(struct call);

    call->client = client;
    call->done = done;
    call->context = context;
    call->deadline_ms = UINT64_MAX;
    list_init(&call->finished_link);
    list_append(&client->calls, &call->link);
    return call;
}

void grpc_client_call(struct grpc_client *client, const char *path, struct bytes message,
                      uint64_t timeout_ms, grpc_called_fn *done, void *context)
{
    struct call *call = call_new(client, done, context);

    must(!client->is_closing);
    uv_update_time(client->loop); /* The owner may have worked for long in this turn. */
    if (client->is_ended)
        call_finish(call, GRPC_UNAVAILABLE, "the connection is over");
    else if (message.len > LIMIT_RPC_BYTES)
        call_finish(call, GRPC_RESOURCE_EXHAUSTED, "message is too large");
    else if (call_send(call, path, message, timeout_ms) < 0)
        call_finish(call, GRPC_UNAVAILABLE, "the server is going away");

    if (call->is_finished) {
        http2_link_wake(client->io, uv_now(client->loop));
        return;
    }
    http2_link_send(client->io);
    if (timeout_ms == 0)
        return;
    call->deadline_ms = uv_now(client->loop) + timeout_ms;
    if (call->deadline_ms < client->next_ms)
        client->next_ms = call->deadline_ms;
    http2_link_wake(client->io, client->next_ms);
}

void grpc_client_close(struct grpc_client *client)
{
    must(!client->is_closing);
    client->is_closing = true;
    finish_all(client, GRPC_CANCELLED, "the client was closed");
    http2_link_close(client->io, client_closed, client);
}
