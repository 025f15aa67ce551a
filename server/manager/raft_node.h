/*
 * Raft for one manager: events in, entries and frames out, within the turn's transaction.
 *
 * The consensus algorithm is raft_step() of libraft 0.22.1; this module keeps the rules under
 * which that core is safe (docs/consensus.md numbers them; the code names them as "rule N") and
 * puts what it decides into the log (storage/log.h). It owns no clock, socket or file: time comes
 * with each turn, and frames go to `send`, which must hold them until the turn is committed.
 *
 * A turn: raft_node_begin, any number of the calls marked (turn), raft_node_end, then the owner
 * commits the transaction, if raft_node_must_commit, and sends what it holds. If raft_node_owes,
 * the next turn must follow at once: it tells the core what has become durable.
 *
 * Any -errno means that memory is ahead of the disk: abort the transaction and end the process,
 * or free the node and open it again from what is durable.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/peer.pb-c.h"
#include "server/manager/member.h"
#include "storage/log.h"

struct raft_node;

enum raft_node_outcome {
    RAFT_NODE_NOT_LEADER = 1, /* Nothing was submitted. */
    RAFT_NODE_BUSY,           /* LIMIT_UNCOMMITTED entries wait already; or see below. */
    RAFT_NODE_NONE,           /* No further committed entry. */
    RAFT_NODE_REFUSED,        /* The frame contradicts itself, this library or what is committed. */
    RAFT_NODE_ABSENT,         /* No such member. */
    RAFT_NODE_EXISTS,         /* It is one already, or in that role. */
    RAFT_NODE_LAST_VOTER,     /* Nobody would be left to vote. */
};

struct raft_node_config {
    uint64_t self; /* This manager's id. */

    /* The first configuration, the same list in the same order on each of them; used only when
     * nothing is stored yet, or a restored backup (storage/backup.h). None: this manager joins, and
     * waits to be told of a log. Borrowed by raft_node_open. */
    const struct member *first;
    size_t first_count;
    unsigned election_ms; /* A follower waits this long, to twice as long, before it campaigns. */
    unsigned heartbeat_ms;
    uint64_t seed;
    uint64_t keep_entries; /* Applied ones, for followers that are behind. 0: LIMIT_KEPT_ENTRIES. */

    /* A frame to a peer. Borrows it during the call; hold what is made of it until the commit. */
    void (*send)(void *context, uint64_t to, const Peer__PeerFrame *frame);
    void *context;
};

/* Load from the log; an empty one gets the first configuration as its entry 1, or behind a restored
 * backup, whose state it then goes on with. The given
 * transaction must be committed afterwards. Gives *out. */
int raft_node_open(const struct raft_node_config *config, struct txn *txn, uint64_t now_ms,
                   struct raft_node **out);
void raft_node_free(struct raft_node *node);

/* Before opening, when the other voters are lost for good: make this manager the only member, by an
 * entry at *out_index behind all that it has, 2^20 terms on. All entries here will be committed:
 * what the lost ones had acknowledged beyond them is lost. RAFT_NODE_ABSENT: nothing is stored here
 * that one could go on from. */
int raft_node_recover(struct txn *txn, const struct member *self, uint64_t *out_index);

/* Begin a turn at a time that never goes back. Borrows txn until raft_node_end. */
int raft_node_begin(struct raft_node *node, struct txn *txn, uint64_t now_ms);
int raft_node_end(struct raft_node *node);
bool raft_node_owes(const struct raft_node *node);

/* After raft_node_end: term, vote or entries were stored in this turn, and what it says rests on
 * them: commit before its frames leave. What was only applied can be rebuilt from the log. */
bool raft_node_must_commit(const struct raft_node *node);

/* After raft_node_end: Appends of this turn may leave before its commit. Not when term or vote
 * changed in it, and not as the only voter: then the commit itself is what they tell of. */
bool raft_node_may_send_early(const struct raft_node *node);

/* (turn) A frame from a peer; frames that are not Raft's are ignored. RAFT_NODE_REFUSED: one that
 * no manager of this installation sends; it has changed nothing. */
int raft_node_receive(struct raft_node *node, const Peer__PeerFrame *frame);

/* (turn) Time-outs that are due. */
int raft_node_tick(struct raft_node *node);

/* When raft_node_tick has something to do next, on the clock of raft_node_begin. */
uint64_t raft_node_deadline(const struct raft_node *node);

/* So many commands may be submitted now. */
size_t raft_node_room(const struct raft_node *node);

/* (turn) Submit commands; they get consecutive indexes from *out_first. Borrows. */
int raft_node_submit(struct raft_node *node, const struct bytes *commands, size_t count,
                     uint64_t *out_first);

