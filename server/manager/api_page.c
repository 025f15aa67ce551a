#include "server/manager/api_page.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/endian.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"

enum {
    CHECK_BYTES = 8,
    BYTES_MAX = CHECK_BYTES + PAGE_POSITION_MAX,
    TOKEN_CHARS_MAX = (BYTES_MAX + 2) / 3 * 4,
};

static void checksum(const char *listing, struct bytes position, uint8_t out[CHECK_BYTES])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    struct buffer text = {0};

    buffer_append(&text, listing, strlen(listing) + 1);
    buffer_append(&text, position.base, position.len);
    SHA256(text.base, text.len, digest);
    memcpy(out, digest, CHECK_BYTES);
    buffer_fini(&text);
}

char *page_token(const char *listing, struct bytes position)
{
    uint8_t raw[BYTES_MAX];
    char *token = mem_zeroed(1, TOKEN_CHARS_MAX + 1);

    must(position.len <= PAGE_POSITION_MAX);
    checksum(listing, position, raw);
    memcpy(raw + CHECK_BYTES, position.base, position.len);
    EVP_EncodeBlock((unsigned char *)token, raw, (int)(CHECK_BYTES + position.len));
    return token;
}

/* Base64 to bytes; the length counts what padding stands for, which EVP_DecodeBlock does not. */
static int decode(const char *token, uint8_t out[BYTES_MAX + 2], size_t *out_len)
{
    size_t chars = strlen(token);
    int len;

    if (chars == 0 || chars > TOKEN_CHARS_MAX || chars % 4 != 0)
        return PAGE_BAD_TOKEN;
    len = EVP_DecodeBlock(out, (const unsigned char *)token, (int)chars);
    if (len < 0)
        return PAGE_BAD_TOKEN;
    *out_len = (size_t)len - (token[chars - 1] == '=') - (token[chars - 2] == '=');
    return 0;
}

/* A token is what page_token() would have said, to the last bit: base64 has several texts for some
 * runs of bytes. */
int page_position(const char *listing, const char *token, uint8_t out[PAGE_POSITION_MAX],
                  size_t *out_len)
{
    uint8_t raw[BYTES_MAX + 2];
    struct bytes position;
    size_t len = 0;
    char *again;
    bool same;

    if (decode(token, raw, &len) != 0 || len < CHECK_BYTES || len > BYTES_MAX)
        return PAGE_BAD_TOKEN;
    position = (struct bytes){raw + CHECK_BYTES, len - CHECK_BYTES};
    again = page_token(listing, position);
    same = strcmp(again, token) == 0;
    free(again);
    if (!same)
        return PAGE_BAD_TOKEN;
    memcpy(out, position.base, position.len);
    *out_len = position.len;
    return 0;
}

char *page_token_seq(const char *listing, uint64_t seq)
{
    uint8_t position[8];

    be64_put(position, seq);
    return page_token(listing, (struct bytes){position, sizeof position});
}

int page_seq(const char *listing, const char *token, uint64_t *out)
{
    uint8_t position[PAGE_POSITION_MAX];
    size_t len;

    if (!token) {
        *out = 0;
        return 0;
    }
    if (page_position(listing, token, position, &len) != 0 || len != 8)
        return PAGE_BAD_TOKEN;
    *out = be64_get(position);
    return 0;
}
