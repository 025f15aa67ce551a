/*
 * Frames: messages on a byte stream, each behind its length as four big-endian bytes.
 *
 * Sans-IO. Bytes go in as they come, cut anywhere; whole messages come out:
 *
 *     frame_feed(&reader, bytes);
 *     while ((r = frame_next(&reader, &message)) == 0)
 *         ...
 *     if (r < 0)
 *         close the connection
 */
#pragma once

#include <stddef.h>

#include "proto/base/bytes.h"

enum { FRAME_HEAD = 4 };

enum frame_outcome {
    FRAME_PARTIAL = 1, /* No whole message yet: feed more. */
};

/* All zeroes is a new one. */
struct frame_reader {
    struct buffer pending;
    size_t at; /* Of pending, already given out. */
};

void frame_reader_fini(struct frame_reader *reader);

/* Take in bytes. Copies. Call frame_next() until it has no more before feeding again: then what
 * is kept is at most one frame and one read, however large a length the peer claims. */
void frame_feed(struct frame_reader *reader, struct bytes bytes);

/* The next message, borrowed until the next frame_feed(). FRAME_PARTIAL: none. -EMSGSIZE: the
 * peer announces more than LIMIT_FRAME_BYTES; nothing after that can be read. */
int frame_next(struct frame_reader *reader, struct bytes *out);

/* Append a message as a frame. Copies. It must be within LIMIT_FRAME_BYTES. */
void frame_append(struct buffer *buffer, struct bytes message);

/* The same for a message that is packed in place: frame_open() appends a head and room for len
 * bytes and returns that room, valid until the buffer changes. */
uint8_t *frame_open(struct buffer *buffer, size_t len);

static inline void frame_reader_fini_scoped(struct frame_reader *reader)
{
    frame_reader_fini(reader);
}
