/*
 * The links between managers: each dials every other and sends over what it dialled; what the
 * others have to say arrives over what they dialled. Frames are lost when a link breaks: Raft
 * repeats itself, and forwarded calls are answered as unknown.
 *
 * Belongs to the core's loop. Links are plain TCP for now; server/net/stream.h is where TLS goes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "proto/base/bytes.h"
#include "proto/peer.pb-c.h"

struct peers;

struct peers_config {
    uint64_t id;
    const char *name;
    const char *cluster;                   /* Managers that say another one in Hello are refused. */
    const struct sockaddr_storage *listen; /* Copies, as all below. */
    const struct sockaddr_storage *source; /* To dial from (port 0). */
    const struct sockaddr_storage *addresses; /* Of each member, by id - 1. Ours is not dialled. */
    size_t member_count;

    /* A frame that is not a Hello. Gives frame. */
    void (*received)(void *context, Peer__PeerFrame *frame);
    /* The link that we dialled broke, or could not be had; or was given up, from inside
     * peers_send(), since the peer does not read. */
    void (*lost)(void *context, uint64_t peer);
    void *context;
};

/* Listen and begin to dial. Gives *out. */
int peers_open(uv_loop_t *loop, const struct peers_config *config, struct peers **out);

/* Send, or drop it when there is no link. Borrows the bytes, a packed PeerFrame. */
void peers_send(struct peers *peers, uint64_t to, struct bytes packed);

/* Let what was sent leave now: the loop is about to block. */
void peers_push(struct peers *peers);

/* Close every link. Takes peers; closed is called when nothing is left on the loop. */
void peers_close(struct peers *peers, void (*closed)(void *context), void *context);
