/* CreateToken, RevokeToken: what newcomers show to be let in. */
#include <errno.h>

#include "proto/limits.h"
#include "storage/apply_inner.h"
#include "storage/tables_write.h"

enum { DIGEST_BYTES = 32 };

/* Ids gathered by a walk, which may not write to what it walks. */
struct tokens {
    uint32_t ids[LIMIT_JOIN_TOKENS];
    size_t count;
    size_t limit;
    size_t seen;
    State__TokenRole role; /* Of those to gather. */
    uint64_t before_ms;
};

static bool is_dead(const State__JoinToken *token, uint64_t before_ms)
{
    return token->expires_ms < before_ms ||
           (token->revoked_ms != 0 && token->revoked_ms < before_ms);
}

static void gather(struct tokens *tokens, const State__JoinToken *token)
{
    if (tokens->count < tokens->limit)
        tokens->ids[tokens->count++] = token->id;
}

/* ---- CreateToken */

static int each_older(void *context, const State__JoinToken *token)
{
    struct tokens *tokens = context;

    tokens->seen++;
    if (token->role == tokens->role && token->revoked_ms == 0)
        gather(tokens, token);
    return 0;
}

static int revoke(struct apply *a, uint32_t id)
{
    State__JoinToken *token;
    int r = table_join_token(a->txn, id, &token);

    if (r != 0)
        return r > 0 ? TABLE_ABSENT : err_up(r);
    if (token->revoked_ms == 0) {
        token->revoked_ms = a->now_ms ? a->now_ms : 1; /* 0 says that it was not. */
        r = table_put_join_token(a->txn, token);
    }
    state__join_token__free_unpacked(token, NULL);
    return err_up(r);
}

static int revoke_all(struct apply *a, const struct tokens *tokens)
{
    int r = 0;

    for (size_t i = 0; i < tokens->count && r == 0; i++) {
        r = revoke(a, tokens->ids[i]);
        if (r > 0)
            return err_new(-EUCLEAN);
    }
    return err_up(r);
}

static int check_form(struct apply *a, const Command__CreateToken *body)
{
    if (body->role != STATE__TOKEN_ROLE__TOKEN_MANAGER)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                            "Unknown role of a token.");
    if (body->id == 0 || body->secret_digest.len != DIGEST_BYTES)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                            "A token has an id and a secret.");
    if (body->ttl_ms == 0 || body->ttl_ms > LIMIT_JOIN_TOKEN_TTL_MS)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                            "A token lives for at most 366 days.");
    return 0;
}

/* A replaced token is of no more use than a dead one, yet counts: its end is told for a day. */
static int check_room(struct apply *a, const Command__CreateToken *body, struct tokens *older)
{
    State__JoinToken *known;
    int r = table_join_token(a->txn, body->id, &known);

    if (r < 0)
        return err_up(r);
    if (r == 0) {
        state__join_token__free_unpacked(known, NULL);
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_CONFLICT,
                            "There is a token of this id already. Try again.");
    }
    r = table_join_tokens(a->txn, 0, each_older, older);
    if (r == 0 && older->seen >= LIMIT_JOIN_TOKENS)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_LIMIT_EXCEEDED,
                            "There are %u tokens, as many as are kept. Those that are revoked or "
                            "expired are forgotten after a day.",
                            LIMIT_JOIN_TOKENS);
    return err_up(r);
}

int apply_create_token(struct apply *a, const Command__CreateToken *body)
{
    struct tokens older = {.role = body->role, .limit = LIMIT_JOIN_TOKENS};
    State__JoinToken token = STATE__JOIN_TOKEN__INIT;
    int r = check_form(a, body);

    if (r == 0)
        r = check_room(a, body, &older);
    if (r != 0)
        return out_up(r);
    if (body->revoke_older)
        r = revoke_all(a, &older);
    if (r < 0)
        return err_up(r);
    token.id = body->id;
    token.role = body->role;
    token.secret_digest = body->secret_digest;
    token.created_ms = a->now_ms;
    token.expires_ms = a->now_ms + body->ttl_ms;
    if (token.expires_ms < a->now_ms)
        token.expires_ms = UINT64_MAX;
    a->result->seq = token.id;
    return err_up(table_put_join_token(a->txn, &token));
}

/* ---- RevokeToken */

int apply_revoke_token(struct apply *a, const Command__RevokeToken *body)
{
    int r = revoke(a, body->id);

    if (r > 0)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_RESOURCE_NOT_FOUND,
                            "There is no token %08x.", body->id);
    a->result->seq = body->id;
    return err_up(r);
}

/* ---- Expire */

static int each_dead(void *context, const State__JoinToken *token)
{
    struct tokens *tokens = context;

    if (is_dead(token, tokens->before_ms))
        gather(tokens, token);
    return tokens->count == tokens->limit;
}

int join_tokens_forget(struct apply *a, uint64_t before_ms, uint32_t limit)
{
    struct tokens dead = {.before_ms = before_ms,
                          .limit = limit < LIMIT_JOIN_TOKENS ? limit : LIMIT_JOIN_TOKENS};
    int r = table_join_tokens(a->txn, 0, each_dead, &dead);

    for (size_t i = 0; i < dead.count && r == 0; i++)
        r = table_del_join_token(a->txn, dead.ids[i]);
    return err_up(r);
}
