/*
 * The state machine: (write transaction, log index, command) -> result, and what changed.
 *
 * Deterministic: reads the command and the tables, nothing else; the same log gives the same
 * tables on every manager. Total: any bytes in any state end in a result, never in a must(); a
 * command that makes no sense, or no longer does, is refused with a Problem and changes nothing.
 */
#pragma once

#include "proto/command.pb-c.h"
#include "storage/env.h"

/* What a command touched, so that views and dispatch can follow: each at most once a command,
 * in the order of these kinds and then of seq. */
enum change_kind {
    CHANGE_CLUSTER,   /* seq of a cluster */
    CHANGE_SERVICE,   /* seq of a service, or of one whose deployments or counts changed */
    CHANGE_TASK,      /* seq of a task: new, another state, or another desire */
    CHANGE_TASK_GONE, /* seq of a task that was forgotten */
    CHANGE_WORKER,    /* seq of a worker: record or usage */
};

struct change {
    enum change_kind kind;
    uint64_t seq;
};

struct changes {
    struct change *items;
    size_t count;
    size_t cap;
};

void changes_fini(struct changes *changes);

/* Apply one command at `index`. Appends to changes. Gives *out (NULL is fine to pass), to be freed
 * with command__command_result__free_unpacked(). Fails only as storage fails (-ENOSPC, -EUCLEAN,
 * ...): the transaction must then be aborted. */
int apply(struct txn *txn, uint64_t index, struct bytes command, struct changes *changes,
          Command__CommandResult **out);
