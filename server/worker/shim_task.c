#include "server/worker/shim_task.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/worker/cgroup.h"
#include "server/worker/clock.h"
#include "server/worker/process.h"
#include "server/worker/shim_exec.h"

struct container {
    const Supervise__Container *spec;
    State__Container *report; /* Its state is the container's state. */
    pid_t pid;                /* 0: no process. */
    uint64_t kill_at;         /* clock_steady_ms(); 0: not asked to stop. */
};

struct shim_task {
    Supervise__Spec *spec;
    Supervise__State *state;
    struct container *containers;
    size_t count;
    uint64_t oom_kills;
    bool stopping;
    bool news;
};

static void set_text(char **member, char *text)
{
    if (*member != protobuf_c_empty_string)
        free(*member);
    *member = text;
}

static State__Binding *copy_binding(const State__Binding *from)
{
    State__Binding *binding = mem_new(State__Binding);

    state__binding__init(binding);
    binding->address = mem_string(from->address);
    binding->container_port = from->container_port;
    binding->host_port = from->host_port;
    binding->udp = from->udp;
    return binding;
}

static State__Container *new_report(const Supervise__Container *spec)
{
    State__Container *report = mem_new(State__Container);

    state__container__init(report);
    report->name = mem_string(spec->name);
    report->state = STATE__TASK_STATE__TASK_PENDING;
    report->bindings = mem_new_array(State__Binding *, spec->n_bindings);
    report->n_bindings = spec->n_bindings;
    for (size_t i = 0; i < spec->n_bindings; i++)
        report->bindings[i] = copy_binding(spec->bindings[i]);
    return report;
}

static Supervise__State *new_state(const Supervise__Spec *spec)
{
    Supervise__State *state = mem_new(Supervise__State);
    Command__TaskReport *report = mem_new(Command__TaskReport);

    supervise__state__init(state);
    command__task_report__init(report);
    state->pid = (uint32_t)getpid();
    process_start_time(getpid(), &state->start_time); /* Of ourselves: cannot fail. */
    state->report = report;
    report->task_id = mem_string(spec->task_id);
    report->state = STATE__TASK_STATE__TASK_PENDING;
    report->containers = mem_new_array(State__Container *, spec->n_containers);
    report->n_containers = spec->n_containers;
    return state;
}

struct shim_task *shim_task_new(Supervise__Spec *spec)
{
    struct shim_task *task = mem_new(struct shim_task);

    task->spec = spec;
    task->state = new_state(spec);
    task->count = spec->n_containers;
    task->containers = mem_new_array(struct container, task->count);
    for (size_t i = 0; i < task->count; i++) {
        task->containers[i].spec = spec->containers[i];
        task->containers[i].report = new_report(spec->containers[i]);
        task->state->report->containers[i] = task->containers[i].report;
    }
    task->news = true;
    return task;
}

void shim_task_free(struct shim_task *task)
{
    if (!task)
        return;
    supervise__spec__free_unpacked(task->spec, NULL);
    supervise__state__free_unpacked(task->state, NULL);
    free(task->containers);
    free(task);
}

/* ---- stopping */

static void signal_group(const struct container *container, int number)
{
    kill(-container->pid, number);
}

static void stop_container(struct container *container)
{
    if (container->report->state == STATE__TASK_STATE__TASK_PENDING) {
        container->report->state = STATE__TASK_STATE__TASK_STOPPED; /* Never to be started. */
        return;
    }
    if (!container->pid || container->kill_at)
        return;
    container->kill_at = clock_steady_ms() + container->spec->stop_timeout_ms;
    signal_group(container, SIGTERM);
    container->report->state = STATE__TASK_STATE__TASK_STOPPING;
}

static void stop_all(struct shim_task *task)
{
    Command__TaskReport *report = task->state->report;

    if (task->stopping)
        return;
    task->stopping = true;
    task->news = true;
    report->state = STATE__TASK_STATE__TASK_STOPPING;
    report->stopping_ms = clock_wall_ms();
    for (size_t i = 0; i < task->count; i++)
        stop_container(&task->containers[i]);
}

void shim_task_stop(struct shim_task *task)
{
    stop_all(task);
}

/* The task stops by itself. The first reason stands, and none is needed when we were asked. */
static void stop_because(struct shim_task *task, State__StopCode code, char *reason)
{
    Command__TaskReport *report = task->state->report;

    if (task->stopping) {
        free(reason);
        return;
    }
    report->stop_code = code;
    set_text(&report->reason, reason);
    stop_all(task);
}

/* ---- starting */

static void start_failed(struct shim_task *task, struct container *container, char *why)
{
    container->report->state = STATE__TASK_STATE__TASK_STOPPED;
    set_text(&container->report->reason, mem_format("CannotStartContainerError: %s", why));
    if (container->spec->essential)
        stop_because(task, STATE__STOP_CODE__STOP_TASK_FAILED_TO_START,
                     mem_string(container->report->reason));
    free(why);
}

static void start_container(struct shim_task *task, struct container *container)
{
    char *failed = container->spec->n_argv
                       ? shim_exec(task->spec, container->spec, &container->pid)
                       : mem_string("no command: the task definition has neither entryPoint nor "
                                    "command");

    task->news = true;
    if (failed) {
        start_failed(task, container, failed);
        return;
    }
    container->report->state = STATE__TASK_STATE__TASK_RUNNING;
    set_text(&container->report->runtime_id, mem_format("%d", (int)container->pid));
}

enum wait_state { WAIT_OVER, WAIT_MORE, WAIT_IN_VAIN };

