#include "server/manager/tokens.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "storage/tables.h"

void tokens_digest(struct bytes secret, uint8_t out[TOKEN_DIGEST_BYTES])
{
    SHA256(secret.base, secret.len, out);
}

static int check(const State__JoinToken *token, struct bytes secret, State__TokenRole role,
                 uint64_t now_ms)
{
    uint8_t digest[TOKEN_DIGEST_BYTES];

    tokens_digest(secret, digest);
    if (token->secret_digest.len != sizeof digest ||
        CRYPTO_memcmp(token->secret_digest.data, digest, sizeof digest) != 0 || token->role != role)
        return TOKENS_UNKNOWN;
    if (token->revoked_ms != 0)
        return TOKENS_REVOKED;
    return now_ms >= token->expires_ms ? TOKENS_EXPIRED : 0;
}

int tokens_check(struct txn *txn, uint32_t id, struct bytes secret, State__TokenRole role,
                 uint64_t now_ms)
{
    State__JoinToken *token;
    int r = table_join_token(txn, id, &token);

    if (r != 0)
        return r > 0 ? TOKENS_UNKNOWN : err_up(r);
    r = check(token, secret, role, now_ms);
    state__join_token__free_unpacked(token, NULL);
    return r;
}

static void put_hex(const uint8_t *bytes, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

int tokens_make(uint32_t *out_id, char out_secret[TOKEN_SECRET_TEXT],
                char out_digest[TOKEN_DIGEST_TEXT])
{
    struct {
        uint8_t secret[TOKEN_SECRET_BYTES];
        uint32_t id;
    } fresh;
    uint8_t digest[TOKEN_DIGEST_BYTES];

    if (getrandom(&fresh, sizeof fresh, 0) != (ssize_t)sizeof fresh)
        return err_new(-EIO);
    tokens_digest((struct bytes){fresh.secret, sizeof fresh.secret}, digest);
    put_hex(fresh.secret, sizeof fresh.secret, out_secret);
    put_hex(digest, sizeof digest, out_digest);
    *out_id = fresh.id ? fresh.id : 1;
    explicit_bzero(&fresh, sizeof fresh);
    return 0;
}

/* SHA-256 of the DER of the authority's certificate. False: the cluster has none. */
static bool digest_authority(const State__Settings *settings, uint8_t out[TOKEN_DIGEST_BYTES])
{
    const ProtobufCBinaryData *pem = &settings->ca_certificate;
    BIO *bio =
        pem->len > 0 && pem->len <= INT_MAX ? BIO_new_mem_buf(pem->data, (int)pem->len) : NULL;
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    bool done = certificate && X509_digest(certificate, EVP_sha256(), out, NULL) == 1;

    X509_free(certificate);
    BIO_free(bio);
    return done;
}

char *tokens_text(const State__Settings *settings, const char *role, const char *id,
                  const char *secret)
{
    uint8_t digest[TOKEN_DIGEST_BYTES] = {0};
    char text[TOKEN_DIGEST_TEXT];

    digest_authority(settings, digest);
    put_hex(digest, sizeof digest, text);
    return mem_format("CAIS1-%s-%s-%s-%s", role, text, id, secret);
}

const char *tokens_reason(int outcome)
{
    switch (outcome) {
    case TOKENS_REVOKED:
        return "this token was revoked";
    case TOKENS_EXPIRED:
        return "this token has expired";
    default:
        return "this token lets nobody in";
    }
}
