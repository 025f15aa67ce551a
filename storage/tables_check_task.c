/* Of tables_check(): tasks, their indexes, and what they add up to. */
#include "proto/base/err.h"
#include "storage/tables_check_inner.h"

static void add_to(struct sum *sum, const State__Task *task, const State__TaskStatus *status)
{
    if (status->state < STATE__TASK_STATE__TASK_RUNNING)
        sum->pending++;
    else
        sum->running++;
    sum->cpu += task->cpu;
    sum->memory += task->memory;
    sum->ports += task->n_host_ports;
    for (size_t i = 0; i < task->n_host_ports; i++)
        sum->ports_hash += check_port_hash(task->host_ports[i]);
}

static int add_to_deployment(struct check *c, const State__Task *task,
                             const State__TaskStatus *status)
{
    struct sum *sum = sums_find(&c->deployments, task->deployment_seq);

    if (task->service_seq == 0)
        return 0;
    if (!sum || sum->owner != task->service_seq)
        return check_differs(c, "task %s: no deployment", task->id);
    if (status->desired_stopped)
        sum->stopping++;
    else if (status->state < STATE__TASK_STATE__TASK_RUNNING)
        sum->pending++;
    else
        sum->running++;
    return 0;
}

static int check_indexes(struct check *c, const State__Task *task, const State__TaskStatus *status)
{
    struct key key;
    int r;

    c->keys[TABLE_TASK_STATUS]++;
    if (!key_id(&key, task->id))
        return check_differs(c, "task %s: no id", task->id);
    r = check_key(c, TABLE_TASK_ID, &key, task->seq);
    key_seq(&key, task->cluster_seq);
    key_add_byte(&key, status->desired_stopped ? 1 : 0);
    key_add_u64(&key, task->seq);
    if (r == 0)
        r = check_key(c, TABLE_TASK_OF_CLUSTER, &key, 0);
    if (r == 0 && task->service_seq != 0)
        r = check_mark(c, TABLE_TASK_OF_SERVICE, task->service_seq, task->seq);
    if (r != 0)
        return r;
    if (status->state == STATE__TASK_STATE__TASK_STOPPED)
        return check_mark(c, TABLE_TASK_STOPPED, status->stopped_ms, task->seq);
    return check_mark(c, TABLE_TASK_OF_WORKER, task->worker_seq, task->seq);
}

static int check_task(struct check *c, const State__Task *task, const State__TaskStatus *status)
{
    struct sum *cluster = sums_find(&c->clusters, task->cluster_seq);
    struct sum *worker = sums_find(&c->workers, task->worker_seq);

    if (!cluster || !worker || worker->owner != task->cluster_seq)
        return check_differs(c, "task %s: no cluster or no worker in it", task->id);
    if (status->version == 0)
        return check_differs(c, "task %s: no version", task->id);
    if (status->state >= STATE__TASK_STATE__TASK_DEACTIVATING && !status->desired_stopped)
        return check_differs(c, "task %s: stops, but is meant to run", task->id);
    if (worker->changed_index < status->changed_index)
        worker->changed_index = status->changed_index;
    if (status->state != STATE__TASK_STATE__TASK_STOPPED) {
        add_to(cluster, task, status);
        add_to(worker, task, status);
        if (add_to_deployment(c, task, status) != 0)
            return 1;
    }
    return check_indexes(c, task, status);
}

static int each_task(void *context, struct txn *txn, uint64_t seq)
{
    State__Task *task = NULL;
    State__TaskStatus *status = NULL;
    int r = table_task(txn, seq, &task);

    if (r == 0)
        r = table_task_status(txn, seq, &status);
    if (r == 0)
        r = check_task(context, task, status);
    else if (r > 0)
        r = check_differs(context, "task %llu: no status", (unsigned long long)seq);
    state__task__free_unpacked(task, NULL);
    state__task_status__free_unpacked(status, NULL);
    return r;
}

int check_tasks(struct check *c)
{
    return err_up(table_all_tasks(c->txn, 0, each_task, c));
}
