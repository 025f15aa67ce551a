#include "proto/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/must.h"

/* What is said here asks for no memory. */
void mem_must_have(const void *memory)
{
    if (memory)
        return;
    fputs("out of memory\n", stderr);
    abort();
}

void *mem_zeroed(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);

    mem_must_have(memory);
    return memory;
}

void *mem_resize(void *old, size_t count, size_t size)
{
    void *memory;

    must(size > 0);
    must(count <= SIZE_MAX / size);
    memory = realloc(old, count > 0 ? count * size : 1); /* Never NULL, not even for nothing. */
    mem_must_have(memory);
    return memory;
}

void *mem_copy(const void *from, size_t len)
{
    void *memory;

    if (!from)
        return NULL;
    memory = mem_zeroed(1, len ? len : 1);
    memcpy(memory, from, len);
    return memory;
}

char *mem_string(const char *text)
{
    return text ? mem_copy(text, strlen(text) + 1) : NULL;
}

char *mem_format(const char *format, ...)
{
    va_list args;
    char *text = NULL;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL; /* It is undefined then. */
    va_end(args);
    mem_must_have(text);
    return text;
}
