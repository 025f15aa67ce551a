/*
 * Changes of the members, one at a time (Raft 4.1), and of the leader (Raft 3.10).
 */
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/must.h"
#include "server/manager/raft_internal.h"

/* Rule 2, and one change at a time: the core refuses the next one until it has been told that the
 * last is committed. */
static int may_change(const struct raft_node *node)
{
    if (!raft_node_leads(node))
        return RAFT_NODE_NOT_LEADER;
    if (!raft_node_ready(node) || raft_node_room(node) == 0 ||
        node->configured_index < node->configuration_index)
        return RAFT_NODE_BUSY;
    return 0;
}

/* Rule 7: a configuration is submitted alone. Members keep their order, new ones come last: the
 * core finds what it knows of each by position. */
static int change(struct raft_node *node, const struct member *members, size_t count,
                  uint64_t *out_index)
{
    struct raft_buffer encoded;
    struct raft_entry entry = {.type = RAFT_CHANGE};
    int r;

    raft_node_configuration_encode(members, count, &encoded);
    entry.term = raft_current_term(&node->raft);
    entry.buf = encoded;
    entry.batch = encoded.base;
    *out_index = node->last_index + 1;
    r = raft_node_submit_entries(node, &entry, 1);
    raft_free(encoded.base);
    return err_up(r);
}

static size_t voters_but(const struct raft_node *node, uint64_t id)
{
    size_t count = 0;

    for (size_t i = 0; i < node->member_count; i++)
        count += node->members[i].role == MEMBER_VOTER && node->members[i].id != id;
    return count;
}

int raft_node_add(struct raft_node *node, const struct member *member, uint64_t *out_index)
{
    struct member members[LIMIT_MANAGERS];
    char text[MEMBER_TEXT], other[MEMBER_TEXT];
    int r = may_change(node);

    must(member_id_is_valid(member->id));
    member_format(member, text);
    for (size_t i = 0; i < node->member_count; i++)
        if (node->members[i].id == member->id ||
            strcmp(member_format(&node->members[i], other), text) == 0)
            return RAFT_NODE_EXISTS;
    if (r != 0)
        return r;
    if (node->member_count == LIMIT_MANAGERS)
        return RAFT_NODE_BUSY;
    memcpy(members, node->members, node->member_count * sizeof *members);
    members[node->member_count] = *member;
    members[node->member_count].role = MEMBER_STANDBY;
    return err_up(change(node, members, node->member_count + 1, out_index));
}

int raft_node_assign(struct raft_node *node, uint64_t id, enum member_role role,
                     uint64_t *out_index)
{
    struct member members[LIMIT_MANAGERS];
    const struct member *found = member_find(node->members, node->member_count, id);
    int r = may_change(node);

    must(role == MEMBER_STANDBY || role == MEMBER_VOTER); /* Never back to a spare. */
    if (!found)
        return RAFT_NODE_ABSENT;
    if (found->role == role)
        return RAFT_NODE_EXISTS;
    if (voters_but(node, id) == 0 && role != MEMBER_VOTER)
        return RAFT_NODE_LAST_VOTER;
    if (r != 0)
        return r;
    memcpy(members, node->members, node->member_count * sizeof *members);
    members[found - node->members].role = role;
    return err_up(change(node, members, node->member_count, out_index));
}

int raft_node_remove(struct raft_node *node, uint64_t id, uint64_t *out_index)
{
    struct member members[LIMIT_MANAGERS];
    size_t count = 0;
    int r = may_change(node);

    if (!member_find(node->members, node->member_count, id))
        return RAFT_NODE_ABSENT;
    if (voters_but(node, id) == 0)
        return RAFT_NODE_LAST_VOTER;
    if (r != 0)
        return r;
    for (size_t i = 0; i < node->member_count; i++)
        if (node->members[i].id != id)
            members[count++] = node->members[i];
    return err_up(change(node, members, count, out_index));
}

/* ---- transfer */

static bool may_follow(const struct raft_node *node, const struct member *member)
{
    return member->role == MEMBER_VOTER && member->id != node->config.self;
}

/* The voter that has most of the log, of those heard lately if there are any. */
static uint64_t best_follower(const struct raft_node *node)
{
    uint64_t best = 0, best_match = 0;
    bool best_answers = false;

    for (size_t i = 0; i < node->member_count; i++) {
        const struct member *member = &node->members[i];
        uint64_t match = raft_node_match(node, member->id);
        bool answers = node->now_ms < node->heard_ms[i] + node->config.election_ms;

        if (!may_follow(node, member))
            continue;
        if (best == 0 || answers > best_answers ||
            (answers == best_answers && match > best_match)) {
            best = member->id;
            best_match = match;
            best_answers = answers;
        }
    }
    return best;
}

int raft_node_transfer(struct raft_node *node, uint64_t id)
{
    const struct member *to;

    if (!raft_node_leads(node))
        return RAFT_NODE_NOT_LEADER;
    to = member_find(node->members, node->member_count, id != 0 ? id : best_follower(node));
    if (!to || !may_follow(node, to))
        return RAFT_NODE_ABSENT;
    if (may_change(node) != 0)
        return RAFT_NODE_BUSY;
    node->transfer.to = to->id;
    node->transfer.began_ms = node->now_ms;
    node->transfer.sent = false;
    return 0;
}

bool raft_node_transferring(const struct raft_node *node)
{
    return raft_node_leads(node) &&
           (node->transfer.to != 0 || raft_transferee((struct raft *)&node->raft) != 0);
}

/* Rule 12: only a server that has everything is told to campaign: another would ignore it, and hold
 * everybody up until it lapses. */
int raft_node_pump_transfer(struct raft_node *node)
{
    struct raft_event event = {.type = RAFT_TRANSFER};

    if (!raft_node_leads(node) || node->transfer.to == 0)
        return 0;
    if (node->now_ms >= node->transfer.began_ms + node->config.election_ms) {
        node->transfer.to = 0; /* It lapses. The core gives up by its own clock. */
        return 0;
    }
    /* And only when all is committed, so that no caller is left in doubt. */
    if (node->transfer.sent || node->commit_index < node->last_index ||
        raft_node_match(node, node->transfer.to) != node->last_index)
        return 0;
    event.transfer.server_id = node->transfer.to;
    node->transfer.sent = true;
    return err_up(raft_node_step(node, &event));
}
