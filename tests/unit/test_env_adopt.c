/*
 * An environment that is exchanged, mapped anew, filled, and read by others.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/env.h"

enum { MAP = 1 << 20, READERS = 3, ROUNDS = 8 };

static const char *const names[] = {"fruit", "stones"};
static char home[40], state[64], incoming[64];
static struct env *env;

static struct bytes text(const char *s)
{
    return (struct bytes){s, strlen(s)};
}

static void remove_dir(const char *dir)
{
    char path[96];

    snprintf(path, sizeof path, "%s/data.mdb", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", dir);
    unlink(path);
    rmdir(dir);
}

static void store(struct env *to, const char *value)
{
    scope(txn_abort) struct txn *txn = NULL;

    ck_assert_int_eq(env_write(to, &txn), 0);
    ck_assert_int_eq(txn_put(txn, 0, text("a"), text(value)), 0);
    ck_assert_int_eq(txn_put(txn, 1, text("a"), text(value)), 0);
    ck_assert_int_eq(txn_commit(steal(txn)), 0);
}

/* Both databases of one picture say the same. */
static void value_of(struct txn *txn, char out[8])
{
    struct bytes got, other;

    ck_assert_int_eq(txn_get(txn, 0, text("a"), &got), 0);
    ck_assert_int_eq(txn_get(txn, 1, text("a"), &other), 0);
    ck_assert_uint_lt(got.len, 8);
    ck_assert_uint_eq(got.len, other.len);
    ck_assert_mem_eq(got.base, other.base, got.len);
    memcpy(out, got.base, got.len);
    out[got.len] = '\0';
}

static void expect(struct env *in, const char *value)
{
    scope(txn_abort) struct txn *txn = NULL;
    char got[8];

    ck_assert_int_eq(env_read(in, &txn), 0);
    value_of(txn, got);
    ck_assert_str_eq(got, value);
}

