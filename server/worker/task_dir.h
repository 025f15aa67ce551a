/*
 * Where a worker keeps what belongs to its tasks.
 *
 *   DIR/db/               the agent's database (worker_store.h)
 *   DIR/agent.sock        datagrams from the supervisors: the id of a task that changed
 *   DIR/tasks/ID/         a task this worker knows
 *     lock                  held by its supervisor for as long as it lives
 *     spec, state           proto/supervise.proto
 *     work/                 where its containers start, unless they say otherwise
 *     CONTAINER.stdout.log, CONTAINER.stderr.log
 *     shim.log              what the supervisor itself had to say, empty as a rule
 *   DIR/ended/ID/         only the logs, of a task that is over; the newest ENDED_KEPT are kept
 *
 * So a log is DIR/tasks/ID/CONTAINER.stdout.log, or the same under DIR/ended.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "proto/supervise.pb-c.h"

enum task_dir_limit {
    ENDED_KEPT = 100,
    TASK_FILE_MAX_BYTES = 1 << 20, /* A spec or state; a task definition is at most 64 KiB. */
};

enum task_dir_outcome {
    TASK_DIR_ABSENT = 1,  /* No such file. */
    TASK_DIR_DAMAGED = 2, /* There, but not what we wrote. */
    TASK_DIR_HELD = 3,    /* Another process has the lock. */
};

/* Make DIR and the directories in it that are not there yet. */
int task_dir_init(const char *dir);

/* DIR/tasks/ID. Gives. */
char *task_dir_path(const char *dir, const char *task_id);

/* Make a task's directory and its work/ in it; fine if they are there. */
int task_dir_make(const char *dir, const char *task_id);

/* Move the task's logs to ended/, remove the rest of it, and the oldest ended ones beyond
 * ENDED_KEPT. Fine if there is no such task. */
int task_dir_retire(const char *dir, const char *task_id);

/* Call each(context, id) for every directory in tasks/ that is named like a task. */
int task_dir_each(const char *dir, void (*each)(void *context, const char *task_id), void *context);

/* The files of the task directory `path`. Reading gives *out, to be freed with the message's
 * free_unpacked, and may come to TASK_DIR_ABSENT or TASK_DIR_DAMAGED. Writing replaces the file as
 * a whole: a reader sees the old or the new one. A state that was read has a report. */
int task_dir_read_spec(const char *path, Supervise__Spec **out);
int task_dir_write_spec(const char *path, const Supervise__Spec *spec);
int task_dir_read_state(const char *path, Supervise__State **out);
int task_dir_write_state(const char *path, const Supervise__State *state);

/* Take the supervisor's lock for this process. It ends with the process, or when *out_fd, or any
 * other descriptor of that file, is closed; children do not inherit it. TASK_DIR_HELD. */
int task_dir_lock(const char *path, int *out_fd);

/* The other process that holds the lock, or 0. */
pid_t task_dir_holder(const char *path);
