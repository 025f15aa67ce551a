/*
 * What a supervisor knows of its task, and decides: which container to start, when to stop the
 * others, when to lose patience, what to report.
 *
 * The world comes in as calls (a container ended, stop, the time) and the task acts through
 * shim_exec() and signals to its own children, which cannot be confused with other processes: a
 * child's pid is not given out again before the shim has reaped it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/scope.h"
#include "proto/supervise.pb-c.h"

struct shim_task;

/* Takes spec. Gives. */
struct shim_task *shim_task_new(Supervise__Spec *spec);
void shim_task_free(struct shim_task *task);

/* Start every container that waits for nothing any more. */
void shim_task_start(struct shim_task *task);

/* The agent wants the task stopped. Asking again changes nothing. */
void shim_task_stop(struct shim_task *task);

/* A child has ended and is a zombie still: true if it is a container's main process, whose
 * process group was then killed. `code` is its exit status, 128 + n for signal n. */
bool shim_task_exited(struct shim_task *task, pid_t pid, int code);

/* Kill what was given long enough to stop. Returns the milliseconds until the next such moment,
 * -1 if there is none. */
int shim_task_tick(struct shim_task *task);

/* No container runs, and none will. */
bool shim_task_is_over(const struct shim_task *task);

/* After that, and when no descendant is left: the task is STOPPED. */
void shim_task_end(struct shim_task *task);

/* The state as it should be on disk. Borrowed until the next call. */
const Supervise__State *shim_task_state(struct shim_task *task);

/* Whether that changed since it was last asked. */
bool shim_task_has_news(struct shim_task *task);

SCOPED(struct shim_task *, shim_task_free);
