#include "server/net/grpc_session.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/limits.h"

/*
 * A call:
 *
 *   RECEIVING ──whole──> READY ──called──> HELD ──reply, fail──> ANSWERED
 *       └────────────────refused, overdue───┴──────────────────────^
 *
 * Its memory goes when its exchange is gone and the owner does not hold it. A held call whose
 * exchange is gone, or that was answered for being overdue, waits only for the owner's word.
 */

enum call_state { CALL_RECEIVING, CALL_READY, CALL_HELD, CALL_ANSWERED };

enum {
    /* A peer may reset its calls and make new ones while the owner still works at the old: that
     * many are held for one connection. */
    CALLS_MAX = 4 * LIMIT_RPC_STREAMS,
};

struct grpc_call {
    struct http2_exchange exchange; /* First: they are the same to http2. */
    struct list link;               /* Of the session's calls, all of them. */
    struct list ready_link;
    struct grpc_session *session; /* NULL: the connection is gone. */
    enum call_state state;
    bool is_held; /* By the owner, whatever the state. */
    bool is_post;
    bool is_grpc;
    bool is_bad; /* A field that cannot be understood. */
    char *path;
    struct grpc_message message;
    uint64_t timeout_ms;  /* 0: none was asked for. */
    uint64_t wait_ms;     /* Not 0: the next move sets a deadline so much later than itself. */
    uint64_t deadline_ms; /* UINT64_MAX: none. */
};

struct grpc_session {
    struct grpc_session_owner owner;
    struct http2 *http2;
    struct list calls;
    struct list ready;
    size_t held;      /* Calls with is_held. */
    uint64_t next_ms; /* No deadline is earlier; 0: some call has one to be set. */
    bool is_stopped;
};

static const struct http2_field answer_fields[] = {
    {":status", "200"},
    {"content-type", "application/grpc"},
};
static const struct http2_field answer_trailers[] = {{"grpc-status", "0"}};

static struct grpc_call *call_of(struct http2_exchange *exchange)
{
    return list_entry(exchange, struct grpc_call, exchange);
}

static void call_free(struct grpc_call *call)
{
    list_remove(&call->link);
    list_remove(&call->ready_link);
    grpc_message_fini(&call->message);
    free(call->path);
    free(call);
}

static bool is_exchange_gone(const struct grpc_call *call)
{
    return !call->exchange.session;
}

/* Allow so much time from the next move on: only a move knows what time it is. */
static void set_deadline(struct grpc_call *call, uint64_t wait_ms)
{
    call->wait_ms = wait_ms;
    call->deadline_ms = UINT64_MAX;
    call->session->next_ms = 0;
}

static void clear_deadline(struct grpc_call *call)
{
    call->wait_ms = 0;
    call->deadline_ms = UINT64_MAX;
}

/* Answered one way or another: what is left is that the peer takes it. */
static void set_answered(struct grpc_call *call)
{
    list_remove(&call->ready_link);
    call->state = CALL_ANSWERED;
    grpc_message_fini(&call->message);
    set_deadline(call, GRPC_PATIENCE_MS);
}

/* Not a gRPC request: an HTTP client would understand this. */
static void answer_http(struct grpc_call *call, const char *status)
{
    const struct http2_field fields[] = {{":status", status}};

    http2_respond(&call->exchange, fields, 1);
    set_answered(call);
}

/* "Trailers-Only": a status with no message before it. */
static void answer_status(struct grpc_call *call, enum grpc_status status, const char *text)
{
    scope(buffer_fini) struct buffer message = {0};
    char number[4] = {(char)('0' + status / 10), (char)('0' + status % 10), '\0'};
    struct http2_field fields[4] = {answer_fields[0], answer_fields[1]};

    must(status > GRPC_OK && status <= GRPC_UNAUTHENTICATED);
    grpc_text_encode(&message, text);
    fields[2] = (struct http2_field){"grpc-status", status < 10 ? number + 1 : number};
    fields[3] = (struct http2_field){"grpc-message", buffer_text(&message)};
    http2_respond(&call->exchange, fields, 4);
    set_answered(call);
}

