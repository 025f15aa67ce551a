/*
 * Bytes on their way out, in pieces: small writes are joined, large ones are taken as they are,
 * and all of it goes to one writev.
 */
#pragma once

#include <uv.h>

#include "proto/base/bytes.h"

/* All zeroes is empty. */
struct chunks {
    struct buffer *all;
    size_t count;
    size_t cap;
    size_t bytes; /* In all of them. */
};

void chunks_fini(struct chunks *chunks);
void chunks_clear(struct chunks *chunks); /* Empty; keeps the array. */

/* Drop so many from the front; not more than there are. */
void chunks_drop(struct chunks *chunks, size_t count);

/* Append. Copies. */
void chunks_append(struct chunks *chunks, struct bytes bytes);

/* Append. Takes the contents of the buffer and leaves it empty. */
void chunks_take(struct chunks *chunks, struct buffer *buffer);

/* All pieces, count of them, for uv_write(). Borrows the bytes; gives the array, for free(). */
uv_buf_t *chunks_pieces(const struct chunks *chunks);
