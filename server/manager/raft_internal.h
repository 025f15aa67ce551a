/*
 * What the files raft_*.c share; for them only.
 */
#pragma once

#include <raft.h>

#include "proto/base/rng.h"
#include "proto/limits.h"
#include "server/manager/raft_node.h"
#include "server/manager/raft_wire.h"

/* What we know of another voter's answers, for reads. Forgotten when the term or our state changes.
 */
struct raft_peer {
    uint64_t id;
    uint64_t acked_seq; /* Highest seq of ours that it has confirmed in this term. */
    uint64_t tell;      /* It waits to hear that entries up to here are committed. */
    uint64_t told;      /* It was told that far, beside the core's own Appends. */
};

struct raft_node {
    struct raft raft;
    struct raft_node_config config;
    char address[24]; /* The id as text: all that the core needs for an address. */

    /* The turn. */
    struct txn *txn;
    uint64_t now_ms;
    bool term_dirty; /* Term or vote differ from what is stored. */
    bool applied_dirty;
    bool may_send_early;
    bool must_commit;
    bool promised_image;  /* As of what was applied by then. */
    uint64_t stored_from; /* First entry stored in this turn, 0: none. */
    uint64_t owed;        /* Durable up to here, the core does not know yet; 0: nothing owed. */

    /* The log and the tables. */
    uint64_t first_index; /* Of the entries kept; last_index + 1: none. */
    uint64_t last_index;
    uint64_t trim_to;      /* The core has forgotten the entries up to here. */
    uint64_t hold_index;   /* An image of ours ends there: no trimming beyond. */
    uint64_t commit_index; /* Never goes back (rule 6). */
    struct log_applied applied;
    uint64_t configured_index; /* RAFT_CHANGE entries up to here were fed back. */

    /* The newest configuration in the log: in force. */
    struct member members[LIMIT_MANAGERS];
    uint64_t heard_ms[LIMIT_MANAGERS]; /* Of each member: when its last frame came. */
    size_t member_count;
    uint64_t configuration_index;

    uint64_t term_first; /* Leader: index of the first entry of its term (rule 2). */

    /* Leadership transfer; to 0: none under way. */
    struct {
        uint64_t to, began_ms;
        bool sent;
    } transfer;

    /* The ticket: an image to be fetched from this leader. Index 0: none. */
    struct {
        uint64_t leader, term, index;
    } wanted;

    /* Reads. */
    uint64_t seq; /* Of the newest Append or Ping sent. */
    struct raft_peer peers[LIMIT_MANAGERS];
    size_t peer_count;
    struct {
        uint64_t id, term, seq;
    } heard; /* The newest Append processed, of the current leader. */

    /* Early campaign (docs/consensus.md). */
    uint64_t leader_heard_ms; /* The newest Append of a leader of our term. */
    uint64_t skew_ms;         /* Our raft clock is ahead of the turn's by this. */
    uint64_t lost_leader;     /* Its connection broke; 0: none. */
    uint64_t campaign_at_ms;  /* 0: not planned. */
    unsigned campaigns;       /* Tried since the leader was lost. */
    struct rng rng;
};

/* One raft_step(): feeds the event and carries out what the core decides. -errno: storage failed,
 * or the core refused what it must take. */
int raft_node_step(struct raft_node *node, struct raft_event *event);

int raft_node_submit_entries(struct raft_node *node, struct raft_entry *entries, unsigned count);

/* raft_open.c. Rule 10: begin anew from what is stored in this transaction, with this vote. */
int raft_node_reopen(struct raft_node *node, const struct log_vote *vote);

/* raft_members.c. */
int raft_node_pump_transfer(struct raft_node *node);

/* raft_trim.c. */
int raft_node_trim(struct raft_node *node);

/* Term of the entry at an index, or of the newest applied one; 0 for index 0 or one that is not
 * there. */
int raft_node_term_at(struct raft_node *node, uint64_t index, uint64_t *out);

/* raft_configuration.c. Decode gives *out. -EUCLEAN: the bytes are not a configuration, or none is
 * found. Encode gives *out, to be freed by raft_free. */
int raft_node_configuration_decode(struct bytes bytes, struct raft_configuration *out);
void raft_node_configuration_encode(const struct member *members, size_t count,
                                    struct raft_buffer *out);
int raft_node_configuration_set(struct raft_node *node, uint64_t index, struct bytes bytes);
int raft_node_configuration_find(struct raft_node *node);
bool raft_node_is_sole_voter(const struct raft_node *node);
void raft_node_note_contact(struct raft_node *node, uint64_t id);

/* Note a peer's confirmation that we led when seq was sent. */
void raft_node_note_ack(struct raft_node *node, uint64_t peer, uint64_t seq);
void raft_node_forget_acks(struct raft_node *node);

/* Send the Appends that raft_node_tell_commit asked for. */
int raft_node_tell_commits(struct raft_node *node);

/* The core asks this process for memory from now on; again is fine. */
void raft_node_stop_without_memory(void);
