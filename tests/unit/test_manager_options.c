/* Each wrong flag ends the process with 2 and a sentence that names it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/manager/manager_options.h"

enum { ARGUMENTS_MAX = 16, TEXT_BYTES = 2048 };

#define GOOD  "--dir=/d", "--name=m2", "--zone=z", "--bootstrap"
#define JOINS "--dir=/d", "--name=m2", "--zone=z", "--join=h"
#define TOKEN                                                                                      \
    "-00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff-00000001-"                  \
    "0123456789abcdef0123456789abcdef"

static int count_of(const char *const *arguments)
{
    int count = 0;

    while (arguments[count])
        count++;
    return count;
}

/* In a child, since it exits. Returns its status; *out is what it said. */
static int parse_in_a_child(const char *const *arguments, char out[TEXT_BYTES])
{
    size_t len = 0;
    ssize_t got;
    int status, ends[2];
    pid_t pid;

    ck_assert_int_eq(pipe(ends), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct manager_options options;

        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        manager_options_parse(count_of(arguments), (char **)arguments, &options);
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], out + len, TEXT_BYTES - 1 - len)) > 0)
        len += (size_t)got;
    out[len] = '\0';
    close(ends[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static const char workers_token[] = "--token=CAIS1-worker" TOKEN;
static const char managers_token[] = "--token=CAIS1-manager" TOKEN;

static const struct {
    const char *why;
    const char *arguments[ARGUMENTS_MAX];
    const char *says;
} cases[] = {
    {"nothing", {NULL}, "--dir is missing"},
    {"a name that is none", {GOOD, "--name=m 2"}, "--name: \"m 2\" is not a name"},
    {"a zone that is none", {GOOD, "--zone="}, "--zone: \"\" is not a name"},
    {"a beginning and a joining", {GOOD, "--join=h"}, "it cannot be both"},
    {"a recovery and a beginning", {GOOD, "--recover"}, "--recover goes on from what is stored"},
    {"joining without a token", {JOINS}, "--join needs a --token or a --token-file"},
    {"a token that is none", {JOINS, "--token=open"}, "--token: this is not a token"},
    {"a worker's token", {JOINS, workers_token}, "this is a worker's token"},
    {"two tokens",
     {JOINS, "--token-file=/t", managers_token},
     "--token and --token-file: one of them is enough"},
    {"a token for nothing", {GOOD, "--token-file=/t"}, "--token is of use with --join only"},
    {"nobody votes", {GOOD, "--voters=0"}, "--voters: \"0\" is not a number from 1 to 7"},
    {"managers lost too soon", {GOOD, "--manager-lost-ms=999"}, "--manager-lost-ms: \"999\""},
    {"port 0", {GOOD, "--api-port=0"}, "--api-port: \"0\" is not a number from 1 to 65535"},
    {"a port too high", {GOOD, "--rpc-port=65536"}, "--rpc-port: \"65536\""},
    {"a port that is a word", {GOOD, "--peer-port=http"}, "--peer-port: \"http\""},
    {"a number with more behind it", {GOOD, "--peer-port=80x"}, "--peer-port: \"80x\""},
    {"a number below zero", {GOOD, "--heartbeat-ms=-5"}, "--heartbeat-ms: \"-5\""},
    {"a number beyond any", {GOOD, "--heartbeat-ms=99999999999999999999"}, "--heartbeat-ms"},
    {"an empty number", {GOOD, "--election-timeout-ms="}, "--election-timeout-ms: \"\""},
    {"too hasty an election", {GOOD, "--election-timeout-ms=49"}, "--election-timeout-ms: \"49\""},
    {"heartbeats too rare for elections",
     {GOOD, "--election-timeout-ms=300", "--heartbeat-ms=151"},
     "--heartbeat-ms must be at most half of --election-timeout-ms"},
    {"workers lost too soon", {GOOD, "--worker-lost-ms=999"}, "--worker-lost-ms: \"999\""},
    {"an account of eleven digits", {GOOD, "--account=12345678901"}, "--account: \"12345678901\""},
    {"an account of letters", {GOOD, "--account=abcdefghijkl"}, "--account: \"abcdefghijkl\""},
    {"no region", {GOOD, "--region="}, "--region: \"\" is not a region"},
    {"a region with a colon", {GOOD, "--region=a:b"}, "--region: \"a:b\" is not a region"},
    {"a flag unknown", {GOOD, "--members=m1=h"}, "--members"},
};

START_TEST(each_wrong_flag_is_named)
{
    const char *arguments[ARGUMENTS_MAX + 2] = {"cais manager"};
    char said[TEXT_BYTES];

    memcpy(arguments + 1, cases[_i].arguments, sizeof cases[_i].arguments);
    ck_assert_msg(parse_in_a_child(arguments, said) == 2, "%s: %s", cases[_i].why, said);
    ck_assert_msg(strstr(said, cases[_i].says), "%s: %s", cases[_i].why, said);
}
END_TEST

START_TEST(good_flags_are_taken)
{
    char *arguments[] = {"cais manager", GOOD, "--api-port=1", "--worker-lost-ms=5000", NULL};
    struct manager_options options;

    manager_options_parse(7, arguments, &options);
    ck_assert_str_eq(options.dir, "/d");
    ck_assert_str_eq(options.name, "m2");
    ck_assert(options.bootstrap);
    ck_assert_ptr_null(options.join);
    ck_assert_ptr_null(options.bind); /* Not said: what is stored may tell. */
    ck_assert_uint_eq(options.api_port, 1);
    ck_assert_uint_eq(options.peer_port, 0);
    ck_assert_uint_eq(options.voters, 3);
    ck_assert_uint_eq(options.manager_lost_ms, 10000);
    ck_assert_uint_eq(options.worker_lost_ms, 5000);
    ck_assert_str_eq(options.region, "us-east-1");
    manager_options_fini(&options);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("manager_options");
    TCase *tc = tcase_create("manager_options");
    SRunner *sr;
    int failed;

    tcase_add_loop_test(tc, each_wrong_flag_is_named, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tc, good_flags_are_taken);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
