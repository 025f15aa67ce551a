/*
 * The runtime of real processes: a directory, a supervisor and, where it can be had, a control
 * group for each task. Nothing that matters is in memory only: closing this runtime and opening
 * another one on the same directory finds every task again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "server/net/log.h"
#include "server/worker/release.h"
#include "server/worker/report.h"
#include "server/worker/runtime_process.h"
#include "server/worker/task_dir.h"

enum {
    POKE_BYTES = 64,
    CGROUP_STALE_S = 60, /* Starting a task takes far less. */
};

static struct process_runtime *self(struct runtime *runtime)
{
    return (struct process_runtime *)runtime;
}

struct supervised *process_find(struct process_runtime *process, const char *task_id)
{
    list_each (link, &process->tasks) {
        struct supervised *task = list_entry(link, struct supervised, link);

        if (!strcmp(task->id, task_id))
            return task;
    }
    return NULL;
}

static void retire(struct process_runtime *process, const char *task_id)
{
    int r = task_dir_retire(process->dir, task_id);

    if (r < 0)
        log_error("task.retire_failed task=%s error=\"%s\" trace=\"%s\"", task_id, strerror(-r),
                  err_trace());
}

/* ---- events */

static void task_changed(void *context, struct supervised *task, Command__TaskReport *report)
{
    struct process_runtime *process = context;

    if (!task->orphan) {
        report_push(&process->events, report);
        return;
    }
    if (task->over)
        retire(process, task->id);
    report_free(report);
}

static Command__TaskReport *process_next(struct runtime *runtime)
{
    return report_pop(&self(runtime)->events);
}

static void timer_ticked(uv_timer_t *timer)
{
    struct process_runtime *process = timer->data;
    scope(listeners_free) struct listeners *listeners = listeners_read();
    bool more = false;

    list_each (link, &process->tasks) {
        struct supervised *task = list_entry(link, struct supervised, link);

        if (supervised_wants_tick(task))
            supervised_tick(task, listeners);
        more |= supervised_wants_tick(task);
    }
    if (!more)
        uv_timer_stop(timer);
}

static void task_wants_tick(void *context)
{
    struct process_runtime *process = context;

    if (!uv_is_active((uv_handle_t *)&process->timer))
        uv_timer_start(&process->timer, timer_ticked, 0, SUPERVISED_TICK_MS);
}

/* A supervisor says that its task changed; whoever can write to the socket may make us look at
 * a state file, no more. */
static void poked(uv_poll_t *handle, int status, int events)
{
    struct process_runtime *process = handle->data;
    char id[POKE_BYTES];
    ssize_t n;

    (void)status, (void)events;
    while ((n = recv(process->socket, id, sizeof id - 1, MSG_DONTWAIT)) >= 0) {
        struct supervised *task;

        id[n] = '\0';
        task = process_find(process, id);
        if (task)
            supervised_look(task);
    }
}

/* ---- the other orders */

static void process_stop(struct runtime *runtime, const char *task_id)
{
    struct supervised *task = process_find(self(runtime), task_id);

    if (task)
        supervised_stop(task);
}

static struct supervised *take_up(struct process_runtime *process, const char *task_id,
                                  uint64_t started_ms, bool orphan)
{
    char *path = task_dir_path(process->dir, task_id);
    Supervise__Spec *spec = NULL;
    struct supervised *task;

    if (task_dir_read_spec(path, &spec) != 0)
        spec = NULL;
    task = supervised_new(&process->owner, task_id, path, spec);
    task->orphan = orphan;
    list_append(&process->tasks, &task->link);
    supervised_adopt(task, started_ms);
    return task;
}

static int process_adopt(struct runtime *runtime, const char *task_id,
                         const Command__TaskReport *last)
{
    struct process_runtime *process = self(runtime);
    scope(text_free) char *path = task_dir_path(process->dir, task_id);
    scope(text_free) char *spec = mem_format("%s/spec", path);

    if (access(spec, F_OK) < 0 && errno == ENOENT && !task_dir_holder(path))
        return RUNTIME_UNKNOWN;
    take_up(process, task_id, last ? last->started_ms : 0, false);
    return 0;
}

