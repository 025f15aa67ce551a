/*
 * The lab's directory: who may use it, and what is left when the lab is gone.
 *
 * DIR/lab.lock is locked for as long as a lab runs in DIR, by its daemon, or is being started or
 * cleared away. The lock goes with the process that holds it, however that ends.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/lab/record.h"

enum home_outcome {
    HOME_HELD = 1,  /* A lab runs there. */
    HOME_OTHER = 2, /* It holds something, and no lab. */
};

/* The directory a verb works on: what was asked for, or the default, as an absolute path. NULL,
 * after saying why, if there is none. Gives. */
char *home_dir(const char *program, const char *asked);

/* Is there nothing, an empty directory or a lab's? 0, HOME_OTHER, or -errno. */
int home_look(const char *dir);

/* Make the directory and those above it. *out_made: how many were not there, so that
 * home_unmake() can take them away again. -errno, and nothing made. */
int home_make(const char *dir, size_t *out_made);
void home_unmake(const char *dir, size_t made);

/* Lock it. Gives *out_fd, close-on-exec. HOME_HELD; -errno. */
int home_lock(const char *dir, int *out_fd);

/* Wait until its lock is free, for a bounded time. -ETIMEDOUT. */
int home_wait_free(const char *dir, unsigned bound_ms);

/* Remove everything in the directory; and the directory itself too. */
int home_empty(const char *dir);
int home_purge(const char *dir);

/* Was the lab's directory removed from under it? */
bool home_is_lost(const char *dir);

/* Is any process of the record, or any of its workers' tasks, alive? */
bool home_has_remains(const char *dir, const struct record *record);

/* Kill them. */
void home_kill_remains(const char *dir, const struct record *record);
