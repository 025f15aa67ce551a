/*
 * The worker RPC's own thread: gRPC, protobuf and HTTP/2 stay off the core's. Each call becomes a
 * struct rpc for the core; its answer comes back through a queue.
 */
#pragma once

#include <sys/socket.h>

#include "server/manager/core.h"

struct rpc_server;

/* Listen and start the thread. Port 0: see rpc_server_port(). Gives *out. -EADDRINUSE, ... */
int rpc_server_open(struct core *core, const struct sockaddr_storage *listen,
                    struct rpc_server **out);

/* Stop. Takes server. Call it after core_stop, which has answered every call. */
void rpc_server_close(struct rpc_server *server);

uint16_t rpc_server_port(const struct rpc_server *server);
