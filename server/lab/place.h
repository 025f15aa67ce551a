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

enum place_outcome {
    PLACE_HELD = 1,  /* A lab runs there. */
    PLACE_OTHER = 2, /* It holds something, and no lab. */
};

/* The directory a verb works on: what was asked for, or the default, as an absolute path. NULL,
 * after saying why, if there is none. Gives. */
char *place_dir(const char *program, const char *asked);

/* Is there nothing, an empty directory or a lab's? 0, PLACE_OTHER, or -errno. */
int place_look(const char *dir);

/* Make the directory and those above it. *out_made: how many were not there, so that
 * place_unmake() can take them away again. -errno, and nothing made. */
int place_make(const char *dir, size_t *out_made);
void place_unmake(const char *dir, size_t made);

/* Lock it. Gives *out_fd, close-on-exec. PLACE_HELD; -errno. */
int place_lock(const char *dir, int *out_fd);

/* Wait until its lock is free, for a bounded time. -ETIMEDOUT. */
int place_wait_free(const char *dir, unsigned bound_ms);

/* Remove everything in the directory; and the directory itself too. */
int place_empty(const char *dir);
int place_purge(const char *dir);

/* Is any process of the record, or any of its workers' tasks, alive? */
bool place_has_remains(const char *dir, const struct record *record);

/* Kill them. */
void place_kill_remains(const char *dir, const struct record *record);
