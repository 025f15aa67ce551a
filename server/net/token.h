/*
 * Join tokens as people carry them: CAIS1-ROLE-CA-ID-SECRET.
 *
 * ROLE is `manager` or `worker`; CA the SHA-256 of the cluster authority's certificate (64 hex
 * digits), so that a newcomer knows whom it talks to; ID which token this is (8) and SECRET what
 * proves it (32).
 */
#pragma once

#include <stdint.h>

enum {
    TOKEN_CA_BYTES = 32,
    TOKEN_PROOF_BYTES = 16,
    TOKEN_TEXT = 128, /* Room for any token and its NUL. */
};

enum token_role {
    TOKEN_MANAGER = 1,
    TOKEN_WORKER = 2,
};

enum token_outcome {
    TOKEN_MALFORMED = 1,
};

struct token {
    enum token_role role;
    uint8_t authority[TOKEN_CA_BYTES];
    uint32_t id;
    uint8_t secret[TOKEN_PROOF_BYTES];
};

/* Parse, strictly: exactly what token_format writes, and nothing around it. */
int token_parse(const char *text, struct token *out);

/* Returns out. */
const char *token_format(const struct token *token, char out[TOKEN_TEXT]);
