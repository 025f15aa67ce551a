#include "server/net/http2.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/limits.h"

enum {
    FIELD_EXTRA = 32, /* What a field counts beyond its bytes: RFC 9113 6.5.2. */
    FIELD_COUNT_MAX = 16,
    WINDOW_STREAM = 256 << 10,
    WINDOW_SESSION = 1 << 20,
    RESETS_BURST = 128, /* A peer may reset this many streams at once, and */
    RESETS_PER_S = 16,  /* so many each second thereafter. */
    ACKS_WAITING = 128, /* Answers to pings and settings that the peer lets pile up. */
};

struct http2 {
    nghttp2_session *session;
    struct http2_owner owner;
    struct list exchanges;
    bool is_busy; /* Inside nghttp2, which must not be entered twice. */
    bool is_goaway;
};

static struct http2_exchange *exchange_of(struct http2 *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session->session, id);
}

static void exchange_begin(struct http2 *session, struct http2_exchange *exchange, int32_t id)
{
    must(!exchange->session);
    exchange->session = session;
    exchange->id = id;
    list_append(&session->exchanges, &exchange->link);
}

static void exchange_end(struct http2_exchange *exchange, uint32_t error_code)
{
    struct http2 *session = exchange->session;

    list_remove(&exchange->link);
    exchange->session = NULL;
    buffer_fini(&exchange->body);
    session->owner.gone(exchange, error_code);
}

static int on_begin_headers(nghttp2_session *inner, const nghttp2_frame *frame, void *context)
{
    struct http2 *session = context;
    struct http2_exchange *exchange;

    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    exchange = session->owner.begun(session->owner.context);
    exchange_begin(session, exchange, frame->hd.stream_id);
    must(nghttp2_session_set_stream_user_data(inner, frame->hd.stream_id, exchange) == 0);
    return 0;
}

static int on_header(nghttp2_session *inner, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *context)
{
    struct http2 *session = context;
    struct http2_exchange *exchange = exchange_of(session, frame->hd.stream_id);

    (void)inner;
    (void)flags;
    if (!exchange || exchange->fields_bytes > HTTP2_FIELDS_BYTES)
        return 0;
    exchange->fields_bytes += name_len + value_len + FIELD_EXTRA;
    if (exchange->fields_bytes <= HTTP2_FIELDS_BYTES)
        session->owner.field(exchange, (struct bytes){name, name_len},
                             (struct bytes){value, value_len});
    return 0;
}

static int on_data(nghttp2_session *inner, uint8_t flags, int32_t id, const uint8_t *base,
                   size_t len, void *context)
{
    struct http2 *session = context;
    struct http2_exchange *exchange = exchange_of(session, id);

    (void)inner;
    (void)flags;
    if (exchange)
        session->owner.body(exchange, (struct bytes){base, len});
    return 0;
}

static int on_frame_received(nghttp2_session *inner, const nghttp2_frame *frame, void *context)
{
    struct http2 *session = context;
    struct http2_exchange *exchange = exchange_of(session, frame->hd.stream_id);

    (void)inner;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        session->is_goaway = true;
    if (!exchange || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        session->owner.fields_ended(exchange);
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        exchange->is_ended = true;
        session->owner.ended(exchange);
    }
    return 0;
}

/* An answer is out before its request was in: a reset tells the peer to spare the rest (RFC 9113
 * 8.1). It cannot be submitted with the answer, which it would overtake. */
static int on_frame_sent(nghttp2_session *inner, const nghttp2_frame *frame, void *context)
{
    struct http2_exchange *exchange = exchange_of(context, frame->hd.stream_id);

    if (frame->hd.type == NGHTTP2_HEADERS && frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
        exchange && exchange->is_left && !exchange->is_ended)
        must(nghttp2_submit_rst_stream(inner, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                       NGHTTP2_NO_ERROR) == 0);
    return 0;
}

