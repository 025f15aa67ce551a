/*
 * Databases and keys:
 *
 *   meta         "format" -> 1; "worker" -> 32 hex digits; "term" -> u64, big-endian
 *   tasks        task id -> supervise.Task
 *   reports      task id -> command.TaskReport
 *   definitions  "FAMILY:REVISION" -> worker.Definition
 */
#include "server/worker/worker_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/arn.h"
#include "proto/base/bytes.h"
#include "proto/base/endian.h"
#include "proto/base/err.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"
#include "proto/base/rng.h"
#include "proto/unpacking.h"
#include "server/worker/release.h"
#include "storage/env.h"

enum { META, TASKS, REPORTS, DEFINITIONS, DATABASES };

enum { FORMAT = 1 };

static const char *const names[DATABASES] = {"meta", "tasks", "reports", "definitions"};
static const size_t map_first = 16u << 20;
static const size_t map_most = (size_t)4 << 30;

/* One collected change: a value under a key, or, without a value, none. */
struct change {
    struct list link;
    size_t db;
    char *key;
    uint8_t *value;
    size_t len;
};

struct store {
    struct env *env;
    char worker_id[ARN_ID_CHARS + 1];
    uint64_t term;
    struct list changes;
};

static struct bytes text(const char *string)
{
    return (struct bytes){string, strlen(string)};
}

/* ---- changes */

static void change_free(struct change *change)
{
    list_remove(&change->link);
    free(change->key);
    free(change->value);
    free(change);
}

/* Copies key, takes value. */
static void collect(struct store *store, size_t db, const char *key, uint8_t *value, size_t len)
{
    struct change *change = mem_new(struct change);

    change->db = db;
    change->key = mem_string(key);
    change->value = value;
    change->len = len;
    list_append(&store->changes, &change->link);
}

static void collect_message(struct store *store, size_t db, const char *key,
                            const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = mem_zeroed(1, len + 1);

    protobuf_c_message_pack(message, packed);
    collect(store, db, key, packed, len);
}

static char *definition_key(const char *family, uint32_t revision)
{
    return mem_format("%s:%u", family, revision);
}

void store_put_term(struct store *store, uint64_t term)
{
    uint8_t *value = mem_zeroed(1, sizeof term);

    be64_put(value, term);
    collect(store, META, "term", value, sizeof term);
    store->term = term;
}

void store_put_task(struct store *store, const Supervise__Task *task)
{
    collect_message(store, TASKS, task->assignment->task_id, &task->base);
}

void store_put_definition(struct store *store, const Worker__Definition *definition)
{
    scope(text_free) char *key = definition_key(definition->family, definition->revision);

    collect_message(store, DEFINITIONS, key, &definition->base);
}

void store_put_report(struct store *store, const Command__TaskReport *report)
{
    collect_message(store, REPORTS, report->task_id, &report->base);
}

void store_drop_task(struct store *store, const char *task_id)
{
    collect(store, TASKS, task_id, NULL, 0);
    collect(store, REPORTS, task_id, NULL, 0);
}

static int write_change(struct txn *txn, const struct change *change)
{
    int r = change->value ? txn_put(txn, change->db, text(change->key),
                                    (struct bytes){change->value, change->len})
                          : txn_del(txn, change->db, text(change->key));

    return r < 0 ? err_up(r) : 0; /* Removing what is not there is fine. */
}

/* *out_map_full tells a full map, which can grow, from a full disk. */
static int write_changes(struct store *store, bool *out_map_full)
{
    scope(txn_abort) struct txn *txn = NULL;
    int r = env_write(store->env, &txn);

    *out_map_full = false;
    if (r < 0)
        return err_up(r);
    list_each (link, &store->changes) {
        r = write_change(txn, list_entry(link, struct change, link));
        if (r < 0) {
            *out_map_full = r == -ENOSPC;
            return err_up(r);
        }
    }
    return err_up(txn_commit(steal(txn)));
}

static int grow(struct store *store)
{
    size_t used, map;

    env_size(store->env, &used, &map);
    if (map >= map_most)
        return err_new(-ENOSPC);
    return err_up(env_grow(store->env, 2 * map));
}

int store_commit(struct store *store)
{
    bool map_full = true;
    int r = 0;

    if (list_is_empty(&store->changes))
        return 0;
    while (map_full) {
        r = write_changes(store, &map_full);
        if (!map_full)
            break;
        r = grow(store);
        if (r < 0)
            return err_up(r);
    }
    if (r < 0)
        return err_up(r);
    list_each (link, &store->changes)
        change_free(list_entry(link, struct change, link));
    return 0;
}

/* ---- reading back */

static void *unpack(const ProtobufCMessageDescriptor *type, struct bytes bytes)
{
    return protobuf_c_message_unpack(type, &unpacking, bytes.len, bytes.base);
}

static int get_report(struct txn *txn, struct bytes task_id, Command__TaskReport **out)
{
    struct bytes value;
    int r = txn_get(txn, REPORTS, task_id, &value);

    *out = NULL;
    if (r != 0)
        return r < 0 ? err_up(r) : 0;
    *out = unpack(&command__task_report__descriptor, value);
    return *out ? 0 : err_new(-EUCLEAN);
}

struct reading {
    struct txn *txn;
    void (*each)(void *context, const Supervise__Task *task, const Command__TaskReport *report);
    void *context;
    struct buffer used; /* Keys of definitions, each behind a NUL. */
};

static bool is_task(const Supervise__Task *task, struct bytes key)
{
    return task && task->assignment && id_is_valid(task->assignment->task_id) &&
           key.len == ARN_ID_CHARS && !memcmp(key.base, task->assignment->task_id, key.len);
}

