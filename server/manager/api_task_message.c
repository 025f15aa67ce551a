/*
 * One task as ECS shows it: what it is, how it is, where it runs, and its containers as its
 * definition names them, with what the worker reported of each.
 */
#include <string.h>

#include "proto/arn.h"
#include "proto/task_state.h"
#include "server/manager/api_render.h"

/* The records one task is made of. */
struct sources {
    const char *cluster_name;
    State__Task *task;
    State__TaskStatus *status;
    State__Worker *worker;                   /* NULL: forgotten. */
    State__WorkerUsage *usage;               /* NULL: forgotten. */
    const State__TaskDefinition *definition; /* NULL: there is none. Borrowed. */
};

static void sources_fini(struct sources *from)
{
    task_record_free(from->task);
    task_status_record_free(from->status);
    worker_record_free(from->worker);
    worker_usage_record_free(from->usage);
}

static char *state_text(State__TaskState state)
{
    const char *name = task_state_name(state);

    return mem_string(name ? name : "UNKNOWN"); /* Written by a newer release. */
}

static char *unless_empty(const char *text)
{
    return text && *text ? mem_string(text) : NULL;
}

/* ---- containers */

static const State__Container *reported_of(const State__TaskStatus *status, const char *name)
{
    for (size_t i = 0; i < status->n_containers; i++) {
        if (strcmp(status->containers[i]->name, name) == 0)
            return status->containers[i];
    }
    return NULL;
}

static Ecs__NetworkBinding *binding_message(const State__Binding *binding)
{
    Ecs__NetworkBinding *message = mem_new(Ecs__NetworkBinding);

    ecs__network_binding__init(message);
    message->bind_ip = unless_empty(binding->address);
    SET(message, container_port, as_count(binding->container_port));
    SET(message, host_port, as_count(binding->host_port));
    SET(message, protocol,
        binding->udp ? ECS__TRANSPORT_PROTOCOL__VALUE__udp : ECS__TRANSPORT_PROTOCOL__VALUE__tcp);
    return message;
}

static void add_reported(Ecs__Container *container, const State__Container *reported)
{
    container->last_status = state_text(reported->state);
    container->reason = unless_empty(reported->reason);
    container->runtime_id = unless_empty(reported->runtime_id);
    if (reported->has_exit_code)
        SET(container, exit_code, reported->exit_code);
    for (size_t i = 0; i < reported->n_bindings; i++)
        ADD(container, network_bindings, binding_message(reported->bindings[i]));
}

static Ecs__Container *container_message(struct render *render, const struct sources *from,
                                         const char *name)
{
    const State__Container *reported = reported_of(from->status, name);
    bool stopped = from->status->state == STATE__TASK_STATE__TASK_STOPPED;
    Ecs__Container *container = mem_new(Ecs__Container);

    ecs__container__init(container);
    container->container_arn =
        arn_container(render->settings, from->cluster_name, from->task->id, name);
    container->task_arn = arn_task(render->settings, from->cluster_name, from->task->id);
    container->name = mem_string(name);
    SET(container, health_status, ECS__HEALTH_STATUS__VALUE__UNKNOWN);
    if (reported)
        add_reported(container, reported);
    else
        container->last_status = mem_string(stopped ? "STOPPED" : "PENDING");
    return container;
}

static void add_sizes(Ecs__Container *container, const Ecs__ContainerDefinition *definition)
{
    container->image = mem_string(definition->image);
    container->cpu = mem_format("%d", definition->has_cpu ? definition->cpu : 0);
    if (definition->has_memory)
        container->memory = mem_format("%d", definition->memory);
    if (definition->has_memory_reservation)
        container->memory_reservation = mem_format("%d", definition->memory_reservation);
}

static void add_containers(struct render *render, Ecs__Task *task, const struct sources *from)
{
    const Ecs__RegisterTaskDefinitionRequest *spec =
        from->definition ? from->definition->spec : NULL;

    for (size_t i = 0; spec && i < spec->n_container_definitions; i++) {
        const Ecs__ContainerDefinition *definition = spec->container_definitions[i];
        Ecs__Container *container;

        if (!definition->name)
            continue;
        container = container_message(render, from, definition->name);
        add_sizes(container, definition);
        ADD(task, containers, container);
    }
}

/* ---- overrides: what RunTask was given, and an entry for each container */

static bool overrides_name(const Ecs__TaskOverride *overrides, const char *name)
{
    for (size_t i = 0; i < overrides->n_container_overrides; i++) {
        const char *other = overrides->container_overrides[i]->name;

        if (other && strcmp(other, name) == 0)
            return true;
    }
    return false;
}

