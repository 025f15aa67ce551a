#include "proto/base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"

enum { BUFFER_FIRST = 256 };

static void reserve(struct buffer *buffer, size_t more)
{
    size_t cap = buffer->cap ? buffer->cap : BUFFER_FIRST;

    must(more <= SIZE_MAX / 4);
    while (cap < buffer->len + more)
        cap *= 2;
    if (cap == buffer->cap)
        return;
    buffer->base = mem_resize(buffer->base, cap, 1);
    buffer->cap = cap;
}

void buffer_fini(struct buffer *buffer)
{
    free(buffer->base);
    *buffer = (struct buffer){0};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->len = 0;
}

uint8_t *buffer_extend(struct buffer *buffer, size_t len)
{
    uint8_t *at;

    reserve(buffer, len);
    at = buffer->base + buffer->len;
    buffer->len += len;
    return at;
}

void buffer_append(struct buffer *buffer, const void *base, size_t len)
{
    if (len > 0)
        memcpy(buffer_extend(buffer, len), base, len);
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    int len;

    va_start(args, format);
    len = vasprintf(&text, format, args);
    va_end(args);
    must(len >= 0);
    buffer_append(buffer, text, (size_t)len);
    free(text);
}

void buffer_consume(struct buffer *buffer, size_t len)
{
    must(len <= buffer->len);
    buffer->len -= len;
    if (buffer->len > 0)
        memmove(buffer->base, buffer->base + len, buffer->len);
}

const char *buffer_text(struct buffer *buffer)
{
    reserve(buffer, 1);
    buffer->base[buffer->len] = '\0';
    return (const char *)buffer->base;
}