static int read_task(struct reading *reading, struct bytes key, struct bytes value)
{
    Supervise__Task *task = unpack(&supervise__task__descriptor, value);
    Command__TaskReport *report = NULL;
    int r = is_task(task, key) ? get_report(reading->txn, key, &report) : err_new(-EUCLEAN);

    if (r == 0) {
        scope(text_free) char *used =
            definition_key(task->assignment->family, task->assignment->revision);

        buffer_append(&reading->used, used, strlen(used) + 1);
        reading->each(reading->context, task, report);
    }
    if (task)
        supervise__task__free_unpacked(task, NULL);
    if (report)
        command__task_report__free_unpacked(report, NULL);
    return err_up(r);
}

static int read_tasks(struct reading *reading)
{
    scope(cursor_close) struct cursor *cursor = NULL;
    struct bytes key, value;
    int r = cursor_open(reading->txn, TASKS, &cursor);

    if (r < 0)
        return err_up(r);
    for (r = cursor_seek(cursor, (struct bytes){0}, &key, &value); r == 0;
         r = cursor_next(cursor, &key, &value)) {
        r = read_task(reading, key, value);
        if (r < 0)
            return err_up(r);
    }
    return r < 0 ? err_up(r) : 0;
}

static bool is_used(const struct buffer *used, struct bytes key)
{
    for (size_t at = 0; at < used->len;) {
        const char *one = (const char *)used->base + at;
        size_t len = strlen(one);

        if (len == key.len && !memcmp(one, key.base, len))
            return true;
        at += len + 1;
    }
    return false;
}

static int drop_definitions(struct txn *txn, const struct buffer *used)
{
    scope(cursor_close) struct cursor *cursor = NULL;
    struct bytes key, value;
    int r = cursor_open(txn, DEFINITIONS, &cursor);

    if (r < 0)
        return err_up(r);
    for (r = cursor_seek(cursor, (struct bytes){0}, &key, &value); r == 0;
         r = cursor_next(cursor, &key, &value)) {
        int dropped = is_used(used, key) ? 0 : cursor_del(cursor);

        if (dropped < 0)
            return err_up(dropped);
    }
    return r < 0 ? err_up(r) : 0;
}

int store_each_task(struct store *store,
                    void (*each)(void *context, const Supervise__Task *task,
                                 const Command__TaskReport *report),
                    void *context)
{
    scope(txn_abort) struct txn *txn = NULL;
    struct reading reading = {.each = each, .context = context};
    int r = env_write(store->env, &txn);

    if (r < 0)
        return err_up(r);
    reading.txn = txn;
    r = read_tasks(&reading);
    if (r == 0)
        r = drop_definitions(txn, &reading.used);
    buffer_fini(&reading.used);
    return r < 0 ? err_up(r) : err_up(txn_commit(steal(txn)));
}

int store_get_definition(struct store *store, const char *family, uint32_t revision,
                         Worker__Definition **out)
{
    scope(txn_abort) struct txn *txn = NULL;
    scope(text_free) char *key = definition_key(family, revision);
    struct bytes value;
    Worker__Definition *definition;
    int r = env_read(store->env, &txn);

    if (r < 0)
        return err_up(r);
    r = txn_get(txn, DEFINITIONS, text(key), &value);
    if (r != 0)
        return r < 0 ? err_up(r) : STORE_ABSENT;
    definition = unpack(&worker__definition__descriptor, value);
    if (!definition)
        return err_new(-EUCLEAN);
    *out = definition;
    return 0;
}

/* ---- opening */

static int read_meta(struct store *store, bool *out_new)
{
    scope(txn_abort) struct txn *txn = NULL;
    struct bytes value;
    int r = env_read(store->env, &txn);

    if (r < 0)
        return err_up(r);
    r = txn_get(txn, META, text("format"), &value);
    *out_new = r == ENV_ABSENT;
    if (r != 0)
        return r < 0 ? err_up(r) : 0;
    if (value.len != 1 || *(const uint8_t *)value.base != FORMAT)
        return err_new(-EUCLEAN);
    r = txn_get(txn, META, text("worker"), &value);
    if (r != 0 || value.len != ARN_ID_CHARS)
        return err_new(-EUCLEAN);
    memcpy(store->worker_id, value.base, value.len);
    r = txn_get(txn, META, text("term"), &value);
    if (r == 0 && value.len == sizeof(uint64_t))
        store->term = be64_get(value.base);
    return r < 0 ? err_up(r) : 0;
}

static int make_meta(struct store *store, uint64_t seed)
{
    static const uint8_t format = FORMAT;
    struct rng rng;

    rng_seed(&rng, seed);
    rng_id(&rng, store->worker_id);
    collect(store, META, "format", mem_copy(&format, 1), 1);
    collect(store, META, "worker", mem_copy(store->worker_id, ARN_ID_CHARS), ARN_ID_CHARS);
    return err_up(store_commit(store));
}

int store_open(const char *dir, uint64_t seed, struct store **out)
{
    scope(store_free) struct store *store = mem_new(struct store);
    scope(text_free) char *path = mem_format("%s/db", dir);
    bool is_new;
    int r;

    list_init(&store->changes);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_new(-errno);
    r = env_open(path, map_first, names, DATABASES, &store->env);
    if (r < 0)
        return err_up(r);
    r = read_meta(store, &is_new);
    if (r == 0 && is_new)
        r = make_meta(store, seed);
    if (r < 0)
        return err_up(r);
    *out = steal(store);
    return 0;
}

void store_free(struct store *store)
{
    if (!store)
        return;
    list_each (link, &store->changes)
        change_free(list_entry(link, struct change, link));
    env_free(store->env);
    free(store);
}

const char *store_worker_id(const struct store *store)
{
    return store->worker_id;
}

uint64_t store_term(const struct store *store)
{
    return store->term;
}
