#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/lab/home.h"

static char root[32];
static char dir[64]; /* root/a/b/lab */

static void set_up(void)
{
    strcpy(root, "/tmp/home-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    snprintf(dir, sizeof dir, "%s/a/b/lab", root);
}

static void tear_down(void)
{
    ck_assert_int_eq(home_purge(root), 0);
    ck_assert_int_eq(access(root, F_OK), -1);
}

static void touch(const char *path)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fclose(file);
}

START_TEST(what_was_made_is_unmade_and_nothing_else)
{
    char above[64], beside[64];
    size_t made = 0;

    snprintf(above, sizeof above, "%s/a", root);
    ck_assert_int_eq(mkdir(above, 0700), 0);
    ck_assert_int_eq(home_make(dir, &made), 0);
    ck_assert_uint_eq(made, 2);
    ck_assert_int_eq(home_make(dir, &made), 0);
    ck_assert_uint_eq(made, 0);
    home_unmake(dir, 2);
    ck_assert_int_eq(access(above, F_OK), 0);
    snprintf(beside, sizeof beside, "%s/a/b", root);
    ck_assert_int_eq(access(beside, F_OK), -1);
}
END_TEST

START_TEST(a_file_in_the_way_is_an_error_and_leaves_nothing)
{
    char file[64], inside[96];
    size_t made = 7;

    snprintf(file, sizeof file, "%s/file", root);
    touch(file);
    snprintf(inside, sizeof inside, "%s/lab", file);
    ck_assert_int_eq(home_make(inside, &made), -ENOTDIR);
    ck_assert_int_eq(home_look(inside), -ENOTDIR);
    ck_assert_uint_eq(made, 7);
    ck_assert_int_eq(access(file, F_OK), 0);
}
END_TEST

START_TEST(a_directory_is_free_or_a_labs_or_others)
{
    scope(record_free) struct record *record = NULL;
    struct layout_options options;
    char file[96];
    size_t made;

    ck_assert_int_eq(home_look(dir), 0);
    ck_assert_int_eq(home_make(dir, &made), 0);
    ck_assert_int_eq(home_look(dir), 0);
    snprintf(file, sizeof file, "%s/precious", dir);
    touch(file);
    ck_assert_int_eq(home_look(dir), HOME_OTHER);
    layout_options_default(&options);
    record = record_new(&options);
    ck_assert_int_eq(record_save(dir, record), 0);
    ck_assert_int_eq(home_look(dir), 0);
}
END_TEST

START_TEST(one_lab_at_a_time)
{
    size_t made;
    int lock, other = -1;

    ck_assert_int_eq(home_make(dir, &made), 0);
    ck_assert_int_eq(home_lock(dir, &lock), 0);
    ck_assert_int_eq(home_lock(dir, &other), HOME_HELD);
    ck_assert_int_eq(other, -1);
    ck_assert_int_eq(home_wait_free(dir, 20), -ETIMEDOUT);
    close(lock);
    ck_assert_int_eq(home_wait_free(dir, 20), 0);
    ck_assert_int_eq(home_lock(dir, &lock), 0);
    close(lock);
}
END_TEST

START_TEST(emptying_keeps_the_directory)
{
    char file[96];
    size_t made;

    ck_assert_int_eq(home_make(dir, &made), 0);
    snprintf(file, sizeof file, "%s/inside", dir);
    touch(file);
    ck_assert_int_eq(home_empty(dir), 0);
    ck_assert_int_eq(access(file, F_OK), -1);
    ck_assert_int_eq(access(dir, F_OK), 0);
}
END_TEST

START_TEST(a_relative_directory_is_made_absolute)
{
    char *here = getcwd(NULL, 0);
    char *home = home_dir("test", "some/lab/");

    ck_assert_msg(strncmp(home, here, strlen(here)) == 0, "%s", home);
    ck_assert_str_eq(home + strlen(here), "/some/lab");
    free(home);
    free(here);
    ck_assert_ptr_null(home_dir("test", ""));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lab");
    TCase *tc = tcase_create("home");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_was_made_is_unmade_and_nothing_else);
    tcase_add_test(tc, a_file_in_the_way_is_an_error_and_leaves_nothing);
    tcase_add_test(tc, a_directory_is_free_or_a_labs_or_others);
    tcase_add_test(tc, one_lab_at_a_time);
    tcase_add_test(tc, emptying_keeps_the_directory);
    tcase_add_test(tc, a_relative_directory_is_made_absolute);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
