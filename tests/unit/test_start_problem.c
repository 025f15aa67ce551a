/*
 * What an operator reads when a manager's state cannot be begun with.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/endian.h"
#include "proto/base/mem.h"
#include "server/manager/self.h"
#include "server/manager/start_problem.h"
#include "storage/log.h"
#include "storage/tables.h"

static char dir[40];
static struct env *env;

static void put(size_t table, const void *key, size_t key_len, const void *value, size_t len)
{
    scope(txn_abort) struct txn *txn = NULL;

    ck_assert_int_eq(env_write(env, &txn), 0);
    ck_assert_int_eq(txn_put(txn, table, (struct bytes){key, key_len}, (struct bytes){value, len}),
                     0);
    ck_assert_int_eq(txn_commit(steal(txn)), 0);
}

static void put_format(uint64_t format)
{
    uint8_t value[8];

    be64_put(value, format);
    put(TABLE_META, "format", 6, value, sizeof value);
}

static void set_up(void)
{
    scope(txn_abort) struct txn *txn = NULL;
    struct log_entry entry = {.term = 1, .type = 2, .data = {"some", 4}};

    strcpy(dir, "/dev/shm/problem-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(env_open(dir, 16 << 20, table_names, TABLE_COUNT, &env), 0);
    ck_assert_int_eq(env_write(env, &txn), 0);
    for (uint64_t i = 5; i < 9; i++)
        ck_assert_int_eq(log_append(txn, i, &entry), 0);
    ck_assert_int_eq(txn_commit(steal(txn)), 0);
}

static void tear_down(void)
{
    env_free(env);
    ck_assert_int_eq(env_remove(dir), 0);
}

static void ck_assert_said(int r, const char *words)
{
    char *said = start_problem(env, r);

    ck_assert_msg(strstr(said, words) != NULL, "said: %s", said);
    free(said);
}

START_TEST(a_damaged_entry_is_named_with_what_to_do)
{
    uint8_t key[8];

    be64_put(key, 7);
    put(TABLE_LOG, key, sizeof key, "not what was written", 20);
    ck_assert_said(-EUCLEAN, "log entry 7 is damaged: its checksum does not fit");
    ck_assert_said(-EUCLEAN, "join them anew");
    ck_assert_said(-EUCLEAN, "restore a backup");
}
END_TEST

START_TEST(a_missing_entry_is_named)
{
    scope(txn_abort) struct txn *txn = NULL;
    uint8_t key[8];

    be64_put(key, 6);
    ck_assert_int_eq(env_write(env, &txn), 0);
    ck_assert_int_eq(txn_del(txn, TABLE_LOG, (struct bytes){key, sizeof key}), 0);
    ck_assert_int_eq(txn_commit(steal(txn)), 0);
    ck_assert_said(-EUCLEAN, "log entry 6 is damaged");
}
END_TEST

START_TEST(damage_elsewhere_is_said_to_be_there)
{
    ck_assert_said(-EUCLEAN, "its content is damaged; if other managers are well");
}
END_TEST

START_TEST(other_formats_are_told_apart)
{
    struct self self;
    int r;

    put_format(LOG_FORMAT + 7);
    r = self_load(env, &self);
    ck_assert_int_eq(r, -EPROTONOSUPPORT);
    ck_assert_said(r, "it is of format 9, written by a newer version");
    put_format(1);
    r = self_load(env, &self);
    ck_assert_int_eq(r, -EPROTOTYPE);
    ck_assert_said(r, "it is of format 1, written by an older version");
    ck_assert_said(r, "this one reads format 2");
}
END_TEST

START_TEST(without_a_database_something_is_said)
{
    struct env *was = env;

    env = NULL;
    ck_assert_said(-EUCLEAN, "its content is damaged");
    ck_assert_said(-EUSERS, "another process is using it");
    ck_assert_said(-EACCES, "Permission denied");
    env = was;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("start_problem");
    TCase *tc = tcase_create("start_problem");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_damaged_entry_is_named_with_what_to_do);
    tcase_add_test(tc, a_missing_entry_is_named);
    tcase_add_test(tc, damage_elsewhere_is_said_to_be_there);
    tcase_add_test(tc, other_formats_are_told_apart);
    tcase_add_test(tc, without_a_database_something_is_said);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
