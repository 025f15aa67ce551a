/*
 * Tokens to join with: does this one let its bearer in?
 *
 * A token's secret is 16 random bytes that only the operator has; the tables hold its digest.
 */
#pragma once

#include <stdint.h>

#include "proto/base/bytes.h"
#include "proto/state.pb-c.h"
#include "storage/env.h"

enum {
    TOKEN_SECRET_BYTES = 16,
    TOKEN_DIGEST_BYTES = 32,
    TOKEN_SECRET_TEXT = 2 * TOKEN_SECRET_BYTES + 1,
    TOKEN_DIGEST_TEXT = 2 * TOKEN_DIGEST_BYTES + 1,
};

enum tokens_outcome {
    TOKENS_UNKNOWN =
        1, /* No such token, another secret, or not for this role: no difference told. */
    TOKENS_REVOKED = 2,
    TOKENS_EXPIRED = 3,
};

/* Does the token of this id and secret let its bearer in as `role`? Returns 0 if it does. That it
 * was revoked or has expired is told only to who has its secret. now_ms: since the epoch. */
int tokens_check(struct txn *txn, uint32_t id, struct bytes secret, State__TokenRole role,
                 uint64_t now_ms);

/* Why not, as a sentence for whoever tried; static. */
const char *tokens_reason(int outcome);

/* A new secret, in hex, and its digest, likewise. -EIO: the kernel gives no random bytes. */
int tokens_make(uint32_t *out_id, char out_secret[TOKEN_SECRET_TEXT],
                char out_digest[TOKEN_DIGEST_TEXT]);

/* What the operator hands to the newcomer: CAIS1-ROLE-DIGEST-ID-SECRET. DIGEST is the SHA-256 of
 * the authority's certificate, by which a newcomer knows whom it talks to; 64 zeroes where a
 * cluster has none. Gives. */
char *tokens_text(const State__Settings *settings, const char *role, const char *id,
                  const char *secret);

/* SHA-256, which is what the tables keep of a secret. */
void tokens_digest(struct bytes secret, uint8_t out[TOKEN_DIGEST_BYTES]);
