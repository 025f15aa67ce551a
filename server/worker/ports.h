/*
 * Host ports: which are free to be given to a task, and which somebody listens on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/rng.h"
#include "proto/base/scope.h"

enum {
    /* Dynamic ports come from here: above the range the kernel takes outgoing connections' ports
     * from (32768..60999 as Linux has it), so that no connection can get in the way. */
    PORT_DYNAMIC_FIRST = 61000,
    PORT_DYNAMIC_LAST = 65535,
};

enum port_outcome {
    PORT_NONE_FREE = 1,
};

/* Whether a port could be bound at this numeric address right now. */
bool port_is_free(const char *address, uint32_t port, bool udp);

/* A free dynamic port that is_taken(context, port) does not claim; the search begins at a random
 * place, so that a port is not used again soon. PORT_NONE_FREE. */
int port_choose(struct rng *rng, const char *address, bool udp,
                bool (*is_taken)(const void *context, uint32_t port), const void *context,
                uint32_t *out);

/* The TCP ports that are listened on in this network namespace, as of now. */
struct listeners;

struct listeners *listeners_read(void);
void listeners_free(struct listeners *listeners);

/* Whether a connection to the numeric address and port would reach a listener: one bound to it or
 * to all addresses. */
bool listeners_reach(const struct listeners *listeners, const char *address, uint32_t port);

SCOPED(struct listeners *, listeners_free);
