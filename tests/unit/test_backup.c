/*
 * Backups: what is restored is what was there, and a file that is not whole is told, whatever is
 * wrong with it.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/crc32c.h"
#include "proto/base/endian.h"
#include "proto/base/mem.h"
#include "storage/apply.h"
#include "storage/backup.h"
#include "storage/tables.h"

enum { MAP = 64 << 20, INDEX = 5, TERM = 3, DIGEST = 32 };

static char home[40], source[64], target[64];
static struct env *env;
static struct buffer file;
static struct backup_report report;

/* ---- a state, and its backup in memory */

static void apply_cluster(struct txn *txn, uint64_t index)
{
    Command__Command command = COMMAND__COMMAND__INIT;
    Command__CreateCluster body = COMMAND__CREATE_CLUSTER__INIT;
    Ecs__CreateClusterRequest request = ECS__CREATE_CLUSTER_REQUEST__INIT;
    struct changes changes = {0};
    uint8_t packed[256];
    char name[16];

    snprintf(name, sizeof name, "c%d", (int)index);
    request.cluster_name = name;
    body.request = &request;
    command.time_ms = 1700000000000;
    command.body_case = COMMAND__COMMAND__BODY_CREATE_CLUSTER;
    command.create_cluster = &body;
    ck_assert_int_eq(apply(txn, index,
                           (struct bytes){packed, command__command__pack(&command, packed)},
                           &changes, NULL),
                     0);
    changes_fini(&changes);
}

static void fill(void)
{
    scope(txn_abort) struct txn *txn = NULL;
    struct log_head head = {
        .owner = 7, .cluster = "blue", .record = "me", .vote = {9, 7}, .applied = {INDEX, TERM, 2}};
    struct log_entry entry = {.term = TERM, .type = 2};

    head.configuration = (struct bytes){"who", 3};
    ck_assert_int_eq(env_write(env, &txn), 0);
    ck_assert_int_eq(log_install(txn, &head), 0);
    for (uint64_t i = 1; i <= INDEX; i++)
        apply_cluster(txn, i);
    ck_assert_int_eq(log_append(txn, INDEX, &entry), 0);
    ck_assert_int_eq(txn_commit(steal(txn)), 0);
}

static int keep(void *context, struct bytes bytes)
{
    buffer_append(context, bytes.base, bytes.len);
    return 0;
}

static void set_up(void)
{
    snprintf(home, sizeof home, "/dev/shm/backup-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(home));
    snprintf(source, sizeof source, "%s/source", home);
    snprintf(target, sizeof target, "%s/target", home);
    ck_assert_int_eq(mkdir(source, 0700), 0);
    ck_assert_int_eq(env_open(source, MAP, table_names, TABLE_COUNT, &env), 0);
    fill();
    ck_assert_int_eq(backup_write(env, keep, &file), 0);
}

static void remove_in(const char *dir)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "birth.mdb"};
    char path[128];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void remove_target(void)
{
    char path[96];

    snprintf(path, sizeof path, "%s/state", target);
    remove_in(path);
    remove_in(target);
}

static void tear_down(void)
{
    backup_report_fini(&report);
    buffer_fini(&file);
    file = (struct buffer){0};
    env_free(env);
    env = NULL;
    remove_target();
    remove_in(source);
    ck_assert_int_eq(rmdir(home), 0); /* Nothing else is left. */
}

/* As a file without a name. */
static int file_of(const void *base, size_t len)
{
    int fd = open(home, O_TMPFILE | O_RDWR, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, base, len), (ssize_t)len);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static int verify(const void *base, size_t len)
{
    int fd = file_of(base, len);
    int r;

    backup_report_fini(&report);
    r = backup_verify(fd, &report);
    close(fd);
    return r;
}

static int restore(const void *base, size_t len)
{
    int fd = file_of(base, len);
    int r;

    backup_report_fini(&report);
    r = backup_restore(fd, target, &report);
    close(fd);
    return r;
}

static uint64_t hash_of(struct env *of)
{
    scope(txn_abort) struct txn *txn = NULL;
    uint64_t hash;

    ck_assert_int_eq(env_read(of, &txn), 0);
    ck_assert_int_eq(table_hash(txn, &hash), 0);
    return hash;
}

static void ck_assert_bad(int r, const char *problem)
{
    ck_assert_int_eq(r, BACKUP_BAD);
    ck_assert_ptr_nonnull(report.problem);
    ck_assert_msg(!problem || strstr(report.problem, problem), "said: %s", report.problem);
}

/* Make the digest fit again: what is in the file is wrong, and the file is whole. */
static void seal(struct buffer *bytes)
{
    size_t covered = bytes->len - DIGEST;

    ck_assert_int_eq(
        EVP_Digest(bytes->base, covered, bytes->base + covered, NULL, EVP_sha256(), NULL), 1);
}

/* ---- whole ones */

