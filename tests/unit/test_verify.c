/*
 * Verifying what a manager keeps: each kind of damage is found and named, and nothing is changed by
 * looking.
 */
#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/endian.h"
#include "proto/base/mem.h"
#include "storage/apply.h"
#include "storage/verify.h"

enum { ENTRIES = 5 };

static char dir[32];
static struct env *env;
static struct txn *txn;
static struct storage_report report;

static void append(uint64_t index, const char *name)
{
    Command__Command command = COMMAND__COMMAND__INIT;
    Command__CreateCluster body = COMMAND__CREATE_CLUSTER__INIT;
    Ecs__CreateClusterRequest request = ECS__CREATE_CLUSTER_REQUEST__INIT;
    struct log_entry entry = {.term = 1, .type = 1};
    struct changes changes = {0};
    uint8_t packed[256];

    request.cluster_name = (char *)name;
    body.request = &request;
    command.time_ms = 1700000000000;
    command.body_case = COMMAND__COMMAND__BODY_CREATE_CLUSTER;
    command.create_cluster = &body;
    entry.data = (struct bytes){packed, command__command__pack(&command, packed)};
    ck_assert_int_eq(log_append(txn, index, &entry), 0);
    ck_assert_int_eq(apply(txn, index, entry.data, &changes, NULL), 0);
    changes_fini(&changes);
}

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/verify-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(env_open(dir, 16 << 20, table_names, TABLE_COUNT, &env), 0);
    ck_assert_int_eq(env_write(env, &txn), 0);
    ck_assert_int_eq(log_format(txn), 0);
    ck_assert_int_eq(log_owner(txn, 7), 0);
    ck_assert_int_eq(log_vote_put(txn, &(struct log_vote){.term = 3, .voted_for = 7}), 0);
    for (uint64_t i = 1; i <= ENTRIES; i++) {
        char *name = mem_format("c%d", (int)i);

        append(i, name);
        free(name);
    }
    ck_assert_int_eq(log_applied_put(txn, &(struct log_applied){.index = ENTRIES, .term = 1}), 0);
    report = (struct storage_report){0};
}

static void tear_down(void)
{
    char *data = mem_format("%s/data.mdb", dir), *lock = mem_format("%s/lock.mdb", dir);

    storage_report_fini(&report);
    txn_abort(txn);
    env_free(env);
    unlink(data);
    unlink(lock);
    rmdir(dir);
    free(data);
    free(lock);
}

static void ck_assert_problem(const char *problem)
{
    ck_assert_int_eq(storage_verify(txn, &report), 0);
    ck_assert_ptr_nonnull(report.problem);
    ck_assert_str_eq(report.problem, problem);
}

START_TEST(what_is_whole_is_said_to_be)
{
    ck_assert_int_eq(storage_verify(txn, &report), 0);
    ck_assert_msg(!report.problem, "%s", report.problem);
    ck_assert_uint_eq(report.identity.format, LOG_FORMAT);
    ck_assert_uint_eq(report.identity.owner, 7);
    ck_assert_uint_eq(report.vote.term, 3);
    ck_assert_uint_eq(report.log_first, 1);
    ck_assert_uint_eq(report.log_last, ENTRIES);
    ck_assert_uint_eq(report.applied.index, ENTRIES);
    ck_assert_uint_eq(report.records[TABLE_CLUSTER], ENTRIES);
    ck_assert_uint_eq(report.damaged_entry, 0);
}
END_TEST

START_TEST(a_log_that_was_emptied_into_the_tables_is_whole)
{
    ck_assert_int_eq(log_truncate(txn, 1), 0);
    ck_assert_int_eq(storage_verify(txn, &report), 0);
    ck_assert_ptr_null(report.problem);
    ck_assert_uint_eq(report.log_last, 0);
}
END_TEST

static struct bytes key_of(uint8_t key[8], uint64_t index)
{
    be64_put(key, index);
    return (struct bytes){key, 8};
}

