/* Placing a task on a worker: the last word on whether there is room. */
#include <errno.h>

#include "proto/arn.h"
#include "storage/apply_inner.h"
#include "storage/tables_write.h"

static bool port_is_taken(const State__WorkerUsage *usage, const State__Port *port)
{
    for (size_t i = 0; i < usage->n_ports; i++)
        if (usage->ports[i]->number == port->number && !usage->ports[i]->udp == !port->udp)
            return true;
    return false;
}

/* ECS's reason why there is no room, or NULL. */
static const char *lacks(const State__Worker *worker, const State__WorkerUsage *usage,
                         const State__TaskDefinition *definition)
{
    if (worker->status != STATE__WORKER_STATUS__WORKER_ACTIVE || !usage->connected)
        return "AGENT";
    if ((uint64_t)usage->cpu + definition->cpu > worker->cpu)
        return "RESOURCE:CPU";
    if ((uint64_t)usage->memory + definition->memory > worker->memory)
        return "RESOURCE:MEMORY";
    for (size_t i = 0; i < definition->n_host_ports; i++)
        if (port_is_taken(usage, definition->host_ports[i]))
            return "RESOURCE:PORTS";
    return NULL;
}

static int check_worker(struct apply *a, const struct placing *placing, uint64_t worker_seq,
                        const char **out_refusal)
{
    struct held *worker, *usage;
    int r = hold_worker(a, worker_seq, &worker);

    *out_refusal = "AGENT";
    if (r == TABLE_ABSENT)
        return 0;
    if (r < 0)
        return err_up(r);
    if (worker->worker->cluster_seq != placing->cluster_seq)
        return 0;
    r = hold_usage(a, worker_seq, &usage);
    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    *out_refusal = lacks(worker->worker, usage->usage, placing->definition);
    return 0;
}

/* A task's id is new, or the placement is an old one come twice. */
static int check_id(struct apply *a, const char *task_id, const char **out_refusal)
{
    uint64_t seq;
    int r;

    *out_refusal = NULL;
    if (!id_is_valid(task_id)) {
        *out_refusal = "AGENT";
        return 0;
    }
    r = table_task_seq(a->txn, task_id, &seq);
    if (r < 0)
        return err_up(r);
    if (r == 0)
        *out_refusal = "AGENT";
    return 0;
}

static int make_task(struct apply *a, const struct placing *placing,
                     const Command__Placement *placement)
{
    const State__TaskDefinition *definition = placing->definition;
    State__TaskStatus status = STATE__TASK_STATUS__INIT;
    State__Task task = STATE__TASK__INIT;
    int r = apply_next_seq(a, COUNTER_TASK, &task.seq);

    if (r < 0)
        return err_up(r);
    task.id = placement->task_id;
    task.cluster_seq = placing->cluster_seq;
    task.worker_seq = placement->worker_seq;
    task.service_seq = placing->service_seq;
    task.deployment_seq = placing->deployment_seq;
    task.family = definition->family;
    task.revision = definition->revision;
    task.cpu = definition->cpu;
    task.memory = definition->memory;
    task.host_ports = definition->host_ports;
    task.n_host_ports = definition->n_host_ports;
    task.created_ms = a->now_ms;
    task.group = (char *)placing->group;
    task.started_by = (char *)placing->started_by;
    task.overrides = placing->overrides;
    task.tags = placing->tags;
    task.n_tags = placing->tag_count;
    status.state = STATE__TASK_STATE__TASK_PENDING;
    return err_up(task_add(a, &task, &status));
}

int place_task(struct apply *a, const struct placing *placing, const Command__Placement *placement,
               const char **out_refusal)
{
    int r = check_id(a, placement->task_id, out_refusal);

    if (r == 0 && !*out_refusal)
        r = check_worker(a, placing, placement->worker_seq, out_refusal);
    if (r < 0)
        return err_up(r);
    if (*out_refusal)
        return 0;
    r = make_task(a, placing, placement);
    if (r < 0)
        return err_up(r);
    apply_result_task(a, placement->task_id);
    return 0;
}
