#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/cli/task_files.h"

#define RUNNING "0123456789abcdef0123456789abcdef"
#define SIBLING "0123ffffffffffffffffffffffffffff"
#define OVER    "fedcba9876543210fedcba9876543210"

static char dir[32];

static void make(const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

/* A lab with two workers: w1 runs one task, w2 another and knows one that is over. */
static void set_up(void)
{
    strcpy(dir, "/tmp/task-files-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    make("m1");
    make("w1");
    make("w1/tasks");
    make("w1/ended");
    make("w1/tasks/" RUNNING);
    make("w2");
    make("w2/tasks");
    make("w2/ended");
    make("w2/tasks/" SIBLING);
    make("w2/tasks/not-a-task");
    make("w2/ended/" OVER);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void tear_down(void)
{
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const struct {
    const char *why, *task;
    const char *id; /* NULL: none. */
    int outcome;
    bool ended;
} cases[] = {
    {"an id", RUNNING, RUNNING, 0, false},
    {"its beginning", "01234", RUNNING, 0, false},
    {"too short a beginning", "0123", NULL, TASK_FILES_AMBIGUOUS, false},
    {"an ARN", "arn:aws:ecs:us-east-1:000000000000:task/default/" SIBLING, SIBLING, 0, false},
    {"a task that is over", "f", OVER, 0, true},
    {"unknown", "0124", NULL, TASK_FILES_ABSENT, false},
    {"nothing", "", NULL, TASK_FILES_ABSENT, false},
    {"a way out", "../../..", NULL, TASK_FILES_ABSENT, false},
    {"not a task's name", "not-a-task", NULL, TASK_FILES_ABSENT, false},
    {"longer than an id", RUNNING "0", NULL, TASK_FILES_ABSENT, false},
};

START_TEST(a_task_is_found_by_what_names_it_alone)
{
    scope(task_files_fini) struct task_files files = {0};

    ck_assert_msg(task_files_find(dir, cases[_i].task, &files) == cases[_i].outcome, "%s",
                  cases[_i].why);
    if (!cases[_i].id)
        return;
    ck_assert_str_eq(files.id, cases[_i].id);
    ck_assert(files.ended == cases[_i].ended);
    ck_assert_int_eq(access(files.path, F_OK), 0);
}
END_TEST

START_TEST(a_workers_own_directory_will_do)
{
    scope(task_files_fini) struct task_files files = {0};
    char worker[64];

    snprintf(worker, sizeof worker, "%s/w1", dir);
    ck_assert_int_eq(task_files_find(worker, "0", &files), 0);
    ck_assert_str_eq(files.id, RUNNING);
}
END_TEST

static void count(void *context, const char *path)
{
    ck_assert_int_eq(access(path, F_OK), 0);
    ++*(int *)context;
}

START_TEST(each_task_that_is_not_over_is_told)
{
    char worker[64];
    int found = 0;

    snprintf(worker, sizeof worker, "%s/w2", dir);
    task_files_each(worker, count, &found);
    ck_assert_int_eq(found, 1);
    snprintf(worker, sizeof worker, "%s/w3", dir);
    task_files_each(worker, count, &found);
    ck_assert_int_eq(found, 1);
}
END_TEST

START_TEST(the_supervisor_is_who_holds_the_lock)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char task[96], file[128], byte;
    int ready[2], done[2];
    pid_t child;

    snprintf(task, sizeof task, "%s/w1/tasks/" RUNNING, dir);
    snprintf(file, sizeof file, "%s/lock", task);
    ck_assert_int_eq(task_files_supervisor(task), 0);
    ck_assert_int_eq(pipe(ready), 0);
    ck_assert_int_eq(pipe(done), 0);
    child = fork();
    if (child == 0) {
        int fd = open(file, O_RDWR | O_CREAT, 0600);

        close(done[1]);
        if (fcntl(fd, F_SETLK, &lock) < 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        _exit(read(done[0], &byte, 1) != 0);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(task_files_supervisor(task), child);
    close(done[1]);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_int_eq(task_files_supervisor(task), 0);
}
END_TEST

START_TEST(the_labs_place_is_what_is_set_first)
{
    char *place;

    setenv("CAIS_LAB_DIR", "/own", 1);
    setenv("XDG_STATE_HOME", "/state", 1);
    setenv("HOME", "/home/x", 1);
    ck_assert_str_eq(place = task_files_lab_dir(), "/own");
    free(place);
    setenv("CAIS_LAB_DIR", "", 1);
    ck_assert_str_eq(place = task_files_lab_dir(), "/state/cais/lab");
    free(place);
    unsetenv("XDG_STATE_HOME");
    ck_assert_str_eq(place = task_files_lab_dir(), "/home/x/.local/state/cais/lab");
    free(place);
    unsetenv("HOME");
    ck_assert_ptr_null(task_files_lab_dir());
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli");
    TCase *tc = tcase_create("task_files");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, a_task_is_found_by_what_names_it_alone, 0,
                        sizeof cases / sizeof *cases);
    tcase_add_test(tc, a_workers_own_directory_will_do);
    tcase_add_test(tc, each_task_that_is_not_over_is_told);
    tcase_add_test(tc, the_supervisor_is_who_holds_the_lock);
    tcase_add_test(tc, the_labs_place_is_what_is_set_first);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
