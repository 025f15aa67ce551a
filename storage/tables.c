#include "storage/tables.h"

#include "proto/base/err.h"
#include "storage/tables_record.h"
#include "storage/tables_write.h"

const char *const table_names[TABLE_COUNT] = {
    [TABLE_META] = "meta",
    [TABLE_LOG] = "log",
    [TABLE_CLUSTER] = "cluster",
    [TABLE_CLUSTER_NAME] = "cluster_name",
    [TABLE_CLUSTER_COUNT] = "cluster_count",
    [TABLE_TASK_DEFINITION] = "task_definition",
    [TABLE_FAMILY] = "family",
    [TABLE_SERVICE] = "service",
    [TABLE_SERVICE_NAME] = "service_name",
    [TABLE_SERVICE_OF_CLUSTER] = "service_of_cluster",
    [TABLE_DEPLOYMENT] = "deployment",
    [TABLE_SERVICE_EVENT] = "service_event",
    [TABLE_TASK] = "task",
    [TABLE_TASK_STATUS] = "task_status",
    [TABLE_TASK_ID] = "task_id",
    [TABLE_TASK_OF_CLUSTER] = "task_of_cluster",
    [TABLE_TASK_OF_SERVICE] = "task_of_service",
    [TABLE_TASK_OF_WORKER] = "task_of_worker",
    [TABLE_TASK_STOPPED] = "task_stopped",
    [TABLE_WORKER] = "worker",
    [TABLE_WORKER_ID] = "worker_id",
    [TABLE_WORKER_OF_CLUSTER] = "worker_of_cluster",
    [TABLE_WORKER_USAGE] = "worker_usage",
    [TABLE_TOKEN] = "token",
    [TABLE_TOKEN_AGE] = "token_age",
    [TABLE_JOIN_TOKEN] = "join_token",
};

/* Names in META that are part of the state; the others are the Raft log's (storage/log.h). */
static const char settings_name[] = "settings";
static const char *const counter_names[COUNTER_COUNT] = {
    [COUNTER_CLUSTER] = "last/cluster",       [COUNTER_SERVICE] = "last/service",
    [COUNTER_DEPLOYMENT] = "last/deployment", [COUNTER_TASK] = "last/task",
    [COUNTER_WORKER] = "last/worker",
};

static void meta_key(struct key *key, const char *name)
{
    key->len = 0;
    key_add_text(key, name);
}

int table_settings(struct txn *txn, State__Settings **out)
{
    struct key key;
    int r;

    meta_key(&key, settings_name);
    r = record_get(txn, TABLE_META, &key, &state__settings__descriptor, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int table_put_settings(struct txn *txn, const State__Settings *settings)
{
    struct key key;

    meta_key(&key, settings_name);
    return err_up(record_put(txn, TABLE_META, &key, &settings->base));
}

int table_counter(struct txn *txn, enum counter counter, uint64_t *out)
{
    struct key key;
    int r;

    meta_key(&key, counter_names[counter]);
    r = record_get_seq(txn, TABLE_META, &key, out);
    if (r != TABLE_ABSENT)
        return err_up(r);
    *out = 0;
    return 0;
}

int table_put_counter(struct txn *txn, enum counter counter, uint64_t last)
{
    struct key key;

    meta_key(&key, counter_names[counter]);
    return err_up(record_put_seq(txn, TABLE_META, &key, last));
}

static bool is_name(struct bytes name, const char *text)
{
    return name.len == strlen(text) && memcmp(name.base, text, name.len) == 0;
}

bool table_meta_is_state(struct bytes name)
{
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        if (is_name(name, counter_names[i]))
            return true;
    return is_name(name, settings_name);
}

/* ---- the hash */

/* Multiply and fold, eight bytes at a time: order matters, and it is fast enough for a test of
 * a million tasks. Not for secrets. */
static uint64_t hash_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t hash_bytes(uint64_t hash, struct bytes bytes)
{
    const uint8_t *at = bytes.base;
    size_t left = bytes.len;
    uint8_t tail[8] = {0};

    hash = hash_word(hash, bytes.len);
    for (; left >= 8; at += 8, left -= 8)
        hash = hash_word(hash, be64_get(at));
    if (left == 0)
        return hash;
    memcpy(tail, at, left);
    return hash_word(hash, be64_get(tail));
}

static int hash_record(void *context, struct txn *txn, struct bytes key, struct bytes value)
{
    uint64_t *hash = context;

    (void)txn;
    *hash = hash_bytes(hash_bytes(*hash, key), value);
    return 0;
}

static int hash_meta(struct txn *txn, const char *name, uint64_t *hash)
{
    struct key key;
    struct bytes value = {"", 0};
    int r;

    meta_key(&key, name);
    r = txn_get(txn, TABLE_META, key_bytes(&key), &value);
    if (r < 0)
        return err_up(r);
    return hash_record(hash, txn, key_bytes(&key), value);
}

int table_hash(struct txn *txn, uint64_t *out)
{
    uint64_t hash = 0;
    struct key first = {0};
    int r = hash_meta(txn, settings_name, &hash);

    for (size_t i = 0; i < COUNTER_COUNT && r == 0; i++)
        r = hash_meta(txn, counter_names[i], &hash);
    for (size_t i = TABLE_LOG + 1; i < TABLE_COUNT && r == 0; i++) {
        hash = hash_word(hash, i);
        r = record_walk(txn, (enum table)i, &first, 0, hash_record, &hash);
    }
    if (r < 0)
        return err_up(r);
    *out = hash;
    return 0;
}
