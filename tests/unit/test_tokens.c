/* Tokens to join with: made, rotated, revoked, forgotten; and whom they let in. */
#include "proto/limits.h"
#include "server/manager/tokens.h"
#include "server/net/token.h"
#include "tests/unit/apply_world.h"

enum { HOUR_MS = 3600 * 1000 };

#define ROLE STATE__TOKEN_ROLE__TOKEN_MANAGER

/* The secret of the token of this id. */
static struct bytes secret_of(uint32_t id)
{
    static uint8_t secret[TOKEN_SECRET_BYTES];

    memset(secret, (int)id, sizeof secret);
    return (struct bytes){secret, sizeof secret};
}

static void create_token(uint32_t id, State__TokenRole role, uint64_t ttl_ms, bool revoke_older)
{
    Command__CreateToken body = COMMAND__CREATE_TOKEN__INIT;
    uint8_t digest[TOKEN_DIGEST_BYTES];

    tokens_digest(secret_of(id), digest);
    body.id = id;
    body.role = role;
    body.secret_digest = (ProtobufCBinaryData){sizeof digest, digest};
    body.ttl_ms = ttl_ms;
    body.revoke_older = revoke_older;
    APPLY(CREATE_TOKEN, create_token, &body);
}

static void revoke_token(uint32_t id)
{
    Command__RevokeToken body = COMMAND__REVOKE_TOKEN__INIT;

    body.id = id;
    APPLY(REVOKE_TOKEN, revoke_token, &body);
}

static void forget(uint64_t before_ms, uint32_t limit)
{
    Command__Expire body = COMMAND__EXPIRE__INIT;

    body.tokens_before_ms = before_ms;
    body.limit = limit;
    APPLY(EXPIRE, expire, &body);
}

static int check(uint32_t id)
{
    return tokens_check(w.txn, id, secret_of(id), ROLE, w.now_ms);
}

static int count_one(void *context, const State__JoinToken *token)
{
    (void)token;
    ++*(unsigned *)context;
    return 0;
}

static unsigned count(void)
{
    unsigned n = 0;

    ck_assert_int_eq(table_join_tokens(w.txn, 0, count_one, &n), 0);
    return n;
}

START_TEST(a_token_lets_in_until_it_expires)
{
    create_token(5, ROLE, HOUR_MS, false);
    ck_assert_done();
    ck_assert_uint_eq(w.result->seq, 5);
    ck_assert_int_eq(check(5), 0);
    w.now_ms += HOUR_MS - 1;
    ck_assert_int_eq(check(5), 0);
    w.now_ms++;
    ck_assert_int_eq(check(5), TOKENS_EXPIRED);
}
END_TEST

START_TEST(another_secret_id_or_role_lets_nobody_in)
{
    create_token(5, ROLE, HOUR_MS, false);
    ck_assert_int_eq(check(6), TOKENS_UNKNOWN);
    ck_assert_int_eq(tokens_check(w.txn, 5, secret_of(6), ROLE, w.now_ms), TOKENS_UNKNOWN);
    ck_assert_int_eq(tokens_check(w.txn, 5, (struct bytes){"", 0}, ROLE, w.now_ms), TOKENS_UNKNOWN);
    ck_assert_int_eq(tokens_check(w.txn, 5, secret_of(5), STATE__TOKEN_ROLE__TOKEN_NONE, w.now_ms),
                     TOKENS_UNKNOWN);
    ck_assert_str_eq(tokens_reason(TOKENS_UNKNOWN), "this token lets nobody in");
}
END_TEST

START_TEST(a_revoked_token_lets_nobody_in)
{
    create_token(5, ROLE, HOUR_MS, false);
    create_token(6, ROLE, HOUR_MS, false);
    revoke_token(5);
    ck_assert_done();
    ck_assert_int_eq(check(5), TOKENS_REVOKED);
    ck_assert_int_eq(check(6), 0);
    /* Without its secret nobody hears that it was ever there. */
    ck_assert_int_eq(tokens_check(w.txn, 5, secret_of(6), ROLE, w.now_ms), TOKENS_UNKNOWN);
    revoke_token(7);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_RESOURCE_NOT_FOUND, "There is no token 00000007.");
}
END_TEST

START_TEST(revoking_again_does_not_move_the_time)
{
    State__JoinToken *token;
    uint64_t hash;

    create_token(5, ROLE, HOUR_MS, false);
    revoke_token(5);
    hash = world_hash();
    w.now_ms++;
    revoke_token(5);
    ck_assert_done();
    ck_assert_uint_eq(world_hash(), hash);
    ck_assert_int_eq(table_join_token(w.txn, 5, &token), 0);
    ck_assert_uint_eq(token->revoked_ms, w.now_ms - 1);
    state__join_token__free_unpacked(token, NULL);
}
END_TEST