static struct http2_exchange *call_begun(void *context)
{
    struct grpc_session *session = context;
    struct grpc_call *call = mem_new(struct grpc_call);

    call->session = session;
    list_init(&call->ready_link);
    list_append(&session->calls, &call->link);
    set_deadline(call, GRPC_PATIENCE_MS);
    return &call->exchange;
}

static bool bytes_are(struct bytes bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.base, text, bytes.len) == 0;
}

static void call_field(struct http2_exchange *exchange, struct bytes name, struct bytes value)
{
    struct grpc_call *call = call_of(exchange);

    if (call->state != CALL_RECEIVING)
        return;
    if (bytes_are(name, ":method"))
        call->is_post = bytes_are(value, "POST");
    else if (bytes_are(name, "content-type"))
        call->is_grpc = grpc_content_type_is_ours(value);
    else if (bytes_are(name, "grpc-timeout"))
        call->is_bad |= !grpc_timeout_parse(value, &call->timeout_ms) || call->timeout_ms == 0;
    else if (bytes_are(name, ":path") && !call->path)
        call->path = mem_format("%.*s", (int)value.len, (const char *)value.base);
}

static void call_fields_ended(struct http2_exchange *exchange)
{
    struct grpc_call *call = call_of(exchange);

    if (call->state != CALL_RECEIVING)
        return;
    if (exchange->fields_bytes > HTTP2_FIELDS_BYTES)
        answer_status(call, GRPC_RESOURCE_EXHAUSTED, "header fields are too large");
    else if (!call->is_post || !call->path)
        answer_http(call, "405");
    else if (!call->is_grpc)
        answer_http(call, "415");
    else if (call->is_bad)
        answer_status(call, GRPC_INTERNAL, "grpc-timeout is not a positive time");
}

static void call_body(struct http2_exchange *exchange, struct bytes bytes)
{
    struct grpc_call *call = call_of(exchange);

    if (call->state != CALL_RECEIVING)
        return;
    switch (grpc_message_feed(&call->message, bytes)) {
    case GRPC_MESSAGE_COMPRESSED:
        answer_status(call, GRPC_UNIMPLEMENTED, "compressed messages are not supported");
        break;
    case GRPC_MESSAGE_TOO_LARGE:
        answer_status(call, GRPC_RESOURCE_EXHAUSTED, "message is too large");
        break;
    case GRPC_MESSAGE_SECOND:
        answer_status(call, GRPC_UNIMPLEMENTED, "only unary calls are supported");
        break;
    default:
        break;
    }
}

static void call_ended(struct http2_exchange *exchange)
{
    struct grpc_call *call = call_of(exchange);
    struct bytes message;

    if (call->state != CALL_RECEIVING)
        return;
    if (!grpc_message_is_whole(&call->message, &message)) {
        answer_status(call, GRPC_INTERNAL, "the request ended before its message");
        return;
    }
    call->state = CALL_READY;
    clear_deadline(call); /* It is handed over in the move that follows. */
    list_append(&call->session->ready, &call->ready_link);
}

static void call_gone(struct http2_exchange *exchange, uint32_t error_code)
{
    struct grpc_call *call = call_of(exchange);

    (void)error_code;
    clear_deadline(call);
    list_remove(&call->ready_link);
    if (!call->is_held)
        call_free(call);
}

struct grpc_session *grpc_session_new(const struct grpc_session_owner *owner)
{
    struct grpc_session *session = mem_new(struct grpc_session);
    const struct http2_owner http2_owner = {.begun = call_begun,
                                            .field = call_field,
                                            .fields_ended = call_fields_ended,
                                            .body = call_body,
                                            .ended = call_ended,
                                            .gone = call_gone,
                                            .context = session};

    session->owner = *owner;
    list_init(&session->calls);
    list_init(&session->ready);
    session->next_ms = UINT64_MAX;
    session->http2 = http2_new(true, &http2_owner);
    return session;
}

