/*
 * The server's side of gRPC on one connection, sans-IO: an HTTP/2 session whose exchanges become
 * calls. grpc_server.c gives it a socket; a test gives it bytes.
 */
#pragma once

#include <stdint.h>

#include "proto/base/bytes.h"
#include "server/net/grpc_server.h"
#include "server/net/http2.h"

struct grpc_session;

enum {
    GRPC_PATIENCE_MS = 30000, /* For a request to arrive whole, and for an answer to be taken. */
};

struct grpc_session_owner {
    /* As in grpc_server_config; only from grpc_session_move(). */
    void (*called)(void *context, struct grpc_call *call, const char *path, struct bytes message);

    /* A call was answered: the HTTP/2 session has something to send. From inside grpc_reply()
     * and grpc_fail(): note it, do it later. */
    void (*answered)(void *context);
    void *context;
};

/* Copies owner. Gives. */
struct grpc_session *grpc_session_new(const struct grpc_session_owner *owner);

/* Calls that the owner still has to end live on, cut off. NULL is fine. */
void grpc_session_free(struct grpc_session *session);

/* Feed it, take from it, and then move the session. Borrowed from it. */
struct http2 *grpc_session_http2(struct grpc_session *session);

/* Hand over what arrived, refuse what is overdue. Returns when to come again at the latest, on
 * the clock of now_ms; UINT64_MAX: when bytes came. `called` may free the session only by way
 * of a later turn. */
uint64_t grpc_session_move(struct grpc_session *session, uint64_t now_ms);

/* From inside `called`: hand over no more calls, this connection is closing. */
void grpc_session_stop(struct grpc_session *session);