static void add_overrides(Ecs__Task *task, struct sources *from)
{
    Ecs__TaskOverride *overrides = steal(from->task->overrides);

    if (!overrides) {
        overrides = mem_new(Ecs__TaskOverride);
        ecs__task_override__init(overrides);
    }
    for (size_t i = 0; i < task->n_containers; i++) {
        const char *name = task->containers[i]->name;

        if (!overrides_name(overrides, name)) {
            Ecs__ContainerOverride *override = mem_new(Ecs__ContainerOverride);

            ecs__container_override__init(override);
            override->name = mem_string(name);
            ADD(overrides, container_overrides, override);
        }
    }
    task->overrides = overrides;
}

/* ---- the rest */

static void add_place(struct render *render, Ecs__Task *task, const struct sources *from)
{
    const char *architecture;
    Ecs__Attribute *attribute;
    bool connected = from->usage && from->usage->connected;

    SET(task, connectivity,
        connected ? ECS__CONNECTIVITY__VALUE__CONNECTED : ECS__CONNECTIVITY__VALUE__DISCONNECTED);
    if (!from->worker)
        return;
    task->container_instance_arn =
        arn_container_instance(render->settings, from->cluster_name, from->worker->id);
    task->availability_zone = unless_empty(from->worker->zone);
    architecture = render_attribute(from->worker, "ecs.cpu-architecture");
    if (architecture) {
        attribute = mem_new(Ecs__Attribute);
        ecs__attribute__init(attribute);
        attribute->name = mem_string("ecs.cpu-architecture");
        attribute->value = mem_string(architecture);
        ADD(task, attributes, attribute);
    }
}

static void add_what_it_is(struct render *render, Ecs__Task *task, const State__Task *record,
                           const char *cluster_name)
{
    task->task_arn = arn_task(render->settings, cluster_name, record->id);
    task->cluster_arn = arn_cluster(render->settings, cluster_name);
    task->task_definition_arn =
        arn_task_definition(render->settings, record->family, record->revision);
    task->cpu = mem_format("%u", record->cpu);
    task->memory = mem_format("%u", record->memory);
    task->group = unless_empty(record->group);
    task->started_by = unless_empty(record->started_by);
    SET(task, launch_type, ECS__LAUNCH_TYPE__VALUE__EC2);
    SET(task, enable_execute_command, false);
    SET_TIME(task, created_at, record->created_ms);
}

static void add_how_it_is(Ecs__Task *task, const State__TaskStatus *status)
{
    task->last_status = state_text(status->state);
    task->desired_status = mem_string(status->desired_stopped ? "STOPPED" : "RUNNING");
    task->stopped_reason = unless_empty(status->stopped_reason);
    SET(task, health_status, ECS__HEALTH_STATUS__VALUE__UNKNOWN);
    SET(task, version, (int64_t)status->version);
    task->has_stop_code = stop_code_to_ecs(status->stop_code, &task->stop_code);
    SET_TIME(task, started_at, status->started_ms);
    SET_TIME(task, stopping_at, status->stopping_ms);
    SET_TIME(task, stopped_at, status->stopped_ms);
    SET_TIME(task, execution_stopped_at, status->execution_stopped_ms);
}

static Ecs__Task *task_message(struct render *render, struct sources *from, bool tags)
{
    Ecs__Task *task = mem_new(Ecs__Task);

    ecs__task__init(task);
    add_what_it_is(render, task, from->task, from->cluster_name);
    add_how_it_is(task, from->status);
    add_place(render, task, from);
    add_containers(render, task, from);
    add_overrides(task, from);
    if (tags)
        MOVE_LIST(task, tags, from->task, tags);
    return task;
}

/* TABLE_ABSENT: no such task. Of the others absence is borne. */
static int sources_read(struct render *render, uint64_t task_seq, struct sources *out)
{
    int r = table_task(render->txn, task_seq, &out->task);

    if (r == 0)
        r = table_task_status(render->txn, task_seq, &out->status);
    if (r != 0)
        return render_up(r);
    r = table_worker(render->txn, out->task->worker_seq, &out->worker);
    if (r >= 0)
        r = table_worker_usage(render->txn, out->task->worker_seq, &out->usage);
    if (r >= 0)
        r = render_definition(render, out->task->family, out->task->revision, &out->definition);
    return r < 0 ? err_up(r) : 0;
}

int render_task(struct render *render, const char *cluster_name, uint64_t task_seq, bool tags,
                Ecs__Task **out)
{
    struct sources from = {.cluster_name = cluster_name};
    int r = sources_read(render, task_seq, &from);

    if (r == 0)
        *out = task_message(render, &from, tags);
    sources_fini(&from);
    return r < 0 ? err_up(r) : 0;
}
