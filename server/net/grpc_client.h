/*
 * A gRPC client on a uv loop: one connection, any number of unary calls on it.
 *
 * The client does not connect again: when the connection ends, every call still out ends with
 * UNAVAILABLE, then `closed` is called, and the owner closes this client and opens another when
 * it sees fit. Calls may be made at once; they leave when the connection stands.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "proto/base/bytes.h"
#include "server/net/grpc.h"

struct grpc_client;

struct grpc_client_config {
    struct sockaddr_storage to;
    const struct sockaddr_storage *source; /* Copies. Address to leave from (port 0), or NULL. */
    uint64_t connect_timeout_ms;           /* 0: STREAM_DEAD_MS. */
    uint64_t keepalive_ms;                 /* 0: GRPC_CLIENT_KEEPALIVE_MS. */

    /* The connection is over: refused, reset, silent for too long (-ETIMEDOUT), closed by the
     * server (-ESHUTDOWN after a GOAWAY, STREAM_EOF without). At most once, not after
     * grpc_client_close(), and never from inside a call of the owner. May be NULL. */
    void (*closed)(void *context, int reason /* -errno */);
    void *context;
};

/* How a call ended. With GRPC_OK reply is the answer and text is empty; with any other status
 * text says why, as the server put it, and reply is empty. Both are borrowed during the callback.
 */
typedef void grpc_called_fn(void *context, enum grpc_status status, const char *text,
                            struct bytes reply);

/* Begin to connect. Gives *out. */
int grpc_client_open(uv_loop_t *loop, const struct grpc_client_config *config,
                     struct grpc_client **out);

/* Call "/package.Service/Method". Copies path and message. done is called exactly once, never
 * from inside this function: with DEADLINE_EXCEEDED if timeout_ms passes first (0: no limit),
 * with UNAVAILABLE if the connection is lost or was lost already. */
void grpc_client_call(struct grpc_client *client, const char *path, struct bytes message,
                      uint64_t timeout_ms, grpc_called_fn *done, void *context);

/* Close. Takes client; no call may be made on it any more. Calls still out end with CANCELLED in
 * a later iteration of the loop; after the last of them nothing of the client calls back. */
void grpc_client_close(struct grpc_client *client);
