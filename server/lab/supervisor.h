/*
 * The supervisor: starts the nodes' real processes, knows when they end, and sends them signals.
 *
 * A node that dies stays dead until it is told to start again: a lab that mends itself would
 * hide what it is there to show. Who runs is kept in the record (server/lab/record.h), which
 * is saved at each change.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "server/lab/layout.h"
#include "server/lab/proc.h"
#include "server/lab/record.h"

struct supervisor;

struct supervisor_options {
    const struct layout *layout; /* Borrowed, as all here, until it is freed. */
    const char *dir;    /* A node's own files are in DIR/<name>, its output in DIR/<name>/log. */
    const char *binary; /* cais. */
    struct record *record;

    /* A node runs, or has ended, by itself or not. */
    void (*changed)(void *owner, size_t node, bool running);
    void *owner;
};

/* Gives. */
struct supervisor *supervisor_new(uv_loop_t *loop, const struct supervisor_options *options);

/* Every node must have ended. NULL is fine. */
void supervisor_free(struct supervisor *supervisor);

/* Start a node that is not running. -errno: what the system said. */
int supervisor_start(struct supervisor *supervisor, size_t node);

/* Signal a node and wait, for a moment, until it shows: killed is gone, stopped is stopped.
 * -ESRCH: it does not run. */
int supervisor_signal(struct supervisor *supervisor, size_t node, int signal);

enum proc_state supervisor_state(const struct supervisor *supervisor, size_t node);

/* Its pid, or 0. */
pid_t supervisor_pid(const struct supervisor *supervisor, size_t node);

/* How many nodes run, stopped ones included. */
size_t supervisor_running(const struct supervisor *supervisor);
