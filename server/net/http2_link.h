/*
 * An HTTP/2 session on a stream: moves the bytes, keeps the connection alive or finds it dead,
 * and wakes the owner when it asked to be woken.
 *
 * The session is the owner's and borrowed until http2_link_close(). Its callbacks run inside the
 * link's work, so the owner notes what it is told there and acts in `moved`.
 */
#pragma once

#include <stdint.h>
#include <uv.h>

#include "server/net/http2.h"
#include "server/net/stream.h"

struct http2_link;

struct http2_link_owner {
    /* Something may have changed in the session, or the time of http2_link_wake() has come, or
     * the owner called http2_link_send(). From the loop, never from inside a call of the owner. */
    void (*moved)(void *context);

    /* The connection is over: a reason of `struct stream_owner`; or -ESHUTDOWN after a GOAWAY,
     * -EPROTO if the peer broke the protocol. `moved` may still come. */
    void (*ended)(void *context, int reason);
    void *context;
};

struct http2_link_config {
    struct http2 *session;
    uint64_t
        keepalive_ms; /* After this silence a PING goes out; after as much again: -ETIMEDOUT. */
    struct http2_link_owner owner; /* Copies. */
};

/* Connect; fails as stream_connect() does. Gives *out. */
int http2_link_connect(uv_loop_t *loop, const struct http2_link_config *config,
                       const struct sockaddr_storage *to, const struct sockaddr_storage *source,
                       uint64_t timeout_ms, struct http2_link **out);

/* The same on a stream that was accepted. Takes stream, gives. */
struct http2_link *http2_link_accept(uv_loop_t *loop, const struct http2_link_config *config,
                                     struct stream *stream);

/* The session may have something to send: it leaves in this turn of the loop. */
void http2_link_send(struct http2_link *link);

/* Be `moved` when uv_now() reaches at_ms at the latest. Only the earliest time counts. */
void http2_link_wake(struct http2_link *link, uint64_t at_ms);

/* Close. Takes link. What the session still has to say is offered to the kernel once; the session
 * is not touched after this returns. closed (may be NULL) comes in a later iteration. Not from
 * inside the session's callbacks. */
void http2_link_close(struct http2_link *link, void (*closed)(void *context), void *context);
