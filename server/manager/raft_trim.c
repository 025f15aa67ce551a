/*
 * The log's beginning (Raft 5.1). The tables are the snapshot: what they contain, and a trail of
 * entries for followers that are a little behind, is all that is ever needed. Images for those
 * that are further behind travel elsewhere.
 */
#include <errno.h>

#include "proto/base/err.h"
#include "proto/base/must.h"
#include "server/manager/raft_internal.h"

/* So far may be trimmed: everything applied but the trail, and but what follows an image of ours.
 */
static uint64_t trim_limit(const struct raft_node *node)
{
    uint64_t keep = node->config.keep_entries;
    uint64_t to = node->applied.index > keep ? node->applied.index - keep : 0;

    return to < node->hold_index ? to : node->hold_index;
}

/* Tell the core that the state as of the newest applied entry can be sent instead of entries: it is
 * durable when anything of this turn leaves. */
static int forget(struct raft_node *node, uint64_t to)
{
    struct raft_event event = {.type = RAFT_SNAPSHOT};
    struct raft_snapshot_metadata *metadata = &event.snapshot.metadata;
    struct bytes stored;
    int r = log_configuration_get(node->txn, &stored);

    if (r != 0)
        return r < 0 ? err_up(r) : err_new(-EUCLEAN);
    r = raft_node_configuration_decode(stored, &metadata->configuration); /* Moves into the core. */
    if (r < 0)
        return err_up(r);
    metadata->index = node->applied.index;
    metadata->term = node->applied.term;
    metadata->configuration_index = node->applied.configuration_index;
    event.snapshot.trailing = (unsigned)(node->applied.index - to);
    node->trim_to = to;
    return err_up(raft_node_step(node, &event));
}

/* Rarely, and then in steps: a follower's answer must not wait for a large removal. */
int raft_node_trim(struct raft_node *node)
{
    uint64_t limit = trim_limit(node);
    uint64_t slack = node->config.keep_entries / 8;
    uint64_t removed;
    int r;

    if (limit > node->trim_to + slack && limit >= node->first_index) {
        r = forget(node, limit);
        if (r < 0)
            return err_up(r);
    }
    if (node->first_index > node->trim_to)
        return 0;
    r = log_trim(node->txn, node->trim_to, LIMIT_TRIM_ENTRIES, &removed);
    if (r < 0)
        return err_up(r);
    node->first_index += removed;
    return 0;
}

void raft_node_hold(struct raft_node *node, uint64_t index)
{
    node->hold_index = index;
}

int raft_node_installs(struct raft_node *node, uint64_t index, uint64_t term, bool *out)
{
    uint64_t ours = 0;
    int r = index > node->commit_index ? raft_node_term_at(node, index, &ours) : 0;

    *out = index > node->commit_index && ours != term;
    return err_up(r);
}

bool raft_node_snapshot_wanted(const struct raft_node *node, uint64_t *out_leader,
                               uint64_t *out_index)
{
    if (node->wanted.index <= node->commit_index || node->wanted.term != raft_node_term(node) ||
        node->wanted.leader != raft_node_leader(node))
        return false;
    *out_leader = node->wanted.leader;
    *out_index = node->wanted.index;
    return true;
}
