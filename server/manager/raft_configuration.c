/*
 * The configuration in force: the newest one in the log, committed or not (Raft 4.1).
 */
#include <errno.h>

#include "proto/base/err.h"
#include "server/manager/raft_internal.h"

int raft_node_configuration_decode(struct bytes bytes, struct raft_configuration *out)
{
    return wire_decode_configuration(bytes, out) ? 0 : err_new(-EUCLEAN);
}

int raft_node_configuration_set(struct raft_node *node, uint64_t index, struct bytes bytes)
{
    struct raft_configuration decoded;
    int r = raft_node_configuration_decode(bytes, &decoded);

    if (r < 0)
        return err_up(r);
    raft_configuration_close(&node->configuration);
    node->configuration = decoded;
    node->configuration_index = index;
    return 0;
}

/* The newest configuration in the log, or else the one the tables have. */
int raft_node_configuration_find(struct raft_node *node)
{
    struct log_entry entry;
    struct bytes stored;
    int r;

    for (uint64_t index = node->last_index; index > node->applied.configuration_index; index--) {
        r = log_get(node->txn, index, &entry);
        if (r < 0)
            return err_up(r);
        if (r == 0 && entry.type == RAFT_CHANGE)
            return err_up(raft_node_configuration_set(node, index, entry.data));
    }
    r = log_configuration_get(node->txn, &stored);
    if (r < 0)
        return err_up(r);
    if (r == LOG_ABSENT)
        return err_new(-EUCLEAN); /* A log without its first entry. */
    return err_up(raft_node_configuration_set(node, node->applied.configuration_index, stored));
}

bool raft_node_is_sole_voter(const struct raft_node *node)
{
    unsigned voters = 0;
    bool self = false;

    for (unsigned i = 0; i < node->configuration.n; i++) {
        if (node->configuration.servers[i].role != RAFT_VOTER)
            continue;
        voters++;
        self = self || node->configuration.servers[i].id == node->config.id;
    }
    return voters == 1 && self;
}
