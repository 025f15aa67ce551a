/*
 * One HTTP/2 session (nghttp2), server's or client's side, sans-IO: bytes received go in, bytes
 * to send come out, and what happened to each exchange is told in between.
 *
 * An exchange is one request and its response; it is embedded in whatever the owner keeps about
 * it. The owner is told from inside http2_receive(), http2_next() and http2_free(), only notes
 * what it is told, and acts afterwards: it must not call those three from a callback.
 *
 * Held against a peer that means harm: header blocks of more than HTTP2_FIELDS_BYTES, floods
 * of resets, settings, pings and continuations, and more than LIMIT_RPC_STREAMS exchanges.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/bytes.h"
#include "proto/base/list.h"

enum {
    HTTP2_FIELDS_BYTES = 16 << 10, /* All header fields of a message, counted as RFC 9113 6.5.2. */
};

struct http2;

/* All zeroes before use. The owner reads, http2 writes. */
struct http2_exchange {
    struct list link;
    struct http2 *session; /* NULL: not begun yet, or over. */
    int32_t id;
    size_t fields_bytes; /* Received so far. */
    bool is_ended;       /* The peer's side is complete. */
    bool is_left;        /* Ours ends with a reset: the peer need not send the rest. */
    struct buffer body;  /* To send. */
    size_t body_at;
    const struct http2_field *trailers; /* To send after it. */
    size_t trailer_count;
};

struct http2_field {
    const char *name; /* Lower case. */
    const char *value;
};

struct http2_owner {
    /* Server: a request begins. Gives the exchange that shall stand for it. */
    struct http2_exchange *(*begun)(void *context);

    /* A field of the headers or the trailers. Borrows. Fields beyond the limit are not told;
     * fields_bytes then exceeds HTTP2_FIELDS_BYTES. */
    void (*field)(struct http2_exchange *exchange, struct bytes name, struct bytes value);

    /* The headers are complete; so are, in a second call, the trailers if there are any. */
    void (*fields_ended)(struct http2_exchange *exchange);

    void (*body)(struct http2_exchange *exchange, struct bytes bytes); /* Borrows. */

    /* The peer's side is complete. */
    void (*ended)(struct http2_exchange *exchange);

    /* The exchange is over, in good order (0) or by an HTTP/2 error code. The owner's again. */
    void (*gone)(struct http2_exchange *exchange, uint32_t error_code);
    void *context;
};

/* A session that has its first settings to send. Copies owner. Gives. */
struct http2 *http2_new(bool is_server, const struct http2_owner *owner);

/* Every exchange is told to be gone. NULL is fine. */
void http2_free(struct http2 *session);

/* Take in bytes. -EPROTO: the peer does not speak HTTP/2, or is flooding us; nothing more can be
 * said. Lesser faults are answered by the session itself: see http2_is_over(). */
int http2_receive(struct http2 *session, struct bytes bytes);

/* The next bytes to send, borrowed until the next call on the session. False: none now. */
bool http2_next(struct http2 *session, struct bytes *out);

bool http2_has_next(const struct http2 *session);

/* Nothing is to be sent or received any more: both sides said goodbye, or we did for a fault. */
bool http2_is_over(const struct http2 *session);

/* The peer sent GOAWAY: exchanges under way may end, no new ones are accepted. */
bool http2_is_goaway(const struct http2 *session);

/* Client: begin an exchange. Takes the contents of body; copies the fields. -ESHUTDOWN, and
 * nothing was taken: the session accepts no more. */
int http2_request(struct http2 *session, struct http2_exchange *exchange,
                  const struct http2_field *fields, size_t field_count, struct buffer *body);

/* Server: answer with fields alone. If the request is not complete yet, the peer is told to
 * spare the rest. Nothing happens if the exchange is over. */
void http2_respond(struct http2_exchange *exchange, const struct http2_field *fields,
                   size_t field_count);

/* Server: answer with fields, a body and trailers. Takes the contents of body. Trailers are
 * borrowed until the exchange is gone. */
void http2_respond_body(struct http2_exchange *exchange, const struct http2_field *fields,
                        size_t field_count, struct buffer *body, const struct http2_field *trailers,
                        size_t trailer_count);

/* End the exchange at once, as cancelled. It is gone once the peer was told. */
void http2_cancel(struct http2_exchange *exchange);

/* Ask the peer for a sign of life. */
void http2_ping(struct http2 *session);

/* Say that this is the end, without fault. */
void http2_goodbye(struct http2 *session);