void grpc_session_free(struct grpc_session *session)
{
    if (!session)
        return;
    http2_free(session->http2);
    list_each (link, &session->calls) {
        struct grpc_call *call = list_entry(link, struct grpc_call, link);

        must(call->is_held);
        list_remove(&call->link);
        call->session = NULL;
    }
    free(session);
}

struct http2 *grpc_session_http2(struct grpc_session *session)
{
    return session->http2;
}

void grpc_session_stop(struct grpc_session *session)
{
    session->is_stopped = true;
}

static void call_overdue(struct grpc_call *call)
{
    if (call->state == CALL_READY || call->state == CALL_HELD) {
        answer_status(call, GRPC_DEADLINE_EXCEEDED, "the time for this call is over");
        return;
    }
    clear_deadline(call); /* It had its time to send the request, or to take our answer. */
    http2_cancel(&call->exchange);
}

/* The one place that compares with the clock. */
static void keep_deadlines(struct grpc_session *session, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX;

    if (now_ms < session->next_ms)
        return;
    list_each (link, &session->calls) {
        struct grpc_call *call = list_entry(link, struct grpc_call, link);

        if (call->deadline_ms <= now_ms)
            call_overdue(call);
        if (call->wait_ms > 0) {
            call->deadline_ms = now_ms + call->wait_ms;
            call->wait_ms = 0;
        }
        if (call->deadline_ms < next_ms)
            next_ms = call->deadline_ms;
    }
    session->next_ms = next_ms;
}

static void hand_over(struct grpc_session *session, struct grpc_call *call)
{
    struct grpc_message message = call->message;
    struct bytes bytes;

    must(grpc_message_is_whole(&message, &bytes));
    call->message = (struct grpc_message){0};
    call->state = CALL_HELD;
    call->is_held = true;
    session->held++;
    if (call->timeout_ms > 0)
        set_deadline(call, call->timeout_ms);
    session->owner.called(session->owner.context, call, call->path, bytes);
    grpc_message_fini(&message);
}

uint64_t grpc_session_move(struct grpc_session *session, uint64_t now_ms)
{
    while (!session->is_stopped && !list_is_empty(&session->ready)) {
        struct grpc_call *call = list_entry(session->ready.next, struct grpc_call, ready_link);

        list_remove(&call->ready_link);
        if (session->held >= CALLS_MAX)
            answer_status(call, GRPC_RESOURCE_EXHAUSTED, "too many calls are being worked at");
        else
            hand_over(session, call);
    }
    keep_deadlines(session, now_ms);
    return session->next_ms;
}

/* The owner lets go of a call. Returns whether there is anyone to tell; if not, it is freed. */
static bool take_back(struct grpc_call *call)
{
    must(call->is_held);
    call->is_held = false;
    if (call->session)
        call->session->held--;
    if (!is_exchange_gone(call))
        return call->state == CALL_HELD;
    call_free(call);
    return false;
}

void grpc_reply(struct grpc_call *call, struct bytes message)
{
    struct buffer body = {0};

    if (message.len > LIMIT_RPC_BYTES) {
        grpc_fail(call, GRPC_RESOURCE_EXHAUSTED, "the answer is too large");
        return;
    }
    if (!take_back(call))
        return;
    grpc_message_append(&body, message);
    http2_respond_body(&call->exchange, answer_fields, 2, &body, answer_trailers, 1);
    set_answered(call);
    call->session->owner.answered(call->session->owner.context);
}

void grpc_fail(struct grpc_call *call, enum grpc_status status, const char *text)
{
    must(status != GRPC_OK);
    if (!take_back(call))
        return;
    answer_status(call, status, text);
    call->session->owner.answered(call->session->owner.context);
}

bool grpc_call_is_gone(const struct grpc_call *call)
{
    must(call->is_held);
    return is_exchange_gone(call) || call->state == CALL_ANSWERED;
}
