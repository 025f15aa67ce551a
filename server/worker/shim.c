#include "server/worker/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "server/worker/cgroup.h"
#include "server/worker/process.h"
#include "server/worker/shim_task.h"
#include "server/worker/task_dir.h"

enum {
    POKE_AGAIN_MS = 100, /* The agent's socket was full. */
};

struct shim {
    struct shim_task *task;
    int signals;
    int socket;
    bool poke_waits;
};

/* ---- telling */

/* Relative, as the working directory is DIR/tasks/ID: a socket's path may only be 107 bytes. */
static void poke(struct shim *shim)
{
    static const struct sockaddr_un agent = {.sun_family = AF_UNIX, .sun_path = "../../agent.sock"};
    const char *id = shim_task_state(shim->task)->report->task_id;
    ssize_t n = sendto(shim->socket, id, strlen(id), MSG_DONTWAIT | MSG_NOSIGNAL,
                       (const struct sockaddr *)&agent, sizeof agent);

    shim->poke_waits =
        n < 0 && (errno == EAGAIN || errno == ENOBUFS); /* Else: no agent, no need. */
}

/* The one who starts looks at the state file first, so a poke may be lost, a state may not. */
static int tell(struct shim *shim)
{
    if (shim_task_has_news(shim->task)) {
        int r = task_dir_write_state(".", shim_task_state(shim->task));

        if (r < 0)
            return err_up(r);
        shim->poke_waits = true;
    }
    if (shim->poke_waits)
        poke(shim);
    return 0;
}

/* ---- children */

static void reap(struct shim *shim)
{
    for (;;) {
        siginfo_t info = {0};

        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            return;
        shim_task_exited(shim->task, info.si_pid,
                         info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status);
        waitid(P_PID, (id_t)info.si_pid, &info, WEXITED);
    }
}

static void kill_if_ours(void *context, pid_t pid)
{
    pid_t parent;

    (void)context;
    if (process_parent(pid, &parent) == 0 && parent == getpid())
        kill(pid, SIGKILL); /* A child of ours stays what it is until we reap it. */
}

/* Whatever the containers left behind is our child now, or becomes it when its parent dies. */
static void kill_descendants(void)
{
    siginfo_t info;

    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0) {
        process_each(kill_if_ours, NULL);
        waitid(P_ALL, 0, &info, WEXITED);
    }
}

static void remove_cgroups(const char *id, size_t count, char **dirs)
{
    for (size_t i = 0; i < count; i++) {
        int r = cgroup_remove(dirs[i]);

        if (r < 0)
            fprintf(stderr, "shim %s: remove %s: %s\n", id, dirs[i], strerror(-r));
    }
}

/* ---- the life of a task */

static void hear_signals(struct shim *shim)
{
    struct signalfd_siginfo info;

    while (read(shim->signals, &info, sizeof info) == sizeof info)
        if (info.ssi_signo == SIGTERM)
            shim_task_stop(shim->task);
    reap(shim);
}

static int shorter(int a_ms, int b_ms)
{
    return a_ms < 0 ? b_ms : b_ms < 0 || a_ms < b_ms ? a_ms : b_ms;
}

static int supervise(struct shim *shim)
{
    int r = tell(shim); /* From here on the agent knows that we are at it. */

    while (r == 0 && !shim_task_is_over(shim->task)) {
        struct pollfd waiting = {.fd = shim->signals, .events = POLLIN};
        int timeout_ms;

        shim_task_start(shim->task);
        timeout_ms = shim_task_tick(shim->task);
        r = tell(shim);
        if (r < 0 || shim_task_is_over(shim->task))
            break;
        poll(&waiting, 1, shorter(timeout_ms, shim->poke_waits ? POKE_AGAIN_MS : -1));
        hear_signals(shim);
    }
    return err_up(r);
}

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_SETMASK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Takes spec. If the state cannot be written (disk full) the task is killed, not run unseen. */
static int run(Supervise__Spec *spec)
{
    scope(shim_task_free) struct shim_task *task = shim_task_new(spec);
    struct shim shim = {.task = task};
    int r;

    shim.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    shim.signals = open_signals();
    if (shim.signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return err_new(-errno);
    r = supervise(&shim);
    kill_descendants();
    remove_cgroups(spec->task_id, spec->n_cgroups, spec->cgroups);
    if (r == 0) {
        shim_task_end(task);
        r = tell(&shim);
    }
    return err_up(r);
}

static int shim_in(const char *path)
{
    Supervise__State *state = NULL;
    Supervise__Spec *spec;
    int lock, r;

    if (chdir(path) < 0)
        return err_new(-errno);
    r = task_dir_lock(".", &lock);
    if (r != 0)
        return r < 0 ? err_up(r) : 0; /* Held: somebody supervises already. */
    r = task_dir_read_state(".", &state);
    if (r == 0) { /* It ran before: never again. */
        supervise__state__free_unpacked(state, NULL);
        return 0;
    }
    if (r < 0)
        return err_up(r);
    if (r == TASK_DIR_DAMAGED)
        return 0;
    r = task_dir_read_spec(".", &spec);
    if (r != 0)
        return r < 0 ? err_up(r) : err_new(-EINVAL);
    return err_up(run(spec));
}

int shim_main(int argc, char **argv)
{
    int r;

    if (argc != 2) {
        fprintf(stderr, "usage: cais shim TASK_DIR (started by the worker, not by hand)\n");
        return 2;
    }
    prctl(PR_SET_NAME, "cais-shim");
    signal(SIGPIPE, SIG_IGN);
    r = shim_in(argv[1]);
    if (r < 0)
        fprintf(stderr, "shim %s: %s (%s)\n", argv[1], strerror(-r), err_trace());
    return r < 0;
}