static int on_stream_close(nghttp2_session *inner, int32_t id, uint32_t error_code, void *context)
{
    struct http2_exchange *exchange = exchange_of(context, id);

    (void)inner;
    if (exchange)
        exchange_end(exchange, error_code);
    return 0;
}

static void new_callbacks(nghttp2_session_callbacks **out)
{
    must(nghttp2_session_callbacks_new(out) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(*out, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(*out, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(*out, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(*out, on_frame_received);
    nghttp2_session_callbacks_set_on_frame_send_callback(*out, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(*out, on_stream_close);
}

static void new_options(nghttp2_option **out)
{
    must(nghttp2_option_new(out) == 0);
    nghttp2_option_set_no_closed_streams(*out, 1); /* No memory for priorities we do not use. */
    nghttp2_option_set_max_outbound_ack(*out, ACKS_WAITING);
    nghttp2_option_set_stream_reset_rate_limit(*out, RESETS_BURST, RESETS_PER_S);
    nghttp2_option_set_peer_max_concurrent_streams(*out, LIMIT_RPC_STREAMS);
}

static void submit_settings(struct http2 *session, bool is_server)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, is_server ? LIMIT_RPC_STREAMS : 0},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP2_FIELDS_BYTES},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_STREAM},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, /* A client's to say. */
    };
    size_t count = sizeof settings / sizeof *settings - (is_server ? 1 : 0);

    must(nghttp2_submit_settings(session->session, NGHTTP2_FLAG_NONE, settings, count) == 0);
    must(nghttp2_session_set_local_window_size(session->session, NGHTTP2_FLAG_NONE, 0,
                                               WINDOW_SESSION) == 0);
}

struct http2 *http2_new(bool is_server, const struct http2_owner *owner)
{
    struct http2 *session = mem_new(struct http2);
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;
    int r;

    session->owner = *owner;
    list_init(&session->exchanges);
    new_callbacks(&callbacks);
    new_options(&options);
    if (is_server)
        r = nghttp2_session_server_new2(&session->session, callbacks, session, options);
    else
        r = nghttp2_session_client_new2(&session->session, callbacks, session, options);
    must(r == 0); /* It can only fail for want of memory. */
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    submit_settings(session, is_server);
    return session;
}

void http2_free(struct http2 *session)
{
    if (!session)
        return;
    must(!session->is_busy);
    while (!list_is_empty(&session->exchanges))
        exchange_end(list_entry(session->exchanges.next, struct http2_exchange, link),
                     NGHTTP2_REFUSED_STREAM);
    nghttp2_session_del(session->session);
    free(session);
}

int http2_receive(struct http2 *session, struct bytes bytes)
{
    ssize_t r;

    must(!session->is_busy);
    session->is_busy = true;
    r = nghttp2_session_mem_recv(session->session, bytes.base, bytes.len);
    session->is_busy = false;
    must(r != NGHTTP2_ERR_NOMEM);
    must(r != NGHTTP2_ERR_CALLBACK_FAILURE);
    return r < 0 ? err_new(-EPROTO) : 0;
}

bool http2_next(struct http2 *session, struct bytes *out)
{
    const uint8_t *base = NULL;
    ssize_t len;

    must(!session->is_busy);
    session->is_busy = true;
    len = nghttp2_session_mem_send(session->session, &base);
    session->is_busy = false;
    must(len >= 0); /* Out of memory, or a callback of ours failed. */
    if (len == 0)
        return false;
    *out = (struct bytes){base, (size_t)len};
    return true;
}

bool http2_has_next(const struct http2 *session)
{
    return nghttp2_session_want_write(session->session);
}

bool http2_is_over(const struct http2 *session)
{
    return !nghttp2_session_want_read(session->session) &&
           !nghttp2_session_want_write(session->session);
}

bool http2_is_goaway(const struct http2 *session)
{
    return session->is_goaway;
}

