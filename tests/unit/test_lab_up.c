/*
 * What `cais lab up` refuses: with one clear sentence, and nothing left behind.
 */
#include <argp.h>
#include <arpa/inet.h>
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/lab/home.h"
#include "server/lab/verbs.h"

enum { ARGS_MAX = 8 };

static char root[32];
static char dir[64];  /* root/lab */
static char port[32]; /* An endpoint that is free as far as we know. */
static char said[1024];

static int hold_port(struct sockaddr_in *at)
{
    socklen_t size = sizeof *at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)at, sizeof *at), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)at, &size);
    return fd;
}

static void set_up(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    strcpy(root, "/tmp/lab-up-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    snprintf(dir, sizeof dir, "%s/lab", root);
    close(hold_port(&at));
    snprintf(port, sizeof port, "127.0.0.1:%u", ntohs(at.sin_port) % 50000 + 10000);
}

static void tear_down(void)
{
    home_purge(root);
}

/* Run `up` in a process of its own, since misuse exits. What it says on standard error is in
 * `said`. Returns the exit code. */
static int up(const char *first, ...)
{
    char *argv[ARGS_MAX + 4] = {(char *)"cais lab up", (char *)"--dir", dir};
    int argc = 3, ends[2], status;
    ssize_t n, len = 0;
    va_list args;
    pid_t pid;

    va_start(args, first);
    for (const char *arg = first; arg && argc < ARGS_MAX; arg = va_arg(args, const char *))
        argv[argc++] = (char *)arg;
    va_end(args);
    ck_assert_int_eq(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        argp_err_exit_status = 2; /* As server/main.c has it. */
        dup2(ends[1], STDERR_FILENO);
        exit(up_main(argc, argv));
    }
    close(ends[1]);
    while ((n = read(ends[0], said + len, sizeof said - 1 - (size_t)len)) > 0)
        len += n;
    said[len] = '\0';
    close(ends[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect_said(const char *words)
{
    ck_assert_msg(strstr(said, words) != NULL, "said: %s", said);
}

static const struct {
    const char *flag, *value, *words;
} misuses[] = {
    {"--managers", "8", "--managers 8"},
    {"--managers", "x", "--managers x"},
    {"--managers", "-1", "--managers -1"},
    {"--zones", "0", "--zones 0"},
    {"--workers", "100000", "--workers 100000: expected 0 to 750"},
    {"--workers", "751", "--workers 751"},
    {"--runtime", "docker", "--runtime docker"},
    {"--api", "nowhere", "--api nowhere"},
    {"--api", "127.0.0.1:65535", "--api 127.0.0.1:65535"},
    {"--account", "12", "--account 12"},
    {"--region", "Mars", "--region Mars"},
    {"--nothing", "1", "--nothing"},
};

START_TEST(misuse_names_the_flag)
{
    ck_assert_int_eq(up(misuses[_i].flag, misuses[_i].value, NULL), 2);
    expect_said(misuses[_i].words);
    ck_assert_int_eq(access(dir, F_OK), -1);
}
END_TEST

START_TEST(a_busy_endpoint_is_named)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = hold_port(&at);

    snprintf(port, sizeof port, "127.0.0.1:%u", ntohs(at.sin_port));
    ck_assert_int_eq(up("--api", port, NULL), 1);
    expect_said(port);
    expect_said("in use");
    ck_assert_int_eq(access(dir, F_OK), -1);
    close(fd);
}
END_TEST

START_TEST(a_busy_place_of_a_manager_is_named)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f026501)};
    int fd = hold_port(&at);

    snprintf(port, sizeof port, "127.0.0.1:%u", ntohs(at.sin_port) - 2);
    ck_assert_int_eq(up("--api", port, NULL), 1);
    expect_said("127.2.101.1");
    expect_said("m2, peers");
    ck_assert_int_eq(access(dir, F_OK), -1);
    close(fd);
}
END_TEST

START_TEST(a_file_in_the_way_is_named)
{
    snprintf(dir, sizeof dir, "%s/file", root);
    fclose(fopen(dir, "w"));
    ck_assert_int_eq(up("--api", port, NULL), 1);
    expect_said(dir);
    snprintf(dir, sizeof dir, "%s/file/lab", root);
    ck_assert_int_eq(up("--api", port, NULL), 1);
    expect_said(dir);
}
END_TEST

START_TEST(other_peoples_files_are_left_alone)
{
    char file[96];

    ck_assert_int_eq(mkdir(dir, 0700), 0);
    snprintf(file, sizeof file, "%s/precious", dir);
    fclose(fopen(file, "w"));
    ck_assert_int_eq(up("--api", port, NULL), 1);
    expect_said("not empty");
    ck_assert_int_eq(access(file, F_OK), 0);
}
END_TEST

START_TEST(a_path_too_long_is_said_before_anything_is_made)
{
    char longer[160];
    int len = snprintf(longer, sizeof longer, "%s/", dir);

    memset(longer + len, 'x', sizeof longer - 1 - (size_t)len);
    longer[sizeof longer - 1] = '\0';
    ck_assert_int_eq(up("--api", port, "--dir", longer, NULL), 1);
    expect_said("too long");
    ck_assert_int_eq(access(dir, F_OK), -1);
}
END_TEST

static void make_lab(unsigned workers)
{
    scope(record_free) struct record *record = NULL;
    struct layout_options options;
    size_t made;

    layout_options_default(&options);
    options.workers = workers;
    record = record_new(&options);
    ck_assert_int_eq(home_make(dir, &made), 0);
    ck_assert_int_eq(record_save(dir, record), 0);
}

START_TEST(a_lab_that_runs_is_not_started_again)
{
    int lock;

    make_lab(0);
    ck_assert_int_eq(home_lock(dir, &lock), 0);
    ck_assert_int_eq(up("--api", port, NULL), 1);
    expect_said("running");
    expect_said(dir);
    close(lock);
}
END_TEST

START_TEST(a_lab_comes_back_as_it_was_or_not_at_all)
{
    make_lab(4);
    ck_assert_int_eq(up("--workers", "3", NULL), 1);
    expect_said("--workers differs");
    ck_assert_int_eq(up("--zones", "2", NULL), 1);
    expect_said("--zones differs");
}
END_TEST

START_TEST(what_a_killed_daemon_left_is_noticed)
{
    scope(record_free) struct record *record = NULL;

    make_lab(0);
    ck_assert_int_eq(record_load(dir, &record), 0);
    ck_assert_int_eq(proc_identify(getpid(), &record->nodes[1]), 0);
    ck_assert_int_eq(record_save(dir, record), 0);
    ck_assert_int_eq(up(NULL), 1);
    expect_said("daemon was killed");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lab");
    TCase *tc = tcase_create("up");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, misuse_names_the_flag, 0, sizeof misuses / sizeof *misuses);
    tcase_add_test(tc, a_busy_endpoint_is_named);
    tcase_add_test(tc, a_busy_place_of_a_manager_is_named);
    tcase_add_test(tc, a_file_in_the_way_is_named);
    tcase_add_test(tc, other_peoples_files_are_left_alone);
    tcase_add_test(tc, a_path_too_long_is_said_before_anything_is_made);
    tcase_add_test(tc, a_lab_that_runs_is_not_started_again);
    tcase_add_test(tc, a_lab_comes_back_as_it_was_or_not_at_all);
    tcase_add_test(tc, what_a_killed_daemon_left_is_noticed);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
