/*
 * The runtime that runs nothing: a task is RUNNING when it is started and STOPPED when it is
 * told to. It keeps no state at all, so a worker can have any number of such tasks.
 */
#include <stdlib.h>

#include "proto/base/mem.h"
#include "server/worker/clock.h"
#include "server/worker/report.h"
#include "server/worker/runtime.h"

struct hollow {
    struct runtime runtime;
    struct list events;
};

static struct hollow *self(struct runtime *runtime)
{
    return (struct hollow *)runtime;
}

static Command__TaskReport *running(const char *task_id)
{
    Command__TaskReport *report = report_new(task_id, STATE__TASK_STATE__TASK_RUNNING);

    report->started_ms = clock_wall_ms();
    return report;
}

static void add_containers(Command__TaskReport *report,
                           const Ecs__RegisterTaskDefinitionRequest *definition)
{
    report->containers = mem_new_array(State__Container *, definition->n_container_definitions);
    for (size_t i = 0; i < definition->n_container_definitions; i++) {
        State__Container *container = mem_new(State__Container);

        state__container__init(container);
        if (definition->container_definitions[i]->name)
            container->name = mem_string(definition->container_definitions[i]->name);
        container->state = STATE__TASK_STATE__TASK_RUNNING;
        report->containers[report->n_containers++] = container;
    }
}

static void hollow_start(struct runtime *runtime, const Worker__Assignment *assignment,
                         const Ecs__RegisterTaskDefinitionRequest *definition)
{
    Command__TaskReport *report = running(assignment->task_id);

    add_containers(report, definition);
    report_push(&self(runtime)->events, report);
}

static void hollow_stop(struct runtime *runtime, const char *task_id)
{
    report_push(&self(runtime)->events,
                report_stopped(task_id, STATE__STOP_CODE__STOP_NONE, "", clock_wall_ms()));
}

static int hollow_adopt(struct runtime *runtime, const char *task_id,
                        const Command__TaskReport *last)
{
    if (!last || last->state < STATE__TASK_STATE__TASK_RUNNING)
        return RUNTIME_UNKNOWN;
    if (last->state == STATE__TASK_STATE__TASK_RUNNING)
        report_push(&self(runtime)->events, report_copy(last));
    else
        hollow_stop(runtime, task_id); /* The agent ended between the two. */
    return 0;
}

static void hollow_sweep(struct runtime *runtime)
{
    (void)runtime;
}

static void hollow_forget(struct runtime *runtime, const char *task_id)
{
    (void)runtime, (void)task_id;
}

static Command__TaskReport *hollow_next(struct runtime *runtime)
{
    return report_pop(&self(runtime)->events);
}

static void hollow_close(struct runtime *runtime)
{
    Command__TaskReport *report;

    while ((report = hollow_next(runtime)))
        report_free(report);
    free(runtime);
}

static const struct runtime_ops hollow_ops = {
    .name = "hollow",
    .start = hollow_start,
    .stop = hollow_stop,
    .adopt = hollow_adopt,
    .sweep = hollow_sweep,
    .forget = hollow_forget,
    .next = hollow_next,
    .close = hollow_close,
};

int runtime_hollow_open(uv_loop_t *loop, const struct runtime_config *config, struct runtime **out)
{
    struct hollow *hollow = mem_new(struct hollow);

    (void)loop, (void)config;
    hollow->runtime.ops = &hollow_ops;
    list_init(&hollow->events);
    *out = &hollow->runtime;
    return 0;
}
