#include "server/lab/flow.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/base/rng.h"

enum { QUEUE_BYTES = 1 << 20 }; /* What a line holds before its sender is not read any more. */

struct chunk {
    struct list link;
    uint64_t due_ms;
    size_t sent;
    size_t len;
    uint8_t bytes[];
};

static struct chunk *first(const struct flow *flow)
{
    if (list_is_empty(&flow->chunks))
        return NULL;
    return list_entry(flow->chunks.next, struct chunk, link);
}

static void drop(struct chunk *chunk)
{
    list_remove(&chunk->link);
    free(chunk);
}

void flow_init(struct flow *flow, struct line line)
{
    *flow = (struct flow){.line = line};
    list_init(&flow->chunks);
}

void flow_fini(struct flow *flow)
{
    list_each (link, &flow->chunks)
        drop(list_entry(link, struct chunk, link));
    flow->queued = 0;
}

bool flow_accepts(const struct flow *flow)
{
    return flow->end == END_NONE && !flow->line.cut && flow->queued < QUEUE_BYTES;
}

bool flow_is_straight(const struct flow *flow)
{
    return flow->line.delay_ms == 0 && flow->line.jitter_ms == 0 && !flow->line.cut &&
           list_is_empty(&flow->chunks);
}

/* When something that enters now comes out. */
static uint64_t due(struct flow *flow, struct flow_moment at)
{
    uint64_t when = at.now_ms + flow->line.delay_ms;

    if (flow->line.jitter_ms > 0)
        when += rng_below(at.rng, (uint64_t)flow->line.jitter_ms + 1);
    if (when > flow->due_ms)
        flow->due_ms = when;
    return flow->due_ms;
}

void flow_queue(struct flow *flow, struct bytes bytes, struct flow_moment at)
{
    struct chunk *chunk = mem_zeroed(1, sizeof *chunk + bytes.len);

    must(flow->end == END_NONE);
    chunk->due_ms = due(flow, at);
    chunk->len = bytes.len;
    memcpy(chunk->bytes, bytes.base, bytes.len);
    list_append(&flow->chunks, &chunk->link);
    flow->queued += bytes.len;
}

void flow_finish(struct flow *flow, enum flow_end end, struct flow_moment at)
{
    flow->end = end;
    due(flow, at);
}

void flow_lose(struct flow *flow)
{
    flow_fini(flow);
    flow->end = END_EOF;
    flow->ended = true;
}

struct bytes flow_head(const struct flow *flow, uint64_t now_ms)
{
    const struct chunk *chunk = first(flow);

    if (!chunk || flow->line.cut || flow->ended || chunk->due_ms > now_ms)
        return (struct bytes){NULL, 0};
    return (struct bytes){chunk->bytes + chunk->sent, chunk->len - chunk->sent};
}

void flow_advance(struct flow *flow, size_t len)
{
    struct chunk *chunk = first(flow);

    must(chunk);
    must(len <= chunk->len - chunk->sent);
    chunk->sent += len;
    flow->queued -= len;
    if (chunk->sent == chunk->len)
        drop(chunk);
}

enum flow_end flow_end_due(const struct flow *flow, uint64_t now_ms)
{
    if (flow->line.cut || flow->ended || flow->due_ms > now_ms)
        return END_NONE;
    if (flow->end == END_EOF && !list_is_empty(&flow->chunks))
        return END_NONE;
    return flow->end;
}

uint64_t flow_next_ms(const struct flow *flow)
{
    const struct chunk *chunk = first(flow);
    uint64_t next = UINT64_MAX;

    if (flow->line.cut || flow->ended)
        return next;
    if (flow->end == END_RESET || (flow->end == END_EOF && !chunk))
        next = flow->due_ms;
    if (chunk && !flow->blocked && chunk->due_ms < next)
        next = chunk->due_ms;
    return next;
}
