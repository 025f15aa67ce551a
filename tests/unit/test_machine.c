/*
 * Processes and the tasks of a machine, with children of this test in the parts of supervisors
 * and what they supervise.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/lab/machine.h"
#include "server/lab/proc.h"

#define TASK "0123456789abcdef0123456789abcdef"

static char dir[32];
static char task[128];

static void set_up(void)
{
    char path[64];

    strcpy(dir, "/tmp/machine-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/tasks", dir);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(task, sizeof task, "%s/" TASK, path);
    ck_assert_int_eq(mkdir(task, 0700), 0);
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

static void hold_lock(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char file[160];
    int fd;

    snprintf(file, sizeof file, "%s/lock", task);
    fd = open(file, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0)
        _exit(1);
}

/* A grandchild in a session of its own, whose parent has left it: only the adopting supervisor
 * ties it to the task. Tells its pid. */
static void leave_a_grandchild(int to)
{
    if (fork() == 0) {
        if (fork() > 0)
            _exit(0);
        setsid();
        signal(SIGTERM, SIG_IGN);
        pid_t self = getpid();
        if (write(to, &self, sizeof self) < 0)
            _exit(1);
        for (;;)
            pause();
    }
}

/* A supervisor with the lock and a grandchild, which it adopts. */
static void start_supervisor(struct proc *out, struct proc *out_grandchild)
{
    int ends[2];
    pid_t pid, grandchild;

    ck_assert_int_eq(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        signal(SIGTERM, SIG_DFL); /* The test runner has a handler of its own. */
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        hold_lock();
        leave_a_grandchild(ends[1]);
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(ends[0], &grandchild, sizeof grandchild), sizeof grandchild);
    ck_assert_int_eq(proc_identify(pid, out), 0);
    ck_assert_int_eq(proc_identify(grandchild, out_grandchild), 0);
    close(ends[0]);
    close(ends[1]);
}

START_TEST(losing_a_machine_ends_its_tasks_to_the_last_descendant)
{
    struct proc supervisor, grandchild;
    int status;

    ck_assert_uint_eq(machine_task_count(dir), 0);
    start_supervisor(&supervisor, &grandchild);
    ck_assert_uint_eq(machine_task_count(dir), 1);
    ck_assert_uint_eq(machine_destroy_tasks(dir), 1);
    ck_assert_int_eq(proc_state(&supervisor), PROC_GONE);
    ck_assert_int_eq(proc_state(&grandchild), PROC_GONE);
    ck_assert_int_eq(waitpid(supervisor.pid, &status, 0), supervisor.pid);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGKILL);
    ck_assert_uint_eq(machine_task_count(dir), 0);
    ck_assert_uint_eq(machine_destroy_tasks(dir), 0);
}
END_TEST

START_TEST(stopping_tasks_is_left_to_their_supervisors)
{
    struct proc supervisor, grandchild;
    int status;

    start_supervisor(&supervisor, &grandchild);
    ck_assert_uint_eq(machine_stop_tasks(dir), 1);
    ck_assert_int_eq(waitpid(supervisor.pid, &status, 0), supervisor.pid);
    ck_assert_int_eq(WTERMSIG(status), SIGTERM);
    ck_assert_int_eq(proc_state(&grandchild), PROC_RUNNING);
    ck_assert_int_eq(proc_signal(&grandchild, SIGKILL), 0);
}
END_TEST

/* A process with the command line of a supervisor: a shell whose script is called `shim` and
 * waits for a line that never comes. */
static void start_namesake(const char *path, struct proc *out)
{
    char script[64];
    FILE *file;
    int ends[2];
    pid_t pid;

    snprintf(script, sizeof script, "%s/shim", dir);
    file = fopen(script, "w");
    ck_assert_ptr_nonnull(file);
    fputs("echo ready >&2; read line\n", file);
    fclose(file);
    ck_assert_int_eq(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        int heard[2];

        if (chdir(dir) < 0 || pipe(heard) < 0)
            _exit(1);
        dup2(heard[0], STDIN_FILENO);
        dup2(ends[1], STDERR_FILENO);
        execl("/bin/sh", "cais", "shim", path, NULL);
        _exit(1);
    }
    ck_assert_int_eq(read(ends[0], script, 1), 1); /* It runs as what it says it is. */
    ck_assert_int_eq(proc_identify(pid, out), 0);
    close(ends[0]);
    close(ends[1]);
}

START_TEST(a_stray_is_found_by_how_it_was_started)
{
    struct proc inside, outside;
    char path[96];

    snprintf(path, sizeof path, "%s/w1/tasks/" TASK, dir);
    start_namesake(path, &inside);
    snprintf(path, sizeof path, "%s-2/w1/tasks/" TASK, dir); /* Another lab's, next door. */
    start_namesake(path, &outside);
    ck_assert_uint_eq(machine_destroy_strays(dir), 1);
    ck_assert_int_eq(proc_state(&inside), PROC_GONE);
    ck_assert_int_eq(proc_state(&outside), PROC_RUNNING);
    ck_assert_int_eq(proc_signal(&outside, SIGKILL), 0);
}
END_TEST

START_TEST(a_process_is_known_by_more_than_its_pid)
{
    struct proc self, other;

    ck_assert_int_eq(proc_identify(getpid(), &self), 0);
    ck_assert_int_eq(proc_state(&self), PROC_RUNNING);
    ck_assert_int_eq(proc_signal(&self, 0), 0);
    other = self;
    other.start_time++;
    ck_assert_int_eq(proc_state(&other), PROC_GONE);
    ck_assert_int_eq(proc_signal(&other, SIGKILL), -ESRCH);
    ck_assert_int_eq(proc_signal(&(struct proc){0}, SIGKILL), -ESRCH);
    ck_assert_int_eq(proc_state(&(struct proc){0}), PROC_GONE);
}
END_TEST

START_TEST(stopped_and_gone_are_seen)
{
    struct proc child;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        for (;;)
            pause();
    }
    ck_assert_int_eq(proc_identify(pid, &child), 0);
    ck_assert_int_eq(proc_signal(&child, SIGSTOP), 0);
    ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
    ck_assert_int_eq(proc_state(&child), PROC_STOPPED);
    ck_assert_int_eq(proc_signal(&child, SIGKILL), 0);
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
    ck_assert_int_eq(proc_state(&child), PROC_GONE); /* Not reaped yet, and gone all the same. */
    waitpid(pid, &status, 0);
    ck_assert_int_eq(proc_identify(pid, &child), -ESRCH);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lab");
    TCase *tc = tcase_create("machine");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, losing_a_machine_ends_its_tasks_to_the_last_descendant);
    tcase_add_test(tc, stopping_tasks_is_left_to_their_supervisors);
    tcase_add_test(tc, a_stray_is_found_by_how_it_was_started);
    tcase_add_test(tc, a_process_is_known_by_more_than_its_pid);
    tcase_add_test(tc, stopped_and_gone_are_seen);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
