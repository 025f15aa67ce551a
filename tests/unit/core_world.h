/*
 * Three whole cores (Raft, tables, scheduler, dispatch, calls) in one thread, with a virtual clock
 * and a network in memory. API calls and workers' calls go in as their threads would put them.
 */
#pragma once

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "proto/limits.h"
#include "server/manager/core.h"
#include "storage/tables.h"
#include "storage/tables_check.h"

enum { CORES = 3, WORKERS = 6, DELAY_MS = 1, WALL_MS = 1700000000 };

struct packet {
    struct list link;
    uint64_t from, to, at_ms;
    size_t len;
    uint8_t bytes[];
};

struct server {
    uint64_t id;
    char base[40]; /* Has `state`, and `incoming` while an image is put together. */
    char dir[48];
    char incoming[56];
    struct env *env;
    struct core *core;
    bool cut;
};

static const uint64_t ids[CORES] = {1, 2, 3};
static struct member members[CORES];
static struct server servers[CORES];
static struct list network;
static uint64_t now_ms;
static bool (*world_loses)(const Peer__PeerFrame *frame); /* NULL: nothing. */
static bool world_map_grows;
static uint64_t world_keep_entries; /* 0: as many as a manager keeps. */

/* ---- the world */

static inline void send_packet(void *context, uint64_t to, struct bytes frame)
{
    struct server *from = context;
    struct packet *packet = mem_zeroed(1, sizeof *packet + frame.len);

    packet->from = from->id;
    packet->to = to;
    packet->at_ms = now_ms + DELAY_MS;
    packet->len = frame.len;
    memcpy(packet->bytes, frame.base, frame.len);
    list_append(&network, &packet->link);
}

static inline void push(void *context)
{
    (void)context;
}

static inline void wake(void *context)
{
    (void)context; /* Every core has a turn each millisecond. */
}

static inline void start(struct server *server)
{
    struct core_config config = {
        .id = server->id,
        .first = members,
        .first_count = CORES,
        .region = "us-east-1",
        .account = "000000000000",
        .env = server->env,
        .map_grows = world_map_grows,
        .incoming = server->incoming,
        .keep_entries = world_keep_entries,
        .election_ms = 300,
        .raft_heartbeat_ms = 50,
        .worker_heartbeat_ms = 1000,
        .worker_lost_ms = 3000,
        .seed = server->id,
        .send = send_packet,
        .push = push,
        .wake = wake,
        .context = server,
    };

    ck_assert_int_eq(core_open(&config, now_ms, WALL_MS + now_ms, &server->core), 0);
}

static inline void stop(struct server *server)
{
    core_free(server->core);
    server->core = NULL;
}

static inline void deliver(struct server *server)
{
    list_each (link, &network) {
        struct packet *packet = list_entry(link, struct packet, link);
        Peer__PeerFrame *frame;

        if (packet->to != server->id || packet->at_ms > now_ms)
            continue;
        list_remove(link);
        frame = peer__peer_frame__unpack(NULL, packet->len, packet->bytes);
        ck_assert_ptr_nonnull(frame);
        if (server->cut || servers[packet->from - 1].cut || (world_loses && world_loses(frame)))
            peer__peer_frame__free_unpacked(frame, NULL);
        else
            core_receive(server->core, frame);
        free(packet);
    }
}

static inline void tick(void)
{
    now_ms++;
    for (size_t i = 0; i < CORES; i++) {
        if (!servers[i].core)
            continue;
        deliver(&servers[i]);
        ck_assert_int_eq(core_turn(servers[i].core, now_ms, WALL_MS + now_ms), 0);
    }
}

static inline struct server *leader(void)
{
    for (size_t i = 0; i < CORES; i++) {
        struct core_status status;

        if (!servers[i].core || servers[i].cut)
            continue;
        core_status(servers[i].core, &status);
        if (status.ready && status.leader == servers[i].id)
            return &servers[i];
    }
    return NULL;
}

static inline struct server *follower(void)
{
    struct server *first = leader();

    for (size_t i = 0; i < CORES; i++)
        if (servers[i].core && &servers[i] != first)
            return &servers[i];
    return NULL;
}

/* Run until a question is answered with yes, at most so long. */
static inline void run_until(bool (*yes)(void), uint64_t bound_ms)
{
    for (uint64_t end = now_ms + bound_ms; now_ms < end;) {
        if (yes())
            return;
        tick();
    }
    ck_assert(yes());
}

