#include "server/worker/shim_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "server/worker/cgroup.h"
#include "server/worker/release.h"

enum {
    EXIT_NOT_STARTED = 127,
    ERROR_BYTES = 512,
    LOG_NAME_BYTES = 300, /* LIMIT_NAME_CHARS and what follows. */
};

/* What the child does between fork and exec. Each step returns the word for what failed, with
 * errno set, or NULL. */

static const char *set_signals(void)
{
    sigset_t none;

    for (int number = 1; number < SIGRTMIN; number++)
        signal(number, SIG_DFL); /* Refused for SIGKILL and SIGSTOP, as it should. */
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? "signals" : NULL;
}

static const char *open_as(const char *path, int flags, int fd)
{
    int opened = open(path, flags | O_CLOEXEC, 0640);

    if (opened < 0 || dup2(opened, fd) < 0)
        return path;
    return NULL;
}

static const char *set_output(const char *container)
{
    static const char *const streams[] = {"stdout", "stderr"};
    const char *failed = open_as("/dev/null", O_RDONLY, STDIN_FILENO);

    for (int i = 0; i < 2 && !failed; i++) {
        char name[LOG_NAME_BYTES];

        snprintf(name, sizeof name, "%s.%s.log", container, streams[i]);
        failed = open_as(name, O_WRONLY | O_CREAT | O_APPEND, STDOUT_FILENO + i) ? "log" : NULL;
    }
    return failed;
}

static const char *set_limits(const Supervise__Container *container)
{
    for (size_t i = 0; i < container->n_limits; i++) {
        const Supervise__Limit *limit = container->limits[i];
        struct rlimit value = {.rlim_cur = limit->soft, .rlim_max = limit->hard};

        if (setrlimit((__rlimit_resource_t)limit->resource, &value) < 0)
            return "ulimits";
    }
    return NULL;
}

static const char *set_cgroups(const Supervise__Spec *spec)
{
    for (size_t i = 0; i < spec->n_cgroups; i++) {
        int r = cgroup_join(spec->cgroups[i]);

        if (r < 0)
            return errno = -r, "cgroup";
    }
    return NULL;
}

static const char *set_user(const Supervise__User *user)
{
    gid_t group;

    if (!user || (user->uid == geteuid() && user->gid == getegid()))
        return NULL;
    group = user->gid;
    if (setgroups(1, &group) < 0 || setgid(group) < 0 || setuid(user->uid) < 0)
        return "user";
    return NULL;
}

/* After set_user: a change of user clears it. */
static const char *set_death(pid_t shim)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return "death signal";
    if (getppid() != shim)
        _exit(EXIT_NOT_STARTED);
    return NULL;
}

static const char *prepare(const Supervise__Spec *spec, const Supervise__Container *container,
                           pid_t shim)
{
    const char *failed = setpgid(0, 0) < 0 ? "process group" : set_signals();

    if (!failed)
        failed = set_output(container->name);
    if (!failed)
        failed = set_cgroups(spec);
    if (!failed)
        failed = set_limits(container);
    if (!failed)
        failed = set_user(container->user);
    if (!failed)
        failed = set_death(shim);
    return failed;
}

static _Noreturn void give_up(int error_fd, const char *what, const char *subject)
{
    dprintf(error_fd, "%s%s%s: %s", what, *subject ? " " : "", subject, strerror(errno));
    _exit(EXIT_NOT_STARTED);
}

static char **terminated(char **strings, size_t count)
{
    char **list = mem_new_array(char *, count + 1);

    if (count)
        memcpy(list, strings, count * sizeof *list);
    return list;
}

static _Noreturn void child(const Supervise__Spec *spec, const Supervise__Container *container,
                            pid_t shim, int error_fd)
{
    char **argv = terminated(container->argv, container->n_argv);
    const char *failed = prepare(spec, container, shim);

    if (failed)
        give_up(error_fd, failed, "");
    if (chdir(container->directory) < 0)
        give_up(error_fd, "workingDirectory", container->directory);
    environ = terminated(container->environment, container->n_environment); /* PATH too. */
    execvp(argv[0], argv);
    give_up(error_fd, "exec", argv[0]);
}

/* What the child had to say before it became the program; NULL if it did. Gives. */
static char *hear(int error_fd)
{
    scope(buffer_fini) struct buffer said = {0};
    ssize_t n;

    do {
        n = read(error_fd, buffer_extend(&said, ERROR_BYTES), ERROR_BYTES);
        said.len -= ERROR_BYTES - (n > 0 ? (size_t)n : 0);
    } while (n > 0 || (n < 0 && errno == EINTR));
    return said.len ? mem_string(buffer_text(&said)) : NULL;
}

char *shim_exec(const Supervise__Spec *spec, const Supervise__Container *container, pid_t *out_pid)
{
    int ends[2];
    pid_t shim = getpid(), pid;
    char *failed;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return mem_format("pipe: %s", strerror(errno));
    pid = fork();
    if (pid == 0)
        child(spec, container, shim, ends[1]);
    close(ends[1]);
    failed = pid < 0 ? mem_format("fork: %s", strerror(errno)) : hear(ends[0]);
    close(ends[0]);
    if (failed && pid > 0)
        waitpid(pid, NULL, 0);
    if (!failed)
        *out_pid = pid;
    return failed;
}
