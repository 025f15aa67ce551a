/*
 * Runs of bytes: borrowed ones, and a buffer that grows.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/base/scope.h"

/* A run of bytes owned by someone else; the call that returns one says until when. */
struct bytes {
    const void *base;
    size_t len;
};

/* A growable buffer. All zeroes is an empty one. */
struct buffer {
    uint8_t *base;
    size_t len;
    size_t cap;
};

void buffer_fini(struct buffer *buffer);
void buffer_clear(struct buffer *buffer); /* Empty; keeps the space. */

/* Add len bytes at the end and return where they begin, valid until the next call. */
uint8_t *buffer_extend(struct buffer *buffer, size_t len);

/* Append. Copies. */
void buffer_append(struct buffer *buffer, const void *base, size_t len);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Drop len bytes from the front; len may not exceed what is there. */
void buffer_consume(struct buffer *buffer, size_t len);

/* A NUL-terminated view of the contents, borrowed until the next change. */
const char *buffer_text(struct buffer *buffer);

static inline void buffer_fini_scoped(struct buffer *buffer)
{
    buffer_fini(buffer);
}