static inline bool has_leader(void)
{
    return leader() != NULL;
}

/* ---- calls */

struct asked {
    struct call call;
    bool answered;
    bool collected; /* From tables that contain what was asked for. */
};

static struct asked asked;

static inline void call_done(struct call *call)
{
    ((struct asked *)(void *)call)->answered = true;
}

static inline void call_collect_cluster(struct call *call, const Command__CommandResult *result,
                                        struct txn *txn)
{
    const Ecs__CreateClusterRequest *request = (const Ecs__CreateClusterRequest *)call->request;
    State__Cluster *cluster = NULL;

    ck_assert_ptr_null(result->problem);
    ck_assert_int_eq(table_cluster_by_name(txn, request->cluster_name, &cluster), 0);
    state__cluster__free_unpacked(cluster, NULL);
    ((struct asked *)(void *)call)->collected = true;
}

static inline bool is_answered(void)
{
    return asked.answered;
}

static inline void ask(struct server *server, const char *action, const void *request)
{
    if (asked.call.result)
        command__command_result__free_unpacked(asked.call.result, NULL);
    memset(&asked, 0, sizeof asked);
    asked.call.action = action;
    asked.call.write = request != NULL;
    asked.call.request = request;
    asked.call.done = call_done;
    if (strcmp(action, "CreateCluster") == 0)
        asked.call.collect = call_collect_cluster;
    core_submit(server->core, &asked.call);
    run_until(is_answered, 5000);
}

static inline void ask_well(struct server *server, const char *action, const void *request)
{
    ask(server, action, request);
    ck_assert_int_eq(asked.call.outcome, CALL_DONE);
    if (!request)
        return;
    ck_assert_ptr_nonnull(asked.call.result);
    ck_assert_msg(!asked.call.result->problem, "%s",
                  asked.call.result->problem ? asked.call.result->problem->text : "");
}

static inline void create_cluster(struct server *server, const char *name)
{
    Ecs__CreateClusterRequest request = ECS__CREATE_CLUSTER_REQUEST__INIT;

    request.cluster_name = (char *)name;
    ask_well(server, "CreateCluster", &request);
    ck_assert(asked.collected);
}

static inline bool has_cluster(struct server *server, const char *name)
{
    scope(txn_abort) struct txn *txn = NULL;
    State__Cluster *cluster = NULL;
    int r;

    ck_assert_int_eq(env_read(server->env, &txn), 0);
    r = table_cluster_by_name(txn, name, &cluster);
    if (cluster)
        state__cluster__free_unpacked(cluster, NULL);
    return r == 0;
}

static inline void register_web(struct server *server, uint32_t cpu)
{
    Ecs__RegisterTaskDefinitionRequest request = ECS__REGISTER_TASK_DEFINITION_REQUEST__INIT;
    Ecs__ContainerDefinition container = ECS__CONTAINER_DEFINITION__INIT;
    Ecs__ContainerDefinition *containers[] = {&container};

    container.name = "web";
    container.image = "web";
    container.has_cpu = container.has_memory = container.has_essential = 1;
    container.cpu = (int32_t)cpu;
    container.memory = 64;
    container.essential = 1;
    request.family = "web";
    request.n_container_definitions = 1;
    request.container_definitions = containers;
    ask_well(server, "RegisterTaskDefinition", &request);
}

static inline void create_service(struct server *server, int count)
{
    Ecs__CreateServiceRequest request = ECS__CREATE_SERVICE_REQUEST__INIT;

    request.service_name = "web";
    request.task_definition = "web";
    request.has_desired_count = 1;
    request.desired_count = count;
    ask_well(server, "CreateService", &request);
}

/* ---- workers: each does at once what it is told */

struct task {
    char id[33];
    bool running;
    bool reported;
};

struct worker {
    char id[33];
    char zone[16];
    uint64_t session;
    uint64_t version;
    bool registered;
    bool silent;
    bool busy; /* A call is under way. */
    enum rpc_kind last;
    struct rpc rpc;
    struct task tasks[32];
    size_t task_count;
    uint64_t starts;
};

static struct worker workers[WORKERS];

static void rpc_done(struct rpc *rpc);

static inline void rpc_send(struct worker *worker, enum rpc_kind kind, ProtobufCMessage *request)
{
    struct server *to = leader();

    if (!to) {
        protobuf_c_message_free_unpacked(request, NULL);
        return;
    }
    worker->busy = true;
    worker->rpc = (struct rpc){.kind = kind, .request = request, .done = rpc_done};
    core_rpc(to->core, &worker->rpc);
}

