/*
 * A relay: two TCP sockets joined by the lab, with what a bad line does in between.
 *
 * Each direction has a line, which may be cut or slow. A cut line holds everything: bytes,
 * ends and resets stay where they are (in the sender's socket, so that the sender feels a
 * network that takes nothing) and arrive when it is mended. A slow line delays everything, in
 * order. A connection made over a line that is cut either way waits for both to be mended.
 * What a whole line does is plain TCP: half-close, reset and refusal are passed on at once,
 * and a receiver that does not read stops the sender.
 *
 * Sockets under uv_poll_t, not the streams of server/net: a relay must stop reading and still
 * notice that a caller is gone, reset instead of close, and let one direction end before the
 * other, for bytes it never looks at.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "server/lab/flow.h"

struct relay;

enum { RELAY_OUT, RELAY_BACK }; /* From the caller to the callee; and from the callee. */

struct relay_options {
    int caller;                /* A connected socket, not blocking. */
    struct sockaddr_in source; /* What the callee sees as its caller; zeroes for no matter. */
    struct sockaddr_in target; /* The callee. */
    struct line lines[2];
    struct rng *rng; /* For jitter. Borrowed while the relay lives. */
    void (*ended)(void *owner);
    void *owner;
};

/* Join the caller to the callee. Takes the caller's socket, on failure too. The relay frees
 * itself when either side has ended it; `ended` is then called, last, from the loop. */
int relay_open(uv_loop_t *loop, const struct relay_options *options, struct relay **out);

/* Change a line; what was already under way on it keeps its due time. */
void relay_set_line(struct relay *relay, int way, struct line line);

/* Break the connection: both sides see a reset, now. */
void relay_reset(struct relay *relay);

/* Nothing is under way, and the callee spoke last: for HTTP, no request is being answered. */
bool relay_is_quiet(const struct relay *relay);
