#include "server/net/heap.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <uv.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"

static void *take(size_t size)
{
    return mem_resize(NULL, size, 1);
}

static void *resize(void *old, size_t size)
{
    return mem_resize(old, size, 1);
}

/* OpenSSL asks for nothing, and means none. */
static void *crypto_take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return size > 0 ? take(size) : NULL;
}

static void *crypto_resize(void *old, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (size > 0)
        return resize(old, size);
    free(old);
    return NULL;
}

static void crypto_release(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

void heap_stops_when_empty(void)
{
    worked(uv_replace_allocator(take, resize, mem_zeroed, free));
    must(CRYPTO_set_mem_functions(crypto_take, crypto_resize, crypto_release) == 1);
}
