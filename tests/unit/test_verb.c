#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/cli/verb.h"

/* What the verbs below were given: only in this test's own process. */
static int last_argc;
static char last_name[32];
static char last_arg[32];

static int remember(int argc, char **argv)
{
    last_argc = argc;
    strncpy(last_name, argv[0], sizeof last_name - 1);
    strncpy(last_arg, argc > 1 ? argv[1] : "", sizeof last_arg - 1);
    return 7;
}

static const struct verb verbs[] = {
    {"go", "WHERE", "go somewhere", remember},
    {"inside", NULL, NULL, remember},
};

static int run(int argc, const char *first, const char *second)
{
    char *argv[] = {(char *)"cais", (char *)first, (char *)second, NULL};

    return verb_run("cais", "What it is.", verbs, 2, argc, argv);
}

START_TEST(a_verb_is_told_its_whole_name_and_its_own_arguments)
{
    ck_assert_int_eq(run(3, "go", "home"), 7);
    ck_assert_int_eq(last_argc, 2);
    ck_assert_str_eq(last_name, "cais go");
    ck_assert_str_eq(last_arg, "home");
}
END_TEST

START_TEST(a_hidden_verb_runs_too)
{
    ck_assert_int_eq(run(2, "inside", NULL), 7);
    ck_assert_str_eq(last_name, "cais inside");
}
END_TEST

START_TEST(no_verb_and_an_unknown_one_are_misuse)
{
    ck_assert_int_eq(run(1, NULL, NULL), EXIT_USAGE);
    ck_assert_int_eq(run(2, "gone", NULL), EXIT_USAGE);
    ck_assert_int_eq(last_argc, 0);
}
END_TEST

START_TEST(help_is_no_misuse)
{
    ck_assert_int_eq(run(2, "--help", NULL), EXIT_DONE);
    ck_assert_int_eq(last_argc, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli");
    TCase *tc = tcase_create("verb");
    SRunner *sr;
    int failed;

    tcase_add_test(tc, a_verb_is_told_its_whole_name_and_its_own_arguments);
    tcase_add_test(tc, a_hidden_verb_runs_too);
    tcase_add_test(tc, no_verb_and_an_unknown_one_are_misuse);
    tcase_add_test(tc, help_is_no_misuse);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
