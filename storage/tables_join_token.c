/* Tokens to join with. */
#include "proto/base/err.h"
#include "storage/tables_record.h"
#include "storage/tables_write.h"

static void token_key(struct key *key, uint32_t id)
{
    key->len = 0;
    key_add_u32(key, id);
}

int table_join_token(struct txn *txn, uint32_t id, State__JoinToken **out)
{
    struct key key;
    int r;

    token_key(&key, id);
    r = record_get(txn, TABLE_JOIN_TOKEN, &key, &state__join_token__descriptor, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

struct token_walk {
    int (*each)(void *context, const State__JoinToken *token);
    void *context;
};

static int each_token(void *context, struct txn *txn, struct bytes key, struct bytes value)
{
    const struct token_walk *walk = context;
    State__JoinToken *token;
    int r = record_unpack(value, &state__join_token__descriptor, &token);

    (void)txn;
    (void)key;
    if (r < 0)
        return err_up(r);
    r = walk->each(walk->context, token);
    state__join_token__free_unpacked(token, NULL);
    return r;
}

int table_join_tokens(struct txn *txn, uint32_t after_id,
                      int (*each)(void *context, const State__JoinToken *token), void *context)
{
    struct token_walk walk = {each, context};
    struct key from;

    if (after_id == UINT32_MAX)
        return 0;
    token_key(&from, after_id + 1);
    return err_up(record_walk(txn, TABLE_JOIN_TOKEN, &from, 0, each_token, &walk));
}

int table_put_join_token(struct txn *txn, const State__JoinToken *token)
{
    struct key key;

    must(token->id != 0);
    token_key(&key, token->id);
    return err_up(record_put(txn, TABLE_JOIN_TOKEN, &key, &token->base));
}

int table_del_join_token(struct txn *txn, uint32_t id)
{
    struct key key;

    token_key(&key, id);
    return err_up(record_drop(txn, TABLE_JOIN_TOKEN, &key));
}
