#include "proto/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/must.h"

void *mem_zeroed(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);

    must(memory);
    return memory;
}

void *mem_resize(void *old, size_t count, size_t size)
{
    void *memory;

    must(size > 0);
    must(count <= SIZE_MAX / size);
    memory = realloc(old, count > 0 ? count * size : 1); /* Never NULL, not even for nothing. */
    must(memory);
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
    int len;

    va_start(args, format);
    len = vasprintf(&text, format, args);
    va_end(args);
    must(len >= 0);
    return text;
}
