/*
 * Bringing a lab up, as its verb sees it: start the daemon, wait until the lab is ready to be
 * used, end it again if that does not happen.
 */
#pragma once

#include "server/lab/layout.h"

enum {
    READY_BOUND_MS = 60 * 1000, /* For a leader and all workers. */
};

/* From here on SIGINT, SIGTERM and SIGHUP wait to be noticed by ready_wait(), so that what was
 * started is ended again before the verb is. */
void ready_hold_signals(void);

/* Start `cais lab daemon` for the directory, detached from this terminal, with the lock as its
 * own, and hear from it. *out_problem is what it could not do, NULL if it runs; gives. -errno:
 * it could not be started. */
int ready_start_daemon(const char *dir, int lock_fd, char **out_problem);

/* Wait until a manager leads, all have joined and as many vote as should, and every worker is
 * ACTIVE and connected. Gives what went wrong
 * instead, as a sentence; NULL if nothing. */
char *ready_wait(const char *dir, const struct layout *layout);

/* Take the lab in this directory down, if one runs, and wait until its daemon has ended. */
void ready_end_daemon(const char *dir);
