#include "server/manager/members.h"

#include <string.h>

/* A stand-by that lacks no more than this is as good as caught up: the rest is on its way. */
enum { LAG_MAX = 64 };

static bool is_voter(const struct members_state *state)
{
    return state->member->role == MEMBER_VOTER;
}

static bool is_alive(const struct members_state *state, uint64_t lost_ms)
{
    return state->is_leader || state->silent_ms <= lost_ms;
}

static bool can_vote(const struct members_state *state, uint64_t lost_ms)
{
    return is_alive(state, lost_ms) && state->match_lag <= LAG_MAX;
}

static size_t voter_count(const struct members_state *states, size_t count)
{
    size_t voters = 0;

    for (size_t i = 0; i < count; i++)
        voters += is_voter(&states[i]);
    return voters;
}

/* Those that are alive: a lost one is to be replaced, wherever it is. */
static size_t voters_in(const struct members_state *states, size_t count, const char *zone,
                        uint64_t lost_ms)
{
    size_t voters = 0;

    for (size_t i = 0; i < count; i++)
        voters += is_voter(&states[i]) && is_alive(&states[i], lost_ms) &&
                  strcmp(states[i].member->zone, zone) == 0;
    return voters;
}

/* So many voters acknowledge what is new. */
static size_t able_voters(const struct members_state *states, size_t count, uint64_t lost_ms)
{
    size_t able = 0;

    for (size_t i = 0; i < count; i++)
        able += is_voter(&states[i]) && is_alive(&states[i], lost_ms);
    return able;
}

bool members_may_lose(const struct members_state *states, size_t count, uint64_t lost_ms,
                      uint64_t id)
{
    size_t voters = voter_count(states, count);
    size_t able = able_voters(states, count, lost_ms);

    for (size_t i = 0; i < count; i++) {
        if (states[i].member->id != id)
            continue;
        if (!is_voter(&states[i]))
            return true;
        able -= is_alive(&states[i], lost_ms);
        return voters > 1 && able > (voters - 1) / 2;
    }
    return false;
}

/* ---- whom to promote */

/* Fewer voters in its zone first, then the order of the configuration. */
static const struct members_state *best_standby(const struct members_state *states, size_t count,
                                                uint64_t lost_ms)
{
    const struct members_state *best = NULL;
    size_t best_in_zone = 0;

    for (size_t i = 0; i < count; i++) {
        size_t in_zone = voters_in(states, count, states[i].member->zone, lost_ms);

        if (is_voter(&states[i]) || !can_vote(&states[i], lost_ms))
            continue;
        if (best && in_zone >= best_in_zone)
            continue;
        best = &states[i];
        best_in_zone = in_zone;
    }
    return best;
}

/* ---- whom to demote */

/* A voter of a zone with most of the voters; the leader last, then the end of the configuration
 * first. */
static const struct members_state *spare_voter(const struct members_state *states, size_t count,
                                               uint64_t lost_ms)
{
    const struct members_state *worst = NULL;
    size_t worst_in_zone = 0;

    for (size_t i = 0; i < count; i++) {
        size_t in_zone = voters_in(states, count, states[i].member->zone, lost_ms);

        if (!is_voter(&states[i]))
            continue;
        if (worst && (in_zone < worst_in_zone ||
                      (in_zone == worst_in_zone && states[i].is_leader && !worst->is_leader)))
            continue;
        worst = &states[i];
        worst_in_zone = in_zone;
    }
    return worst;
}

static const struct members_state *lost_voter(const struct members_state *states, size_t count,
                                              uint64_t lost_ms)
{
    for (size_t i = 0; i < count; i++)
        if (is_voter(&states[i]) && !is_alive(&states[i], lost_ms))
            return &states[i];
    return NULL;
}

/* Would a swap of two voters leave fewer of them in the fullest zone? Only by two or more in its
 * favour: else they would be swapped back. */
static bool spreads(const struct members_state *states, size_t count,
                    const struct members_state *in, const struct members_state *out,
                    uint64_t lost_ms)
{
    size_t to = voters_in(states, count, in->member->zone, lost_ms);
    size_t from = voters_in(states, count, out->member->zone, lost_ms);

    return from >= to + 2 && from * 2 > voter_count(states, count);
}

static struct members_advice advice(enum members_change change, const struct members_state *state)
{
    return (struct members_advice){change, state->member->id};
}

static struct members_advice too_many(const struct members_state *states, size_t count,
                                      const struct members_wish *wish)
{
    const struct members_state *out = lost_voter(states, count, wish->lost_ms);

    if (!out)
        out = spare_voter(states, count, wish->lost_ms);
    if (!out || !members_may_lose(states, count, wish->lost_ms, out->member->id))
        return (struct members_advice){MEMBERS_NOTHING, 0};
    return advice(MEMBERS_DEMOTE, out);
}

/* Promote first, then demote: there is never one voter less than before. */
struct members_advice members_advise(const struct members_state *states, size_t count,
                                     const struct members_wish *wish)
{
    size_t voters = voter_count(states, count);
    const struct members_state *in = best_standby(states, count, wish->lost_ms);
    const struct members_state *out;

    if (voters > wish->voters)
        return too_many(states, count, wish);
    if (!in || able_voters(states, count, wish->lost_ms) <= voters / 2)
        return (struct members_advice){MEMBERS_NOTHING, 0}; /* Nothing could be committed. */
    if (voters < wish->voters)
        return advice(MEMBERS_PROMOTE, in);
    if (lost_voter(states, count, wish->lost_ms))
        return advice(MEMBERS_PROMOTE, in);
    out = spare_voter(states, count, wish->lost_ms);
    if (out && spreads(states, count, in, out, wish->lost_ms))
        return advice(MEMBERS_PROMOTE, in);
    return (struct members_advice){MEMBERS_NOTHING, 0};
}