/* (turn) The next committed command to apply, or RAFT_NODE_NONE; entry data as by log_get. The
 * caller applies it in the same transaction. Entries that are Raft's own are passed over. */
int raft_node_next(struct raft_node *node, uint64_t *out_index, struct log_entry *out);

/* (turn) Change the members (Raft 4.1), one at a time: add one as a stand-by, give one another
 * role, leave one out. In force at once; done when the entry at *out_index is applied here, undone
 * if it is lost with this leadership. A leader that leaves itself out, or makes itself a stand-by,
 * steps down then. RAFT_NODE_BUSY: not ready, a change is not yet applied, or leadership is being
 * transferred. Whether it is wise is members.h's question. */
int raft_node_add(struct raft_node *node, const struct member *member, uint64_t *out_index);
int raft_node_assign(struct raft_node *node, uint64_t id, enum member_role role,
                     uint64_t *out_index);
int raft_node_remove(struct raft_node *node, uint64_t id, uint64_t *out_index);

/* (turn) Hand leadership to a voter (Raft 3.10), or to the one that has most if id is 0: nothing
 * more is submitted (room is 0), and as soon as it has everything it is told to campaign. Given up
 * after the election timeout. RAFT_NODE_ABSENT: not another voter, or there is none. */
int raft_node_transfer(struct raft_node *node, uint64_t id);
bool raft_node_transferring(const struct raft_node *node);

/* Images (Raft 5.1), which travel and are adopted elsewhere: this node then is opened again. The
 * leader of this term has no entries for us any more: fetch one from it, at *out_index or later. */
bool raft_node_snapshot_wanted(const struct raft_node *node, uint64_t *out_leader,
                               uint64_t *out_index);

/* May an image as of this entry replace our state? Not if it has nothing new: our log has the
 * entry, or we know more to be committed. */
int raft_node_installs(struct raft_node *node, uint64_t index, uint64_t term, bool *out);

/* Keep the entries after this index, which an image being fetched from us ends with, until
 * released: UINT64_MAX. */
void raft_node_hold(struct raft_node *node, uint64_t index);

/* (turn) The connection to this peer was reset or refused: if it led, campaign early, ranked
 * (Raft 9.6 keeps a false alarm harmless). */
void raft_node_peer_lost(struct raft_node *node, uint64_t peer);

/* (turn) A ReadIndex round (Raft 6.4): *out_round is confirmed once a majority has said, after now,
 * that it knows no newer term; the state as of *out_index, or later, then answers every read begun
 * before. RAFT_NODE_NOT_LEADER unless this manager leads and is ready. */
int raft_node_read(struct raft_node *node, uint64_t *out_round, uint64_t *out_index);

/* Is it? False for ever once leadership has been lost: watch raft_node_term. */
bool raft_node_read_confirmed(const struct raft_node *node, uint64_t round);

/* (turn) As the leader: let this peer know by the end of the turn that entries up to index are
 * committed, or as soon as it has them, instead of with the next heartbeat. */
void raft_node_tell_commit(struct raft_node *node, uint64_t peer, uint64_t index);

/* The configuration in force: the newest in the log, committed or not (Raft 4.1), in its order, and
 * the index of its entry. Borrowed until the next call marked (turn). None while a joining manager
 * waits. */
const struct member *raft_node_members(const struct raft_node *node, size_t *out_count,
                                       uint64_t *out_index);

/* As the leader: the member has entries up to here, as it said itself. 0 for who is none. */
uint64_t raft_node_match(const struct raft_node *node, uint64_t id);

/* When the last frame of this member came, on the clock of raft_node_begin. For one that has not
 * been heard: when this node was opened, or learnt of it. 0 for who is none. */
uint64_t raft_node_heard_ms(const struct raft_node *node, uint64_t id);

uint64_t raft_node_id(const struct raft_node *node);
/* Is this node in the configuration in force? One that was never told of any is not. */
bool raft_node_is_member(const struct raft_node *node);
bool raft_node_leads(const struct raft_node *node);
/* Leads, and has applied an entry of its own term (rule 2): only now may it answer reads. */
bool raft_node_ready(const struct raft_node *node);
bool raft_node_is_candidate(const struct raft_node *node);
uint64_t raft_node_leader(const struct raft_node *node); /* 0: none known. */
uint64_t raft_node_term(const struct raft_node *node);
uint64_t raft_node_first_index(const struct raft_node *node); /* Of the entries kept. */
uint64_t raft_node_last_index(const struct raft_node *node);
uint64_t raft_node_commit_index(const struct raft_node *node);
uint64_t raft_node_applied_index(const struct raft_node *node);
