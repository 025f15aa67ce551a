#include "proto/unpacking.h"

#include <stdlib.h>

#include "proto/base/mem.h"

static void *take(void *context, size_t size)
{
    (void)context;
    return mem_resize(NULL, size, 1);
}

static void release(void *context, void *memory)
{
    (void)context;
    free(memory);
}

ProtobufCAllocator unpacking = {.alloc = take, .free = release};
