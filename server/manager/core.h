/*
 * The core of a manager: one thread, one write transaction at a time, one commit a turn.
 *
 * Frames from peers, API calls, worker calls and timers become events for Raft; what Raft has
 * committed is applied to the tables in the same transaction; only after the commit do frames
 * leave and answers go out. It knows no socket and no clock: time comes with each turn, so the same
 * core runs in a manager's loop and under a simulated clock, network and disk.
 *
 * A full disk or map is survived (docs/decisions/0014). Any other -errno of core_turn means that
 * memory is ahead of the disk: log it and end the process; opening the directory again is the
 * recovery.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/peer.pb-c.h"
#include "server/manager/call.h"
#include "server/manager/member.h"
#include "server/manager/rpc.h"
#include "storage/env.h"

struct core;

struct core_config {
    uint64_t id;
    const struct member *first; /* The first configuration, as raft_node_config has it. */
    size_t first_count;         /* Borrowed until core_free. */
    const char *cluster;        /* Borrowed for good. */
    const char *record; /* Of this manager, to be stored with the first configuration; or NULL. */
    const char *region; /* Of the ARNs; borrowed for good. Written once, by the first leader. */
    const char *account;
    struct env *env;       /* Borrowed until core_free. */
    bool map_grows;        /* Map more of env before its map is full. */
    const char *incoming;  /* Beside env's directory: where another manager's image is put together.
                              Borrowed for good. NULL: none is ever fetched. */
    uint64_t keep_entries; /* As raft_node_config has it. */
    unsigned election_ms;
    unsigned raft_heartbeat_ms;
    unsigned worker_heartbeat_ms; /* The longest a Pull is held. */
    unsigned worker_lost_ms;      /* Silence after which a worker's tasks are replaced. */
    unsigned manager_lost_ms;     /* Silence after which a stand-by votes in its place. */
    unsigned voters;              /* Wanted; 0: the members' roles are left as they are. */
    uint64_t seed;

    /* A token that the first leader of a new cluster makes, or id 0: the digest of its secret. When
     * it lets newcomers in, token_made is called. */
    uint32_t token_id;
    uint8_t token_digest[32];
    void (*token_made)(void *context);

    /* The cluster's authority, PEM, likewise of the first leader: stored with the first settings,
     * so that any leader can sign. Empty: there is none. Borrowed for good. */
    struct bytes authority, authority_key;

    /* Send to a peer: everything it promises is durable. Borrows the bytes. */
    void (*send)(void *context, uint64_t to, struct bytes frame);
    /* What was sent so far should leave now, if it can: the commit comes next. */
    void (*push)(void *context);
    /* These are the members in force, committed or not (Raft 4.1): at opening, unless there are
     * none yet, and after the commit of each turn that changed them. Borrows. May be NULL. */
    void (*members_changed)(void *context, const struct member *members, size_t count);
    /* What becomes of a newcomer that was given to core_join: a packed PeerFrame. Borrows. */
    void (*answer)(void *context, uint64_t guest, struct bytes frame);
    /* From any thread: run a turn soon. */
    void (*wake)(void *context);
    void *context;
};

/* Load state and join. now_ms: a clock that never goes back; wall_ms: since the epoch. Gives *out.
 */
int core_open(const struct core_config *config, uint64_t now_ms, uint64_t wall_ms,
              struct core **out);

/* End every call and refuse new ones; no turn may follow. */
void core_stop(struct core *core);
void core_free(struct core *core);

/* Do what there is to do. */
int core_turn(struct core *core, uint64_t now_ms, uint64_t wall_ms);

/* When core_turn has something to do next if nothing else happens, on now_ms's clock. */
uint64_t core_deadline(const struct core *core);

/* On the core's thread, between turns: a frame arrived (takes it), the connection to a peer broke.
 */
void core_receive(struct core *core, Peer__PeerFrame *frame);
void core_peer_lost(struct core *core, uint64_t peer);

/* Likewise: a newcomer asks to be a manager. Takes the frame, a Join. */
void core_join(struct core *core, uint64_t guest, Peer__PeerFrame *frame);

/* On the core's thread: is it certain that this manager, which is no member, was one? Only a leader
 * whose configuration is committed knows: ids are never used again, and whoever has one of its
 * cluster was a member first. */
bool core_has_removed(const struct core *core, uint64_t id);

/* From any thread: a worker's call. Borrows it until its done. */
void core_rpc(struct core *core, struct rpc *rpc);
