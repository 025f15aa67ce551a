#include "server/lab/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/lab/launch.h"
#include "server/net/log.h"

enum {
    STEP_MS = 1,
    STEPS_MAX = 1000, /* For the kernel to end or stop a process. */
};

/* A process we started; it belongs to a node until it is known to be gone. */
struct child {
    uv_process_t process;
    struct supervisor *supervisor;
    size_t node;
};

struct supervisor {
    uv_loop_t *loop;
    struct supervisor_options options;
    struct child **children; /* By node; NULL if it does not run. */
};

struct supervisor *supervisor_new(uv_loop_t *loop, const struct supervisor_options *options)
{
    struct supervisor *supervisor = mem_new(struct supervisor);

    supervisor->loop = loop;
    supervisor->options = *options;
    supervisor->children = mem_new_array(struct child *, options->layout->node_count);
    return supervisor;
}

void supervisor_free(struct supervisor *supervisor)
{
    if (!supervisor)
        return;
    must(supervisor_running(supervisor) == 0);
    free(supervisor->children);
    free(supervisor);
}

static const char *name_of(const struct supervisor *supervisor, size_t node)
{
    return supervisor->options.layout->nodes[node].name;
}

static void save(struct supervisor *supervisor)
{
    int r = record_save(supervisor->options.dir, supervisor->options.record);

    if (r < 0)
        log_error("lab.unsaved error=\"%s\" trace=\"%s\"", strerror(-r), err_trace());
}

static void child_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* The node does not run any more; told once, by whoever sees it first. */
static void forget(struct supervisor *supervisor, size_t node)
{
    supervisor->children[node] = NULL;
    supervisor->options.record->nodes[node] = (struct proc){0};
    save(supervisor);
    supervisor->options.changed(supervisor->options.owner, node, false);
}

static void child_exited(uv_process_t *process, int64_t status, int signal)
{
    struct child *child = process->data;
    struct supervisor *supervisor = child->supervisor;

    if (supervisor && supervisor->children[child->node] == child) {
        log_info("node.ended node=%s pid=%d status=%lld signal=%d",
                 name_of(supervisor, child->node), process->pid, (long long)status, signal);
        forget(supervisor, child->node);
    }
    uv_close((uv_handle_t *)process, child_closed);
}

static int open_log(const char *dir, int *out_fd)
{
    char *path = mem_format("%s/log", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int r = fd < 0 ? err_new(-errno) : 0;

    if (r == 0)
        *out_fd = fd;
    free(path);
    return r;
}

static int spawn(struct child *child, char **argv, int log_fd)
{
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = log_fd},
        {.flags = UV_INHERIT_FD, .data.fd = log_fd},
    };
    uv_process_options_t options = {
        .exit_cb = child_exited,
        .file = argv[0],
        .args = argv,
        .stdio_count = 3,
        .stdio = stdio,
    };

    return err_new(uv_spawn(child->supervisor->loop, &child->process, &options));
}

static int start_in(struct supervisor *supervisor, size_t node, const char *dir)
{
    const struct supervisor_options *options = &supervisor->options;
    scope(launch_free) struct launch *launch =
        launch_new(options->layout, node, options->binary, options->dir);
    struct child *child;
    int log_fd;
    int r;

    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_new(-errno);
    r = open_log(dir, &log_fd);
    if (r < 0)
        return err_up(r);
    child = mem_new(struct child);
    child->supervisor = supervisor;
    child->node = node;
    child->process.data = child;
    r = spawn(child, launch->argv, log_fd);
    close(log_fd);
    if (r < 0) { /* libuv has initialised the handle all the same. */
        uv_close((uv_handle_t *)&child->process, child_closed);
        return err_up(r);
    }
    supervisor->children[node] = child;
    return 0;
}

int supervisor_start(struct supervisor *supervisor, size_t node)
{
    struct proc *proc = &supervisor->options.record->nodes[node];
    char *dir = launch_dir(supervisor->options.layout, node, supervisor->options.dir);
    int r;

    must(!supervisor->children[node]);
    r = start_in(supervisor, node, dir);
    free(dir);
    if (r < 0)
        return err_up(r);
    /* It is our child and not reaped yet, so it can be identified even if it has ended. */
    r = proc_identify(supervisor->children[node]->process.pid, proc);
    must(r == 0);
    save(supervisor);
    log_info("node.started node=%s pid=%d", name_of(supervisor, node), (int)proc->pid);
    supervisor->options.changed(supervisor->options.owner, node, true);
    return 0;
}

static bool shows(enum proc_state state, int signal)
{
    switch (signal) {
    case SIGKILL:
        return state == PROC_GONE;
    case SIGSTOP:
        return state != PROC_RUNNING;
    case SIGCONT:
        return state != PROC_STOPPED;
    default:
        return true;
    }
}

int supervisor_signal(struct supervisor *supervisor, size_t node, int signal)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    struct proc proc = supervisor->options.record->nodes[node];
    int r = proc_signal(&proc, signal);

    if (r < 0)
        return err_up(r);
    for (int i = 0; i < STEPS_MAX && !shows(proc_state(&proc), signal); i++)
        nanosleep(&step, NULL);
    if (signal == SIGKILL && supervisor->children[node]) {
        log_info("node.killed node=%s pid=%d", name_of(supervisor, node), (int)proc.pid);
        forget(supervisor, node);
    }
    return 0;
}

enum proc_state supervisor_state(const struct supervisor *supervisor, size_t node)
{
    return proc_state(&supervisor->options.record->nodes[node]);
}

pid_t supervisor_pid(const struct supervisor *supervisor, size_t node)
{
    return supervisor->options.record->nodes[node].pid;
}

size_t supervisor_running(const struct supervisor *supervisor)
{
    size_t count = 0;

    for (size_t i = 0; i < supervisor->options.layout->node_count; i++)
        count += supervisor->children[i] != NULL;
    return count;
}
