/*
 * The links between managers: each dials every other and sends over what it dialled; what the
 * others have to say arrives over what they dialled. Frames are lost when a link breaks: Raft
 * repeats itself, and forwarded calls are answered as unknown.
 *
 * Who is dialled and listened to are the members last given to peers_set(). A manager that knows
 * no members yet, since it has just joined, listens to every manager of its cluster, and dials
 * back whoever has said where it is.
 *
 * Both ends of a link show the cluster's certificate of a manager, before anything is said; a
 * newcomer that wants to join shows none, and may say nothing but that (server/net/tls.h).
 *
 * Belongs to the core's loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "proto/base/bytes.h"
#include "proto/peer.pb-c.h"
#include "server/manager/member.h"
#include "server/net/tls.h"

struct peers;

enum { PEERS_VERSION = 2 }; /* Of the protocol. */

struct peers_config {
    struct member self;
    const char
        *cluster; /* Managers that say another one in Hello are refused. Borrowed for good. */
    struct tls_identity *identity;         /* Ours, until all is closed. NULL: links are plain. */
    const struct sockaddr_storage *listen; /* Copies, as below. */
    const struct sockaddr_storage *source; /* To dial from (port 0). */

    /* A frame that is neither a Hello nor a Join. Gives frame. */
    void (*received)(void *context, Peer__PeerFrame *frame);
    /* The link that we dialled broke, or could not be had; or was given up, from inside
     * peers_send(), since the peer does not read. */
    void (*lost)(void *context, uint64_t peer);
    /* Was this manager, which is no member, removed for certain? Then it is told. */
    bool (*is_removed)(void *context, uint64_t id);
    /* We are told so ourselves. */
    void (*goodbye)(void *context, uint64_t from, const char *reason);
    /* A newcomer asks, to be answered by peers_answer(). Gives frame, a Join. May be NULL. */
    void (*joining)(void *context, uint64_t guest, Peer__PeerFrame *frame);
    void *context;
};

/* Listen. Gives *out. */
int peers_open(uv_loop_t *loop, const struct peers_config *config, struct peers **out);

/* These are the members: links to new ones are begun, to those that moved begun anew, to all
 * others ended. Ours is passed over. Copies. */
void peers_set(struct peers *peers, const struct member *members, size_t count);

/* Send, or drop it when there is no link. Borrows the bytes, a packed PeerFrame. */
void peers_send(struct peers *peers, uint64_t to, struct bytes packed);

/* Let what was sent leave now: the loop is about to block. */
void peers_push(struct peers *peers);

/* Answer a newcomer, once; nothing happens if it has gone. Borrows the bytes, a packed PeerFrame.
 */
void peers_answer(struct peers *peers, uint64_t guest, struct bytes packed);

/* Close every link. Takes peers; closed is called when nothing is left on the loop. */
void peers_close(struct peers *peers, void (*closed)(void *context), void *context);
