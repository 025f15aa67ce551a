/*
 * The one place where a task comes to be or changes, and where what is counted of tasks follows.
 *
 * Of a cluster and a worker are counted: pending (before RUNNING) and running (RUNNING until
 * STOPPED), by what the task was last reported to be; a worker's cpu, memory and ports are taken
 * until STOPPED. Of a deployment: pending and running tasks that are meant to run, and stopping
 * ones. A task that goes beyond RUNNING by itself is meant to stop from then on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "storage/apply_inner.h"
#include "storage/tables_write.h"

int task_load(struct apply *a, uint64_t seq, struct task_pair *out)
{
    struct task_pair pair = {0};
    int r = table_task(a->txn, seq, &pair.task);

    if (r != 0)
        return r > 0 ? TABLE_ABSENT : err_up(r);
    r = table_task_status(a->txn, seq, &pair.status);
    if (r != 0) {
        task_pair_fini(&pair);
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    }
    *out = pair;
    return 0;
}

void task_pair_fini(struct task_pair *pair)
{
    state__task__free_unpacked(pair->task, NULL);
    state__task_status__free_unpacked(pair->status, NULL);
    *pair = (struct task_pair){0};
}

/* ---- counting; a status of NULL is a task that is not there */

static bool counts(const State__TaskStatus *status)
{
    return status && status->state != STATE__TASK_STATE__TASK_STOPPED;
}

static bool ran(const State__TaskStatus *status)
{
    return status->state >= STATE__TASK_STATE__TASK_RUNNING;
}

/* Move one from one count to another. Tables that say there is none to move are broken. */
static int move(uint32_t *from, uint32_t *to)
{
    if (from == to)
        return 0;
    if (from && *from == 0)
        return err_new(-EUCLEAN);
    if (from)
        --*from;
    if (to)
        ++*to;
    return 0;
}

static uint32_t *cluster_slot(State__ClusterCount *count, const State__TaskStatus *status)
{
    if (!counts(status))
        return NULL;
    return ran(status) ? &count->running_tasks : &count->pending_tasks;
}

static uint32_t *worker_slot(State__WorkerUsage *usage, const State__TaskStatus *status)
{
    if (!counts(status))
        return NULL;
    return ran(status) ? &usage->running_tasks : &usage->pending_tasks;
}

static uint32_t *deployment_slot(State__Deployment *deployment, const State__TaskStatus *status)
{
    if (!counts(status))
        return NULL;
    if (status->desired_stopped)
        return &deployment->stopping_count;
    return ran(status) ? &deployment->running_count : &deployment->pending_count;
}

static int count_in_cluster(struct apply *a, const State__Task *task,
                            const State__TaskStatus *before, const State__TaskStatus *after)
{
    struct held *held;
    uint32_t *from, *to;
    int r = hold_cluster_count(a, task->cluster_seq, &held);

    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    from = cluster_slot(held->count, before);
    to = cluster_slot(held->count, after);
    held->changed |= from != to;
    return err_up(move(from, to));
}

static int count_in_deployment(struct apply *a, const State__Task *task,
                               const State__TaskStatus *before, const State__TaskStatus *after)
{
    struct held *held;
    uint32_t *from, *to;
    int r;

    if (task->service_seq == 0)
        return 0;
    r = hold_deployment(a, task->service_seq, task->deployment_seq, &held);
    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    from = deployment_slot(held->deployment, before);
    to = deployment_slot(held->deployment, after);
    if (from == to)
        return 0;
    held->changed = true;
    held->deployment->updated_ms = a->now_ms;
    return err_up(move(from, to));
}

/* ---- ports in use, kept in order, so that equal usage is equal bytes */

static int compare_ports(const State__Port *a, const State__Port *b)
{
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return !!a->udp - !!b->udp;
}