static void sweep_task(void *context, const char *task_id)
{
    struct process_runtime *process = context;

    if (process_find(process, task_id))
        return;
    log_warning("task.orphan task=%s", task_id);
    supervised_stop(take_up(process, task_id, 0, true));
}

static void process_sweep(struct runtime *runtime)
{
    int r = task_dir_each(self(runtime)->dir, sweep_task, runtime);

    if (r < 0)
        log_error("task.sweep_failed error=\"%s\" trace=\"%s\"", strerror(-r), err_trace());
}

static void process_forget(struct runtime *runtime, const char *task_id)
{
    struct process_runtime *process = self(runtime);
    struct supervised *task = process_find(process, task_id);

    if (task)
        supervised_close(task);
    retire(process, task_id);
}

/* ---- opening and closing */

static void process_free(struct process_runtime *process)
{
    Command__TaskReport *report;

    while ((report = report_pop(&process->events)))
        report_free(report);
    cgroup_base_fini(&process->cgroups);
    file_close(process->socket);
    free(process->dir);
    free(process->address);
    free(process->zone);
    free(process);
}

static void handle_closed(uv_handle_t *handle)
{
    struct process_runtime *process = handle->data;

    if (--process->open_handles == 0)
        process_free(process);
}

static void process_close(struct runtime *runtime)
{
    struct process_runtime *process = self(runtime);

    list_each (link, &process->tasks)
        supervised_close(list_entry(link, struct supervised, link));
    uv_close((uv_handle_t *)&process->timer, handle_closed);
    uv_close((uv_handle_t *)&process->pokes, handle_closed);
}

static const struct runtime_ops process_ops = {
    .name = "process",
    .start = process_start,
    .stop = process_stop,
    .adopt = process_adopt,
    .sweep = process_sweep,
    .forget = process_forget,
    .next = process_next,
    .close = process_close,
};

/* By way of /proc/self/fd, as a socket's path may only be 107 bytes. */
static int open_socket(struct process_runtime *process)
{
    scope(file_close) int dir = open(process->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    if (dir < 0)
        return err_new(-errno);
    if (unlinkat(dir, "agent.sock", 0) < 0 && errno != ENOENT)
        return err_new(-errno);
    process->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (process->socket < 0)
        return err_new(-errno);
    snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/agent.sock", dir);
    if (bind(process->socket, (struct sockaddr *)&at, sizeof at) < 0)
        return err_new(-errno);
    return 0;
}

static int open_handles(struct process_runtime *process, uv_loop_t *loop)
{
    int r = uv_poll_init(loop, &process->pokes, process->socket);

    if (r < 0)
        return err_new(r);
    uv_timer_init(loop, &process->timer);
    process->open_handles = 2;
    process->pokes.data = process;
    process->timer.data = process;
    return err_new(uv_poll_start(&process->pokes, UV_READABLE, poked));
}

static void find_cgroups(struct process_runtime *process, bool wanted)
{
    int r = wanted ? cgroup_base_find(&process->cgroups) : -ECANCELED;

    if (r < 0)
        log_info("cgroup.none memory=rlimit cpu=unlimited reason=\"%s\"",
                 wanted ? strerror(-r) : "switched off");
    else
        log_info("cgroup.found version=%d dir=%s swept=%zu", process->cgroups.unified ? 2 : 1,
                 process->cgroups.dirs[process->cgroups.dir_count - 1],
                 cgroup_sweep(&process->cgroups, CGROUP_STALE_S));
}

int runtime_process_open(uv_loop_t *loop, const struct runtime_config *config, struct runtime **out)
{
    struct process_runtime *process = mem_new(struct process_runtime);
    int r;

    process->runtime.ops = &process_ops;
    process->owner = (struct supervised_owner){loop, task_changed, task_wants_tick, process};
    process->dir = mem_string(config->dir);
    process->address = mem_string(config->address);
    process->zone = mem_string(config->zone);
    rng_seed(&process->rng, config->seed);
    list_init(&process->tasks);
    list_init(&process->events);
    process->socket = -1;
    r = open_socket(process);
    if (r == 0)
        r = open_handles(process, loop);
    if (r < 0) {
        process_free(process);
        return err_up(r);
    }
    find_cgroups(process, config->cgroups);
    *out = &process->runtime;
    return 0;
}
