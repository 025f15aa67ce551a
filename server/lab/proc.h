/*
 * Processes as the lab breaks them: known by pid and start time, since a pid is given out
 * again, and signalled through a pidfd, so that a signal cannot hit a successor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc {
    pid_t pid;           /* 0: none. */
    uint64_t start_time; /* In clock ticks since boot, as /proc tells. */
};

enum proc_state {
    PROC_GONE, /* Not there, another one by now, or only waiting to be reaped. */
    PROC_RUNNING,
    PROC_STOPPED, /* By SIGSTOP. */
};

/* Who has this pid now. -ESRCH: nobody. */
int proc_identify(pid_t pid, struct proc *out);

enum proc_state proc_state(const struct proc *proc);

/* Send a signal. -ESRCH: it is gone. */
int proc_signal(const struct proc *proc, int signal);

/* Call each(context, pid) for every process that can be seen. */
void proc_each(void (*each)(void *context, pid_t pid), void *context);

/* The words a process was started with, one after the other, each with its NUL; what does not
 * fit is left out, and after the last there are three more NULs. -ESRCH. */
enum { PROC_COMMAND_SIZE = 4096 };
int proc_command(pid_t pid, char out[PROC_COMMAND_SIZE]);

/* Send a signal to every descendant of the process, whatever sessions and groups they made,
 * but not to itself. Returns how many were alive. Complete if the process is stopped and
 * adopts its descendants' children (a child subreaper, as a task's supervisor is). */
size_t proc_signal_descendants(const struct proc *proc, int signal);