static enum wait_state look_at_wait(const struct shim_task *task, const Supervise__Wait *wait)
{
    const State__Container *other;
    bool ended;

    if (wait->container >= task->count)
        return WAIT_IN_VAIN;
    other = task->containers[wait->container].report;
    ended = other->state == STATE__TASK_STATE__TASK_STOPPED;
    switch (wait->until) {
    case SUPERVISE__UNTIL__STARTED:
        return ended && !other->has_exit_code                    ? WAIT_IN_VAIN
               : other->state == STATE__TASK_STATE__TASK_PENDING ? WAIT_MORE
                                                                 : WAIT_OVER;
    case SUPERVISE__UNTIL__COMPLETE:
        return !ended ? WAIT_MORE : other->has_exit_code ? WAIT_OVER : WAIT_IN_VAIN;
    default:
        return !ended                                          ? WAIT_MORE
               : other->has_exit_code && other->exit_code == 0 ? WAIT_OVER
                                                               : WAIT_IN_VAIN;
    }
}

/* Start it, fail it, or leave it waiting. True if it moved. */
static bool try_container(struct shim_task *task, struct container *container)
{
    for (size_t i = 0; i < container->spec->n_waits; i++) {
        const Supervise__Wait *wait = container->spec->waits[i];
        enum wait_state state = look_at_wait(task, wait);

        if (state == WAIT_MORE)
            return false;
        if (state == WAIT_IN_VAIN) {
            task->news = true;
            start_failed(task, container,
                         mem_format("dependsOn: container %s did not get that far",
                                    wait->container < task->count
                                        ? task->containers[wait->container].spec->name
                                        : "?"));
            return true;
        }
    }
    start_container(task, container);
    return true;
}

static size_t count_in(const struct shim_task *task, State__TaskState state)
{
    size_t count = 0;

    for (size_t i = 0; i < task->count; i++)
        count += task->containers[i].report->state == state;
    return count;
}

void shim_task_start(struct shim_task *task)
{
    Command__TaskReport *report = task->state->report;
    bool moved = true;

    while (moved && !task->stopping) {
        moved = false;
        for (size_t i = 0; i < task->count && !task->stopping; i++)
            if (task->containers[i].report->state == STATE__TASK_STATE__TASK_PENDING)
                moved |= try_container(task, &task->containers[i]);
    }
    if (task->stopping || report->state != STATE__TASK_STATE__TASK_PENDING ||
        count_in(task, STATE__TASK_STATE__TASK_PENDING) > 0)
        return;
    report->state = STATE__TASK_STATE__TASK_RUNNING;
    report->started_ms = clock_wall_ms();
    task->news = true;
}

/* ---- ending */

static struct container *find(struct shim_task *task, pid_t pid)
{
    for (size_t i = 0; i < task->count; i++)
        if (task->containers[i].pid == pid)
            return &task->containers[i];
    return NULL;
}

/* Whether the kernel killed something of this task for its memory since we last looked. */
static bool ran_out_of_memory(struct shim_task *task)
{
    uint64_t kills = 0;
    bool more;

    for (size_t i = 0; i < task->spec->n_cgroups; i++)
        kills += cgroup_oom_kills(task->spec->cgroups[i]);
    more = kills > task->oom_kills;
    task->oom_kills = kills;
    return more;
}

bool shim_task_exited(struct shim_task *task, pid_t pid, int code)
{
    struct container *container = find(task, pid);

    if (!container)
        return false;
    signal_group(container, SIGKILL); /* Its group outlives it, and is ours by the zombie. */
    container->pid = 0;
    container->report->state = STATE__TASK_STATE__TASK_STOPPED;
    container->report->has_exit_code = true;
    container->report->exit_code = code;
    if (code == 128 + SIGKILL && ran_out_of_memory(task))
        set_text(&container->report->reason,
                 mem_string("OutOfMemoryError: Container killed due to memory usage"));
    task->news = true;
    if (container->spec->essential)
        stop_because(task, STATE__STOP_CODE__STOP_ESSENTIAL_CONTAINER_EXITED,
                     mem_string("Essential container in task exited"));
    return true;
}

int shim_task_tick(struct shim_task *task)
{
    uint64_t now = clock_steady_ms(), next = 0;

    for (size_t i = 0; i < task->count; i++) {
        struct container *container = &task->containers[i];

        if (!container->pid || !container->kill_at)
            continue;
        if (container->kill_at <= now) {
            signal_group(container, SIGKILL);
            container->kill_at = UINT64_MAX; /* Once is enough. */
        } else if (container->kill_at != UINT64_MAX && (!next || container->kill_at < next)) {
            next = container->kill_at;
        }
    }
    return next ? (int)(next - now) : -1;
}

bool shim_task_is_over(const struct shim_task *task)
{
    return count_in(task, STATE__TASK_STATE__TASK_STOPPED) == task->count;
}

void shim_task_end(struct shim_task *task)
{
    Command__TaskReport *report = task->state->report;

    must(shim_task_is_over(task));
    if (!task->stopping) /* The last of containers none of which was essential. */
        stop_because(task, STATE__STOP_CODE__STOP_ESSENTIAL_CONTAINER_EXITED,
                     mem_string("All containers in task exited"));
    report->state = STATE__TASK_STATE__TASK_STOPPED;
    report->stopped_ms = clock_wall_ms();
    task->news = true;
}

const Supervise__State *shim_task_state(struct shim_task *task)
{
    return task->state;
}

bool shim_task_has_news(struct shim_task *task)
{
    bool news = task->news;

    task->news = false;
    return news;
}
