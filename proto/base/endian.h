/*
 * Big-endian integers, for keys that must sort as bytes and for frames on the wire.
 */
#pragma once

#include <stdint.h>

static inline void be64_put(uint8_t *at, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        at[i] = (uint8_t)value;
}

static inline uint64_t be64_get(const uint8_t *at)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value = value << 8 | at[i];
    return value;
}

static inline void be32_put(uint8_t *at, uint32_t value)
{
    for (int i = 3; i >= 0; i--, value >>= 8)
        at[i] = (uint8_t)value;
}

static inline uint32_t be32_get(const uint8_t *at)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++)
        value = value << 8 | at[i];
    return value;
}
