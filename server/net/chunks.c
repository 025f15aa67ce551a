#include "server/net/chunks.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"

enum { JOIN_BYTES = 16 << 10 }; /* Up to here copying is cheaper than one more piece. */

static struct buffer *chunks_add(struct chunks *chunks)
{
    if (chunks->count == chunks->cap) {
        chunks->cap = chunks->cap ? chunks->cap * 2 : 4;
        chunks->all = mem_resize(chunks->all, chunks->cap, sizeof *chunks->all);
    }
    must(chunks->all);
    chunks->all[chunks->count] = (struct buffer){0};
    return &chunks->all[chunks->count++];
}

void chunks_clear(struct chunks *chunks)
{
    for (size_t i = 0; i < chunks->count; i++)
        buffer_fini(&chunks->all[i]);
    chunks->count = 0;
    chunks->bytes = 0;
}

void chunks_drop(struct chunks *chunks, size_t count)
{
    must(count <= chunks->count);
    for (size_t i = 0; i < count; i++) {
        chunks->bytes -= chunks->all[i].len;
        buffer_fini(&chunks->all[i]);
    }
    chunks->count -= count;
    if (chunks->count > 0)
        memmove(chunks->all, chunks->all + count, chunks->count * sizeof *chunks->all);
}

void chunks_fini(struct chunks *chunks)
{
    chunks_clear(chunks);
    free(chunks->all);
    *chunks = (struct chunks){0};
}

void chunks_append(struct chunks *chunks, struct bytes bytes)
{
    struct buffer *last = chunks->count > 0 ? &chunks->all[chunks->count - 1] : NULL;

    if (!last || last->len + bytes.len > JOIN_BYTES)
        last = chunks_add(chunks);
    buffer_append(last, bytes.base, bytes.len);
    chunks->bytes += bytes.len;
}

void chunks_take(struct chunks *chunks, struct buffer *buffer)
{
    if (buffer->len > JOIN_BYTES) {
        chunks->bytes += buffer->len;
        *chunks_add(chunks) = *buffer;
        *buffer = (struct buffer){0};
        return;
    }
    chunks_append(chunks, (struct bytes){buffer->base, buffer->len});
    buffer_fini(buffer);
}

uv_buf_t *chunks_pieces(const struct chunks *chunks)
{
    uv_buf_t *pieces = mem_new_array(uv_buf_t, chunks->count);

    for (size_t i = 0; i < chunks->count; i++)
        pieces[i] = uv_buf_init((char *)chunks->all[i].base, (unsigned)chunks->all[i].len);
    return pieces;
}
