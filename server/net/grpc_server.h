/*
 * A gRPC server on a uv loop: unary calls over HTTP/2, for any gRPC client.
 *
 * A call comes as a path and one message and is answered with one message or a status, at once
 * or much later (a long poll). Which paths there are is the owner's affair: it answers an
 * unknown one with grpc_fail(call, GRPC_UNIMPLEMENTED, ...). What the server itself refuses never
 * reaches `called`: messages beyond LIMIT_RPC_BYTES, compressed ones, more than LIMIT_RPC_STREAMS
 * calls at a time on a connection, requests that are not gRPC. A call whose grpc-timeout
 * passes is answered DEADLINE_EXCEEDED; the owner's own answer then goes nowhere.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "proto/base/bytes.h"
#include "server/net/grpc.h"

struct grpc_server;
struct grpc_call;

struct grpc_server_config {
    const struct sockaddr_storage *listen; /* Copies. Port 0: see grpc_server_port(). */
    unsigned connections_max;              /* 0: LIMIT_RPC_CONNECTIONS. */
    uint64_t keepalive_ms;                 /* 0: GRPC_SERVER_KEEPALIVE_MS. */

    /* A call arrived: "/package.Service/Method" and its message, both borrowed during the
     * callback. Gives call: end it with exactly one of grpc_reply() and grpc_fail(), now or at
     * any later time, after grpc_server_close() too, on the loop's thread. */
    void (*called)(void *context, struct grpc_call *call, const char *path, struct bytes message);
    void *context;
};

/* Listen and serve. Gives *out. -EADDRINUSE, -EADDRNOTAVAIL, ... */
int grpc_server_open(uv_loop_t *loop, const struct grpc_server_config *config,
                     struct grpc_server **out);

/* Stop: peers are told (GOAWAY), what was answered is offered to the kernel, connections close.
 * Takes server. closed (may be NULL) is called in a later iteration, when nothing is left on the
 * loop; `called` is not called any more. */
void grpc_server_close(struct grpc_server *server, void (*closed)(void *context), void *context);

uint16_t grpc_server_port(const struct grpc_server *server);

/* Answer. Takes call, copies message. If the peer is gone by now the answer is dropped. */
void grpc_reply(struct grpc_call *call, struct bytes message);

/* Refuse, with any status but GRPC_OK. Takes call, copies text. */
void grpc_fail(struct grpc_call *call, enum grpc_status status, const char *text);

/* Nobody waits for the answer any more: the peer, its call or its time is gone. The call must
 * be ended all the same. */
bool grpc_call_is_gone(const struct grpc_call *call);