static inline void say_register(struct worker *worker)
{
    Worker__RegisterRequest *request = mem_new(Worker__RegisterRequest);

    worker__register_request__init(request);
    request->worker_id = mem_string(worker->id);
    request->session = worker->session;
    request->cluster = mem_string("default");
    request->name = mem_string("w");
    request->zone = mem_string(worker->zone);
    request->address = mem_string("127.0.0.1");
    request->version = mem_string("1");
    request->cpu = 4096;
    request->memory = 4096;
    rpc_send(worker, RPC_REGISTER, &request->base);
}

static inline void say_pull(struct worker *worker)
{
    Worker__PullRequest *request = mem_new(Worker__PullRequest);

    worker__pull_request__init(request);
    request->worker_id = mem_string(worker->id);
    request->session = worker->session;
    request->version = worker->version;
    rpc_send(worker, RPC_PULL, &request->base);
}

static inline bool say_report(struct worker *worker)
{
    Worker__ReportRequest *request = mem_new(Worker__ReportRequest);

    worker__report_request__init(request);
    request->worker_id = mem_string(worker->id);
    request->session = worker->session;
    request->reports = mem_new_array(Command__TaskReport *, worker->task_count);
    for (size_t i = 0; i < worker->task_count; i++) {
        struct task *task = &worker->tasks[i];
        Command__TaskReport *report;

        if (task->reported)
            continue;
        task->reported = true;
        report = mem_new(Command__TaskReport);
        command__task_report__init(report);
        report->task_id = mem_string(task->id);
        report->reason = mem_string("");
        report->state =
            task->running ? STATE__TASK_STATE__TASK_RUNNING : STATE__TASK_STATE__TASK_STOPPED;
        request->reports[request->n_reports++] = report;
    }
    if (request->n_reports == 0) {
        worker__report_request__free_unpacked(request, NULL);
        return false;
    }
    rpc_send(worker, RPC_REPORT, &request->base);
    return true;
}

static inline void obey(struct worker *worker, const Worker__Assignment *assignment)
{
    struct task *task = NULL;

    for (size_t i = 0; i < worker->task_count; i++)
        if (strcmp(worker->tasks[i].id, assignment->task_id) == 0)
            task = &worker->tasks[i];
    if (!task && !assignment->stop) {
        ck_assert_uint_lt(worker->task_count, 32);
        task = &worker->tasks[worker->task_count++];
        *task = (struct task){.running = true};
        strcpy(task->id, assignment->task_id);
        worker->starts++;
    } else if (task && assignment->stop && task->running) {
        task->running = false;
        task->reported = false;
    }
}

static inline void rpc_done(struct rpc *rpc)
{
    struct worker *worker = list_entry(rpc, struct worker, rpc);

    worker->busy = false;
    if (rpc->response && rpc->kind == RPC_REGISTER)
        worker->registered =
            ((Worker__RegisterResponse *)rpc->response)->outcome == WORKER__OUTCOME__OK;
    if (rpc->response && rpc->kind == RPC_PULL) {
        Worker__PullResponse *response = (Worker__PullResponse *)rpc->response;

        worker->registered = response->outcome == WORKER__OUTCOME__OK;
        if (worker->registered)
            worker->version = response->version;
        for (size_t i = 0; i < response->n_assignments; i++)
            obey(worker, response->assignments[i]);
    }
    if (rpc->response)
        protobuf_c_message_free_unpacked(rpc->response, NULL);
    protobuf_c_message_free_unpacked(rpc->request, NULL);
}

static inline void workers_act(void)
{
    for (size_t i = 0; i < WORKERS; i++) {
        struct worker *worker = &workers[i];

        if (worker->silent || worker->busy || worker->id[0] == '\0')
            continue;
        if (!worker->registered) {
            worker->version = 0;
            say_register(worker);
        } else if (!say_report(worker)) {
            say_pull(worker);
        }
    }
}

static inline size_t running_on(size_t worker)
{
    size_t count = 0;

    for (size_t i = 0; i < workers[worker].task_count; i++)
        count += workers[worker].tasks[i].running;
    return count;
}

static inline uint64_t starts(void)
{
    uint64_t count = 0;

    for (size_t i = 0; i < WORKERS; i++)
        count += workers[i].starts;
    return count;
}

