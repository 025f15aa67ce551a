/*
 * An API call on its way through the core: the one door between the API's threads and it.
 *
 * A thread that has parsed and validated a request fills a call and submits it. The core
 * proposes the change (on the leader), or hands the call to the leader (on a follower), or
 * confirms a read index; when the outcome is known it calls `done` once, on the core's thread:
 * `done` must only hand the call back to its thread. For a read, what it asks for is visible to
 * read transactions by then: the thread opens one and renders the answer. What a write has made
 * may not be visible yet (docs/decisions/0013): `collect` takes it from the core's own transaction.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/list.h"
#include "proto/command.pb-c.h"
#include "server/manager/member.h"

struct core;
struct txn;

enum call_outcome {
    CALL_DONE,      /* result is set; its problem, if any, is for the user. */
    CALL_NO_LEADER, /* Nothing was done: no leader, no majority, or too much waiting. */
    CALL_UNKNOWN,   /* It may or may not have been done: leadership was lost on the way, or time was
                       up. */
    CALL_STALE,     /* Read without confirmation, as the caller had asked. */
};

struct call {
    struct list link;                /* The core's while submitted. */
    const char *action;              /* Of ECS or of operator.proto, static. */
    bool write;                      /* Proposes a command; otherwise confirms a read. */
    bool stale;                      /* A read of this manager's own state is enough. */
    const ProtobufCMessage *request; /* Borrowed until done. Writes only. */
    /* In the turn in which a write is decided, on the core's thread, unless it was refused: take
     * what its answer needs from the tables, which contain it. NULL: nothing. */
    void (*collect)(struct call *call, const Command__CommandResult *result, struct txn *txn);
    void (*done)(struct call *call);

    /* Set by the core before done. */
    enum call_outcome outcome;
    Command__CommandResult *result; /* Gives. Writes that are CALL_DONE; otherwise NULL. */

    /* The core's own. */
    uint64_t number; /* Of this call, while it is with the leader. */
    uint64_t to;     /* Who that is. */
    uint64_t index;  /* Applied this far: answer. */
    uint64_t deadline_ms;
    uint64_t term;  /* In which a change of members began. */
    bool transfers; /* Waits for another to lead. */
};

/* Submit from any thread. Borrows the call until done. */
void core_submit(struct core *core, struct call *call);

/* What a status page tells; a copy, safe from any thread. */
struct core_status {
    uint64_t id;
    uint64_t leader; /* Manager id, 0: none known. */
    uint64_t term;
    uint64_t last_index;
    uint64_t commit_index;
    uint64_t applied_index; /* As far as read transactions show it. */
    bool ready;             /* Leads and has committed an entry of its term. */
    enum member_role role;  /* Of this manager, MEMBER_SPARE while it is no member. */
    char leader_name[LIMIT_NAME_CHARS + 1]; /* "" while there is no leader, or an unknown one. */
};
void core_status(struct core *core, struct core_status *out);
