/*
 * A gate: a listening socket of the lab that hands over what it accepts as plain sockets.
 *
 * For the fabric and the front, whose relays work on sockets (server/lab/relay.h says why).
 */
#pragma once

#include <netinet/in.h>
#include <uv.h>

struct gate;

/* Takes place in the loop. `accepted` gives a socket that does not block. */
struct gate_options {
    struct sockaddr_in at;
    void (*accepted)(void *owner, int fd, const struct sockaddr_in *from);
    void *owner;
};

/* Listen; -EADDRINUSE and the like. Gives *out. */
int gate_open(uv_loop_t *loop, const struct gate_options *options, struct gate **out);

/* Stop listening. Takes the gate; its memory goes in a later turn of the loop. NULL is fine. */
void gate_close(struct gate *gate);

/* Listen where the gate would and let go at once: is the place free? 0 or -errno. */
int gate_try(const struct sockaddr_in *at);

/* Close a socket so that the other side sees a reset. */
void gate_refuse(int fd);