static void fields_convert(nghttp2_nv *out, const struct http2_field *fields, size_t count)
{
    must(count <= FIELD_COUNT_MAX);
    for (size_t i = 0; i < count; i++)
        out[i] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)fields[i].name,
                              .value = (uint8_t *)(uintptr_t)fields[i].value,
                              .namelen = strlen(fields[i].name),
                              .valuelen = strlen(fields[i].value),
                              .flags = NGHTTP2_NV_FLAG_NONE};
}

/* nghttp2 asks for the next piece of a body. */
static ssize_t read_body(nghttp2_session *inner, int32_t id, uint8_t *room, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *context)
{
    struct http2_exchange *exchange = source->ptr;
    size_t left = exchange->body.len - exchange->body_at;
    nghttp2_nv trailers[FIELD_COUNT_MAX];

    (void)context;
    if (len > left)
        len = left;
    if (len > 0)
        memcpy(room, exchange->body.base + exchange->body_at, len);
    exchange->body_at += len;
    if (exchange->body_at < exchange->body.len)
        return (ssize_t)len;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (exchange->trailer_count > 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        fields_convert(trailers, exchange->trailers, exchange->trailer_count);
        must(nghttp2_submit_trailer(inner, id, trailers, exchange->trailer_count) == 0);
    }
    return (ssize_t)len;
}

static void body_take(struct http2_exchange *exchange, struct buffer *body)
{
    must(exchange->body.len == 0);
    exchange->body = *body;
    *body = (struct buffer){0};
}

int http2_request(struct http2 *session, struct http2_exchange *exchange,
                  const struct http2_field *fields, size_t field_count, struct buffer *body)
{
    nghttp2_data_provider provider = {.source.ptr = exchange, .read_callback = read_body};
    nghttp2_nv converted[FIELD_COUNT_MAX];
    int32_t id;

    if (!nghttp2_session_check_request_allowed(session->session))
        return err_new(-ESHUTDOWN);
    fields_convert(converted, fields, field_count);
    id =
        nghttp2_submit_request(session->session, NULL, converted, field_count, &provider, exchange);
    if (id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE)
        return err_new(-ESHUTDOWN); /* 2^30 requests on one connection. */
    must(id > 0);
    body_take(exchange, body);
    exchange_begin(session, exchange, id);
    return 0;
}

void http2_respond(struct http2_exchange *exchange, const struct http2_field *fields,
                   size_t field_count)
{
    nghttp2_nv converted[FIELD_COUNT_MAX];

    if (!exchange->session)
        return;
    fields_convert(converted, fields, field_count);
    exchange->is_left = true;
    must(nghttp2_submit_response(exchange->session->session, exchange->id, converted, field_count,
                                 NULL) == 0);
}

void http2_respond_body(struct http2_exchange *exchange, const struct http2_field *fields,
                        size_t field_count, struct buffer *body, const struct http2_field *trailers,
                        size_t trailer_count)
{
    nghttp2_data_provider provider = {.source.ptr = exchange, .read_callback = read_body};
    nghttp2_nv converted[FIELD_COUNT_MAX];

    if (!exchange->session)
        return;
    fields_convert(converted, fields, field_count);
    body_take(exchange, body);
    exchange->trailers = trailers;
    exchange->trailer_count = trailer_count;
    must(nghttp2_submit_response(exchange->session->session, exchange->id, converted, field_count,
                                 &provider) == 0);
}

void http2_cancel(struct http2_exchange *exchange)
{
    if (exchange->session)
        must(nghttp2_submit_rst_stream(exchange->session->session, NGHTTP2_FLAG_NONE, exchange->id,
                                       NGHTTP2_CANCEL) == 0);
}

void http2_ping(struct http2 *session)
{
    must(nghttp2_submit_ping(session->session, NGHTTP2_FLAG_NONE, NULL) == 0);
}

void http2_goodbye(struct http2 *session)
{
    int32_t last = nghttp2_session_get_last_proc_stream_id(session->session);

    must(nghttp2_submit_goaway(session->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL,
                               0) == 0);
}
