/*
 * Directories: made with what is above them, however their path is written.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/directory.h"

static char home[40], path[96];

static const char *in_home(const char *rest)
{
    snprintf(path, sizeof path, "%s%s", home, rest);
    return path;
}

static void set_up(void)
{
    snprintf(home, sizeof home, "/tmp/directory-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(home));
}

static void tear_down(void)
{
    rmdir(in_home("/a/b/c"));
    rmdir(in_home("/a/b"));
    rmdir(in_home("/a"));
    unlink(in_home("/file"));
    rmdir(home);
}

static void must_be_private(const char *rest)
{
    struct stat stat_made;

    ck_assert_int_eq(stat(in_home(rest), &stat_made), 0);
    ck_assert_uint_eq(stat_made.st_mode, S_IFDIR | 0700);
}

START_TEST(all_that_is_missing_is_made)
{
    ck_assert_int_eq(directory_make(in_home("/a/b/c")), 0);
    must_be_private("/a");
    must_be_private("/a/b");
    must_be_private("/a/b/c");
    ck_assert_int_eq(directory_make(in_home("/a/b/c")), 0);
}
END_TEST

START_TEST(slashes_do_not_count)
{
    ck_assert_int_eq(directory_make(in_home("//a///b//c//")), 0);
    must_be_private("/a/b/c");
}
END_TEST

START_TEST(a_path_may_be_relative)
{
    int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    ck_assert_int_eq(chdir(home), 0);
    ck_assert_int_eq(directory_make("a"), 0);
    ck_assert_int_eq(directory_make("a/b"), 0);
    ck_assert_int_eq(fchdir(before), 0);
    close(before);
    must_be_private("/a/b");
}
END_TEST

START_TEST(what_stands_in_the_way_is_told)
{
    int fd = open(in_home("/file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    close(fd);
    ck_assert_int_eq(directory_make(in_home("/file/a")), -ENOTDIR);
    ck_assert_int_eq(directory_sync(in_home("/file")), -ENOTDIR);
    ck_assert_int_eq(directory_sync(in_home("/nowhere")), -ENOENT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("directory");
    TCase *tc = tcase_create("directory");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, all_that_is_missing_is_made);
    tcase_add_test(tc, slashes_do_not_count);
    tcase_add_test(tc, a_path_may_be_relative);
    tcase_add_test(tc, what_stands_in_the_way_is_told);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