/* Every bit of an entry is under its checksum. */
START_TEST(an_entry_with_any_bit_turned_is_named)
{
    uint8_t key[8], copy[256];
    struct bytes value;
    size_t len;

    ck_assert_int_eq(txn_get(txn, TABLE_LOG, key_of(key, 3), &value), 0);
    len = value.len;
    ck_assert_uint_le(len, sizeof copy);
    memcpy(copy, value.base, len);
    for (size_t bit = 0; bit < len * 8; bit++) {
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_eq(txn_put(txn, TABLE_LOG, key_of(key, 3), (struct bytes){copy, len}), 0);
        ck_assert_problem("log entry 3: its checksum does not fit");
        ck_assert_uint_eq(report.damaged_entry, 3);
        storage_report_fini(&report);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert_int_eq(txn_put(txn, TABLE_LOG, key_of(key, 3), (struct bytes){copy, len}), 0);
    ck_assert_int_eq(storage_verify(txn, &report), 0);
    ck_assert_ptr_null(report.problem);
}
END_TEST

START_TEST(a_missing_entry_is_named)
{
    uint8_t key[8];

    ck_assert_int_eq(txn_del(txn, TABLE_LOG, key_of(key, 4)), 0);
    ck_assert_problem("log entry 4 is missing");
}
END_TEST

START_TEST(a_log_that_does_not_reach_the_tables_is_named)
{
    ck_assert_int_eq(log_truncate(txn, 3), 0);
    ck_assert_problem("the log ends at 2, before what the tables contain, 5");
}
END_TEST

START_TEST(a_gap_between_tables_and_log_is_named)
{
    struct log_entry entry = {.term = 1, .type = 2};

    ck_assert_int_eq(log_truncate(txn, 1), 0);
    ck_assert_int_eq(log_append(txn, 9, &entry), 0);
    ck_assert_problem("the log begins at 9, and the tables end at 5");
}
END_TEST

START_TEST(tables_that_contradict_themselves_are_named)
{
    ck_assert_int_eq(txn_del(txn, TABLE_CLUSTER_NAME, (struct bytes){"c2", 2}), 0);
    ck_assert_int_eq(storage_verify(txn, &report), 0);
    ck_assert_ptr_nonnull(report.problem);
    ck_assert_ptr_nonnull(strstr(report.problem, "the tables contradict themselves: "));
}
END_TEST

START_TEST(a_record_that_is_none_is_named)
{
    uint8_t key[8];

    ck_assert_int_eq(txn_put(txn, TABLE_CLUSTER, key_of(key, 2), (struct bytes){"\xff\xff", 2}), 0);
    ck_assert_problem("a record of the tables cannot be read");
}
END_TEST

START_TEST(a_newer_format_is_not_judged)
{
    uint8_t value[8];
    char *expected =
        mem_format("it is of format 99, and this program knows formats up to %d", LOG_FORMAT);

    be64_put(value, 99);
    ck_assert_int_eq(
        txn_put(txn, TABLE_META, (struct bytes){"format", 6}, (struct bytes){value, 8}), 0);
    ck_assert_problem(expected);
    free(expected);
}
END_TEST

static int each_line(void *context, struct bytes json)
{
    json_t *parsed = json_loadb(json.base, json.len, 0, NULL);
    size_t *lines = context;

    ck_assert_msg(parsed != NULL, "not JSON: %.*s", (int)json.len, (const char *)json.base);
    if (*lines < ENTRIES) {
        json_t *data = json_object_get(parsed, "data");
        json_t *request = json_object_get(json_object_get(data, "create_cluster"), "request");
        char *name = mem_format("c%d", (int)*lines + 1);

        ck_assert_int_eq(json_integer_value(json_object_get(parsed, "entry")),
                         (json_int_t)*lines + 1);
        ck_assert_str_eq(json_string_value(json_object_get(request, "cluster_name")), name);
        free(name);
    }
    json_decref(parsed);
    ++*lines;
    return 0;
}

START_TEST(everything_there_is_can_be_dumped)
{
    size_t lines = 0, records = 0;

    ck_assert_int_eq(storage_verify(txn, &report), 0);
    for (size_t i = 0; i < TABLE_COUNT; i++)
        records += report.records[i];
    ck_assert_int_eq(storage_dump(txn, each_line, &lines), 0);
    ck_assert_uint_eq(lines, records);
}
END_TEST

static int no_key(void *context, struct bytes json)
{
    bool *shown = context;

    ck_assert_ptr_null(memmem(json.base, json.len, "PRIVATE", 7));
    ck_assert_ptr_null(
        memmem(json.base, json.len, "50524956415445", 14)); /* The same in hexadecimal. */
    *shown = *shown || memmem(json.base, json.len, "(not shown)", 11);
    return 0;
}

START_TEST(the_authoritys_key_is_not_dumped)
{
    State__Settings settings = STATE__SETTINGS__INIT;
    uint8_t packed[256];
    bool shown = false;

    settings.region = "us-east-1";
    settings.ca_key = (ProtobufCBinaryData){7, (uint8_t *)"PRIVATE"};
    ck_assert_int_eq(txn_put(txn, TABLE_META, (struct bytes){"settings", 8},
                             (struct bytes){packed, state__settings__pack(&settings, packed)}),
                     0);
    ck_assert_int_eq(storage_dump(txn, no_key, &shown), 0);
    ck_assert(shown);
}
END_TEST

/* In another process, as LMDB wants it: the one that writes has it open here. */
START_TEST(looking_beside_a_writer_changes_nothing)
{
    size_t used, map;
    int status;
    pid_t child;

    ck_assert_int_eq(txn_commit(steal(txn)), 0);
    ck_assert_int_eq(env_write(env, &txn), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct env *other = NULL;
        struct txn *read = NULL;
        struct storage_report seen = {0};
        bool fine = env_open_readonly(dir, table_names, TABLE_COUNT, &other) == 0 &&
                    env_read(other, &read) == 0 && storage_verify(read, &seen) == 0 &&
                    !seen.problem && seen.records[TABLE_CLUSTER] == ENTRIES &&
                    txn_put(read, TABLE_META, (struct bytes){"x", 1}, (struct bytes){"y", 1}) < 0;

        _exit(fine ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    env_size(env, &used, &map);
    ck_assert_uint_eq(map, 16 << 20);
    ck_assert_int_eq(storage_verify(txn, &report), 0);
    ck_assert_ptr_null(report.problem);
}
END_TEST

START_TEST(a_directory_without_state_is_absent)
{
    struct env *other = NULL;

    ck_assert_int_eq(env_open_readonly("/tmp/no-such-directory", table_names, TABLE_COUNT, &other),
                     -ENOENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verify");
    TCase *tc = tcase_create("verify");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_is_whole_is_said_to_be);
    tcase_add_test(tc, a_log_that_was_emptied_into_the_tables_is_whole);
    tcase_add_test(tc, an_entry_with_any_bit_turned_is_named);
    tcase_add_test(tc, a_missing_entry_is_named);
    tcase_add_test(tc, a_log_that_does_not_reach_the_tables_is_named);
    tcase_add_test(tc, a_gap_between_tables_and_log_is_named);
    tcase_add_test(tc, tables_that_contradict_themselves_are_named);
    tcase_add_test(tc, a_record_that_is_none_is_named);
    tcase_add_test(tc, a_newer_format_is_not_judged);
    tcase_add_test(tc, everything_there_is_can_be_dumped);
    tcase_add_test(tc, the_authoritys_key_is_not_dumped);
    tcase_add_test(tc, looking_beside_a_writer_changes_nothing);
    tcase_add_test(tc, a_directory_without_state_is_absent);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
