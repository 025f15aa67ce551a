/*
 * Who votes: the leader carries out what members.h advises, one change at a time, and says why.
 */
#include "proto/base/err.h"
#include "server/manager/core_internal.h"
#include "server/manager/members.h"
#include "server/net/log.h"

enum { LOOK_EVERY_MS = 20 };

static uint64_t silence(const struct core *core, uint64_t id)
{
    uint64_t heard_ms = raft_node_heard_ms(core->raft, id);

    if (id == core->config.id || core->now_ms < heard_ms)
        return 0;
    return core->now_ms - heard_ms;
}

static size_t look(const struct core *core, struct members_state out[LIMIT_MANAGERS])
{
    uint64_t last = raft_node_last_index(core->raft);
    size_t count;
    const struct member *members = raft_node_members(core->raft, &count, NULL);

    for (size_t i = 0; i < count; i++) {
        uint64_t match = raft_node_match(core->raft, members[i].id);

        out[i] = (struct members_state){
            .member = &members[i],
            .silent_ms = silence(core, members[i].id),
            .match_lag = match < last ? last - match : 0,
            .is_leader = members[i].id == core->config.id,
        };
    }
    return count;
}

static const char *reason_of(const struct core *core, enum members_change change,
                             const struct members_state *states, size_t count, uint64_t id)
{
    size_t voters = 0;
    bool lost = false;

    for (size_t i = 0; i < count; i++) {
        bool is_lost = states[i].silent_ms > core->config.manager_lost_ms;

        if (states[i].member->id == id && change == MEMBERS_DEMOTE)
            return is_lost ? "it is silent" : "others vote better spread over the zones";
        voters += states[i].member->role == MEMBER_VOTER;
        lost = lost || (is_lost && states[i].member->role == MEMBER_VOTER);
    }
    if (voters < core->config.voters)
        return "it has caught up, and voters are too few";
    return lost ? "a voter is silent" : "it spreads the voters over the zones";
}

static int carry_out(struct core *core, struct members_advice advice,
                     const struct members_state *states, size_t count)
{
    const struct member *members = raft_node_members(core->raft, &(size_t){0}, NULL);
    const struct member member = *member_find(members, count, advice.id);
    const char *reason = reason_of(core, advice.change, states, count, advice.id);
    bool promotes = advice.change == MEMBERS_PROMOTE;
    uint64_t index;
    int r =
        raft_node_assign(core->raft, advice.id, promotes ? MEMBER_VOTER : MEMBER_STANDBY, &index);

    if (r < 0)
        return err_up(r);
    if (r > 0)
        return 0; /* Busy: later. */
    if (promotes)
        log_info("member.promoted id=%llu name=%s zone=%s reason=\"%s\"",
                 (unsigned long long)member.id, member.name, member.zone, reason);
    else
        log_info("member.demoted id=%llu name=%s zone=%s reason=\"%s\"",
                 (unsigned long long)member.id, member.name, member.zone, reason);
    return 0;
}

int lead_members_turn(struct core *core)
{
    struct members_state states[LIMIT_MANAGERS] = {0};
    struct members_wish wish = {core->config.voters, core->config.manager_lost_ms};
    struct members_advice advice;
    size_t count;

    if (core->config.voters == 0 || core->now_ms < core->members_at_ms)
        return 0;
    core->members_at_ms = core->now_ms + LOOK_EVERY_MS;
    count = look(core, states);
    advice = members_advise(states, count, &wish);
    return advice.change == MEMBERS_NOTHING ? 0 : err_up(carry_out(core, advice, states, count));
}
