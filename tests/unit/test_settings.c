#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/net/settings.h"

static const struct argp_option options[] = {
    {"api-port", 'a', "PORT", 0, "", 0},
    {"zone", 'z', "ZONE", 0, "", 0},
    {"quiet", 'q', NULL, 0, "", 0},
    {0},
};

static char path[32];
static char **given; /* By the last call. */
static char *typed[] = {"cais manager", "--zone=c", NULL};

static void write_file(const char *text)
{
    int fd;

    strcpy(path, "/tmp/settings-XXXXXX");
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static int arguments(int typed_count, int *argc, char ***argv)
{
    int r;

    settings_free(given);
    given = NULL;
    r = settings_arguments(options, path, typed_count, typed, argc, argv);

    if (r == 0)
        given = *argv;
    return r;
}

static void tear_down(void)
{
    settings_free(given);
    given = NULL;
    unlink(path);
    unsetenv("CAIS_API_PORT");
    unsetenv("CAIS_QUIET");
}

START_TEST(the_file_comes_first_then_variables_then_flags)
{
    char **argv;
    int argc;

    write_file("# a comment\n\n api-port = 1 \nzone=a\n");
    setenv("CAIS_API_PORT", "2", 1);
    ck_assert_int_eq(arguments(2, &argc, &argv), 0);
    ck_assert_int_eq(argc, 5);
    ck_assert_str_eq(argv[0], "cais manager");
    ck_assert_str_eq(argv[1], "--api-port=1");
    ck_assert_str_eq(argv[2], "--zone=a");
    ck_assert_str_eq(argv[3], "--api-port=2");
    ck_assert_str_eq(argv[4], "--zone=c");
    ck_assert_ptr_null(argv[5]);
}
END_TEST

START_TEST(a_switch_is_given_only_when_it_is_on)
{
    char **argv;
    int argc;

    write_file("quiet = false\n");
    ck_assert_int_eq(arguments(1, &argc, &argv), 0);
    ck_assert_int_eq(argc, 1);
    setenv("CAIS_QUIET", "true", 1);
    ck_assert_int_eq(arguments(1, &argc, &argv), 0);
    ck_assert_int_eq(argc, 2);
    ck_assert_str_eq(argv[1], "--quiet");
}
END_TEST

START_TEST(another_verbs_setting_is_passed_over)
{
    char **argv;
    int argc;

    write_file("runtime = process\n");
    ck_assert_int_eq(arguments(1, &argc, &argv), 0);
    ck_assert_int_eq(argc, 1);
}
END_TEST

START_TEST(a_line_without_an_equals_sign_is_refused)
{
    char **argv;
    int argc;

    write_file("zone a\n");
    ck_assert_int_eq(arguments(1, &argc, &argv), -EINVAL);
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_is_told)
{
    char **argv, target[sizeof path], said[200] = "";
    int argc, before = dup(STDERR_FILENO), r;
    FILE *to = tmpfile();

    ck_assert_ptr_nonnull(to);
    write_file(""); /* For a name of its own. */
    strcpy(target, path);
    unlink(path);
    ck_assert_int_eq(symlink(target, path), 0); /* To itself. */
    dup2(fileno(to), STDERR_FILENO);
    r = arguments(1, &argc, &argv);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(to);
    ck_assert_ptr_nonnull(fgets(said, sizeof said, to));
    fclose(to);
    unlink(path);
    ck_assert_int_eq(r, -ELOOP);
    ck_assert_ptr_nonnull(strstr(said, path));
}
END_TEST

START_TEST(no_file_is_fine)
{
    char **argv;
    int argc;

    strcpy(path, "/nonexistent/cais.conf");
    ck_assert_int_eq(arguments(2, &argc, &argv), 0);
    ck_assert_int_eq(argc, 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("settings");
    TCase *tc = tcase_create("settings");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, NULL, tear_down);
    tcase_add_test(tc, the_file_comes_first_then_variables_then_flags);
    tcase_add_test(tc, a_switch_is_given_only_when_it_is_on);
    tcase_add_test(tc, another_verbs_setting_is_passed_over);
    tcase_add_test(tc, a_line_without_an_equals_sign_is_refused);
    tcase_add_test(tc, a_file_that_cannot_be_opened_is_told);
    tcase_add_test(tc, no_file_is_fine);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