START_TEST(a_whole_file_is_said_to_be)
{
    ck_assert_int_eq(verify(file.base, file.len), 0);
    ck_assert_ptr_null(report.problem);
    ck_assert_str_eq(report.cluster, "blue");
    ck_assert_uint_eq(report.applied.index, INDEX);
    ck_assert_uint_eq(report.applied.term, TERM);
    ck_assert_uint_eq(report.bytes, file.len);
}
END_TEST

START_TEST(what_is_restored_is_what_was_there)
{
    scope(env_free) struct env *restored = NULL;
    scope(txn_abort) struct txn *txn = NULL;
    struct log_applied applied;
    struct log_vote vote;
    struct log_self self;
    const char *cluster;
    uint64_t first, last;
    char path[96];

    ck_assert_int_eq(restore(file.base, file.len), 0);
    snprintf(path, sizeof path, "%s/state", target);
    ck_assert_int_eq(env_open(path, MAP, table_names, TABLE_COUNT, &restored), 0);
    ck_assert_uint_eq(hash_of(restored), hash_of(env));
    ck_assert_int_eq(env_read(restored, &txn), 0);
    ck_assert_int_eq(log_applied_get(txn, &applied), 0);
    ck_assert_uint_eq(applied.index, INDEX);
    ck_assert_int_eq(log_bounds(txn, &first, &last), LOG_ABSENT);
    ck_assert_int_eq(log_vote_get(txn, &vote), 0);
    ck_assert_uint_eq(vote.term, TERM + BACKUP_TERMS);
    ck_assert_uint_eq(vote.voted_for, 0);
    ck_assert_int_eq(log_self_get(txn, &self), LOG_ABSENT);
    ck_assert_int_eq(log_restored_get(txn, &cluster), 0);
    ck_assert_str_eq(cluster, "blue");
}
END_TEST

START_TEST(an_environment_exchanged_meanwhile_ends_the_backup)
{
    scope(backup_free) struct backup *backup = NULL;
    scope(buffer_fini) struct buffer bytes = {0};

    ck_assert_int_eq(backup_open(env, &backup), 0);
    ck_assert_int_eq(backup_read(backup, &bytes), 0);
    ck_assert_int_eq(backup_read(backup, &bytes), 0);
    ck_assert_int_eq(env_grow(env, 2 * MAP), 0);
    ck_assert_int_eq(backup_read(backup, &bytes), -ESTALE);
    buffer_clear(&bytes);
    ck_assert_int_eq(backup_write(env, keep, &bytes), 0); /* Begun again it is as before. */
    ck_assert_uint_eq(bytes.len, file.len);
    ck_assert_mem_eq(bytes.base, file.base, file.len);
}
END_TEST

static int refuse(void *context, struct bytes bytes)
{
    (void)bytes;
    return ++*(int *)context < 3 ? 0 : -ENOSPC;
}

START_TEST(whoever_cannot_take_the_bytes_is_heard)
{
    int calls = 0;

    ck_assert_int_eq(backup_write(env, refuse, &calls), -ENOSPC);
    ck_assert_int_eq(calls, 3);
}
END_TEST

START_TEST(an_empty_state_has_no_backup)
{
    scope(env_free) struct env *empty = NULL;
    struct backup *backup = NULL;

    ck_assert_int_eq(mkdir(target, 0700), 0);
    ck_assert_int_eq(env_open(target, MAP, table_names, TABLE_COUNT, &empty), 0);
    ck_assert_int_eq(backup_open(empty, &backup), BACKUP_NOTHING);
    ck_assert_ptr_null(backup);
}
END_TEST

/* ---- damage */

START_TEST(one_cut_short_anywhere_is_told)
{
    for (size_t len = 0; len < file.len; len++)
        ck_assert_bad(verify(file.base, len), NULL);
    ck_assert_bad(verify(file.base, file.len - 1), "it was cut short");
    ck_assert_bad(verify(file.base, 0), "it is empty");
}
END_TEST

