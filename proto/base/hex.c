#include "proto/base/hex.h"

static const char digits[] = "0123456789abcdef";

char *hex_put(const uint8_t *bytes, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * len] = '\0';
    return out;
}

enum { NO_DIGIT = 16 };

static unsigned value_of(char digit)
{
    if (digit >= '0' && digit <= '9')
        return (unsigned)(digit - '0');
    return digit >= 'a' && digit <= 'f' ? (unsigned)(digit - 'a') + 10 : NO_DIGIT;
}

bool hex_get(const char *text, size_t len, uint8_t *out)
{
    for (size_t i = 0; i < 2 * len; i++) /* Ends at a NUL too. */
        if (value_of(text[i]) == NO_DIGIT)
            return false;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(value_of(text[2 * i]) << 4 | value_of(text[2 * i + 1]));
    return true;
}
