/*
 * One connection that carries bytes, and the listener that accepts such. Everything that
 * talks to another process goes through here; with TLS below it or without.
 *
 * All of it belongs to one uv loop and its thread. The owner is called back from the loop only,
 * never from inside a call of its own, and may call anything here, stream_close() too, from any
 * callback. The life of a stream:
 *
 *   stream_connect ──> opened ──┐
 *   accepted ──> stream_own ────┴─> received*, writable* ──> ended ──> stream_close
 *
 * `ended` comes at most once, from a failed connect too, and is the last callback but for the
 * one of stream_close(), which every stream needs, at any time.
 *
 * A process with streams ignores SIGPIPE from the first of them on; what it executes inherits
 * that, unless it says otherwise.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "proto/base/bytes.h"
#include "server/net/tls.h"

struct stream;
struct listener;

enum {
    /* What was sent and stays unacknowledged this long, or silence on an idle connection that
     * TCP's own probes cannot break, ends it. */
    STREAM_DEAD_MS = 10000,
};

/* Who is told. `received` and `ended` are needed, the others may be NULL. */
struct stream_owner {
    /* stream_connect() succeeded; with TLS, of an accepted one too: the handshake is complete. */
    void (*opened)(void *context);
    void (*received)(void *context, struct bytes bytes); /* Borrows. Never empty. */
    void (*writable)(void *context);                     /* See stream_ask(). */

    /* The connection is over. reason: -ECONNRESET, -ECONNREFUSED, -ETIMEDOUT (connecting or the
     * handshake took too long, or the peer fell silent), any other -errno, or STREAM_EOF. With TLS
     * also -EACCES, one of the two may not take part, and -EPROTO: stream_error() says more. */
    void (*ended)(void *context, int reason);
    void *context;
};

enum {
    /* The peer closed in an orderly way. Negative, beside every errno. Whoever has the wire can
     * forge it, under TLS too: what is sent through here says itself where it ends. */
    STREAM_EOF = UV_EOF,
};

struct stream_connect_config {
    const struct sockaddr_storage *to;     /* Copies. */
    const struct sockaddr_storage *source; /* Local address to leave from (port 0), or NULL. */
    uint64_t timeout_ms;        /* For connecting, the handshake included; 0: STREAM_DEAD_MS. */
    const struct tls_dial *tls; /* Copies, but for its identity's life. NULL: plain. */
    struct stream_owner owner;  /* Copies. */
};

/* Begin to connect. Gives *out. What is written before `opened` is sent after it. The identity is
 * as of this call, and has to live until `opened` or `ended`. */
int stream_connect(uv_loop_t *loop, const struct stream_connect_config *config,
                   struct stream **out);

/* Take over an accepted stream; reading begins now. Once, from `accepted` at the earliest. */
void stream_own(struct stream *stream, const struct stream_owner *owner);

/* Close. Takes the stream; what is queued is offered to the kernel once, without waiting. After
 * this no callback comes but closed (may be NULL), in a later iteration of the loop. */
void stream_close(struct stream *stream, void (*closed)(void *context), void *context);

/* Queue bytes; all that is queued in one turn of the loop leaves in one writev. Copies.
 * Returns -ENOBUFS, and queues nothing, if more than LIMIT_STREAM_QUEUED_BYTES would wait:
 * the peer does not read, and the owner had better close. After `ended` bytes go nowhere. */
int stream_write(struct stream *stream, struct bytes bytes);

/* The same, without a copy. Takes the contents of the buffer, on failure too, and leaves it
 * empty. */
int stream_write_buffer(struct stream *stream, struct buffer *buffer);

/* Hand the kernel what is queued, as far as it takes it now: for an owner that is about to block.
 */
void stream_push(struct stream *stream);

/* Bytes queued here and not yet handed to the kernel. */
size_t stream_queued(const struct stream *stream);

/* Ask to be called `writable` once, later, when connected and nothing is queued: for an owner
 * that makes its bytes only when they can leave. */
void stream_ask(struct stream *stream);

/* The other end: as given to stream_connect(), or who was accepted. Borrowed from the stream. */
const struct sockaddr_storage *stream_peer(const struct stream *stream);

/* What is spoken, and who the other end is, from `opened` on: TLS_NONE and NULL without TLS, and
 * NULL if it showed no certificate. Borrowed from the stream. */
enum tls_protocol stream_protocol(const struct stream *stream);
const struct identity *stream_identity(const struct stream *stream);

/* The reason of `ended` in words for the log: what was wrong with a certificate, or the system's
 * text. Borrowed from the stream. */
const char *stream_error(const struct stream *stream, int reason);

/* For listener.c: take the next connection from a listening handle. Gives *out; gone is called
 * when its memory is returned. tls: who answers, NULL for plain. */
int stream_accept(uv_tcp_t *listening, struct tls_identity *tls, uint64_t handshake_ms,
                  void (*gone)(void *context), void *context, struct stream **out);

struct listener_config {
    const struct sockaddr_storage *at; /* Copies. Port 0: the kernel chooses. */
    struct tls_identity *tls; /* Who answers; as long as the listener is open. NULL: plain. */
    uint64_t handshake_ms;    /* A handshake may take; 0: TLS_HANDSHAKE_MS. */
    unsigned connections_max; /* Open at a time; whoever comes beyond is closed at once. */
    void (*accepted)(void *context, struct stream *stream); /* Gives. Own or close it. */
    void *context;
};

/* Listen. Gives *out. -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, ... */
int listener_open(uv_loop_t *loop, const struct listener_config *config, struct listener **out);

/* Stop listening. Takes the listener; the streams it accepted live on. closed may be NULL. */
void listener_close(struct listener *listener, void (*closed)(void *context), void *context);

uint16_t listener_port(const struct listener *listener);
