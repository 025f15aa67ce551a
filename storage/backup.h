/*
 * A backup: an image (storage/snapshot.h) in a file, with what it takes to tell whether the file is
 * whole (storage/format.md). Made beside a running manager, restored where there is none.
 *
 * Memory is constant, whatever the size. A file is never trusted: any bytes end in a result.
 */
#pragma once

#include "proto/base/bytes.h"
#include "storage/env.h"
#include "storage/log.h"

enum {
    BACKUP_FORMAT = 1,
    BACKUP_CLUSTER_MAX = 64,   /* Characters of a cluster's id. */
    BACKUP_READ_MAX = 3 << 20, /* What backup_read adds at most, with room to spare. */
    BACKUP_TERMS = 1 << 20,    /* Skipped when restoring: see backup_restore. */
};

enum backup_outcome {
    BACKUP_NOTHING = 1, /* No manager's state, or one without anything in it. */
    BACKUP_END,         /* That was all. */
    BACKUP_BAD,         /* No whole backup: the report's problem says why. */
    BACKUP_EXISTS,      /* The directory has a state. */
    BACKUP_BUSY,        /* Another process is at work in the directory. */
};

/* ---- making one */

struct backup;

/* Of what the environment has now. Gives *out; free it before the environment. */
int backup_open(struct env *env, struct backup **out);
void backup_free(struct backup *backup); /* NULL is fine. */

/* The next bytes of the file, about 128 KiB, behind what the buffer holds. BACKUP_END: none came.
 * -ESTALE: the environment was grown or exchanged meanwhile; what was read is worth nothing, begin
 * again with another. */
int backup_read(struct backup *backup, struct buffer *out);

/* All of it, to `write`, which returns 0 or -errno, passed up. Otherwise as backup_read. */
int backup_write(struct env *env, int (*write)(void *context, struct bytes bytes), void *context);

/* ---- reading one */

struct backup_report {
    char cluster[BACKUP_CLUSTER_MAX + 1];
    struct log_applied applied; /* What it is as of. */
    uint64_t bytes;             /* Read. */
    char *problem;              /* Why it is no whole backup, in words; NULL: it is one. */
};

/* Is what can be read from here to the end a whole backup? Fills *out in any case, to be ended with
 * backup_report_fini(). BACKUP_BAD: no. */
int backup_verify(int fd, struct backup_report *out);
void backup_report_fini(struct backup_report *report);

/* Make DIR/state from it; DIR is made if it is not there. The whole file is verified first, then
 * the tables are built in DIR/incoming and verified against themselves, and put in place in one
 * step, durably. Whatever fails, DIR has no state then.
 *
 * The state belongs to no manager yet and has no log: log_restored_get() tells. Its term is
 * BACKUP_TERMS beyond the backup's, so that nobody obeys what was ordered after the backup. fd must
 * be a file. */
int backup_restore(int fd, const char *dir, struct backup_report *out);

SCOPED(struct backup *, backup_free);
