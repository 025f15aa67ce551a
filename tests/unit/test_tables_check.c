/* tables_check() finds what is wrong: each record or key, once lost, is missed. */
#include <errno.h>

#include "storage/tables_key.h"
#include "storage/tables_write.h"
#include "tests/unit/apply_world.h"

/* Something in every table. */
static void furnish(void)
{
    State__Service *service;
    uint64_t worker, seq;

    worker = register_worker(1, "", 1024, 1024, 1);
    register_definition("web", 128, 128, 0);
    seq = create_service("web", "web", 2, 1);
    service = service_of(seq);
    place_tasks(seq, service->primary_deployment_seq, 1, 2, worker);
    report(worker, 1, STATE__TASK_STATE__TASK_STOPPED, 0, 0, "");
    state__service__free_unpacked(service, NULL);
}

/* Gives what the check says. */
static char *verdict(void)
{
    char *text = NULL;

    ck_assert_int_eq(tables_check(w.txn, &text), 0);
    return text;
}

static void del_first(enum table table)
{
    scope(cursor_close) struct cursor *cursor = NULL;
    struct bytes key, value;

    ck_assert_int_eq(cursor_open(w.txn, table, &cursor), 0);
    ck_assert_int_eq(cursor_seek(cursor, (struct bytes){"", 0}, &key, &value), 0);
    ck_assert_int_eq(cursor_del(cursor), 0);
}

START_TEST(a_lost_key_is_found_in_every_table)
{
    static const enum table tables[] = {
        TABLE_CLUSTER,
        TABLE_CLUSTER_NAME,
        TABLE_CLUSTER_COUNT,
        TABLE_FAMILY,
        TABLE_SERVICE,
        TABLE_SERVICE_NAME,
        TABLE_DEPLOYMENT,
        TABLE_SERVICE_OF_CLUSTER,
        TABLE_SERVICE_EVENT,
        TABLE_TASK,
        TABLE_TASK_STATUS,
        TABLE_TASK_ID,
        TABLE_TASK_OF_CLUSTER,
        TABLE_TASK_OF_SERVICE,
        TABLE_TASK_OF_WORKER,
        TABLE_TASK_STOPPED,
        TABLE_WORKER,
        TABLE_WORKER_ID,
        TABLE_WORKER_OF_CLUSTER,
        TABLE_WORKER_USAGE,
    };

    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char *text;

        txn_abort(w.txn);
        ck_assert_int_eq(env_write(w.env, &w.txn), 0);
        furnish();
        ck_assert_ptr_null(verdict());
        del_first(tables[i]);
        text = verdict();
        ck_assert_msg(text != NULL, "%s", table_names[tables[i]]);
        free(text);
    }
}
END_TEST

START_TEST(a_key_too_many_is_found_in_every_index)
{
    static const enum table tables[] = {
        TABLE_CLUSTER_NAME,    TABLE_CLUSTER_COUNT,   TABLE_FAMILY,
        TABLE_SERVICE_NAME,    TABLE_DEPLOYMENT,      TABLE_SERVICE_OF_CLUSTER,
        TABLE_SERVICE_EVENT,   TABLE_TASK_STATUS,     TABLE_TASK_ID,
        TABLE_TASK_OF_CLUSTER, TABLE_TASK_OF_SERVICE, TABLE_TASK_OF_WORKER,
        TABLE_TASK_STOPPED,    TABLE_WORKER_ID,       TABLE_WORKER_OF_CLUSTER,
        TABLE_WORKER_USAGE,    TABLE_TOKEN,
    };

    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct bytes key = {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16};
        char *text;

        txn_abort(w.txn);
        ck_assert_int_eq(env_write(w.env, &w.txn), 0);
        furnish();
        ck_assert_int_eq(txn_put(w.txn, tables[i], key, (struct bytes){"", 0}), 0);
        text = verdict();
        ck_assert_msg(text != NULL, "%s", table_names[tables[i]]);
        free(text);
    }
}
END_TEST

/* Records whose numbers follow from others, each with one that does not. */
START_TEST(a_wrong_count_is_found_and_named)
{
    static const struct {
        enum table table;
        const char *record; /* Packed: field 1 is 9. */
        const char *said;
    } cases[] = {
        {TABLE_CLUSTER_COUNT, "\x08\x09",
         "cluster 1: 9 running, 0 pending, 0 services, 0 workers; not 0, 1, 1, 1"},
        {TABLE_WORKER_USAGE, "\x08\x09", "worker 1: 0 running, 0 pending; not 0, 1"},
    };

    furnish();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct key key;
        struct bytes was;
        void *kept;
        char *text;

        key_seq(&key, 1);
        ck_assert_int_eq(txn_get(w.txn, cases[i].table, key_bytes(&key), &was), 0);
        kept = mem_copy(was.base, was.len);
        ck_assert_int_eq(
            txn_put(w.txn, cases[i].table, key_bytes(&key), (struct bytes){cases[i].record, 2}), 0);
        text = verdict();
        ck_assert_str_eq(text, cases[i].said);
        free(text);
        ck_assert_int_eq(
            txn_put(w.txn, cases[i].table, key_bytes(&key), (struct bytes){kept, was.len}), 0);
        free(kept);
        ck_assert_ptr_null(verdict());
    }
}
END_TEST

START_TEST(a_token_under_another_id_is_found)
{
    State__JoinToken token = STATE__JOIN_TOKEN__INIT;
    struct key key = {0};
    struct bytes record;
    char *text;

    token.id = 7;
    token.secret_digest = (ProtobufCBinaryData){1, (uint8_t *)"x"};
    ck_assert_int_eq(table_put_join_token(w.txn, &token), 0);
    ck_assert_ptr_null(verdict());
    key_add_u32(&key, 7);
    ck_assert_int_eq(txn_get(w.txn, TABLE_JOIN_TOKEN, key_bytes(&key), &record), 0);
    key.len = 0;
    key_add_u32(&key, 8);
    ck_assert_int_eq(txn_put(w.txn, TABLE_JOIN_TOKEN, key_bytes(&key), record), 0);
    text = verdict();
    ck_assert_str_eq(text, "join_token: a record under another id");
    free(text);
}
END_TEST

START_TEST(a_record_that_cannot_be_read_is_a_failure_not_a_difference)
{
    State__Cluster *cluster = NULL;
    struct key key;
    char *text = NULL;

    furnish();
    key_seq(&key, 1);
    ck_assert_int_eq(txn_put(w.txn, TABLE_CLUSTER, key_bytes(&key), (struct bytes){"\xff", 1}), 0);
    ck_assert_int_eq(table_cluster(w.txn, 1, &cluster), -EUCLEAN);
    ck_assert_ptr_null(cluster);
    ck_assert_int_eq(tables_check(w.txn, &text), -EUCLEAN);
}
END_TEST

RUN_TESTS("tables_check", a_lost_key_is_found_in_every_table,
          a_key_too_many_is_found_in_every_index, a_wrong_count_is_found_and_named,
          a_token_under_another_id_is_found,
          a_record_that_cannot_be_read_is_a_failure_not_a_difference)
