#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/must.h"
#include "storage/env.h"

enum { FRUIT, STONES };

static const char *const names[] = {"fruit", "stones"};
static char dir[32];
static struct env *env;

static struct bytes text(const char *s)
{
    return (struct bytes){s, strlen(s)};
}

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/env-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(env_open(dir, 1 << 20, names, 2, &env), 0);
}

static void remove_file(const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

static void tear_down(void)
{
    env_free(env);
    remove_file("data.mdb");
    remove_file("lock.mdb");
    rmdir(dir);
}

static void store(size_t db, const char *key, const char *value)
{
    scope(txn_abort) struct txn *txn = NULL;

    ck_assert_int_eq(env_write(env, &txn), 0);
    ck_assert_int_eq(txn_put(txn, db, text(key), text(value)), 0);
    ck_assert_int_eq(txn_commit(steal(txn)), 0);
}

START_TEST(what_is_committed_is_read_back)
{
    scope(txn_abort) struct txn *txn = NULL;
    struct bytes got;

    store(FRUIT, "apple", "red");
    ck_assert_int_eq(env_read(env, &txn), 0);
    ck_assert_int_eq(txn_get(txn, FRUIT, text("apple"), &got), 0);
    ck_assert_mem_eq(got.base, "red", 3);
    ck_assert_int_eq(txn_get(txn, STONES, text("apple"), &got), ENV_ABSENT);
}
END_TEST

START_TEST(what_is_aborted_is_gone)
{
    struct bytes got;
    {
        scope(txn_abort) struct txn *txn = NULL;
        ck_assert_int_eq(env_write(env, &txn), 0);
        ck_assert_int_eq(txn_put(txn, FRUIT, text("apple"), text("red")), 0);
    }
    scope(txn_abort) struct txn *txn = NULL;
    ck_assert_int_eq(env_write(env, &txn), 0);
    ck_assert_int_eq(txn_get(txn, FRUIT, text("apple"), &got), ENV_ABSENT);
}
END_TEST

START_TEST(a_reader_keeps_its_picture)
{
    scope(txn_abort) struct txn *txn = NULL;
    struct bytes got;

    store(FRUIT, "apple", "red");
    ck_assert_int_eq(env_read(env, &txn), 0);
    store(FRUIT, "apple", "green");
    ck_assert_int_eq(txn_get(txn, FRUIT, text("apple"), &got), 0);
    ck_assert_mem_eq(got.base, "red", 3);
}
END_TEST

START_TEST(a_cursor_walks_both_ways_and_removes)
{
    scope(txn_abort) struct txn *txn = NULL;
    scope(cursor_close) struct cursor *cursor = NULL;
    struct bytes key, got;

    store(FRUIT, "a", "1");
    store(FRUIT, "b", "2");
    store(FRUIT, "c", "3");
    ck_assert_int_eq(env_write(env, &txn), 0);
    ck_assert_int_eq(cursor_open(txn, FRUIT, &cursor), 0);
    ck_assert_int_eq(cursor_seek(cursor, text("aa"), &key, &got), 0);
    ck_assert_mem_eq(key.base, "b", 1);
    ck_assert_int_eq(cursor_del(cursor), 0);
    ck_assert_int_eq(cursor_next(cursor, &key, &got), 0);
    ck_assert_mem_eq(key.base, "c", 1);
    ck_assert_int_eq(cursor_prev(cursor, &key, &got), 0);
    ck_assert_mem_eq(key.base, "a", 1);
    ck_assert_int_eq(cursor_last(cursor, &key, &got), 0);
    ck_assert_mem_eq(got.base, "3", 1);
    ck_assert_int_eq(cursor_next(cursor, &key, &got), ENV_ABSENT);
}
END_TEST

START_TEST(a_full_map_says_so_and_where_and_can_grow)
{
    static char big[2 << 20];
    {
        scope(txn_abort) struct txn *txn = NULL;

        ck_assert_int_eq(env_write(env, &txn), 0);
        ck_assert_int_eq(txn_put(txn, FRUIT, text("k"), (struct bytes){big, sizeof big}), -ENOSPC);
        ck_assert_ptr_nonnull(strstr(err_trace(), "txn_put"));
    }
    ck_assert_int_eq(env_grow(env, 8 << 20), 0);
    scope(txn_abort) struct txn *txn = NULL;
    ck_assert_int_eq(env_write(env, &txn), 0);
    ck_assert_int_eq(txn_put(txn, FRUIT, text("k"), (struct bytes){big, sizeof big}), 0);
}
END_TEST

/* What a power cut leaves while the file is being made; tests/crash looks at all the others. */
START_TEST(a_birth_cut_short_is_begun_again)
{
    char path[64];
    FILE *file;

    env_free(env);
    remove_file("data.mdb");
    snprintf(path, sizeof path, "%s/birth.mdb", dir);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs("half", file);
    fclose(file);
    ck_assert_int_eq(env_open(dir, 1 << 20, names, 2, &env), 0);
    store(FRUIT, "apple", "red");
    ck_assert_int_lt(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_second_opener_is_refused)
{
    struct env *other = NULL;

    ck_assert_int_eq(env_open(dir, 1 << 20, names, 2, &other), -EUSERS);
    ck_assert_ptr_null(other);
}
END_TEST

START_TEST(a_missing_directory_is_an_error)
{
    struct env *other = NULL;

    ck_assert_int_eq(env_open("/nonexistent/cais", 1 << 20, names, 2, &other), -ENOENT);
}
END_TEST

START_TEST(must_stops_on_a_false_comparison)
{
    int a = 1, b = 2;
    must(a == b);
}
END_TEST

START_TEST(an_outcome_may_not_travel_up)
{
    (void)err_up(ENV_ABSENT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("storage");
    TCase *tc = tcase_create("env");
    TCase *aborting = tcase_create("aborting"); /* Nothing would be taken down after these. */
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_is_committed_is_read_back);
    tcase_add_test(tc, what_is_aborted_is_gone);
    tcase_add_test(tc, a_reader_keeps_its_picture);
    tcase_add_test(tc, a_cursor_walks_both_ways_and_removes);
    tcase_add_test(tc, a_full_map_says_so_and_where_and_can_grow);
    tcase_add_test(tc, a_birth_cut_short_is_begun_again);
    tcase_add_test(tc, a_second_opener_is_refused);
    tcase_add_test(tc, a_missing_directory_is_an_error);
    tcase_add_test_raise_signal(aborting, must_stops_on_a_false_comparison, SIGABRT);
    tcase_add_test_raise_signal(aborting, an_outcome_may_not_travel_up, SIGABRT);
    suite_add_tcase(s, tc);
    suite_add_tcase(s, aborting);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