START_TEST(one_with_any_bit_turned_is_told)
{
    for (size_t bit = 0; bit < file.len * 8; bit++) {
        file.base[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_bad(verify(file.base, file.len), NULL);
        file.base[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert_int_eq(verify(file.base, file.len), 0);
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
    static const char noise[64] = "no backup at all";

    ck_assert_bad(verify(noise, sizeof noise), "it is no backup");
    file.base[11] = 9;
    ck_assert_bad(verify(file.base, file.len), "it is of format 9");
    file.base[11] = BACKUP_FORMAT;
    file.base[file.len - 1] ^= 1;
    ck_assert_bad(verify(file.base, file.len), "its SHA-256 does not fit");
    file.base[file.len - 1] ^= 1;
    file.base[file.len / 2] ^= 1;
    ck_assert_bad(verify(file.base, file.len), "a chunk's checksum does not fit");
    file.base[file.len / 2] ^= 1;
    buffer_append(&file, "x", 1);
    ck_assert_bad(verify(file.base, file.len), "it goes on after its end");
}
END_TEST

/* ---- what restoring refuses */

static void ck_assert_nothing_left(void)
{
    struct stat found;

    ck_assert_int_lt(stat(target, &found), 0);
    ck_assert_int_eq(errno, ENOENT);
}

START_TEST(of_a_damaged_one_nothing_is_restored)
{
    for (size_t len = 0; len < file.len; len += 97) {
        ck_assert_bad(restore(file.base, len), NULL);
        ck_assert_nothing_left();
    }
}
END_TEST

/* A file whose checksums all fit, and which no backup of ours is. */
START_TEST(one_made_up_is_refused)
{
    uint8_t *chunk = file.base + 13 + 4; /* Behind the header and "blue". */
    uint32_t len = be32_get(chunk);

    be64_put(chunk + 8 + 10, 0); /* As of nothing. */
    be32_put(chunk + 4, crc32c(0, chunk + 8, len));
    seal(&file);
    ck_assert_int_eq(verify(file.base, file.len), 0);
    ck_assert_bad(restore(file.base, file.len), "its image is not complete");
    ck_assert_nothing_left();
}
END_TEST

START_TEST(records_that_contradict_themselves_are_refused)
{
    scope(txn_abort) struct txn *txn = NULL;

    ck_assert_int_eq(env_write(env, &txn), 0);
    ck_assert_int_eq(txn_del(txn, TABLE_CLUSTER_NAME, (struct bytes){"c2", 2}), 0);
    ck_assert_int_eq(txn_commit(steal(txn)), 0);
    buffer_clear(&file);
    ck_assert_int_eq(backup_write(env, keep, &file), 0);
    ck_assert_bad(restore(file.base, file.len), "the tables contradict themselves");
    ck_assert_nothing_left();
}
END_TEST

START_TEST(chunks_out_of_order_are_refused)
{
    uint8_t *head = file.base + 13 + 4;
    size_t len = 8 + be32_get(head), from = (size_t)(head - file.base);
    struct buffer twice = {0};

    buffer_append(&twice, file.base, from + len);
    buffer_append(&twice, file.base + from, file.len - from);
    seal(&twice);
    ck_assert_int_eq(verify(twice.base, twice.len), 0);
    ck_assert_bad(restore(twice.base, twice.len), "a chunk does not follow");
    ck_assert_nothing_left();
    buffer_fini(&twice);
}
END_TEST

START_TEST(a_directory_with_a_state_is_left_alone)
{
    uint64_t before;
    char path[96];

    ck_assert_int_eq(restore(file.base, file.len), 0);
    snprintf(path, sizeof path, "%s/state/data.mdb", target);
    struct stat was, is;
    ck_assert_int_eq(stat(path, &was), 0);
    before = (uint64_t)was.st_ino;
    ck_assert_int_eq(restore(file.base, file.len), BACKUP_EXISTS);
    ck_assert_int_eq(stat(path, &is), 0);
    ck_assert_uint_eq((uint64_t)is.st_ino, before);
}
END_TEST

START_TEST(a_directory_somebody_works_in_is_left_alone)
{
    int fd;

    ck_assert_int_eq(mkdir(target, 0700), 0);
    fd = open(target, O_RDONLY | O_DIRECTORY);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    ck_assert_int_eq(restore(file.base, file.len), BACKUP_BUSY);
    close(fd);
    ck_assert_int_eq(restore(file.base, file.len), 0);
}
END_TEST

START_TEST(what_an_attempt_has_left_is_cleared)
{
    char path[96];
    int fd;

    ck_assert_int_eq(mkdir(target, 0700), 0);
    snprintf(path, sizeof path, "%s/incoming", target);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/incoming/data.mdb", target);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_eq(write(fd, "half", 4), 4);
    close(fd);
    ck_assert_int_eq(restore(file.base, file.len), 0);
    snprintf(path, sizeof path, "%s/incoming", target);
    ck_assert_int_lt(access(path, F_OK), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backup");
    TCase *tc = tcase_create("backup");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_whole_file_is_said_to_be);
    tcase_add_test(tc, what_is_restored_is_what_was_there);
    tcase_add_test(tc, an_environment_exchanged_meanwhile_ends_the_backup);
    tcase_add_test(tc, whoever_cannot_take_the_bytes_is_heard);
    tcase_add_test(tc, an_empty_state_has_no_backup);
    tcase_add_test(tc, one_cut_short_anywhere_is_told);
    tcase_add_test(tc, one_with_any_bit_turned_is_told);
    tcase_add_test(tc, what_is_wrong_is_said);
    tcase_add_test(tc, of_a_damaged_one_nothing_is_restored);
    tcase_add_test(tc, one_made_up_is_refused);
    tcase_add_test(tc, records_that_contradict_themselves_are_refused);
    tcase_add_test(tc, chunks_out_of_order_are_refused);
    tcase_add_test(tc, a_directory_with_a_state_is_left_alone);
    tcase_add_test(tc, a_directory_somebody_works_in_is_left_alone);
    tcase_add_test(tc, what_an_attempt_has_left_is_cleared);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
