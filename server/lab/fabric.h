/*
 * The fabric: every link of the lab, and what is wrong with it.
 *
 * It listens on the faces of the managers, knows from the source address who is calling, and
 * relays to the manager itself over the line that the faults say lies between the two, each way
 * on its own. Whoever calls from an address that is no node's is refused: a node that does not
 * bind its own address would slip past every fault.
 *
 * A call to a process that is not there is reset at once; a call over a cut line is accepted
 * and then hears nothing, as close as a relay comes to packets that vanish.
 */
#pragma once

#include <stdint.h>
#include <uv.h>

#include "proto/base/scope.h"
#include "server/lab/faults.h"
#include "server/lab/layout.h"

struct fabric;

/* Listen on every manager's face. Borrows layout and faults until the fabric is closed; the
 * seed is for jitter. Gives *out. */
int fabric_open(uv_loop_t *loop, const struct layout *layout, const struct faults *faults,
                uint64_t seed, struct fabric **out);

/* Stop listening and break every connection. Takes the fabric; its memory goes in a later turn
 * of the loop. NULL is fine. */
void fabric_close(struct fabric *fabric);

/* The faults have changed: bring every connection in line with them. */
void fabric_refresh(struct fabric *fabric);

/* Reset the connections whose caller and callee, in either order, are a marked pair (as
 * faults_pairs() marks them). Returns how many. */
size_t fabric_reset(struct fabric *fabric, const bool *pairs);

/* Reset every connection of a node: its machine lost power, and is back. */
void fabric_reset_node(struct fabric *fabric, size_t node);

/* Connections open now. */
size_t fabric_count(const struct fabric *fabric);
