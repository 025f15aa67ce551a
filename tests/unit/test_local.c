/* Sockets by directory and name: whoever may enter, and however long the path. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/net/local.h"

static char base[] = "/tmp/local-XXXXXX";
static char deep[512];

static void make(void)
{
    strcpy(base, "/tmp/local-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(base));
    /* Longer than any socket's address. */
    ck_assert_int_gt(snprintf(deep, sizeof deep, "%s/%0120d", base, 0), 108);
    ck_assert_int_eq(mkdir(deep, 0700), 0);
}

static void drop(void)
{
    local_remove(base, "s");
    local_remove(deep, "s");
    ck_assert_int_eq(rmdir(deep), 0);
    ck_assert_int_eq(rmdir(base), 0);
}

static void try(const char *dir)
{
    char path[600];
    struct stat about;
    int server, client;

    ck_assert_int_eq(local_dial(dir, "s", &client), -ENOENT);
    ck_assert_int_eq(local_listen(dir, "s", 4, &server), 0);
    snprintf(path, sizeof path, "%s/s", dir);
    ck_assert_int_eq(stat(path, &about), 0);
    ck_assert_uint_eq(about.st_mode & 07777u, 0600);
    ck_assert_int_eq(local_dial(dir, "s", &client), 0);
    close(client);
    close(server);
    ck_assert_int_eq(local_dial(dir, "s", &client), -ECONNREFUSED);
    ck_assert_int_eq(local_listen(dir, "s", 4, &server), 0); /* In the dead one's place. */
    ck_assert_int_eq(local_dial(dir, "s", &client), 0);
    close(client);
    close(server);
    local_remove(dir, "s");
    ck_assert_int_eq(stat(path, &about), -1);
    local_remove(dir, "s");
}

START_TEST(a_socket_serves_its_owner_until_it_is_removed)
{
    try(base);
}
END_TEST

START_TEST(a_path_may_be_longer_than_an_address)
{
    try(deep);
}
END_TEST

START_TEST(no_directory_is_an_error)
{
    int fd;

    ck_assert_int_eq(local_listen("/tmp/local-none", "s", 4, &fd), -ENOENT);
    deep[strlen(deep) - 1] = 'x';
    ck_assert_int_eq(local_listen(deep, "s", 4, &fd), -ENOENT);
    ck_assert_int_eq(local_dial(deep, "s", &fd), -ENOENT);
    deep[strlen(deep) - 1] = '0';
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net");
    TCase *tc = tcase_create("local");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, make, drop);
    tcase_add_test(tc, a_socket_serves_its_owner_until_it_is_removed);
    tcase_add_test(tc, a_path_may_be_longer_than_an_address);
    tcase_add_test(tc, no_directory_is_an_error);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
