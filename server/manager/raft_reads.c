/*
 * ReadIndex (Raft 6.4): every Append and Ping carries a growing seq; a peer that answers within
 * the term confirms that it knew of no newer one when it did. A majority of such answers to a
 * seq sent after a read began proves that no other leader had committed anything by then.
 */
#include "proto/base/must.h"
#include "server/manager/raft_internal.h"

void raft_node_forget_acks(struct raft_node *node)
{
    node->peer_count = 0;
}

void raft_node_note_ack(struct raft_node *node, uint64_t peer, uint64_t seq)
{
    size_t i = 0;

    if (!raft_node_leads(node))
        return;
    while (i < node->peer_count && node->peers[i].id != peer)
        i++;
    if (i == LIMIT_MANAGERS)
        return;
    if (i == node->peer_count)
        node->peers[node->peer_count++] = (struct raft_peer){.id = peer};
    if (seq > node->peers[i].acked_seq)
        node->peers[i].acked_seq = seq;
}

int raft_node_read(struct raft_node *node, uint64_t *out_round, uint64_t *out_index)
{
    struct wire_frame ping;

    if (!raft_node_ready(node))
        return RAFT_NODE_NOT_LEADER;
    *out_index = node->commit_index;
    *out_round = ++node->seq;
    wire_encode_ping(node->config.id, raft_node_term(node), *out_round, &ping);
    for (unsigned i = 0; i < node->configuration.n; i++) {
        const struct raft_server *server = &node->configuration.servers[i];

        if (server->role == RAFT_VOTER && server->id != node->config.id)
            node->config.send(node->config.context, server->id, &ping.frame);
    }
    return 0;
}

static bool has_acked(const struct raft_node *node, uint64_t id, uint64_t round)
{
    if (id == node->config.id)
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
    for (unsigned i = 0; i < node->configuration.n; i++) {
        const struct raft_server *server = &node->configuration.servers[i];

        if (server->role != RAFT_VOTER)
            continue;
        voters++;
        acked += has_acked(node, server->id, round);
    }
    return acked > voters / 2;
}
