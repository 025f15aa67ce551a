/*
 * The scheduler's view, kept warm on every manager from what applied commands changed.
 */
#include <stdlib.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "server/manager/core_internal.h"
#include "storage/tables.h"

static struct view_port *ports_of(State__Port *const *from, size_t count)
{
    struct view_port *ports = mem_new_array(struct view_port, count);

    for (size_t i = 0; i < count; i++)
        ports[i] = (struct view_port){.number = (uint16_t)from[i]->number, .udp = from[i]->udp};
    return ports;
}

/* ---- workers */

static int feed_worker(struct view *view, struct txn *txn, uint64_t seq)
{
    State__Worker *worker = NULL;
    State__WorkerUsage *usage = NULL;
    int r = table_worker(txn, seq, &worker);

    if (r == 0)
        r = table_worker_usage(txn, seq, &usage);
    if (r == 0) {
        struct view_port *ports = ports_of(usage->ports, usage->n_ports);
        struct view_worker put = {
            .seq = seq,
            .cluster_seq = worker->cluster_seq,
            .id = worker->id,
            .zone = worker->zone,
            .active = worker->status == STATE__WORKER_STATUS__WORKER_ACTIVE,
            .connected = usage->connected,
            .cpu = worker->cpu,
            .memory = worker->memory,
            .cpu_used = usage->cpu,
            .memory_used = usage->memory,
            .ports_used = ports,
            .port_count = usage->n_ports,
        };

        view_put_worker(view, &put);
        free(ports);
    } else if (r == TABLE_ABSENT) {
        view_remove_worker(view, seq);
        r = 0;
    }
    if (worker)
        state__worker__free_unpacked(worker, NULL);
    if (usage)
        state__worker_usage__free_unpacked(usage, NULL);
    return err_up(r);
}

/* ---- services */

struct deployments {
    struct txn *txn;
    uint64_t primary_seq;
    struct view_deployment *items;
    char **ids;
    struct view_port **ports;
    size_t count;
};

static int add_deployment(void *context, const State__Deployment *deployment)
{
    struct deployments *all = context;
    State__TaskDefinition *definition = NULL;
    struct view_deployment *put;
    size_t at = all->count;
    int r = table_task_definition(all->txn, deployment->family, deployment->revision, &definition);

    if (r < 0)
        return err_up(r);
    all->count++;
    all->items = mem_resize(all->items, all->count, sizeof *all->items);
    all->ids = mem_resize(all->ids, all->count, sizeof *all->ids);
    all->ports = mem_resize(all->ports, all->count, sizeof *all->ports);
    all->ids[at] = mem_string(deployment->id);
    all->ports[at] = definition ? ports_of(definition->host_ports, definition->n_host_ports) : NULL;
    put = &all->items[at];
    *put = (struct view_deployment){
        .seq = deployment->seq,
        .primary = deployment->seq == all->primary_seq,
        .completed = deployment->rollout_state == STATE__ROLLOUT_STATE__ROLLOUT_COMPLETED,
        .cpu = definition ? definition->cpu : 0,
        .memory = definition ? definition->memory : 0,
        .port_count = definition ? definition->n_host_ports : 0,
        .start_after_ms = deployment->start_after_ms,
    };
    if (definition)
        state__task_definition__free_unpacked(definition, NULL);
    return 0;
}

static void deployments_fini(struct deployments *all)
{
    for (size_t i = 0; i < all->count; i++) {
        free(all->ids[i]);
        free(all->ports[i]);
    }
    free(all->items);
    free(all->ids);
    free(all->ports);
}

static enum view_service_status status_of(const State__Service *service)
{
    switch (service->status) {
    case STATE__SERVICE_STATUS__SERVICE_ACTIVE:
        return VIEW_SERVICE_ACTIVE;
    case STATE__SERVICE_STATUS__SERVICE_DRAINING:
        return VIEW_SERVICE_DRAINING;
    default:
        return VIEW_SERVICE_INACTIVE;
    }
}

static int put_service(struct view *view, struct txn *txn, const State__Service *service)
{
    struct deployments all = {.txn = txn, .primary_seq = service->primary_deployment_seq};
    int r = table_deployments(txn, service->seq, add_deployment, &all);

    for (size_t i = 0; i < all.count; i++) {
        all.items[i].id = all.ids[i];
        all.items[i].ports = all.ports[i];
    }
    if (r == 0) {
        struct view_service put = {
            .seq = service->seq,
            .cluster_seq = service->cluster_seq,
            .name = service->name,
            .status = status_of(service),
            .desired_count = service->desired_count,
            .minimum_healthy_percent = service->minimum_healthy_percent,
            .maximum_percent = service->maximum_percent,
            .steady = service->steady,
            .deployments = all.items,
            .deployment_count = all.count,
        };

        view_put_service(view, &put);
    }
    deployments_fini(&all);
    return err_up(r);
}

static int feed_service(struct view *view, struct txn *txn, uint64_t seq)
{
    State__Service *service = NULL;
    int r = table_service(txn, seq, &service);

    if (r == TABLE_ABSENT) {
        view_remove_service(view, seq);
        return 0;
    }
    if (r < 0)
        return err_up(r);
    r = put_service(view, txn, service);
    state__service__free_unpacked(service, NULL);
    return err_up(r);
}

/* ---- tasks */

static int feed_task(struct view *view, struct txn *txn, uint64_t seq)
{
    State__Task *task = NULL;
    State__TaskStatus *status = NULL;
    int r = table_task(txn, seq, &task);

    if (r == 0)
        r = table_task_status(txn, seq, &status);
    if (r == 0) {
        struct view_task put = {
            .seq = seq,
            .worker_seq = task->worker_seq,
            .service_seq = task->service_seq,
            .deployment_seq = task->deployment_seq,
            .phase = view_task_phase((int)status->state, status->desired_stopped),
        };

        view_put_task(view, &put);
    } else if (r == TABLE_ABSENT) {
        view_remove_task(view, seq);
        r = 0;
    }
    if (task)
        state__task__free_unpacked(task, NULL);
    if (status)
        state__task_status__free_unpacked(status, NULL);
    return err_up(r);
}

int view_feed(struct view *view, struct txn *txn, const struct changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->items[i];
        int r = 0;

        switch (change->kind) {
        case CHANGE_CLUSTER:
            break;
        case CHANGE_SERVICE:
            r = feed_service(view, txn, change->seq);
            break;
        case CHANGE_TASK:
            r = feed_task(view, txn, change->seq);
            break;
        case CHANGE_TASK_GONE:
            view_remove_task(view, change->seq);
            break;
        case CHANGE_WORKER:
            r = feed_worker(view, txn, change->seq);
            break;
        }
        if (r < 0)
            return err_up(r);
    }
    return 0;
}

/* ---- everything, when a manager starts */

static int each_worker(void *context, struct txn *txn, uint64_t seq)
{
    return feed_worker(context, txn, seq);
}

static int each_task(void *context, struct txn *txn, uint64_t seq)
{
    return feed_task(context, txn, seq);
}

struct service_walk {
    struct view *view;
    struct txn *txn;
};

static int each_service(void *context, const State__Service *service)
{
    struct service_walk *walk = context;

    return put_service(walk->view, walk->txn, service);
}

int view_feed_all(struct view *view, struct txn *txn)
{
    struct service_walk walk = {view, txn};
    int r = table_all_workers(txn, 0, each_worker, view);

    if (r == 0)
        r = table_services(txn, 0, 0, each_service, &walk);
    if (r == 0)
        r = table_all_tasks(txn, 0, each_task, view);
    return err_up(r);
}
