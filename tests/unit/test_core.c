/*
 * Three whole cores (Raft, tables, scheduler, dispatch, calls) in one thread, with a virtual clock
 * and a network in memory. API calls and workers' calls go in as their threads would put them.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    char dir[40];
    struct env *env;
    struct core *core;
    bool cut;
};

static const uint64_t ids[CORES] = {1, 2, 3};
static struct member members[CORES];
static struct server servers[CORES];
static struct list network;
static uint64_t now_ms;

/* ---- the world */

static void send_packet(void *context, uint64_t to, struct bytes frame)
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

static void push(void *context)
{
    (void)context;
}

static void wake(void *context)
{
    (void)context; /* Every core has a turn each millisecond. */
}

static void start(struct server *server)
{
    struct core_config config = {
        .id = server->id,
        .first = members,
        .first_count = CORES,
        .region = "us-east-1",
        .account = "000000000000",
        .env = server->env,
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

static void stop(struct server *server)
{
    core_free(server->core);
    server->core = NULL;
}

static void deliver(struct server *server)
{
    list_each (link, &network) {
        struct packet *packet = list_entry(link, struct packet, link);
        Peer__PeerFrame *frame;

        if (packet->to != server->id || packet->at_ms > now_ms)
            continue;
        list_remove(link);
        frame = peer__peer_frame__unpack(NULL, packet->len, packet->bytes);
        ck_assert_ptr_nonnull(frame);
        if (server->cut || servers[packet->from - 1].cut)
            peer__peer_frame__free_unpacked(frame, NULL);
        else
            core_receive(server->core, frame);
        free(packet);
    }
}

static void tick(void)
{
    now_ms++;
    for (size_t i = 0; i < CORES; i++) {
        if (!servers[i].core)
            continue;
        deliver(&servers[i]);
        ck_assert_int_eq(core_turn(servers[i].core, now_ms, WALL_MS + now_ms), 0);
    }
}

static struct server *leader(void)
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

static struct server *follower(void)
{
    struct server *first = leader();

    for (size_t i = 0; i < CORES; i++)
        if (servers[i].core && &servers[i] != first)
            return &servers[i];
    return NULL;
}

/* Run until a question is answered with yes, at most so long. */
static void run_until(bool (*yes)(void), uint64_t bound_ms)
{
    for (uint64_t end = now_ms + bound_ms; now_ms < end;) {
        if (yes())
            return;
        tick();
    }
    ck_assert(yes());
}

static bool has_leader(void)
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

static void call_done(struct call *call)
{
    ((struct asked *)(void *)call)->answered = true;
}

static void call_collect_cluster(struct call *call, const Command__CommandResult *result,
                                 struct txn *txn)
{
    const Ecs__CreateClusterRequest *request = (const Ecs__CreateClusterRequest *)call->request;
    State__Cluster *cluster = NULL;

    ck_assert_ptr_null(result->problem);
    ck_assert_int_eq(table_cluster_by_name(txn, request->cluster_name, &cluster), 0);
    state__cluster__free_unpacked(cluster, NULL);
    ((struct asked *)(void *)call)->collected = true;
}

static bool is_answered(void)
{
    return asked.answered;
}

static void ask(struct server *server, const char *action, const void *request)
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

static void ask_well(struct server *server, const char *action, const void *request)
{
    ask(server, action, request);
    ck_assert_int_eq(asked.call.outcome, CALL_DONE);
    if (!request)
        return;
    ck_assert_ptr_nonnull(asked.call.result);
    ck_assert_msg(!asked.call.result->problem, "%s",
                  asked.call.result->problem ? asked.call.result->problem->text : "");
}

static void create_cluster(struct server *server, const char *name)
{
    Ecs__CreateClusterRequest request = ECS__CREATE_CLUSTER_REQUEST__INIT;

    request.cluster_name = (char *)name;
    ask_well(server, "CreateCluster", &request);
    ck_assert(asked.collected);
}

static bool has_cluster(struct server *server, const char *name)
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

static void register_web(struct server *server, uint32_t cpu)
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

static void create_service(struct server *server, int count)
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

static void rpc_send(struct worker *worker, enum rpc_kind kind, ProtobufCMessage *request)
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

static void say_register(struct worker *worker)
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

static void say_pull(struct worker *worker)
{
    Worker__PullRequest *request = mem_new(Worker__PullRequest);

    worker__pull_request__init(request);
    request->worker_id = mem_string(worker->id);
    request->session = worker->session;
    request->version = worker->version;
    rpc_send(worker, RPC_PULL, &request->base);
}

static bool say_report(struct worker *worker)
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

static void obey(struct worker *worker, const Worker__Assignment *assignment)
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

static void rpc_done(struct rpc *rpc)
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

static void workers_act(void)
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

static size_t running_on(size_t worker)
{
    size_t count = 0;

    for (size_t i = 0; i < workers[worker].task_count; i++)
        count += workers[worker].tasks[i].running;
    return count;
}

static uint64_t starts(void)
{
    uint64_t count = 0;

    for (size_t i = 0; i < WORKERS; i++)
        count += workers[i].starts;
    return count;
}

static void add_workers(void)
{
    for (size_t i = 0; i < WORKERS; i++) {
        snprintf(workers[i].id, sizeof workers[i].id, "%032zx", i + 1);
        snprintf(workers[i].zone, sizeof workers[i].zone, "us-east-1%c", (char)('a' + i % 3));
        workers[i].session = i + 1;
    }
}

static void run_with_workers(uint64_t for_ms)
{
    for (uint64_t end = now_ms + for_ms; now_ms < end;) {
        workers_act();
        tick();
    }
}

/* What the leader's tables say: RUNNING tasks of the first service, and by zone. */
static size_t running_in_tables(void)
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

static void describe(struct member *out, uint64_t id)
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

static void set_up(void)
{
    list_init(&network);
    now_ms = 1000;
    for (size_t i = 0; i < CORES; i++)
        describe(&members[i], ids[i]);
    for (size_t i = 0; i < CORES; i++) {
        struct server *server = &servers[i];

        server->id = ids[i];
        strcpy(server->dir, "/dev/shm/core-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(server->dir));
        ck_assert_int_eq(env_open(server->dir, 64 << 20, table_names, TABLE_COUNT, &server->env),
                         0);
        start(server);
    }
    run_until(has_leader, 3000);
}

static void check_tables(struct server *server, uint64_t *out_hash)
{
    scope(txn_abort) struct txn *txn = NULL;
    char *wrong = NULL;

    ck_assert_int_eq(env_read(server->env, &txn), 0);
    ck_assert_int_eq(table_hash(txn, out_hash), 0);
    ck_assert_int_eq(tables_check(txn, &wrong), 0);
    ck_assert_msg(!wrong, "%s", wrong);
}

/* Whatever a test did: the tables add up, and are the same wherever the same has been applied. */
static void check_all(void)
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

static void tear_down(void)
{
    check_all();
    for (size_t i = 0; i < CORES; i++) {
        char path[64];

        stop(&servers[i]);
        env_free(servers[i].env);
        snprintf(path, sizeof path, "%s/data.mdb", servers[i].dir);
        unlink(path);
        snprintf(path, sizeof path, "%s/lock.mdb", servers[i].dir);
        unlink(path);
        rmdir(servers[i].dir);
    }
    list_each (link, &network) {
        list_remove(link);
        free(list_entry(link, struct packet, link));
    }
    if (asked.call.result)
        command__command_result__free_unpacked(asked.call.result, NULL);
}

static void run(uint64_t for_ms)
{
    for (uint64_t end = now_ms + for_ms; now_ms < end;)
        tick();
}

/* ---- the claims */

START_TEST(a_write_to_any_manager_is_on_every_manager)
{
    create_cluster(leader(), "one");
    create_cluster(follower(), "two");
    run(100);
    for (size_t i = 0; i < CORES; i++) {
        ck_assert(has_cluster(&servers[i], "one"));
        ck_assert(has_cluster(&servers[i], "two"));
    }
}
END_TEST

START_TEST(what_was_applied_is_visible_a_few_milliseconds_later)
{
    struct server *asker = follower();

    create_cluster(asker, "mine"); /* Collected in the very turn of the answer. */
    run(5);
    ck_assert(has_cluster(asker, "mine"));
    ck_assert(has_cluster(leader(), "mine"));
}
END_TEST

START_TEST(a_follower_need_not_wait_for_a_heartbeat)
{
    struct server *asker = follower();
    uint64_t began = now_ms;

    for (int i = 0; i < 10; i++)
        create_cluster(asker, "again");
    ck_assert_uint_lt(now_ms - began, 200); /* A heartbeat each would be 500. */
    began = now_ms;
    create_cluster(leader(), "more");
    for (int i = 0; i < 10; i++)
        ask_well(asker, "DescribeClusters", NULL);
    ck_assert_uint_lt(now_ms - began, 200);
}
END_TEST

START_TEST(a_read_sees_every_acknowledged_write)
{
    struct server *asker = follower();

    create_cluster(leader(), "new");
    ask_well(asker, "DescribeClusters", NULL);
    ck_assert(has_cluster(asker, "new"));
}
END_TEST

START_TEST(a_cut_leader_answers_no_read_and_no_write)
{
    struct server *old = leader();
    Ecs__CreateClusterRequest request = ECS__CREATE_CLUSTER_REQUEST__INIT;

    old->cut = true;
    ask(old, "DescribeClusters", NULL);
    ck_assert_int_eq(asked.call.outcome, CALL_NO_LEADER);
    request.cluster_name = "never";
    ask(old, "CreateCluster", &request);
    ck_assert_int_ne(asked.call.outcome, CALL_DONE);
    old->cut = false;
    run(2000);
    ck_assert(!has_cluster(leader(), "never"));
}
END_TEST

START_TEST(a_stale_read_needs_nobody)
{
    struct server *old = leader();

    old->cut = true;
    memset(&asked, 0, sizeof asked);
    asked.call.action = "DescribeClusters";
    asked.call.stale = true;
    asked.call.done = call_done;
    core_submit(old->core, &asked.call);
    tick();
    ck_assert(asked.answered);
    ck_assert_int_eq(asked.call.outcome, CALL_STALE);
}
END_TEST

START_TEST(acknowledged_writes_survive_the_leader)
{
    struct server *old = leader();

    create_cluster(follower(), "kept");
    stop(old);
    run_until(has_leader, 3000);
    ck_assert_ptr_ne(leader(), old);
    ask_well(leader(), "DescribeClusters", NULL);
    ck_assert(has_cluster(leader(), "kept"));
    create_cluster(leader(), "after");
    start(old);
    run(1000);
    ck_assert(has_cluster(old, "kept"));
    ck_assert(has_cluster(old, "after"));
}
END_TEST

/* What a power cut would leave: the file as it is, with nothing of the open transaction. */
static void copy_as_crashed(struct server *server, char copy[])
{
    char *command = mem_format("cp %s/data.mdb %s", server->dir, copy);

    ck_assert_int_eq(system(command), 0); // NOLINT(concurrency-mt-unsafe,cert-env33-c)
    free(command);
}

static void crash_and_restart(struct server *server)
{
    char kept[] = "/dev/shm/crashed-XXXXXX";
    int fd = mkstemp(kept);
    char *path = mem_format("%s/data.mdb", server->dir);

    ck_assert_int_ge(fd, 0);
    close(fd);
    copy_as_crashed(server, kept);
    stop(server);
    env_free(server->env);
    ck_assert_int_eq(rename(kept, path), 0);
    free(path);
    ck_assert_int_eq(env_open(server->dir, 64 << 20, table_names, TABLE_COUNT, &server->env), 0);
    start(server);
}

START_TEST(an_applied_tail_that_was_not_committed_is_applied_again)
{
    struct server *first = leader();
    struct core_status before, after;

    run(20);
    core_status(first->core, &before);
    create_cluster(first, "tail");
    ck_assert(!has_cluster(first, "tail")); /* Acknowledged, and in no commit of this manager. */
    crash_and_restart(first);
    core_status(first->core, &after);
    ck_assert_uint_eq(after.applied_index, before.applied_index);
    ck_assert_uint_gt(after.last_index, before.last_index);
    run_until(has_leader, 3000);
    run(200);
    ck_assert(has_cluster(first, "tail")); /* tear_down compares the tables of all. */
}
END_TEST

START_TEST(a_service_is_placed_evenly_and_runs)
{
    add_workers();
    run_with_workers(200);
    register_web(leader(), 256);
    create_service(follower(), 6);
    run_with_workers(1000);
    for (size_t i = 0; i < WORKERS; i++)
        ck_assert_uint_eq(running_on(i), 1);
    ck_assert_uint_eq(running_in_tables(), 6);
}
END_TEST

START_TEST(a_silent_worker_is_replaced_and_obeys_when_it_returns)
{
    add_workers();
    run_with_workers(200);
    register_web(leader(), 256);
    create_service(leader(), 6);
    run_with_workers(1000);
    workers[0].silent = true;
    run_with_workers(5000);
    ck_assert_uint_eq(running_in_tables(), 6);
    ck_assert_uint_eq(running_on(3), 2); /* The other one of its zone: balance is kept. */
    workers[0].silent = false;
    run_with_workers(3000);
    ck_assert_uint_eq(workers[0].task_count, 1); /* It is given nothing that runs elsewhere. */
    ck_assert_uint_eq(running_in_tables(), 6);
}
END_TEST

START_TEST(a_change_of_leader_starts_no_task_and_stops_none)
{
    struct server *old;

    add_workers();
    run_with_workers(200);
    register_web(leader(), 256);
    create_service(leader(), 6);
    run_with_workers(1000);
    ck_assert_uint_eq(starts(), 6);
    old = leader();
    stop(old);
    for (size_t i = 0; i < WORKERS; i++)
        workers[i].busy = false; /* Their connections broke. */
    run_with_workers(6000);
    ck_assert_uint_eq(starts(), 6);
    ck_assert_uint_eq(running_in_tables(), 6);
    start(old);
    run_with_workers(1000);
    ck_assert_uint_eq(starts(), 6);
}
END_TEST

START_TEST(a_leader_that_was_asleep_loses_no_worker)
{
    add_workers();
    run_with_workers(200);
    register_web(leader(), 256);
    create_service(leader(), 6);
    run_with_workers(1000);
    now_ms += 10000; /* The whole machine was. */
    run_with_workers(6000);
    ck_assert_uint_eq(starts(), 6);
}
END_TEST

START_TEST(what_was_decided_is_still_so_after_all_restarted)
{
    add_workers();
    run_with_workers(200);
    register_web(leader(), 256);
    create_service(leader(), 6);
    run_with_workers(1000);
    for (size_t i = 0; i < CORES; i++)
        stop(&servers[i]);
    for (size_t i = 0; i < WORKERS; i++)
        workers[i].busy = false;
    for (size_t i = 0; i < CORES; i++)
        start(&servers[i]);
    run_with_workers(6000);
    ck_assert_uint_eq(starts(), 6);
    ck_assert_uint_eq(running_in_tables(), 6);
}
END_TEST

/* ---- too much, too large, malformed */

static struct asked many[9000];

static size_t count_answered(enum call_outcome outcome)
{
    size_t count = 0;

    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        count += many[i].answered && many[i].call.outcome == outcome;
    return count;
}

static void forget_many(void)
{
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        if (many[i].call.result)
            command__command_result__free_unpacked(many[i].call.result, NULL);
}

START_TEST(calls_beyond_the_limit_are_refused_and_the_others_done)
{
    Ecs__CreateClusterRequest request = ECS__CREATE_CLUSTER_REQUEST__INIT;

    request.cluster_name = "same";
    memset(many, 0, sizeof many);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        many[i].call.action = "CreateCluster";
        many[i].call.write = true;
        many[i].call.request = &request.base;
        many[i].call.done = call_done;
        core_submit(leader()->core, &many[i].call);
    }
    run(200);
    ck_assert_uint_eq(count_answered(CALL_DONE), LIMIT_API_CALLS);
    ck_assert_uint_eq(count_answered(CALL_NO_LEADER), sizeof many / sizeof *many - LIMIT_API_CALLS);
    forget_many();
}
END_TEST

static void submit_many(struct server *server, size_t count, Ecs__CreateClusterRequest *request)
{
    memset(many, 0, sizeof many);
    for (size_t i = 0; i < count; i++) {
        many[i].call.action = "CreateCluster";
        many[i].call.write = true;
        many[i].call.request = &request->base;
        many[i].call.done = call_done;
        core_submit(server->core, &many[i].call);
    }
}

START_TEST(a_manager_that_is_far_behind_applies_in_portions)
{
    Ecs__CreateClusterRequest request = ECS__CREATE_CLUSTER_REQUEST__INIT;
    struct server *late = follower();
    struct core_status status, goal;
    uint64_t most = 0, before;

    request.cluster_name = "same";
    stop(late);
    submit_many(leader(), LIMIT_API_CALLS, &request);
    run(200);
    ck_assert_uint_eq(count_answered(CALL_DONE), LIMIT_API_CALLS);
    core_status(leader()->core, &goal);
    start(late);
    core_status(late->core, &status);
    for (int i = 0; i < 1000 && status.applied_index < goal.applied_index; i++) {
        before = status.applied_index;
        tick();
        core_status(late->core, &status);
        if (status.applied_index - before > most)
            most = status.applied_index - before;
    }
    ck_assert_uint_ge(status.applied_index, goal.applied_index);
    ck_assert_uint_le(most, 1536); /* Two turns each, and what was not visible yet before. */
    forget_many();
}
END_TEST

/* Fill the map of the leader, which is as full a disk to the core. */
static void fill(struct server *server)
{
    Ecs__CreateClusterRequest request = ECS__CREATE_CLUSTER_REQUEST__INIT;
    char name[32];

    request.cluster_name = name;
    for (int i = 0; i < 20000; i++) {
        struct core_status status;

        snprintf(name, sizeof name, "c%d", i);
        ask(server, "CreateCluster", &request);
        core_status(server->core, &status);
        if (status.leader == 0 || (asked.call.result && asked.call.result->problem))
            return;
    }
    ck_abort_msg("it never filled");
}

static void reopen(struct server *server, size_t map_size)
{
    stop(server);
    env_free(server->env);
    ck_assert_int_eq(env_open(server->dir, map_size, table_names, TABLE_COUNT, &server->env), 0);
    start(server);
}

static void ask_stale(struct server *server)
{
    memset(&asked, 0, sizeof asked);
    asked.call.action = "DescribeClusters";
    asked.call.stale = true;
    asked.call.done = call_done;
    core_submit(server->core, &asked.call);
    run_until(is_answered, 100);
    ck_assert_int_eq(asked.call.outcome, CALL_STALE);
}

START_TEST(full_disks_end_no_process_and_pass)
{
    size_t used, map;

    run(20);
    for (size_t i = 0; i < CORES; i++) {
        env_size(servers[i].env, &used, &map);
        reopen(&servers[i], used + 512 * 1024);
    }
    run_until(has_leader, 3000);
    fill(leader());
    ck_assert_ptr_nonnull(asked.call.result);
    ck_assert_ptr_nonnull(asked.call.result->problem);
    ck_assert_ptr_nonnull(strstr(asked.call.result->problem->text, "The disk of manager m"));
    ck_assert_ptr_nonnull(strstr(asked.call.result->problem->text, " is full"));
    command__command_result__free_unpacked(asked.call.result, NULL);
    run(1000);
    for (size_t i = 0; i < CORES; i++)
        ask_stale(&servers[i]);
    for (size_t i = 0; i < CORES; i++) /* There is space again. */
        ck_assert_int_eq(env_grow(servers[i].env, 64 << 20), 0);
    run(3000);
    run_until(has_leader, 3000);
    create_cluster(leader(), "after");
    run(200);
    for (size_t i = 0; i < CORES; i++)
        ck_assert(has_cluster(&servers[i], "after"));
}
END_TEST

/* A worker's call whose answer is a Report's. */
static Worker__Outcome report_outcome;
static bool report_answered;

static void report_done(struct rpc *rpc)
{
    report_answered = true;
    report_outcome = ((Worker__ReportResponse *)rpc->response)->outcome;
    protobuf_c_message_free_unpacked(rpc->response, NULL);
}

static bool is_report_answered(void)
{
    return report_answered;
}

START_TEST(a_report_too_large_for_the_log_is_refused_and_the_leader_stays)
{
    Worker__ReportRequest request = WORKER__REPORT_REQUEST__INIT;
    Command__TaskReport report = COMMAND__TASK_REPORT__INIT, *reports[] = {&report};
    struct rpc rpc = {.kind = RPC_REPORT, .request = &request.base, .done = report_done};
    char *reason = mem_zeroed(1, 3900000);
    struct server *first = leader();

    add_workers();
    run_with_workers(200);
    memset(reason, 'x', 3899999);
    report.task_id = workers[0].id;
    report.reason = reason;
    request.worker_id = workers[0].id;
    request.session = workers[0].session;
    request.n_reports = 1;
    request.reports = reports;
    report_answered = false;
    core_rpc(first->core, &rpc);
    run_until(is_report_answered, 4000);
    ck_assert_int_eq(report_outcome, WORKER__OUTCOME__REFUSED);
    run_with_workers(1500);
    ck_assert_ptr_eq(leader(), first);
    free(reason);
}
END_TEST

/* What a follower would forward if it did not look at it. */
START_TEST(a_forwarded_request_of_bad_form_is_not_done)
{
    Ecs__RunTaskRequest request = ECS__RUN_TASK_REQUEST__INIT;
    Ecs__CreateClusterRequest name = ECS__CREATE_CLUSTER_REQUEST__INIT;

    request.task_definition = "web";
    request.has_count = 1;
    request.count = -1;
    ask(follower(), "RunTask", &request);
    ck_assert_int_ne(asked.call.outcome, CALL_DONE);
    name.cluster_name = "not a name";
    ask(follower(), "CreateCluster", &name);
    ck_assert_int_ne(asked.call.outcome, CALL_DONE);
}
END_TEST

START_TEST(a_clock_that_was_never_set_forgets_no_client_token)
{
    Ecs__CreateServiceRequest request = ECS__CREATE_SERVICE_REQUEST__INIT;
    struct server *first = leader();

    create_cluster(first, "default");
    register_web(first, 256);
    request.service_name = "once";
    request.task_definition = "web";
    request.has_desired_count = 1;
    request.client_token = "token";
    ask_well(first, "CreateService", &request);
    for (uint64_t end = now_ms + 70000; now_ms < end;) { /* Housekeeping is each minute. */
        now_ms += 10;
        for (size_t i = 0; i < CORES; i++) {
            deliver(&servers[i]);
            ck_assert_int_eq(core_turn(servers[i].core, now_ms, 5000 + now_ms), 0);
        }
    }
    ask_well(leader(), "CreateService", &request); /* The same answer, not "already exists". */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core");
    TCase *tc = tcase_create("core");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_write_to_any_manager_is_on_every_manager);
    tcase_add_test(tc, what_was_applied_is_visible_a_few_milliseconds_later);
    tcase_add_test(tc, a_follower_need_not_wait_for_a_heartbeat);
    tcase_add_test(tc, a_read_sees_every_acknowledged_write);
    tcase_add_test(tc, a_cut_leader_answers_no_read_and_no_write);
    tcase_add_test(tc, a_stale_read_needs_nobody);
    tcase_add_test(tc, acknowledged_writes_survive_the_leader);
    tcase_add_test(tc, an_applied_tail_that_was_not_committed_is_applied_again);
    tcase_add_test(tc, a_service_is_placed_evenly_and_runs);
    tcase_add_test(tc, a_silent_worker_is_replaced_and_obeys_when_it_returns);
    tcase_add_test(tc, a_change_of_leader_starts_no_task_and_stops_none);
    tcase_add_test(tc, a_leader_that_was_asleep_loses_no_worker);
    tcase_add_test(tc, what_was_decided_is_still_so_after_all_restarted);
    tcase_add_test(tc, calls_beyond_the_limit_are_refused_and_the_others_done);
    tcase_add_test(tc, a_manager_that_is_far_behind_applies_in_portions);
    tcase_add_test(tc, full_disks_end_no_process_and_pass);
    tcase_add_test(tc, a_report_too_large_for_the_log_is_refused_and_the_leader_stays);
    tcase_add_test(tc, a_forwarded_request_of_bad_form_is_not_done);
    tcase_add_test(tc, a_clock_that_was_never_set_forgets_no_client_token);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
