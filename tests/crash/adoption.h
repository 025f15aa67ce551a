/*
 * An image that is received beside a manager's turns and takes the place of what it has:
 * DIR/incoming is filled, becomes DIR/state by env_adopt, and what was there before is removed. In
 * steps, between which turns are taken, so that the disk holds something half done of each at any
 * cut.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "storage/log.h"
#include "storage/snapshot.h"

enum { ADOPTION_CHUNKS_MAX = 4096 };

struct adoption {
    char *incoming; /* NULL: none is under way. */
    struct buffer *chunks;
    size_t chunk_count;
    size_t written;
    uint64_t index; /* Of what was applied. */
    struct snapshot_writer *writer;
    struct env *next; /* What is complete; once adopted, what was there before. */
};

/* Take the image of env, as another manager had it, and begin to fill DIR/incoming with it. */
int adoption_begin(struct adoption *adoption, struct env *env, const char *dir);

/* Some chunks more. */
int adoption_write(struct adoption *adoption, size_t count);

/* After the last chunk: durable, and ready for env_adopt. */
int adoption_finish(struct adoption *adoption);

/* Make it this manager's own: one commit more. */
int adoption_own(struct adoption *adoption, uint64_t owner, const struct log_vote *vote);

/* Leave it, however far it got, as a process that ends does. */
void adoption_drop(struct adoption *adoption);

/* The same, and remove what is in DIR/incoming now. */
int adoption_end(struct adoption *adoption);
