/*
 * A control group for each task, where this machine and our rights allow: cpu and memory limits
 * for all its processes together, and a list of them that none can leave.
 *
 * Version 1 (the cpu and memory controllers), hybrid, and version 2. A task's group is made below
 * the one the agent itself is in, so what limits the agent limits its tasks. In version 2 a group
 * that holds processes cannot be divided, unless it is the root: then the agent moves into a
 * group of its own if it is alone there (systemd: Delegate=yes), or the tasks' groups go to the
 * top of the tree as Docker's do.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/scope.h"

enum {
    CGROUP_DIRS_MAX = 2, /* Version 1 has one directory for each controller. */
};

/* Where groups can be made. */
struct cgroup_base {
    bool unified; /* Version 2: dirs[0] alone. */
    size_t dir_count;
    char *dirs[CGROUP_DIRS_MAX]; /* Version 1: the cpu controller's, then memory's. */
};

/* 0 is no limit. */
struct cgroup_limits {
    uint32_t cpu;        /* Hard, in cpu units: 1,024 a core. */
    uint32_t cpu_weight; /* Share when cores are short, in cpu units. */
    uint64_t memory_bytes;
};

/* Find out whether groups can be made here. Gives in *out, also on failure an empty one. -errno
 * says why not: -ENOENT no controllers, -EACCES, -EROFS not ours to use, -EBUSY not divisible. */
int cgroup_base_find(struct cgroup_base *out);
void cgroup_base_fini(struct cgroup_base *base);

/* Make a task's group with its limits. Gives the directories, *out_count of them; the caller
 * frees each. On failure nothing of it is left. */
int cgroup_make(const struct cgroup_base *base, const char *task_id,
                const struct cgroup_limits *limits, char *out_dirs[CGROUP_DIRS_MAX],
                size_t *out_count);

/* Move the calling process into the group of this directory. */
int cgroup_join(const char *dir);

/* How often the kernel killed a process of the group because of its memory limit; 0 if unknown. */
uint64_t cgroup_oom_kills(const char *dir);

/* SIGKILL to all that is in the group. Returns how many processes there were. */
size_t cgroup_kill(const char *dir);

/* Remove the groups of tasks that nobody looks after any more: empty, and made at least so long
 * ago. Returns how many. (The group of a task that is being started is empty for a moment.) */
size_t cgroup_sweep(const struct cgroup_base *base, uint64_t older_than_s);

/* Remove an empty group. -EBUSY: it is not empty. Fine if it is not there. */
int cgroup_remove(const char *dir);
