#include "server/manager/dispatch_answer.h"

#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "storage/tables.h"

/* ---- answers that carry no work */

static char *leader_address(const struct core *core)
{
    size_t count;
    const struct member *members = raft_node_members(core->raft, &count, NULL);
    const struct member *leader = member_find(members, count, raft_node_leader(core->raft));
    char text[MEMBER_ADDRESS];

    if (!leader || leader->id == core->config.id)
        return mem_string("");
    return mem_string(member_address(leader, leader->rpc_port, text));
}

static void add_managers(const struct core *core, Worker__RegisterResponse *response)
{
    size_t count;
    const struct member *members = raft_node_members(core->raft, &count, NULL);
    char text[MEMBER_ADDRESS];

    response->managers = mem_new_array(char *, count);
    for (size_t i = 0; i < count; i++)
        response->managers[response->n_managers++] =
            mem_string(member_address(&members[i], members[i].rpc_port, text));
}

Worker__RegisterResponse *dispatch_register_response(const struct core *core,
                                                     Worker__Outcome outcome)
{
    Worker__RegisterResponse *response = mem_new(Worker__RegisterResponse);

    worker__register_response__init(response);
    response->outcome = outcome;
    response->leader = leader_address(core);
    response->message = mem_string("");
    response->container_instance_arn = mem_string("");
    response->term = core->term;
    response->heartbeat_ms = core->config.worker_heartbeat_ms;
    response->lost_after_ms = core->config.worker_lost_ms;
    add_managers(core, response);
    return response;
}

Worker__PullResponse *dispatch_pull_response(const struct core *core, Worker__Outcome outcome)
{
    Worker__PullResponse *response = mem_new(Worker__PullResponse);

    worker__pull_response__init(response);
    response->outcome = outcome;
    response->leader = leader_address(core);
    response->term = core->term;
    return response;
}

static Worker__ReportResponse *report_response(const struct core *core, Worker__Outcome outcome)
{
    Worker__ReportResponse *response = mem_new(Worker__ReportResponse);

    worker__report_response__init(response);
    response->outcome = outcome;
    response->leader = leader_address(core);
    response->term = core->term;
    return response;
}

void dispatch_answer_plainly(struct core *core, struct rpc *rpc, Worker__Outcome outcome)
{
    switch (rpc->kind) {
    case RPC_REGISTER:
        core_answer_rpc(core, rpc, &dispatch_register_response(core, outcome)->base);
        return;
    case RPC_PULL:
        core_answer_rpc(core, rpc, &dispatch_pull_response(core, outcome)->base);
        return;
    case RPC_REPORT:
        core_answer_rpc(core, rpc, &report_response(core, outcome)->base);
        return;
    }
}

/* ---- what a worker should run */

struct assembly {
    struct core *core;
    State__Settings *settings;
    Worker__PullResponse *response;
    uint64_t since;
};

static void append_pointer(void ***items, size_t *count, void *item)
{
    *items = mem_resize(*items, *count + 1, sizeof **items);
    (*items)[(*count)++] = item;
}

/* Each revision once: its definition may be large. */
static int add_definition(struct assembly *all, const State__Task *task)
{
    State__TaskDefinition *found = NULL;
    Worker__Definition *definition;
    int r;

    for (size_t i = 0; i < all->response->n_definitions; i++)
        if (all->response->definitions[i]->revision == task->revision &&
            strcmp(all->response->definitions[i]->family, task->family) == 0)
            return 0;
    r = table_task_definition(all->core->txn, task->family, task->revision, &found);
    if (r != 0)
        return r < 0 ? err_up(r) : 0;
    definition = mem_new(Worker__Definition);
    worker__definition__init(definition);
    definition->family = mem_string(task->family);
    definition->revision = task->revision;
    definition->spec = steal(found->spec);
    state__task_definition__free_unpacked(found, NULL);
    append_pointer((void ***)&all->response->definitions, &all->response->n_definitions,
                   definition);
    return 0;
}

/* Gives *out; "" if there is none. */
static int service_name(struct core *core, uint64_t service_seq, char **out)
{
    State__Service *service = NULL;
    int r = service_seq == 0 ? TABLE_ABSENT : table_service(core->txn, service_seq, &service);

    if (r < 0)
        return err_up(r);
    *out = mem_string(service ? service->name : "");
    if (service)
        state__service__free_unpacked(service, NULL);
    return 0;
}

static int cluster_name(struct core *core, uint64_t cluster_seq, char **out)
{
    State__Cluster *cluster = NULL;
    int r = table_cluster(core->txn, cluster_seq, &cluster);

    if (r < 0)
        return err_up(r);
    *out = mem_string(cluster ? cluster->name : "");
    if (cluster)
        state__cluster__free_unpacked(cluster, NULL);
    return 0;
}

static int add_assignment(struct assembly *all, State__Task *task, bool stop)
{
    Worker__Assignment *assignment = mem_new(Worker__Assignment);
    int r;

    worker__assignment__init(assignment);
    assignment->task_id = mem_string(task->id);
    assignment->stop = stop;
    append_pointer((void ***)&all->response->assignments, &all->response->n_assignments,
                   assignment);
    if (stop)
        return 0;
    r = cluster_name(all->core, task->cluster_seq, &assignment->cluster);
    if (r == 0)
        r = service_name(all->core, task->service_seq, &assignment->service);
    if (r < 0)
        return err_up(r);
    assignment->task_arn = arn_task(all->settings, assignment->cluster, task->id);
    assignment->family = mem_string(task->family);
    assignment->revision = task->revision;
    assignment->overrides = steal(task->overrides);
    return err_up(add_definition(all, task));
}

static int each_task(void *context, struct txn *txn, uint64_t seq)
{
    struct assembly *all = context;
    State__Task *task = NULL;
    State__TaskStatus *status = NULL;
    int r = table_task_status(txn, seq, &status);

    if (r == 0 && (all->since == 0 || status->changed_index > all->since)) {
        r = table_task(txn, seq, &task);
        if (r == 0)
            r = add_assignment(all, task, status->desired_stopped);
    }
    if (task)
        state__task__free_unpacked(task, NULL);
    if (status)
        state__task_status__free_unpacked(status, NULL);
    return r < 0 ? err_up(r) : 0;
}

/* All that changed for the worker since the version it has. */
int dispatch_answer_pull(struct core *core, struct rpc *rpc, uint64_t worker_seq, uint64_t since,
                         uint64_t version)
{
    struct assembly all = {.core = core, .since = since};
    int r = table_settings(core->txn, &all.settings);

    if (r < 0)
        return err_up(r);
    if (r == TABLE_ABSENT) { /* This leader is about to write them. */
        dispatch_answer_plainly(core, rpc, WORKER__OUTCOME__NOT_LEADER);
        return 0;
    }
    all.response = dispatch_pull_response(core, WORKER__OUTCOME__OK);
    all.response->version = version ? version : 1;
    all.response->complete = since == 0;
    r = table_tasks_of_worker(core->txn, worker_seq, 0, each_task, &all);
    state__settings__free_unpacked(all.settings, NULL);
    if (r < 0) {
        worker__pull_response__free_unpacked(all.response, NULL);
        return err_up(r);
    }
    core_answer_rpc(core, rpc, &all.response->base);
    return 0;
}
