/*
 * Time: heartbeats, elections, and campaigns before the election timer is over, when the leader is
 * known to be lost (docs/consensus.md).
 */
#include "proto/base/err.h"
#include "server/manager/raft_internal.h"

enum {
    CAMPAIGNS_MAX = 3, /* More of them, on a slow network, keep elections from ending. */
    CAMPAIGN_FIRST_MS = 4,
    CAMPAIGN_RANK_MS = 20,
    CAMPAIGN_JITTER_MS = 6,
    CAMPAIGN_GAP_MS = 100,
};

/* Our rank among the voters that may follow the lost leader, by the order of the configuration: the
 * first campaigns first. */
static unsigned rank(const struct raft_node *node)
{
    unsigned before = 0;

    for (size_t i = 0; i < node->member_count && node->members[i].id != node->config.self; i++)
        if (node->members[i].role == MEMBER_VOTER && node->members[i].id != node->lost_leader)
            before++;
    return before;
}

void raft_node_peer_lost(struct raft_node *node, uint64_t peer)
{
    if (raft_node_leads(node) || peer == 0 || raft_node_leader(node) != peer)
        return;
    if (node->lost_leader == peer)
        return;
    node->lost_leader = peer;
    node->campaigns = 0;
    node->campaign_at_ms = node->now_ms + CAMPAIGN_FIRST_MS + CAMPAIGN_RANK_MS * rank(node) +
                           rng_below(&node->rng, CAMPAIGN_JITTER_MS);
}

/* Let the election timer be over: the core's clock is its own, so ours may run ahead of the turn's.
 */
static void campaign_early(struct raft_node *node)
{
    uint64_t due = raft_timeout(&node->raft);

    if (raft_node_leads(node) || node->lost_leader == 0) {
        node->campaign_at_ms = 0;
        return;
    }
    if (due > node->now_ms + node->skew_ms)
        node->skew_ms = due - node->now_ms;
    node->campaigns++;
    node->campaign_at_ms = node->campaigns < CAMPAIGNS_MAX
                               ? node->now_ms + ((uint64_t)CAMPAIGN_GAP_MS << node->campaigns)
                               : 0;
}

/* Silence for a whole election timeout is a lost connection that nobody reported: the same ranked
 * campaign, instead of a timer that chance sets to up to twice as much. */
static uint64_t silent_at(const struct raft_node *node)
{
    if (raft_node_leads(node) || node->lost_leader != 0 || raft_node_leader(node) == 0)
        return UINT64_MAX;
    return node->leader_heard_ms + node->config.election_ms;
}

/* Rule 5: the others were left out, or made stand-bys, by the leader of this very term, and the
 * core would lead the same one. Beginning anew, we lead the next. */
static int lead_alone(struct raft_node *node)
{
    struct log_vote vote = {.term = raft_current_term(&node->raft),
                            .voted_for = raft_voted_for(&node->raft)};

    return err_up(raft_node_reopen(node, &vote));
}

int raft_node_tick(struct raft_node *node)
{
    struct raft_event event = {.type = RAFT_TIMEOUT};

    if (node->now_ms >= silent_at(node))
        raft_node_peer_lost(node, raft_node_leader(node));
    if (node->campaign_at_ms != 0 && node->now_ms >= node->campaign_at_ms)
        campaign_early(node);
    if (node->now_ms + node->skew_ms < raft_timeout(&node->raft))
        return 0; /* Rule 13: never before it is due. */
    if (raft_node_is_sole_voter(node) && raft_state(&node->raft) == RAFT_FOLLOWER)
        return err_up(lead_alone(node));
    return err_up(raft_node_step(node, &event));
}

uint64_t raft_node_deadline(const struct raft_node *node)
{
    uint64_t due = raft_timeout((struct raft *)&node->raft);
    uint64_t at = due > node->skew_ms ? due - node->skew_ms : 0;

    if (node->campaign_at_ms != 0 && node->campaign_at_ms < at)
        at = node->campaign_at_ms;
    return silent_at(node) < at ? silent_at(node) : at;
}
