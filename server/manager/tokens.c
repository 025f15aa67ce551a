#include "server/manager/tokens.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "proto/base/err.h"
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
