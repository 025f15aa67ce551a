#include "server/worker/supervised.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/net/log.h"
#include "server/worker/cgroup.h"
#include "server/worker/clock.h"
#include "server/worker/process.h"
#include "server/worker/release.h"
#include "server/worker/report.h"
#include "server/worker/shim.h"
#include "server/worker/task_dir.h"

static const char killed_reason[] = "The task's supervisor was killed";

/* A pidfd on the loop. Apart from its task, since the handle's memory goes in the loop's time. */
struct watch {
    uv_poll_t handle;
    int pidfd;
    struct supervised *task;
};

static void watch_ended(uv_poll_t *handle, int status, int events);

static int watch_pidfd(struct supervised *task, int pidfd)
{
    struct watch *watch = mem_new(struct watch);
    int r = uv_poll_init(task->owner->loop, &watch->handle, pidfd);

    if (r < 0) {
        free(watch);
        return err_new(r);
    }
    watch->pidfd = pidfd;
    watch->task = task;
    watch->handle.data = watch;
    task->watch = watch;
    uv_poll_start(&watch->handle, UV_READABLE, watch_ended);
    return 0;
}

static void watch_closed(uv_handle_t *handle)
{
    struct watch *watch = handle->data;

    close(watch->pidfd);
    free(watch);
}

static void unwatch(struct supervised *task)
{
    if (task->watch)
        uv_close((uv_handle_t *)&task->watch->handle, watch_closed);
    task->watch = NULL;
}

struct supervised *supervised_new(const struct supervised_owner *owner, const char *task_id,
                                  char *path, Supervise__Spec *spec)
{
    struct supervised *task = mem_new(struct supervised);

    list_init(&task->link);
    task->owner = owner;
    task->id = mem_string(task_id);
    task->path = path;
    task->spec = spec;
    return task;
}

void supervised_close(struct supervised *task)
{
    unwatch(task);
    list_remove(&task->link);
    if (task->spec)
        supervise__spec__free_unpacked(task->spec, NULL);
    free(task->path);
    free(task->id);
    free(task);
}

/* ---- what the state file says */

static bool is_listening(const struct supervised *task, const struct listeners *listeners)
{
    for (size_t i = 0; task->spec && i < task->spec->n_containers; i++) {
        const Supervise__Container *container = task->spec->containers[i];

        for (size_t j = 0; j < container->n_bindings; j++) {
            const State__Binding *binding = container->bindings[j];

            if (!binding->udp && !listeners_reach(listeners, binding->address, binding->host_port))
                return false;
        }
    }
    return true;
}

static bool has_tcp_port(const struct supervised *task)
{
    for (size_t i = 0; task->spec && i < task->spec->n_containers; i++)
        for (size_t j = 0; j < task->spec->containers[i]->n_bindings; j++)
            if (!task->spec->containers[i]->bindings[j]->udp)
                return true;
    return false;
}

static void settle(struct supervised *task)
{
    task->settled = true;
    if (!task->started_ms)
        task->started_ms = clock_wall_ms();
}

/* Takes report. */
static void pass_on(struct supervised *task, Command__TaskReport *report)
{
    if (report->state == STATE__TASK_STATE__TASK_RUNNING && !task->settled) {
        if (!task->settle_by)
            task->settle_by = clock_steady_ms() + PORTS_PATIENCE_MS;
        if (has_tcp_port(task)) {
            report_free(report);
            task->owner->wants_tick(task->owner->context);
            return;
        }
        settle(task);
    }
    if (task->started_ms)
        report->started_ms = task->started_ms;
    if (report->state == STATE__TASK_STATE__TASK_STOPPED) {
        task->over = true;
        unwatch(task);
    }
    task->owner->changed(task->owner->context, task, report);
}

void supervised_look(struct supervised *task)
{
    Supervise__State *state;
    Command__TaskReport *report;

    if (task->over || task_dir_read_state(task->path, &state) != 0)
        return;
    report = state->report;
    state->report = NULL;
    supervise__state__free_unpacked(state, NULL);
    if (report->state > STATE__TASK_STATE__TASK_PENDING)
        pass_on(task, report);
    else
        report_free(report);
}

/* ---- the supervisor */

static void signal_stop(const struct supervised *task)
{
    if (task->watch)
        pidfd_send_signal(task->watch->pidfd, SIGTERM, NULL, 0);
}

