/*
 * The front: one endpoint for the clients of the lab, through every failover.
 *
 * Each connection is passed to the manager that leads and is ready. While there is none a client
 * waits, as long as a failover should take; after that any manager that answers gets it, and if
 * none does, a 503 with a ServerException, which every SDK retries.
 *
 * A connection to a manager that died is reset at once, to one that stopped answering within about
 * a second. A manager that knows no leader while another one leads (it is cut off) loses its
 * connections as they come to rest, so that clients that keep them do not stay with it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "server/lab/layout.h"
#include "server/lab/probe.h"

struct front;

enum {
    FRONT_NONE = -1,
    FRONT_WAIT_MS = 3000, /* A failover takes less. */
};

/* Listen on the layout's endpoint. Borrows the layout until the front is closed. A client waits
 * for a leader for wait_ms. Gives *out. */
int front_open(uv_loop_t *loop, const struct layout *layout, unsigned wait_ms, struct front **out);

/* Stop listening and break every connection. Takes the front; its memory goes in a later turn
 * of the loop. NULL is fine. */
void front_close(struct front *front);

/* The manager's process runs, or is gone. Only those that run are asked and used. */
void front_set_running(struct front *front, size_t manager, bool running);

/* The manager that leads, by its own word and the latest term, or FRONT_NONE. */
int front_leader(const struct front *front);

/* Borrowed until the next turn of the loop. */
const struct health *front_health(const struct front *front, size_t manager);
