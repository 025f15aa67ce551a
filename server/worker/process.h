/*
 * Processes that are not our children: who they are, and signals that cannot hit another one.
 *
 * A pid is given out again when its process is gone. So a process is known by its pid and its
 * start time, it is signalled through a pidfd only, and the pidfd is opened before the identity
 * is checked: what the check saw is then what the signal reaches.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* When the process started, in clock ticks since boot. -ESRCH: there is none. */
int process_start_time(pid_t pid, uint64_t *out);

/* The parent of a process; -ESRCH: there is no such process. */
int process_parent(pid_t pid, pid_t *out);

/* Call each(context, pid) for every process of this machine that can be seen. */
void process_each(void (*each)(void *context, pid_t pid), void *context);

/* A pidfd of the process, if it is the one that started then. Gives *out_fd, close-on-exec.
 * -ESRCH: gone, or another one. */
int process_open(pid_t pid, uint64_t start_time, int *out_fd);

/* SIGKILL to all processes but our own that have this NAME=VALUE in the environment they were
 * started with. Returns how many there were: 0 means that none is left. */
size_t process_kill_marked(const char *marker);
