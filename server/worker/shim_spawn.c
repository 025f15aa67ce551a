/*
 * Starting a supervisor: two forks, so that it is nobody's child, and two pipes, so that we hold
 * its pidfd before it can end.
 *
 *   agent                       between                  shim
 *     fork ──────────────────────> setsid, fork ───────────> ready: "here is my pid"
 *     pidfd_open(pid) <───────────────────────────────────── waits
 *     "go" ────────────────────────────────────────────────> exec
 *     end of `ready`: it runs; or an errno: exec failed
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "server/worker/release.h"
#include "server/worker/shim.h"

struct pipes {
    int ready[2]; /* To us: the pid, then perhaps an errno. */
    int go[2];    /* From us: a byte. */
};

static void pipes_close(struct pipes *pipes)
{
    for (int i = 0; i < 2; i++) {
        file_close(pipes->ready[i]);
        file_close(pipes->go[i]);
        pipes->ready[i] = -1;
        pipes->go[i] = -1;
    }
}

static int pipes_open(struct pipes *out)
{
    *out = (struct pipes){{-1, -1}, {-1, -1}};
    if (pipe2(out->ready, O_CLOEXEC) < 0 || pipe2(out->go, O_CLOEXEC) < 0) {
        int r = -errno;

        pipes_close(out);
        return err_new(r);
    }
    return 0;
}

/* SIGTERM is held back until the shim listens for it: a stop may come at once. */
static void set_signals(void)
{
    sigset_t held;

    for (int number = 1; number < SIGRTMIN; number++)
        signal(number, SIG_DFL);
    sigemptyset(&held);
    sigaddset(&held, SIGTERM);
    sigprocmask(SIG_SETMASK, &held, NULL);
}

static int set_files(const char *task_path)
{
    scope(text_free) char *log = mem_format("%s/shim.log", task_path);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int said = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

    if (null < 0 || said < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(said, 2) < 0)
        return -errno;
    return 0;
}

static _Noreturn void become_shim(struct pipes *pipes, const char *task_path)
{
    char *argv[] = {"cais", "shim", (char *)task_path, NULL};
    int ready = pipes->ready[1];
    pid_t pid = getpid();
    char byte;
    int r;

    close(pipes->go[1]); /* Or our own end would keep us waiting for ever. */
    if (write(ready, &pid, sizeof pid) != sizeof pid || read(pipes->go[0], &byte, 1) != 1)
        _exit(1);
    umask(022);
    r = set_files(task_path);
    if (r == 0) {
        set_signals();
        close_range(3, ~0U, CLOSE_RANGE_CLOEXEC); /* What a library opened without asking for it. */
        execv("/proc/self/exe", argv);
        r = -errno;
    }
    if (write(ready, &r, sizeof r) < 0)
        _exit(2);
    _exit(1);
}

static _Noreturn void stand_between(struct pipes *pipes, const char *task_path)
{
    pid_t pid;

    setsid();
    pid = fork();
    if (pid == 0)
        become_shim(pipes, task_path);
    _exit(pid < 0);
}

static ssize_t read_again(int fd, void *base, size_t len)
{
    ssize_t n;

    do
        n = read(fd, base, len);
    while (n < 0 && errno == EINTR);
    return n;
}

static int let_go(struct pipes *pipes, int *out_pidfd)
{
    scope(file_close) int pidfd = -1;
    pid_t pid;
    int r = 0;

    if (read_again(pipes->ready[0], &pid, sizeof pid) != sizeof pid)
        return err_new(-EAGAIN); /* It could not be forked. */
    pidfd = pidfd_open(pid, 0);
    if (pidfd < 0)
        return err_new(-errno);
    if (write(pipes->go[1], "g", 1) != 1)
        return err_new(-errno);
    if (read_again(pipes->ready[0], &r, sizeof r) == sizeof r && r < 0)
        return err_new(r);
    *out_pidfd = pidfd;
    pidfd = -1;
    return 0;
}

int shim_spawn(const char *task_path, int *out_pidfd)
{
    struct pipes pipes;
    pid_t between;
    int r = pipes_open(&pipes);

    if (r < 0)
        return err_up(r);
    between = fork();
    if (between == 0)
        stand_between(&pipes, task_path);
    r = between < 0 ? err_new(-errno) : 0;
    if (r == 0) {
        file_close(pipes.ready[1]);
        pipes.ready[1] = -1;
        waitpid(between, NULL, 0);
        r = let_go(&pipes, out_pidfd);
    }
    pipes_close(&pipes);
    return err_up(r);
}