static void set_up(void)
{
    snprintf(home, sizeof home, "/tmp/env-adopt-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(home));
    snprintf(state, sizeof state, "%s/state", home);
    snprintf(incoming, sizeof incoming, "%s/incoming", home);
    ck_assert_int_eq(mkdir(state, 0700), 0);
    ck_assert_int_eq(env_open(state, MAP, names, 2, &env), 0);
    store(env, "old");
}

static void tear_down(void)
{
    env_free(env);
    env = NULL;
    remove_dir(state);
    remove_dir(incoming);
    rmdir(home);
}

static struct env *fill(const char *value)
{
    struct env *next = NULL;

    ck_assert_int_eq(mkdir(incoming, 0700), 0);
    ck_assert_int_eq(env_open_filling(incoming, MAP, names, 2, &next), 0);
    store(next, value);
    return next;
}

static void adopt(const char *value)
{
    struct env *next = fill(value);

    ck_assert_int_eq(env_settle(next), 0);
    ck_assert_int_eq(env_adopt(env, next), 0);
    env_free(next);
    remove_dir(incoming);
}

static void reopen(void)
{
    env_free(env);
    env = NULL;
    ck_assert_int_eq(env_open(state, MAP, names, 2, &env), 0);
}

START_TEST(what_is_adopted_is_read_and_written_from_then_on)
{
    struct env *next = fill("new");

    ck_assert_int_eq(env_settle(next), 0);
    ck_assert_int_eq(env_adopt(env, next), 0);
    expect(env, "new");
    expect(next, "old");
    ck_assert_str_eq(env_dir(env), state);
    env_free(next);
    remove_dir(incoming);
    store(env, "newer");
    reopen();
    expect(env, "newer");
}
END_TEST

START_TEST(the_adopted_one_is_locked)
{
    struct env *other = NULL;

    adopt("new");
    ck_assert_int_eq(env_open(state, MAP, names, 2, &other), -EUSERS);
}
END_TEST

/* A crash leaves one of these, whatever was going on. */
START_TEST(a_crash_before_the_exchange_leaves_the_old_one)
{
    struct env *next = fill("new");

    env_free(next); /* Half filled. */
    reopen();
    expect(env, "old");
}
END_TEST

START_TEST(a_crash_after_the_exchange_leaves_the_new_one)
{
    struct env *next = fill("new");

    ck_assert_int_eq(env_settle(next), 0);
    ck_assert_int_eq(env_adopt(env, next), 0);
    env_free(next); /* The old one's directory is still there. */
    reopen();
    expect(env, "new");
}
END_TEST

START_TEST(an_environment_is_placed_once)
{
    struct env *next = fill("new");
    char other[64];

    ck_assert_int_eq(env_settle(next), 0);
    env_free(next);
    ck_assert_int_eq(env_place(incoming, state), -EEXIST);
    snprintf(other, sizeof other, "%s/other", home);
    ck_assert_int_eq(env_place(incoming, other), 0);
    ck_assert_int_eq(env_open(other, MAP, names, 2, &next), 0);
    expect(next, "new");
    env_free(next);
    remove_dir(other);
}
END_TEST

START_TEST(a_transaction_that_stays_is_not_waited_for_for_ever)
{
    scope(txn_abort) struct txn *txn = NULL;
    struct env *next = fill("new");
    char got[8];

    ck_assert_int_eq(env_settle(next), 0);
    ck_assert_int_eq(env_read(env, &txn), 0);
    ck_assert_int_eq(env_adopt(env, next), -EBUSY);
    ck_assert_int_eq(env_grow(env, 2 * MAP), -EBUSY);
    value_of(txn, got);
    ck_assert_str_eq(got, "old");
    txn_abort(steal(txn));
    ck_assert_int_eq(env_adopt(env, next), 0);
    expect(env, "new");
    env_free(next);
}
END_TEST

START_TEST(a_picture_is_taken_away)
{
    scope(picture_free) struct picture *first = NULL;
    scope(picture_free) struct picture *second = NULL;
    struct txn *txn;
    char got[8];

    ck_assert_int_eq(env_picture(env, &first), 0);
    store(env, "later");
    ck_assert_int_eq(picture_enter(first, &txn), 0);
    value_of(txn, got);
    ck_assert_str_eq(got, "old");
    picture_leave(first);
    ck_assert_int_eq(env_grow(env, 2 * MAP), 0);
    ck_assert_int_eq(picture_enter(first, &txn), -ESTALE);
    ck_assert_int_eq(env_picture(env, &second), 0);
    adopt("new");
    ck_assert_int_eq(picture_enter(second, &txn), -ESTALE);
    ck_assert_int_eq(picture_enter(first, &txn), -ESTALE);
}
END_TEST

START_TEST(the_map_grows_before_it_is_full)
{
    static char value[1000];
    size_t used, map;

    for (unsigned i = 0; i < 8000; i++) {
        scope(txn_abort) struct txn *txn = NULL;
        char key[16];

        snprintf(key, sizeof key, "%08u", i);
        ck_assert_int_eq(env_make_room(env), 0);
        ck_assert_int_eq(env_write(env, &txn), 0);
        for (unsigned j = 0; j < 50; j++, i++) {
            snprintf(key, sizeof key, "%08u", i);
            ck_assert_int_eq(txn_put(txn, 0, text(key), (struct bytes){value, sizeof value}), 0);
        }
        ck_assert_int_eq(txn_commit(steal(txn)), 0);
    }
    env_size(env, &used, &map);
    ck_assert_uint_gt(used, 4 * MAP);
    ck_assert_uint_ge(map, used);
}
END_TEST

static atomic_bool done;

static void *read_on(void *unused)
{
    long read = 0;

    (void)unused;
    while (!atomic_load(&done)) {
        scope(txn_abort) struct txn *txn = NULL;
        char got[8];

        ck_assert_int_eq(env_read(env, &txn), 0);
        value_of(txn, got);
        read++;
    }
    return (void *)read;
}

static void *look_on(void *unused)
{
    struct picture *picture = NULL;
    long lost = 0;

    (void)unused;
    while (!atomic_load(&done)) {
        struct txn *txn;
        char got[8];
        int r;

        if (!picture)
            ck_assert_int_eq(env_picture(env, &picture), 0);
        r = picture_enter(picture, &txn);
        if (r == 0) {
            value_of(txn, got);
            picture_leave(picture);
            continue;
        }
        ck_assert_int_eq(r, -ESTALE);
        picture_free(steal(picture));
        lost++;
    }
    picture_free(picture);
    return (void *)lost;
}

START_TEST(readers_read_on_while_it_is_exchanged_and_grown)
{
    pthread_t readers[READERS], looker;
    void *count;

    atomic_store(&done, false);
    for (size_t i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&readers[i], NULL, read_on, NULL), 0);
    ck_assert_int_eq(pthread_create(&looker, NULL, look_on, NULL), 0);
    for (int i = 0; i < ROUNDS; i++) {
        char value[12];

        snprintf(value, sizeof value, "%d", i);
        adopt(value);
        store(env, "more");
        ck_assert_int_eq(env_grow(env, (size_t)MAP * (2 + (size_t)i % 2)), 0);
    }
    atomic_store(&done, true);
    for (size_t i = 0; i < READERS; i++) {
        ck_assert_int_eq(pthread_join(readers[i], &count), 0);
        ck_assert_int_gt((long)count, 0);
    }
    ck_assert_int_eq(pthread_join(looker, &count), 0);
    expect(env, "more");
}
END_TEST

static int read_as_another_process(void)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct env *other = NULL;
        struct txn *txn = NULL;
        struct bytes got;
        int r = env_open_readonly(state, names, 2, &other);

        if (r == 0)
            r = env_read(other, &txn);
        if (r == 0)
            r = txn_get(txn, 0, text("a"), &got) == 0 && got.len == 3 ? 0 : -1;
        _exit(r == 0 ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(another_process_reads_one_that_is_written_to)
{
    ck_assert_int_eq(read_as_another_process(), 0);
    store(env, "two");
    ck_assert_int_eq(read_as_another_process(), 0);
    store(env, "old");
    expect(env, "old");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("env_adopt");
    TCase *tc = tcase_create("env_adopt");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_is_adopted_is_read_and_written_from_then_on);
    tcase_add_test(tc, the_adopted_one_is_locked);
    tcase_add_test(tc, a_crash_before_the_exchange_leaves_the_old_one);
    tcase_add_test(tc, a_crash_after_the_exchange_leaves_the_new_one);
    tcase_add_test(tc, an_environment_is_placed_once);
    tcase_add_test(tc, a_transaction_that_stays_is_not_waited_for_for_ever);
    tcase_add_test(tc, a_picture_is_taken_away);
    tcase_add_test(tc, the_map_grows_before_it_is_full);
    tcase_add_test(tc, readers_read_on_while_it_is_exchanged_and_grown);
    tcase_add_test(tc, another_process_reads_one_that_is_written_to);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
