/*
 * An image: the state as of one applied index, as a sequence of chunks (storage/format.md).
 *
 * The reader looks at a picture of an environment; any chunk can be had again by its position. The
 * writer fills an environment of its own, in the order of the chunks, and never trusts them: any
 * bytes end in a result. Memory is constant, whatever the size.
 */
#pragma once

#include "storage/env.h"
#include "storage/log.h"

enum {
    SNAPSHOT_FORMAT = 1,
    SNAPSHOT_POSITION_MAX = 544,
    SNAPSHOT_CHUNK_MAX = 2 << 20, /* One record at least is in each, however large. */
};

enum snapshot_outcome {
    SNAPSHOT_BAD = 1, /* Not what a reader gives next: damaged, out of order, of another version. */
};

/* Where a chunk begins; all zeroes is the start. */
struct snapshot_position {
    size_t len;
    uint8_t at[SNAPSHOT_POSITION_MAX];
};

struct snapshot_reader;

/* Gives *out. */
int snapshot_reader_open(struct env *env, struct snapshot_reader **out);
void snapshot_reader_free(struct snapshot_reader *reader); /* NULL is fine. */

/* What the image is as of. */
uint64_t snapshot_reader_index(const struct snapshot_reader *reader);
uint64_t snapshot_reader_term(const struct snapshot_reader *reader);

/* The chunk at a position, of about max_bytes, behind what the buffer holds; and the position of
 * the next. *out_last: there is none. SNAPSHOT_BAD: no position of this reader. -ESTALE: the
 * picture was taken away (storage/env.h): begin again with a new reader. */
int snapshot_read(struct snapshot_reader *reader, const struct snapshot_position *position,
                  size_t max_bytes, struct buffer *chunk, struct snapshot_position *out_next,
                  bool *out_last);

/* What an image is as of, by its first chunk. SNAPSHOT_BAD: that is none, or of another version. */
int snapshot_head(struct bytes chunk, struct log_applied *out);

struct snapshot_writer;

/* Fill the empty environment in an existing directory. Gives *out. */
int snapshot_writer_open(const char *dir, size_t map_size, struct snapshot_writer **out);
void snapshot_writer_free(struct snapshot_writer *writer); /* NULL is fine. */

/* The next chunk and its CRC-32C. SNAPSHOT_BAD: begin again in an empty directory. */
int snapshot_write(struct snapshot_writer *writer, struct bytes chunk, uint32_t crc);

/* After the last chunk: durable, with an empty log; owner and vote are the caller's to add before
 * it is adopted (log_owner, log_vote_put). Gives *out_env. SNAPSHOT_BAD: something is missing. */
int snapshot_finish(struct snapshot_writer *writer, struct env **out_env);

SCOPED(struct snapshot_reader *, snapshot_reader_free);
SCOPED(struct snapshot_writer *, snapshot_writer_free);
