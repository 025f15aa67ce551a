/*
 * The files of a worker's tasks, for those who only read: the command line and the lab.
 *
 * The worker documents them in server/worker/task_dir.h: DIR/tasks/ID/ is a task it knows,
 * DIR/ended/ID/ the logs of one that is over, and in the first its supervisor holds a record
 * lock on the file `lock` for as long as it lives.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "proto/base/scope.h"

enum task_files_outcome {
    TASK_FILES_ABSENT = 1,    /* No task whose id begins like this. */
    TASK_FILES_AMBIGUOUS = 2, /* Several. */
};

struct task_files {
    char *id;
    char *path; /* Of the task's directory. */
    bool ended; /* Only the logs are left. */
};

/* Where `cais lab` keeps its lab unless told otherwise: $CAIS_LAB_DIR, $XDG_STATE_HOME/cais/lab
 * or ~/.local/state/cais/lab. Gives; NULL if none of the three is set. */
char *task_files_lab_dir(void);

/* Find a task by its id, the beginning of it, or its ARN, in DIR: a worker's directory or a
 * lab's, which holds one of each worker. Fills *out, to be released with task_files_fini(). */
int task_files_find(const char *dir, const char *task, struct task_files *out);
void task_files_fini(struct task_files *files);

/* Call each(context, path) for every task in a worker's directory that is not over. None if
 * the worker has not made its directory yet. */
void task_files_each(const char *worker_dir, void (*each)(void *context, const char *path),
                     void *context);

/* The process that supervises the task in this directory; 0 if none lives. */
pid_t task_files_supervisor(const char *path);

static inline void task_files_fini_scoped(struct task_files *files)
{
    task_files_fini(files);
}
