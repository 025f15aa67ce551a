/* Client tokens: the answers once given, so that a retry gets the same one. */
#include <errno.h>
#include <stdlib.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "storage/tables_record.h"
#include "storage/tables_write.h"

static void token_key(struct key *key, uint64_t cluster_seq, enum token_kind kind,
                      const char *token)
{
    key_seq(key, cluster_seq);
    key_add_byte(key, (uint8_t)kind);
    key_add_text(key, token);
}

int table_token(struct txn *txn, uint64_t cluster_seq, enum token_kind kind, const char *token,
                State__ClientToken **out)
{
    struct key key;
    int r;

    if (!key_name_fits(token))
        return TABLE_ABSENT;
    token_key(&key, cluster_seq, kind, token);
    r = record_get(txn, TABLE_TOKEN, &key, &state__client_token__descriptor, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int table_add_token(struct txn *txn, uint64_t cluster_seq, enum token_kind kind,
                    const State__ClientToken *token)
{
    struct key key, age;
    int r;

    must(key_name_fits(token->token));
    token_key(&key, cluster_seq, kind, token->token);
    r = record_put(txn, TABLE_TOKEN, &key, &token->base);
    if (r < 0)
        return err_up(r);
    key_seq(&age, token->created_ms);
    key_add(&age, key.at, key.len);
    return err_up(record_mark(txn, TABLE_TOKEN_AGE, &age));
}

struct token_walk {
    uint64_t before_ms;
    uint32_t limit;
    struct key *ages;
    uint32_t count;
};

static int each_age(void *context, struct txn *txn, struct bytes key, struct bytes value)
{
    struct token_walk *walk = context;
    struct key *age;

    (void)txn;
    (void)value;
    if (key.len <= 8 || key.len > KEY_BYTES_MAX)
        return err_new(-EUCLEAN);
    if (walk->count == walk->limit || be64_get(key.base) >= walk->before_ms)
        return 1;
    walk->ages = mem_resize(walk->ages, walk->count + 1, sizeof *walk->ages);
    age = &walk->ages[walk->count++];
    age->len = 0;
    key_add(age, key.base, key.len);
    return 0;
}

static int del_token(struct txn *txn, const struct key *age)
{
    struct key key = {0};
    int r = record_drop(txn, TABLE_TOKEN_AGE, age);

    if (r < 0)
        return err_up(r);
    key_add(&key, age->at + 8, age->len - 8);
    return err_up(record_drop(txn, TABLE_TOKEN, &key));
}

int table_del_tokens(struct txn *txn, uint64_t before_ms, uint32_t limit)
{
    struct token_walk walk = {.before_ms = before_ms, .limit = limit};
    struct key first = {0};
    int r = record_walk(txn, TABLE_TOKEN_AGE, &first, 0, each_age, &walk);

    for (uint32_t i = 0; i < walk.count && r == 0; i++)
        r = del_token(txn, &walk.ages[i]);
    free(walk.ages);
    return err_up(r);
}