START_TEST(rotating_makes_one_and_revokes_all_older_ones_at_once)
{
    create_token(5, ROLE, HOUR_MS, false);
    create_token(9, ROLE, HOUR_MS, false);
    create_token(7, ROLE, HOUR_MS, true);
    ck_assert_done();
    ck_assert_int_eq(check(5), TOKENS_REVOKED);
    ck_assert_int_eq(check(9), TOKENS_REVOKED);
    ck_assert_int_eq(check(7), 0);
}
END_TEST

START_TEST(what_is_no_token_is_refused)
{
    Command__CreateToken body = COMMAND__CREATE_TOKEN__INIT;

    create_token(0, ROLE, HOUR_MS, false);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                      "A token has an id and a secret.");
    create_token(1, STATE__TOKEN_ROLE__TOKEN_NONE, HOUR_MS, false);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER, "Unknown role of a token.");
    create_token(1, ROLE, 0, false);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                      "A token lives for at most 366 days.");
    create_token(1, ROLE, LIMIT_JOIN_TOKEN_TTL_MS + 1, false);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                      "A token lives for at most 366 days.");
    body.id = 1;
    body.role = ROLE;
    body.ttl_ms = HOUR_MS;
    APPLY(CREATE_TOKEN, create_token, &body);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                      "A token has an id and a secret.");
}
END_TEST

START_TEST(an_id_that_is_taken_is_refused_and_revokes_nothing)
{
    create_token(5, ROLE, HOUR_MS, false);
    create_token(5, ROLE, HOUR_MS, true);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_CONFLICT,
                      "There is a token of this id already. Try again.");
    ck_assert_int_eq(check(5), 0);
}
END_TEST

START_TEST(there_are_only_so_many)
{
    for (uint32_t id = 1; id <= LIMIT_JOIN_TOKENS; id++)
        create_token(id, ROLE, HOUR_MS, false);
    ck_assert_done();
    create_token(UINT32_MAX, ROLE, HOUR_MS, true);
    ck_assert_msg(w.result->problem != NULL, "one more than are kept");
    ck_assert_int_eq(w.result->problem->code, COMMAND__ERROR_CODE__ERROR_LIMIT_EXCEEDED);
    ck_assert_uint_eq(count(), LIMIT_JOIN_TOKENS);
}
END_TEST

START_TEST(what_is_made_reads_back_and_lets_in)
{
    State__Settings settings = STATE__SETTINGS__INIT;
    char secret[TOKEN_SECRET_TEXT], digest[TOKEN_DIGEST_TEXT], again[TOKEN_DIGEST_TEXT], id_text[9];
    uint8_t bytes[TOKEN_DIGEST_BYTES];
    struct token token;
    uint32_t id;
    char *text;

    ck_assert_int_eq(tokens_make(&id, secret, digest), 0);
    ck_assert_uint_ne(id, 0);
    snprintf(id_text, sizeof id_text, "%08x", id);
    text = tokens_text(&settings, "manager", id_text, secret);
    ck_assert_int_eq(token_parse(text, &token), 0);
    ck_assert_uint_eq(token.id, id);
    tokens_digest((struct bytes){token.secret, sizeof token.secret}, bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(again + 2 * i, 3, "%02x", bytes[i]);
    ck_assert_str_eq(again, digest);
    free(text);
}
END_TEST

START_TEST(the_dead_are_forgotten_in_steps)
{
    create_token(1, ROLE, HOUR_MS, false);
    create_token(2, ROLE, HOUR_MS, false);
    create_token(UINT32_MAX, ROLE, 3 * (uint64_t)HOUR_MS, false);
    revoke_token(UINT32_MAX);
    create_token(4, ROLE, 3 * (uint64_t)HOUR_MS, false);
    forget(w.now_ms, 10);
    ck_assert_uint_eq(count(), 4);
    forget(w.now_ms + HOUR_MS + 1, 1);
    ck_assert_uint_eq(count(), 3);
    forget(w.now_ms + HOUR_MS + 1, 10);
    ck_assert_uint_eq(count(), 1);
    ck_assert_int_eq(check(4), 0);
}
END_TEST

RUN_TESTS("tokens", a_token_lets_in_until_it_expires, another_secret_id_or_role_lets_nobody_in,
          a_revoked_token_lets_nobody_in, revoking_again_does_not_move_the_time,
          rotating_makes_one_and_revokes_all_older_ones_at_once, what_is_no_token_is_refused,
          an_id_that_is_taken_is_refused_and_revokes_nothing, there_are_only_so_many,
          what_is_made_reads_back_and_lets_in, the_dead_are_forgotten_in_steps)
