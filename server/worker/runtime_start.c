#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "server/net/log.h"
#include "server/worker/clock.h"
#include "server/worker/compose.h"
#include "server/worker/release.h"
#include "server/worker/report.h"
#include "server/worker/runtime_process.h"
#include "server/worker/task_dir.h"

/* ---- ports */

/* Ports of the task being composed are not in the list of tasks yet. */
struct chooser {
    struct process_runtime *process;
    uint32_t *chosen;
    size_t count;
};

static bool spec_has_port(const Supervise__Spec *spec, uint32_t port)
{
    for (size_t i = 0; i < spec->n_containers; i++)
        for (size_t j = 0; j < spec->containers[i]->n_bindings; j++)
            if (spec->containers[i]->bindings[j]->host_port == port)
                return true;
    return false;
}

static bool is_taken(const void *context, uint32_t port)
{
    const struct chooser *chooser = context;

    for (size_t i = 0; i < chooser->count; i++)
        if (chooser->chosen[i] == port)
            return true;
    list_each (link, &chooser->process->tasks) {
        const struct supervised *task = list_entry(link, struct supervised, link);

        if (!task->over && task->spec && spec_has_port(task->spec, port))
            return true;
    }
    return false;
}

static uint32_t choose_port(void *context, bool udp)
{
    struct chooser *chooser = context;
    uint32_t port;

    if (port_choose(&chooser->process->rng, chooser->process->address, udp, is_taken, chooser,
                    &port) == PORT_NONE_FREE)
        return 0;
    chooser->chosen = mem_resize(chooser->chosen, chooser->count + 1, sizeof port);
    chooser->chosen[chooser->count++] = port;
    return port;
}

/* ---- starting */

static int make_cgroups(struct process_runtime *process, const struct compose *compose,
                        Supervise__Spec *spec)
{
    struct cgroup_limits limits;
    char *dirs[CGROUP_DIRS_MAX];
    size_t count;
    int r;

    if (!process->cgroups.dir_count)
        return 0;
    compose_limits(compose, &limits);
    r = cgroup_make(&process->cgroups, spec->task_id, &limits, dirs, &count);
    if (r < 0)
        return err_up(r);
    spec->cgroups = mem_copy(dirs, count * sizeof *dirs);
    spec->n_cgroups = count;
    return 0;
}

/* The first container's user may write in work/. */
static int give_work(const char *path, const Supervise__Spec *spec)
{
    scope(text_free) char *work = mem_format("%s/work", path);
    const Supervise__User *user = spec->containers[0]->user;

    if (user && chown(work, user->uid, user->gid) < 0)
        return err_new(-errno);
    return 0;
}

static int start_task(struct process_runtime *process, const struct compose *compose,
                      struct supervised *task)
{
    int r = task_dir_make(process->dir, task->id);

    if (r < 0)
        return err_up(r);
    r = give_work(task->path, task->spec);
    if (r < 0)
        return err_up(r);
    r = make_cgroups(process, compose, task->spec);
    if (r < 0)
        return err_up(r);
    r = supervised_start(task);
    if (r < 0)
        for (size_t i = 0; i < task->spec->n_cgroups; i++)
            cgroup_remove(task->spec->cgroups[i]);
    return err_up(r);
}

static void refuse(struct process_runtime *process, const char *task_id, const char *why)
{
    scope(text_free) char *reason = mem_format("CannotStartContainerError: %s", why);

    report_push(&process->events,
                report_stopped(task_id, STATE__STOP_CODE__STOP_TASK_FAILED_TO_START, reason,
                               clock_wall_ms()));
}

/* Takes spec. */
static void start_spec(struct process_runtime *process, const struct compose *compose,
                       Supervise__Spec *spec)
{
    const char *id = compose->assignment->task_id;
    struct supervised *task =
        supervised_new(&process->owner, id, mem_string(compose->task_path), spec);
    int r = start_task(process, compose, task);

    if (r < 0) {
        log_error("task.start_failed task=%s error=\"%s\" trace=\"%s\"", id, strerror(-r),
                  err_trace());
        refuse(process, id, strerror(-r));
        supervised_close(task);
        return;
    }
    list_append(&process->tasks, &task->link);
}

void process_start(struct runtime *runtime, const Worker__Assignment *assignment,
                   const Ecs__RegisterTaskDefinitionRequest *definition)
{
    struct process_runtime *process = (struct process_runtime *)runtime;
    scope(text_free) char *path = task_dir_path(process->dir, assignment->task_id);
    struct chooser chooser = {.process = process};
    struct compose compose = {
        .assignment = assignment,
        .definition = definition,
        .task_path = path,
        .address = process->address,
        .zone = process->zone,
        .memory_by_rlimit = !process->cgroups.dir_count,
        .choose_port = choose_port,
        .context = &chooser,
    };
    scope(text_free) char *problem = NULL;
    Supervise__Spec *spec;

    if (compose_spec(&compose, &spec, &problem) == COMPOSE_REFUSED)
        refuse(process, assignment->task_id, problem);
    else
        start_spec(process, &compose, spec);
    free(chooser.chosen);
}
