/*
 * Images: what goes in comes out, from any position, and damage is told.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/crc32c.h"
#include "proto/base/rng.h"
#include "storage/log.h"
#include "storage/snapshot.h"
#include "storage/tables.h"

enum { MAP = 64 << 20, CHUNK = 700, CHUNKS_MAX = 200 };

static char home[40], state[64], incoming[64];
static struct env *env;
static struct buffer chunks[CHUNKS_MAX];
static size_t chunk_count;

static void remove_dir(const char *dir)
{
    char path[96];

    snprintf(path, sizeof path, "%s/data.mdb", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", dir);
    unlink(path);
    rmdir(dir);
}

/* Records of all sizes in every database: the image does not look inside. */
static void fill(void)
{
    static const uint8_t value[300];
    scope(txn_abort) struct txn *txn = NULL;
    struct log_head head = {.owner = 7, .vote = {9, 7}, .applied = {41, 3, 2}};
    struct rng rng;

    head.configuration = (struct bytes){"who", 3};
    rng_seed(&rng, 1);
    ck_assert_int_eq(env_write(env, &txn), 0);
    ck_assert_int_eq(log_install(txn, &head), 0);
    ck_assert_int_eq(
        txn_put(txn, TABLE_META, (struct bytes){"settings", 8}, (struct bytes){value, 9}), 0);
    for (size_t db = TABLE_LOG + 1; db < TABLE_COUNT; db++) {
        for (size_t i = 0; i < db % 5 * 10; i++) {
            uint64_t key = rng_next(&rng);

            ck_assert_int_eq(txn_put(txn, db, (struct bytes){&key, 1 + i % 8},
                                     (struct bytes){value, i * 11 % 300}),
                             0);
        }
    }
    ck_assert_int_eq(txn_commit(steal(txn)), 0);
}

