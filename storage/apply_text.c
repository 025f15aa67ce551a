/* Strings and digests within messages. */
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "storage/apply_inner.h"

void text_set(char **field, const char *text)
{
    if (*field != (const char *)protobuf_c_empty_string)
        free(*field);
    *field = text ? mem_string(text) : (char *)protobuf_c_empty_string;
}

void text_cut(char *text, size_t max_len)
{
    if (!text || strnlen(text, max_len + 1) <= max_len)
        return;
    while (max_len > 0 && ((unsigned char)text[max_len] & 0xc0) == 0x80)
        max_len--;
    text[max_len] = '\0';
}

bool digest_equal(ProtobufCBinaryData a, ProtobufCBinaryData b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