/* Position of the first port that is not below this one. */
static size_t port_position(const State__WorkerUsage *usage, const State__Port *port)
{
    size_t low = 0, high = usage->n_ports;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_ports(usage->ports[middle], port) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void take_port(State__WorkerUsage *usage, const State__Port *port)
{
    size_t at = port_position(usage, port);
    State__Port *taken = mem_new(State__Port);

    state__port__init(taken);
    taken->number = port->number;
    taken->udp = port->udp;
    usage->ports = mem_resize(usage->ports, usage->n_ports + 1, sizeof(State__Port *));
    memmove(usage->ports + at + 1, usage->ports + at,
            (usage->n_ports - at) * sizeof(State__Port *));
    usage->ports[at] = taken;
    usage->n_ports++;
}

static int release_port(State__WorkerUsage *usage, const State__Port *port)
{
    size_t at = port_position(usage, port);

    if (at == usage->n_ports || compare_ports(usage->ports[at], port) != 0)
        return err_new(-EUCLEAN);
    state__port__free_unpacked(usage->ports[at], NULL);
    usage->n_ports--;
    memmove(usage->ports + at, usage->ports + at + 1,
            (usage->n_ports - at) * sizeof(State__Port *));
    return 0;
}

static void take(State__WorkerUsage *usage, const State__Task *task)
{
    usage->cpu += task->cpu;
    usage->memory += task->memory;
    for (size_t i = 0; i < task->n_host_ports; i++)
        take_port(usage, task->host_ports[i]);
}

static int release(State__WorkerUsage *usage, const State__Task *task)
{
    int r = 0;

    if (usage->cpu < task->cpu || usage->memory < task->memory)
        return err_new(-EUCLEAN);
    usage->cpu -= task->cpu;
    usage->memory -= task->memory;
    for (size_t i = 0; i < task->n_host_ports && r == 0; i++)
        r = release_port(usage, task->host_ports[i]);
    return err_up(r);
}

static int count_on_worker(struct apply *a, const State__Task *task,
                           const State__TaskStatus *before, const State__TaskStatus *after)
{
    struct held *held;
    uint32_t *from, *to;
    int r = hold_usage(a, task->worker_seq, &held);

    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    must(held->usage);
    from = worker_slot(held->usage, before);
    to = worker_slot(held->usage, after);
    held->changed |= from != to;
    if (after->changed_index == a->index) {
        held->usage->changed_index = a->index;
        held->changed = true;
    }
    r = move(from, to);
    if (r < 0)
        return err_up(r);
    if (!counts(before) && counts(after))
        take(held->usage, task);
    return counts(before) && !counts(after) ? err_up(release(held->usage, task)) : 0;
}

static int count(struct apply *a, const State__Task *task, const State__TaskStatus *before,
                 const State__TaskStatus *after)
{
    int r = count_in_cluster(a, task, before, after);

    if (r == 0)
        r = count_in_deployment(a, task, before, after);
    if (r == 0)
        r = count_on_worker(a, task, before, after);
    return err_up(r);
}

/* ---- the changes */

int task_add(struct apply *a, const State__Task *task, State__TaskStatus *status)
{
    int r;

    status->version = 1;
    status->changed_index = a->index;
    r = count(a, task, NULL, status);
    if (r == 0)
        r = table_add_task(a->txn, task, status);
    if (r < 0)
        return err_up(r);
    apply_changed(a, CHANGE_TASK, task->seq);
    return 0;
}

int task_change(struct apply *a, const struct task_pair *pair, State__TaskStatus *after,
                bool tell_worker)
{
    int r;

    after->version = pair->status->version + 1;
    if (tell_worker)
        after->changed_index = a->index;
    r = count(a, pair->task, pair->status, after);
    if (r == 0)
        r = table_put_task_status(a->txn, pair->task, pair->status, after);
    if (r < 0)
        return err_up(r);
    apply_changed(a, CHANGE_TASK, pair->task->seq);
    return 0;
}

int task_ask_to_stop(struct apply *a, const struct task_pair *pair, State__StopCode code,
                     const char *reason, bool *out_asked)
{
    State__TaskStatus after = *pair->status;
    bool ask = counts(pair->status) && !pair->status->desired_stopped;
    int r = 0;

    if (ask) {
        after.desired_stopped = true;
        after.stop_code = code;
        after.stopped_reason = (char *)reason;
        after.stopping_ms = a->now_ms;
        r = task_change(a, pair, &after, true);
    }
    if (r == 0 && ask)
        r = service_unsettle(a, pair->task->service_seq);
    if (r < 0)
        return err_up(r);
    if (out_asked)
        *out_asked = ask;
    return 0;
}
