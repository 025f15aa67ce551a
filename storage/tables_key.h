/*
 * Keys of the state tables: big-endian numbers, ids as 16 bytes, names as they are.
 *
 * The longest is 8 + 255 bytes; LMDB takes 511. What comes from outside is checked by
 * key_name_fits() or key_add_id() before it becomes part of one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/endian.h"
#include "proto/base/must.h"
#include "proto/limits.h"

enum {
    KEY_BYTES_MAX = 288,
    KEY_ID_BYTES = 16,
};

struct key {
    size_t len;
    uint8_t at[KEY_BYTES_MAX];
};

static inline void key_add(struct key *key, const void *base, size_t len)
{
    must(len <= KEY_BYTES_MAX - key->len);
    memcpy(key->at + key->len, base, len);
    key->len += len;
}

static inline void key_add_byte(struct key *key, uint8_t value)
{
    key_add(key, &value, 1);
}

static inline void key_add_u64(struct key *key, uint64_t value)
{
    uint8_t at[8];

    be64_put(at, value);
    key_add(key, at, sizeof at);
}

static inline void key_add_u32(struct key *key, uint32_t value)
{
    uint8_t at[4];

    be32_put(at, value);
    key_add(key, at, sizeof at);
}

static inline void key_add_text(struct key *key, const char *text)
{
    key_add(key, text, strlen(text));
}

static inline struct bytes key_bytes(const struct key *key)
{
    return (struct bytes){key->at, key->len};
}

static inline void key_seq(struct key *key, uint64_t seq)
{
    key->len = 0;
    key_add_u64(key, seq);
}

static inline void key_seqs(struct key *key, uint64_t first, uint64_t second)
{
    key_seq(key, first);
    key_add_u64(key, second);
}

/* May this text be (part of) a key: 1 to 255 bytes. NULL may not. */
static inline bool key_name_fits(const char *text)
{
    return text && *text && strnlen(text, LIMIT_NAME_CHARS + 1) <= LIMIT_NAME_CHARS;
}

static inline int key_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A task's or worker's id as its key. False: not 32 lower-case hex digits; NULL is not either. */
static inline bool key_id(struct key *key, const char *id)
{
    key->len = 0;
    if (!id || strnlen(id, 2 * KEY_ID_BYTES + 1) != 2 * KEY_ID_BYTES)
        return false;
    for (size_t i = 0; i < KEY_ID_BYTES; i++) {
        int high = key_hex_digit(id[2 * i]);
        int low = key_hex_digit(id[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        key_add_byte(key, (uint8_t)(high << 4 | low));
    }
    return true;
}
