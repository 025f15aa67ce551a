/*
 * Who should vote: the leader's policy about members, as a pure function.
 *
 * The wish: as many voters as wanted, all of them alive, at most half of them in
 * one zone whenever the managers there are allow it. Only one member is changed at a time, a
 * voter that is lost is replaced before it is left out, and no change is proposed that takes from
 * the voters that are alive their majority.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/manager/member.h"

struct members_state {
    const struct member *member; /* Borrowed. */
    uint64_t silent_ms;          /* Since its last sign of life; 0 for the leader. */
    uint64_t match_lag;          /* Entries that it lacks of what the leader has. */
    bool is_leader;
};

struct members_wish {
    size_t voters;    /* Wanted. */
    uint64_t lost_ms; /* A member silent for longer is lost. */
};

enum members_change {
    MEMBERS_NOTHING,
    MEMBERS_PROMOTE, /* Make it a voter. */
    MEMBERS_DEMOTE,  /* Make it a stand-by. */
};

struct members_advice {
    enum members_change change;
    uint64_t id;
};

/* The next change, or none. The same states give the same advice; what follows from taking it again
 * and again ends. */
struct members_advice members_advise(const struct members_state *states, size_t count,
                                     const struct members_wish *wish);

/* May this member be left out, or made a stand-by, without taking the majority from those that are
 * alive? False for one that is none. A member that does not vote may always go. */
bool members_may_lose(const struct members_state *states, size_t count, uint64_t lost_ms,
                      uint64_t id);
