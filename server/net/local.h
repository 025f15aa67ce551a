/*
 * Sockets of the Unix domain by directory and name: for talking to a process of this machine whose
 * directory one may enter.
 *
 * A socket's address holds 107 characters. A longer path is reached through /proc/self/fd, the
 * directory being open, so any directory will do.
 */
#pragma once

#define OPERATOR_SOCKET "operator.sock" /* In a manager's directory. */

/* Listen on DIR/NAME, for the owner only (mode 0600). One that is there is removed: call this only
 * where nobody else may serve that directory. *out is non-blocking. */
int local_listen(const char *dir, const char *name, int backlog, int *out);

/* Connect to it. *out is non-blocking. -ENOENT, -ECONNREFUSED: nobody serves there. */
int local_dial(const char *dir, const char *name, int *out);

/* Remove it; that there is none is fine. */
void local_remove(const char *dir, const char *name);
