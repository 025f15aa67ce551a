/*
 * The ECS API: HTTP/1.1, JSON 1.1, on threads of its own.
 *
 * A request is parsed and validated here, handed to the core through its door (call.h), and when
 * the core has done with it, answered: a read from a read transaction, a write by what was
 * collected of it in the core's turn. The core's thread sees no JSON and no socket. POST / is the
 * API; GET /cais/status and GET /metrics tell how this manager is, from its own state, also when
 * there is no leader.
 *
 * The same code serves the operator's socket, DIR/operator.sock: there the actions of
 * proto/operator.proto are known too, as X-Amz-Target: Cais.NAME, and nobody has to sign, since the
 * file's mode says who may. On the API's own port they are unknown operations.
 *
 * Authorization headers must be well-formed SigV4 (api_sigv4.h), but no signature is verified yet.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "server/manager/call.h"
#include "storage/env.h"

struct api;

/* The way to the core: core_submit and core_status, or a test's own. */
struct core_door {
    struct core *core;
    void (*submit)(struct core *core, struct call *call);
    void (*status)(struct core *core, struct core_status *out);
};

struct api_config {
    struct core_door door;
    struct env *env;               /* The tables: read only. */
    const struct sockaddr *listen; /* IPv4 or IPv6; port 0 takes any free one. Or NULL: */
    const char *operator_dir;      /* the operator's socket in this directory instead. */
    const char *name;              /* Of this manager, and its zone. */
    const char *zone;
};

/* Listen and serve. Copies the config; borrows door.core and env until api_close, and what its
 * texts point to. Gives *out. -EADDRINUSE and its like: the address cannot be had. */
int api_open(const struct api_config *config, struct api **out);

/* Stop serving; safe in any state of the core, from any thread but the API's own. Returns when no
 * thread of the API runs any more. Calls still in the core are cut loose: the core may call their
 * `done` later, or never. NULL is fine. */
void api_close(struct api *api);

/* The port it listens on. */
uint16_t api_port(const struct api *api);
