/*
 * The configuration in force: the newest one in the log, committed or not (Raft 4.1).
 */
#include <errno.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/must.h"
#include "server/manager/raft_internal.h"

int raft_node_configuration_decode(struct bytes bytes, struct raft_configuration *out)
{
    return wire_decode_configuration(bytes, out) ? 0 : err_new(-EUCLEAN);
}

void raft_node_configuration_encode(const struct member *members, size_t count,
                                    struct raft_buffer *out)
{
    struct raft_configuration configuration;
    char text[MEMBER_TEXT];

    raft_configuration_init(&configuration);
    for (size_t i = 0; i < count; i++)
        worked(raft_configuration_add(&configuration, members[i].id,
                                      member_format(&members[i], text), (int)members[i].role));
    worked(raft_configuration_encode(&configuration, out));
    raft_configuration_close(&configuration);
}

static void take_members(struct raft_node *node, const struct raft_configuration *from)
{
    uint64_t heard_ms[LIMIT_MANAGERS];

    must(from->n <= LIMIT_MANAGERS);
    for (unsigned i = 0; i < from->n; i++) {
        heard_ms[i] = raft_node_heard_ms(node, from->servers[i].id);
        if (heard_ms[i] == 0)
            heard_ms[i] = node->now_ms;
    }
    memcpy(node->heard_ms, heard_ms, sizeof *heard_ms * from->n);
    node->member_count = from->n;
    for (unsigned i = 0; i < from->n; i++) {
        struct member *member = &node->members[i];

        member->id = from->servers[i].id;
        member->role = (enum member_role)from->servers[i].role;
        worked(member_parse(from->servers[i].address, member)); /* Decoding has seen to it. */
    }
}

int raft_node_configuration_set(struct raft_node *node, uint64_t index, struct bytes bytes)
{
    struct raft_configuration decoded;
    int r = raft_node_configuration_decode(bytes, &decoded);

    if (r < 0)
        return err_up(r);
    take_members(node, &decoded);
    raft_configuration_close(&decoded);
    node->configuration_index = index;
    return 0;
}

/* The newest configuration in the log, or else the one the tables have. */
int raft_node_configuration_find(struct raft_node *node)
{
    struct log_entry entry;
    struct bytes stored;
    uint64_t end = node->applied.configuration_index + 1;
    int r;

    if (end < node->first_index)
        end = node->first_index;
    for (uint64_t index = node->last_index; index >= end; index--) {
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

    for (size_t i = 0; i < node->member_count; i++) {
        if (node->members[i].role != MEMBER_VOTER)
            continue;
        voters++;
        self = self || node->members[i].id == node->config.self;
    }
    return voters == 1 && self;
}

/* ---- questions */

const struct member *raft_node_members(const struct raft_node *node, size_t *out_count,
                                       uint64_t *out_index)
{
    *out_count = node->member_count;
    if (out_index)
        *out_index = node->configuration_index;
    return node->members;
}

uint64_t raft_node_match(const struct raft_node *node, uint64_t id)
{
    raft_index match = 0;

    if (!raft_node_leads(node) || !member_find(node->members, node->member_count, id) ||
        raft_match_index((struct raft *)&node->raft, id, &match) != 0)
        return 0;
    return match;
}

void raft_node_note_contact(struct raft_node *node, uint64_t id)
{
    for (size_t i = 0; i < node->member_count; i++)
        if (node->members[i].id == id)
            node->heard_ms[i] = node->now_ms;
}

uint64_t raft_node_heard_ms(const struct raft_node *node, uint64_t id)
{
    for (size_t i = 0; i < node->member_count; i++)
        if (node->members[i].id == id)
            return node->heard_ms[i];
    return 0;
}

bool raft_node_is_member(const struct raft_node *node)
{
    return member_find(node->members, node->member_count, node->config.self) != NULL;
}

uint64_t raft_node_id(const struct raft_node *node)
{
    return node->config.self;
}