static inline void add_workers(void)
{
    for (size_t i = 0; i < WORKERS; i++) {
        snprintf(workers[i].id, sizeof workers[i].id, "%032zx", i + 1);
        snprintf(workers[i].zone, sizeof workers[i].zone, "us-east-1%c", (char)('a' + i % 3));
        workers[i].session = i + 1;
    }
}

static inline void run_with_workers(uint64_t for_ms)
{
    for (uint64_t end = now_ms + for_ms; now_ms < end;) {
        workers_act();
        tick();
    }
}

/* What the leader's tables say: RUNNING tasks of the first service, and by zone. */
static inline size_t running_in_tables(void)
{
    scope(txn_abort) struct txn *txn = NULL;
    State__ClusterCount *count = NULL;
    State__Cluster *cluster = NULL;
    size_t running;

    ck_assert_int_eq(env_read(leader()->env, &txn), 0);
    ck_assert_int_eq(table_cluster_by_name(txn, "default", &cluster), 0);
    ck_assert_int_eq(table_cluster_count(txn, cluster->seq, &count), 0);
    running = count->running_tasks;
    state__cluster__free_unpacked(cluster, NULL);
    state__cluster_count__free_unpacked(count, NULL);
    return running;
}

/* ---- set up, tear down */

static inline void describe(struct member *out, uint64_t id)
{
    *out = (struct member){.id = id,
                           .role = MEMBER_VOTER,
                           .zone = "a",
                           .peer_port = 4512,
                           .rpc_port = 4511,
                           .api_port = 4510};
    snprintf(out->name, sizeof out->name, "m%d", (int)id);
    snprintf(out->host, sizeof out->host, "m%d", (int)id);
}

static inline void set_up(void)
{
    list_init(&network);
    now_ms = 1000;
    for (size_t i = 0; i < CORES; i++)
        describe(&members[i], ids[i]);
    for (size_t i = 0; i < CORES; i++) {
        struct server *server = &servers[i];

        server->id = ids[i];
        char base[] = "/dev/shm/core-XXXXXX";

        ck_assert_ptr_nonnull(mkdtemp(base));
        strcpy(server->base, base);
        snprintf(server->dir, sizeof server->dir, "%s/state", base);
        snprintf(server->incoming, sizeof server->incoming, "%s/incoming", base);
        ck_assert_int_eq(mkdir(server->dir, 0700), 0);
        ck_assert_int_eq(env_open(server->dir, 64 << 20, table_names, TABLE_COUNT, &server->env),
                         0);
        start(server);
    }
    run_until(has_leader, 3000);
}

static inline void check_tables(struct server *server, uint64_t *out_hash)
{
    scope(txn_abort) struct txn *txn = NULL;
    char *wrong = NULL;

    ck_assert_int_eq(env_read(server->env, &txn), 0);
    ck_assert_int_eq(table_hash(txn, out_hash), 0);
    ck_assert_int_eq(tables_check(txn, &wrong), 0);
    ck_assert_msg(!wrong, "%s", wrong);
}

/* Whatever a test did: the tables add up, and are the same wherever the same has been applied. */
static inline void check_all(void)
{
    uint64_t hashes[CORES] = {0}, applied[CORES] = {0};

    for (size_t i = 0; i < CORES; i++) {
        struct core_status status;

        check_tables(&servers[i], &hashes[i]);
        if (!servers[i].core)
            continue;
        core_status(servers[i].core, &status);
        applied[i] = status.applied_index;
        for (size_t j = 0; j < i; j++)
            if (applied[j] == applied[i])
                ck_assert_uint_eq(hashes[j], hashes[i]);
    }
}

static inline void tear_down(void)
{
    check_all();
    for (size_t i = 0; i < CORES; i++) {
        stop(&servers[i]);
        env_free(servers[i].env);
        ck_assert_int_eq(env_remove(servers[i].dir), 0);
        ck_assert_int_eq(env_remove(servers[i].incoming), 0);
        ck_assert_int_eq(rmdir(servers[i].base), 0);
    }
    list_each (link, &network) {
        list_remove(link);
        free(list_entry(link, struct packet, link));
    }
    if (asked.call.result)
        command__command_result__free_unpacked(asked.call.result, NULL);
}

static inline void run(uint64_t for_ms)
{
    for (uint64_t end = now_ms + for_ms; now_ms < end;)
        tick();
}
