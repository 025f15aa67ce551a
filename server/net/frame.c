#include "server/net/frame.h"

#include <errno.h>
#include <string.h>

#include "proto/base/endian.h"
#include "proto/base/err.h"
#include "proto/base/must.h"
#include "proto/limits.h"

void frame_reader_fini(struct frame_reader *reader)
{
    buffer_fini(&reader->pending);
    *reader = (struct frame_reader){0};
}

void frame_feed(struct frame_reader *reader, struct bytes bytes)
{
    buffer_consume(&reader->pending, reader->at);
    reader->at = 0;
    buffer_append(&reader->pending, bytes.base, bytes.len);
}

int frame_next(struct frame_reader *reader, struct bytes *out)
{
    size_t have = reader->pending.len - reader->at;
    const uint8_t *head;
    uint32_t len;

    must(reader->at <= reader->pending.len);
    if (have < FRAME_HEAD)
        return FRAME_PARTIAL;
    head = reader->pending.base + reader->at;
    len = be32_get(head);
    if (len > LIMIT_FRAME_BYTES)
        return err_new(-EMSGSIZE);
    if (have - FRAME_HEAD < len)
        return FRAME_PARTIAL;
    *out = (struct bytes){head + FRAME_HEAD, len};
    reader->at += FRAME_HEAD + len;
    return 0;
}

uint8_t *frame_open(struct buffer *buffer, size_t len)
{
    uint8_t *head;

    must(len <= LIMIT_FRAME_BYTES);
    head = buffer_extend(buffer, FRAME_HEAD + len);
    be32_put(head, (uint32_t)len);
    return head + FRAME_HEAD;
}

void frame_append(struct buffer *buffer, struct bytes message)
{
    uint8_t *room = frame_open(buffer, message.len);

    if (message.len > 0)
        memcpy(room, message.base, message.len);
}
