/*
 * The operator's actions on managers: who may leave, vote or lead, asked of the leader.
 *
 * They are calls like any other (call.h) but propose no command: a change of members is an entry
 * of Raft's own. The leader refuses what would cost the cluster its majority; the answer comes
 * when the change is committed, or when another manager leads.
 */
#pragma once

#include <stdbool.h>

#include "proto/operator.pb-c.h"
#include "server/manager/member.h"

/* The request of such an action, by its name; NULL for any other. */
const ProtobufCMessageDescriptor *manage_request(const char *action);

enum manage_change { MANAGE_REMOVE, MANAGE_PROMOTE, MANAGE_DEMOTE };

/* What the leader knows of its members. */
struct manage_view {
    const struct member *members;
    const bool *answers; /* As many; the leader itself does. */
    size_t count;
};

/* Would the voters that remain, or come to be, have a majority that answers? Returns NULL if so,
 * else the reason, which the caller frees. target: index into members. */
char *manage_objection(const struct manage_view *view, size_t target, enum manage_change change);

/* "m1, m2 and m3". Gives. */
char *manage_names(const struct member *members, size_t count);