static void set_up(void)
{
    snprintf(home, sizeof home, "/tmp/snapshot-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(home));
    snprintf(state, sizeof state, "%s/state", home);
    snprintf(incoming, sizeof incoming, "%s/incoming", home);
    ck_assert_int_eq(mkdir(state, 0700), 0);
    ck_assert_int_eq(mkdir(incoming, 0700), 0);
    ck_assert_int_eq(env_open(state, MAP, table_names, TABLE_COUNT, &env), 0);
    fill();
    chunk_count = 0;
}

static void tear_down(void)
{
    for (size_t i = 0; i < chunk_count; i++)
        buffer_fini(&chunks[i]);
    env_free(env);
    remove_dir(state);
    remove_dir(incoming);
    rmdir(home);
}

static uint64_t hash_of(struct env *of)
{
    scope(txn_abort) struct txn *txn = NULL;
    uint64_t hash;

    ck_assert_int_eq(env_read(of, &txn), 0);
    ck_assert_int_eq(table_hash(txn, &hash), 0);
    return hash;
}

static void read_all(void)
{
    scope(snapshot_reader_free) struct snapshot_reader *reader = NULL;
    struct snapshot_position position = {0}, next = {0};
    scope(buffer_fini) struct buffer again = {0};
    bool last = false;

    ck_assert_int_eq(snapshot_reader_open(env, &reader), 0);
    ck_assert_uint_eq(snapshot_reader_index(reader), 41);
    while (!last) {
        struct buffer *chunk = &chunks[chunk_count];

        ck_assert_uint_lt(chunk_count, CHUNKS_MAX);
        ck_assert_int_eq(snapshot_read(reader, &position, CHUNK, chunk, &next, &last), 0);
        buffer_clear(&again); /* The same, whenever it is asked for. */
        ck_assert_int_eq(snapshot_read(reader, &position, CHUNK, &again, &next, &last), 0);
        ck_assert_uint_eq(again.len, chunk->len);
        ck_assert_mem_eq(again.base, chunk->base, again.len);
        position = next;
        chunk_count++;
    }
    ck_assert_uint_gt(chunk_count, 20);
}

static int give(struct snapshot_writer *writer, size_t i)
{
    return snapshot_write(writer, (struct bytes){chunks[i].base, chunks[i].len},
                          crc32c(0, chunks[i].base, chunks[i].len));
}

static struct snapshot_writer *begin(void)
{
    struct snapshot_writer *writer = NULL;

    remove_dir(incoming);
    ck_assert_int_eq(mkdir(incoming, 0700), 0);
    ck_assert_int_eq(snapshot_writer_open(incoming, MAP, &writer), 0);
    return writer;
}

START_TEST(an_image_is_the_state)
{
    scope(snapshot_writer_free) struct snapshot_writer *writer = begin();
    scope(env_free) struct env *image = NULL;
    struct log_applied applied;
    struct bytes configuration;

    read_all();
    for (size_t i = 0; i < chunk_count; i++)
        ck_assert_int_eq(give(writer, i), 0);
    ck_assert_int_eq(snapshot_finish(writer, &image), 0);
    ck_assert_uint_eq(hash_of(image), hash_of(env));
    scope(txn_abort) struct txn *txn = NULL;
    ck_assert_int_eq(env_read(image, &txn), 0);
    ck_assert_int_eq(log_applied_get(txn, &applied), 0);
    ck_assert_uint_eq(applied.index, 41);
    ck_assert_uint_eq(applied.term, 3);
    ck_assert_uint_eq(applied.configuration_index, 2);
    ck_assert_int_eq(log_configuration_get(txn, &configuration), 0);
    ck_assert_mem_eq(configuration.base, "who", 3);
}
END_TEST

START_TEST(it_is_as_of_when_reading_began)
{
    scope(snapshot_reader_free) struct snapshot_reader *reader = NULL;
    struct snapshot_position position = {0}, next;
    scope(buffer_fini) struct buffer chunk = {0};
    scope(txn_abort) struct txn *txn = NULL;
    bool last;

    ck_assert_int_eq(snapshot_reader_open(env, &reader), 0);
    ck_assert_int_eq(env_write(env, &txn), 0);
    ck_assert_int_eq(log_applied_put(txn, &(struct log_applied){99, 9, 9}), 0);
    ck_assert_int_eq(txn_commit(steal(txn)), 0);
    ck_assert_int_eq(snapshot_read(reader, &position, CHUNK, &chunk, &next, &last), 0);
    ck_assert_uint_eq(chunk.base[17], 41);
    ck_assert_int_eq(env_grow(env, 2 * MAP), 0);
    ck_assert_int_eq(snapshot_read(reader, &next, CHUNK, &chunk, &position, &last), -ESTALE);
}
END_TEST

START_TEST(a_chunk_left_out_or_repeated_is_told)
{
    read_all();
    for (size_t at = 0; at < chunk_count; at += at < 3 || at + 4 > chunk_count ? 1 : 5) {
        scope(snapshot_writer_free) struct snapshot_writer *left_out = begin();
        struct env *image = NULL;
        int r = 0;

        for (size_t i = 0; r == 0 && i < chunk_count; i++)
            r = i == at ? 0 : give(left_out, i);
        if (r == 0)
            r = snapshot_finish(left_out, &image);
        ck_assert_int_eq(r, SNAPSHOT_BAD);
        ck_assert_ptr_null(image);
        snapshot_writer_free(steal(left_out));
        left_out = begin();
        r = 0;
        for (size_t i = 0; r == 0 && i <= at; i++)
            r = give(left_out, i);
        ck_assert_int_eq(r, 0);
        ck_assert_int_eq(give(left_out, at), SNAPSHOT_BAD);
    }
}
END_TEST

START_TEST(any_bytes_end_in_a_result)
{
    struct rng rng;

    rng_seed(&rng, 5);
    read_all();
    for (int round = 0; round < 40; round++) {
        scope(snapshot_writer_free) struct snapshot_writer *writer = begin();
        size_t bad = rng_next(&rng) % chunk_count;
        struct buffer *chunk = &chunks[bad];
        size_t at = rng_next(&rng) % chunk->len;
        uint8_t before = chunk->base[at];
        uint32_t crc = crc32c(0, chunk->base, chunk->len);
        struct env *image = NULL;
        int r = 0;

        for (size_t i = 0; i < bad; i++)
            ck_assert_int_eq(give(writer, i), 0);
        chunk->base[at] = (uint8_t)(before + 1 + rng_next(&rng) % 255);
        ck_assert_int_eq(snapshot_write(writer, (struct bytes){chunk->base, chunk->len}, crc),
                         SNAPSHOT_BAD);
        for (size_t i = bad; r == 0 && i < chunk_count; i++)
            r = give(writer, i); /* With a checksum that fits. */
        chunk->base[at] = before;
        if (r == 0)
            r = snapshot_finish(writer, &image);
        ck_assert(r == SNAPSHOT_BAD || bad == 0);
        env_free(image);
    }
}
END_TEST

START_TEST(a_position_that_is_none_is_refused)
{
    scope(snapshot_reader_free) struct snapshot_reader *reader = NULL;
    struct snapshot_position position = {.len = 13, .at = {200}}, next;
    scope(buffer_fini) struct buffer chunk = {0};
    bool last;

    ck_assert_int_eq(snapshot_reader_open(env, &reader), 0);
    ck_assert_int_eq(snapshot_read(reader, &position, CHUNK, &chunk, &next, &last), SNAPSHOT_BAD);
    position = (struct snapshot_position){.len = 5, .at = {1}};
    ck_assert_int_eq(snapshot_read(reader, &position, CHUNK, &chunk, &next, &last), SNAPSHOT_BAD);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("snapshot");
    TCase *tc = tcase_create("snapshot");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, an_image_is_the_state);
    tcase_add_test(tc, it_is_as_of_when_reading_began);
    tcase_add_test(tc, a_chunk_left_out_or_repeated_is_told);
    tcase_add_test(tc, any_bytes_end_in_a_result);
    tcase_add_test(tc, a_position_that_is_none_is_refused);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
