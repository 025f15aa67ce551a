/*
 * ReadIndex (Raft 6.4): every Append and Ping carries a growing seq; a peer that answers within
 * the term confirms that it knew of no newer one when it did. A majority of such answers to a
 * seq sent after a read began proves that no other leader had committed anything by then.
 */
#include "proto/base/err.h"
#include "proto/base/must.h"
#include "server/manager/raft_internal.h"

void raft_node_forget_acks(struct raft_node *node)
{
    node->peer_count = 0;
}

static struct raft_peer *peer_of(struct raft_node *node, uint64_t id)
{
    size_t i = 0;

    while (i < node->peer_count && node->peers[i].id != id)
        i++;
    if (i == LIMIT_MANAGERS)
        return NULL;
    if (i == node->peer_count)
        node->peers[node->peer_count++] = (struct raft_peer){.id = id};
    return &node->peers[i];
}

void raft_node_note_ack(struct raft_node *node, uint64_t peer, uint64_t seq)
{
    struct raft_peer *known = raft_node_leads(node) ? peer_of(node, peer) : NULL;

    if (known && seq > known->acked_seq)
        known->acked_seq = seq;
}

void raft_node_tell_commit(struct raft_node *node, uint64_t peer, uint64_t index)
{
    struct raft_peer *known = raft_node_leads(node) ? peer_of(node, peer) : NULL;

    if (known && index > known->tell)
        known->tell = index;
}

/* An empty Append behind the last entry that the peer has acknowledged: a heartbeat, out of turn.
 * It cannot be rejected, and carries our commit index. */
static int tell_commit(struct raft_node *node, struct raft_peer *peer)
{
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES, .server_id = peer->id};
    struct wire_frame wire;
    raft_index match;
    uint64_t term;
    bool known;
    int r;

    if (raft_match_index(&node->raft, peer->id, &match) != 0 || match <= peer->told)
        return 0;
    r = raft_node_term_at(node, match, &term);
    if (r < 0 || term == 0) /* 0: the entry is not kept any more. */
        return err_up(r);
    message.append_entries.term = raft_current_term(&node->raft);
    message.append_entries.prev_log_index = match;
    message.append_entries.prev_log_term = term;
    message.append_entries.leader_commit = node->commit_index;
    known = wire_encode(&message, node->config.self, &wire);
    must(known);
    wire.append.seq = ++node->seq;
    node->config.send(node->config.context, peer->id, &wire.frame);
    peer->told = match < node->commit_index ? match : node->commit_index;
    return 0;
}

int raft_node_tell_commits(struct raft_node *node)
{
    for (size_t i = 0; raft_node_leads(node) && i < node->peer_count; i++) {
        int r = 0;

        if (node->peers[i].tell > node->peers[i].told)
            r = tell_commit(node, &node->peers[i]);
        if (r < 0)
            return err_up(r);
    }
    return 0;
}

int raft_node_read(struct raft_node *node, uint64_t *out_round, uint64_t *out_index)
{
    struct wire_frame ping;

    if (!raft_node_ready(node))
        return RAFT_NODE_NOT_LEADER;
    *out_index = node->commit_index;
    *out_round = ++node->seq;
    wire_encode_ping(node->config.self, raft_node_term(node), *out_round, &ping);
    for (size_t i = 0; i < node->member_count; i++) {
        const struct member *member = &node->members[i];

        if (member->role == MEMBER_VOTER && member->id != node->config.self)
            node->config.send(node->config.context, member->id, &ping.frame);
    }
    return 0;
}

static bool has_acked(const struct raft_node *node, uint64_t id, uint64_t round)
{
    if (id == node->config.self)
        return true;
    for (size_t i = 0; i < node->peer_count; i++)
        if (node->peers[i].id == id)
            return node->peers[i].acked_seq >= round;
    return false;
}

bool raft_node_read_confirmed(const struct raft_node *node, uint64_t round)
{
    unsigned voters = 0, acked = 0;

    if (!raft_node_ready(node))
        return false;
    for (size_t i = 0; i < node->member_count; i++) {
        const struct member *member = &node->members[i];

        if (member->role != MEMBER_VOTER)
            continue;
        voters++;
        acked += has_acked(node, member->id, round);
    }
    return acked > voters / 2;
}