/* Watch whoever holds the task's lock. False: nobody does. */
static bool watch_holder(struct supervised *task)
{
    pid_t holder;

    while ((holder = task_dir_holder(task->path)) > 0) {
        int pidfd = pidfd_open(holder, 0);

        if (pidfd >= 0 && task_dir_holder(task->path) == holder) {
            if (watch_pidfd(task, pidfd) < 0) {
                close(pidfd);
                return false;
            }
            if (task->stop_asked)
                signal_stop(task);
            return true;
        }
        file_close(pidfd); /* It ended in between: look again. */
    }
    return false;
}

/* There is no supervisor. In order, or was it killed? */
static void without_supervisor(struct supervised *task)
{
    supervised_look(task);
    if (task->over)
        return;
    task->clearing = true;
    task->owner->wants_tick(task->owner->context);
}

static void watch_ended(uv_poll_t *handle, int status, int events)
{
    struct supervised *task = ((struct watch *)handle->data)->task;

    (void)status, (void)events;
    unwatch(task);
    if (!watch_holder(task)) /* Ours may have been one too many. */
        without_supervisor(task);
}

int supervised_start(struct supervised *task)
{
    int pidfd;
    int r = task_dir_write_spec(task->path, task->spec);

    if (r < 0)
        return err_up(r);
    r = shim_spawn(task->path, &pidfd);
    if (r < 0)
        return err_up(r);
    r = watch_pidfd(task, pidfd);
    if (r < 0) {
        pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
        close(pidfd);
    }
    return err_up(r);
}

void supervised_adopt(struct supervised *task, uint64_t started_ms)
{
    task->started_ms = started_ms;
    task->settled = started_ms != 0;
    if (watch_holder(task))
        supervised_look(task);
    else
        without_supervisor(task);
}

void supervised_stop(struct supervised *task)
{
    task->stop_asked = true;
    signal_stop(task);
}

/* ---- after a supervisor was killed */

static void mark_killed(const struct supervised *task, Supervise__State *state)
{
    Command__TaskReport *report = state->report;

    report->state = STATE__TASK_STATE__TASK_STOPPED;
    report->stopped_ms = clock_wall_ms();
    if (!task->stop_asked && report->stop_code == STATE__STOP_CODE__STOP_NONE) {
        report->stop_code = STATE__STOP_CODE__STOP_ESSENTIAL_CONTAINER_EXITED;
        report_set_reason(report, killed_reason);
    }
    for (size_t i = 0; i < report->n_containers; i++)
        report->containers[i]->state = STATE__TASK_STATE__TASK_STOPPED;
}

static Supervise__State *last_state(const struct supervised *task)
{
    Supervise__State *state;

    if (task_dir_read_state(task->path, &state) == 0)
        return state;
    state = mem_new(Supervise__State);
    supervise__state__init(state);
    state->report = report_new(task->id, STATE__TASK_STATE__TASK_PENDING);
    return state;
}

/* Under the lock, so that a supervisor that comes late finds the task over. */
static void conclude(struct supervised *task)
{
    scope(file_close) int lock = -1;
    Supervise__State *state;
    Command__TaskReport *report;
    int r = task_dir_lock(task->path, &lock);

    if (r == TASK_DIR_HELD) {
        task->clearing = !watch_holder(task);
        return;
    }
    state = last_state(task);
    mark_killed(task, state);
    if (r == 0)
        r = task_dir_write_state(task->path, state);
    if (r < 0)
        log_error("task.state_failed task=%s error=\"%s\" trace=\"%s\"", task->id, strerror(-r),
                  err_trace());
    log_warning("task.supervisor_lost task=%s", task->id);
    report = state->report;
    state->report = NULL;
    supervise__state__free_unpacked(state, NULL);
    task->clearing = false;
    pass_on(task, report);
}

/* Kill what is left. True when nothing is. */
static bool clear(const struct supervised *task)
{
    scope(text_free) char *marker = mem_format("CAIS_TASK_ID=%s", task->id);
    size_t left = process_kill_marked(marker);

    for (size_t i = 0; task->spec && i < task->spec->n_cgroups; i++)
        left += cgroup_kill(task->spec->cgroups[i]);
    for (size_t i = 0; left == 0 && task->spec && i < task->spec->n_cgroups; i++)
        left += cgroup_remove(task->spec->cgroups[i]) < 0;
    return left == 0;
}

/* ---- time */

bool supervised_wants_tick(const struct supervised *task)
{
    return !task->over && (task->clearing || (task->settle_by && !task->settled));
}

void supervised_tick(struct supervised *task, const struct listeners *listeners)
{
    if (task->clearing) {
        if (clear(task))
            conclude(task);
        return;
    }
    if (!is_listening(task, listeners) && clock_steady_ms() < task->settle_by)
        return;
    settle(task);
    supervised_look(task);
}
