/*
 * The core's memory: when it runs out, the process stops (decision 0001). Told of it the core calls
 * a configuration damaged that it had no room to read.
 */
#include <stdlib.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/manager/raft_internal.h"

static void *take(void *context, size_t size)
{
    (void)context;
    return mem_resize(NULL, size, 1);
}

static void *take_zeroed(void *context, size_t count, size_t size)
{
    (void)context;
    return mem_zeroed(count, size);
}

static void *resize(void *context, void *old, size_t size)
{
    (void)context;
    return mem_resize(old, size, 1);
}

static void release(void *context, void *memory)
{
    (void)context;
    free(memory);
}

/* Of the core's own I/O, which is not used: drivers do that. */
static void *take_aligned(void *context, size_t alignment, size_t size)
{
    (void)context;
    (void)alignment;
    (void)size;
    must(false);
    return NULL;
}

static void release_aligned(void *context, size_t alignment, void *memory)
{
    (void)context;
    (void)alignment;
    free(memory);
}

void raft_node_stop_without_memory(void)
{
    static struct raft_heap heap = {.malloc = take,
                                    .free = release,
                                    .calloc = take_zeroed,
                                    .realloc = resize,
                                    .aligned_alloc = take_aligned,
                                    .aligned_free = release_aligned};

    raft_heap_set(&heap);
}
