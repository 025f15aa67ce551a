/*
 * A model of a disk under power loss: fed with a trace, it can write down, at any point, one of
 * the states in which the directory may be found when the power comes back.
 *
 * What it promises is what POSIX and Linux file systems do, and nothing more:
 * 1. What was written to a file before its last fsync or fdatasync is there.
 * 2. A write through O_DSYNC or O_SYNC is there once it returned, and says nothing of others.
 * 3. Of every other write, any sectors of 512 bytes may be there, in any combination.
 * 4. A name is durable once its directory was synced, not by syncing the file. Until then, the
 *    changes to one directory are there up to some point in their order; of two directories,
 *    each up to a point of its own. A rename, or an exchange, is there or not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/rng.h"
#include "proto/base/scope.h"
#include "tests/crash/trace.h"

/* What a disk, or a program, that does not keep the promises would do: to see a test fail. */
enum disk_mutant {
    DISK_HONEST,
    DISK_NO_SYNC,      /* Syncing a file does nothing, and O_DSYNC is not there. */
    DISK_NO_META_SYNC, /* O_DSYNC is not there. */
    DISK_NO_DIR_SYNC,  /* Syncing a directory does nothing. */
};

struct disk;

struct disk *disk_new(enum disk_mutant mutant); /* Gives. */
void disk_free(struct disk *disk);

/* What follows the event in the trace. Borrowed by disk_feed. */
struct disk_bytes {
    const char *name;
    const char *to_name;
    const uint8_t *data;
};

/* Go on by one event. NULL, or what in it cannot be replayed. Borrowed. */
const char *disk_feed(struct disk *disk, const struct trace_event *event, struct disk_bytes bytes);

/* How much is not durable. */
size_t disk_pending(const struct disk *disk);

/* Which of the states. */
enum disk_choice {
    DISK_NOTHING,    /* Only what must be there. */
    DISK_EVERYTHING, /* Whatever was begun. */
    DISK_CHANCE,     /* As rng decides. */
};

/* Write one state into the existing, empty directory `path`. -errno. */
int disk_write(const struct disk *disk, enum disk_choice choice, struct rng *rng, const char *path);

SCOPED(struct disk *, disk_free);
