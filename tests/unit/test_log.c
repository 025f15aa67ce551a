#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/log.h"
#include "storage/tables.h"

static char dir[32];
static struct env *env;
static struct txn *txn;

static void set_up(void)
{
    strcpy(dir, "/dev/shm/log-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(env_open(dir, 16 << 20, table_names, TABLE_COUNT, &env), 0);
    ck_assert_int_eq(env_write(env, &txn), 0);
}

static void tear_down(void)
{
    char path[64];

    txn_abort(txn);
    env_free(env);
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", dir);
    unlink(path);
    rmdir(dir);
}

static void append(uint64_t index, uint64_t term, const char *data)
{
    struct log_entry entry = {.term = term, .type = 1, .data = {data, strlen(data)}};

    ck_assert_int_eq(log_append(txn, index, &entry), 0);
}

START_TEST(an_entry_reads_back_as_it_was_written)
{
    struct log_entry entry;

    append(1, 3, "hello");
    ck_assert_int_eq(log_get(txn, 1, &entry), 0);
    ck_assert_uint_eq(entry.term, 3);
    ck_assert_uint_eq(entry.type, 1);
    ck_assert_uint_eq(entry.data.len, 5);
    ck_assert_mem_eq(entry.data.base, "hello", 5);
    ck_assert_int_eq(log_get(txn, 2, &entry), LOG_ABSENT);
}
END_TEST

START_TEST(truncation_removes_the_tail_and_only_that)
{
    uint64_t first, last;

    ck_assert_int_eq(log_bounds(txn, &first, &last), LOG_ABSENT);
    for (uint64_t i = 1; i <= 5; i++)
        append(i, 1, "x");
    ck_assert_int_eq(log_truncate(txn, 3), 0);
    ck_assert_int_eq(log_bounds(txn, &first, &last), 0);
    ck_assert_uint_eq(first, 1);
    ck_assert_uint_eq(last, 2);
    append(3, 2, "y");
}
END_TEST

START_TEST(a_changed_bit_is_noticed)
{
    uint8_t key[8] = {0, 0, 0, 0, 0, 0, 0, 1};
    uint8_t copy[64];
    struct bytes value;
    struct log_entry entry;

    append(1, 1, "hello");
    ck_assert_int_eq(txn_get(txn, TABLE_LOG, (struct bytes){key, 8}, &value), 0);
    for (size_t at = 0; at < value.len; at++) {
        ck_assert_int_eq(txn_get(txn, TABLE_LOG, (struct bytes){key, 8}, &value), 0);
        memcpy(copy, value.base, value.len);
        copy[at] ^= 4;
        ck_assert_int_eq(
            txn_put(txn, TABLE_LOG, (struct bytes){key, 8}, (struct bytes){copy, value.len}), 0);
        ck_assert_int_eq(log_get(txn, 1, &entry), -EUCLEAN);
        copy[at] ^= 4;
        ck_assert_int_eq(
            txn_put(txn, TABLE_LOG, (struct bytes){key, 8}, (struct bytes){copy, value.len}), 0);
    }
    ck_assert_int_eq(log_get(txn, 1, &entry), 0);
}
END_TEST

static int count(void *context, uint64_t index, const struct log_entry *entry)
{
    (void)index;
    (void)entry;
    ++*(int *)context;
    return 0;
}

START_TEST(a_gap_is_noticed_by_a_walk)
{
    int seen = 0;

    append(1, 1, "a");
    append(2, 1, "b");
    ck_assert_int_eq(log_walk(txn, 1, count, &seen), 0);
    ck_assert_int_eq(seen, 2);
    append(4, 1, "d");
    ck_assert_int_eq(log_walk(txn, 1, count, &seen), -EUCLEAN);
}
END_TEST

START_TEST(vote_and_applied_survive_and_begin_as_zeroes)
{
    struct log_vote vote;
    struct log_applied applied;

    ck_assert_int_eq(log_vote_get(txn, &vote), 0);
    ck_assert_uint_eq(vote.term, 0);
    ck_assert_int_eq(log_vote_put(txn, &(struct log_vote){7, 2}), 0);
    ck_assert_int_eq(log_vote_get(txn, &vote), 0);
    ck_assert_uint_eq(vote.term, 7);
    ck_assert_uint_eq(vote.voted_for, 2);
    ck_assert_int_eq(log_applied_put(txn, &(struct log_applied){9, 7, 1}), 0);
    ck_assert_int_eq(log_applied_get(txn, &applied), 0);
    ck_assert_uint_eq(applied.index, 9);
    ck_assert_uint_eq(applied.configuration_index, 1);
}
END_TEST

START_TEST(a_newer_format_is_refused)
{
    uint8_t newer[8] = {0, 0, 0, 0, 0, 0, 0, LOG_FORMAT + 1};

    ck_assert_int_eq(log_format(txn), 0);
    ck_assert_int_eq(log_format(txn), 0);
    ck_assert_int_eq(
        txn_put(txn, TABLE_META, (struct bytes){"format", 6}, (struct bytes){newer, 8}), 0);
    ck_assert_int_eq(log_format(txn), -EPROTONOSUPPORT);
}
END_TEST

START_TEST(an_older_format_is_refused)
{
    uint8_t older[8] = {0, 0, 0, 0, 0, 0, 0, LOG_FORMAT - 1};

    ck_assert_int_eq(
        txn_put(txn, TABLE_META, (struct bytes){"format", 6}, (struct bytes){older, 8}), 0);
    ck_assert_int_eq(log_format(txn), -EPROTOTYPE);
}
END_TEST

START_TEST(trimming_removes_the_beginning_in_steps)
{
    uint64_t first, last, removed;

    ck_assert_int_eq(log_trim(txn, 5, 100, &removed), 0);
    ck_assert_uint_eq(removed, 0);
    for (uint64_t i = 4; i <= 10; i++)
        append(i, 1, "x");
    ck_assert_int_eq(log_trim(txn, 8, 3, &removed), 0);
    ck_assert_uint_eq(removed, 3);
    ck_assert_int_eq(log_bounds(txn, &first, &last), 0);
    ck_assert_uint_eq(first, 7);
    ck_assert_uint_eq(last, 10);
    ck_assert_int_eq(log_trim(txn, 8, 100, &removed), 0);
    ck_assert_uint_eq(removed, 2);
    ck_assert_int_eq(log_trim(txn, 8, 100, &removed), 0);
    ck_assert_uint_eq(removed, 0);
    ck_assert_int_eq(log_trim(txn, 10, 100, &removed), 0);
    ck_assert_uint_eq(removed, 2);
    ck_assert_int_eq(log_bounds(txn, &first, &last), LOG_ABSENT);
    append(11, 2, "y");
}
END_TEST

START_TEST(a_damaged_entry_is_named)
{
    uint8_t key[8] = {0, 0, 0, 0, 0, 0, 0, 8};
    struct log_entry entry = {.term = 1, .type = 1, .data = {"z", 1}};
    uint64_t damaged = 0;

    ck_assert_int_eq(log_verify(txn, &damaged), 0);
    for (uint64_t i = 7; i <= 9; i++)
        append(i, 1, "hello");
    ck_assert_int_eq(log_verify(txn, &damaged), 0);
    ck_assert_int_eq(
        txn_put(txn, TABLE_LOG, (struct bytes){key, 8}, (struct bytes){"0123456789abcdef", 16}), 0);
    ck_assert_int_eq(log_verify(txn, &damaged), -EUCLEAN);
    ck_assert_uint_eq(damaged, 8);
    ck_assert_int_eq(log_truncate(txn, 8), 0);
    ck_assert_int_eq(log_append(txn, 9, &entry), 0);
    ck_assert_int_eq(log_verify(txn, &damaged), -EUCLEAN);
    ck_assert_uint_eq(damaged, 8); /* Missing. */
}
END_TEST

START_TEST(the_head_of_an_image_takes_the_place_of_another)
{
    struct log_head head = {.owner = 5,
                            .vote = {.term = 9, .voted_for = 4},
                            .applied = {.index = 100, .term = 8, .configuration_index = 50},
                            .configuration = {"members", 7}};
    struct log_applied applied;
    struct log_vote vote;
    struct bytes configuration;

    ck_assert_int_eq(log_owner(txn, 2), 0);
    ck_assert_int_eq(log_install(txn, &head), 0);
    ck_assert_int_eq(log_format(txn), 0);
    ck_assert_int_eq(log_owner(txn, 5), 0);
    ck_assert_int_eq(log_vote_get(txn, &vote), 0);
    ck_assert_uint_eq(vote.term, 9);
    ck_assert_uint_eq(vote.voted_for, 4);
    ck_assert_int_eq(log_applied_get(txn, &applied), 0);
    ck_assert_uint_eq(applied.index, 100);
    ck_assert_uint_eq(applied.configuration_index, 50);
    ck_assert_int_eq(log_configuration_get(txn, &configuration), 0);
    ck_assert_uint_eq(configuration.len, 7);
}
END_TEST

START_TEST(a_log_has_one_owner)
{
    ck_assert_int_eq(log_owner(txn, 2), 0);
    ck_assert_int_eq(log_owner(txn, 2), 0);
    ck_assert_int_eq(log_owner(txn, 1), -EPERM);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("log");
    TCase *tc = tcase_create("log");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, an_entry_reads_back_as_it_was_written);
    tcase_add_test(tc, truncation_removes_the_tail_and_only_that);
    tcase_add_test(tc, a_changed_bit_is_noticed);
    tcase_add_test(tc, a_gap_is_noticed_by_a_walk);
    tcase_add_test(tc, vote_and_applied_survive_and_begin_as_zeroes);
    tcase_add_test(tc, a_newer_format_is_refused);
    tcase_add_test(tc, an_older_format_is_refused);
    tcase_add_test(tc, trimming_removes_the_beginning_in_steps);
    tcase_add_test(tc, a_damaged_entry_is_named);
    tcase_add_test(tc, the_head_of_an_image_takes_the_place_of_another);
    tcase_add_test(tc, a_log_has_one_owner);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
