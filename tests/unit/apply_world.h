/*
 * A small installation for the tests of apply: one environment, one write transaction that is
 * never committed, and commands in one line each. After every command the tables are checked
 * against themselves, and a refused one must have changed nothing.
 */
#pragma once

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "storage/apply.h"
#include "storage/tables.h"
#include "storage/tables_check.h"

struct world {
    char dir[32];
    struct env *env;
    struct txn *txn;
    uint64_t index;
    uint64_t now_ms;
    struct changes changes;         /* Of the last command. */
    Command__CommandResult *result; /* Of the last command. */
};

static struct world w;

static inline void world_open(void)
{
    w = (struct world){.now_ms = 1700000000000, .dir = "/tmp/apply-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(w.dir));
    ck_assert_int_eq(env_open(w.dir, 64 << 20, table_names, TABLE_COUNT, &w.env), 0);
    ck_assert_int_eq(env_write(w.env, &w.txn), 0);
}

static inline void world_close(void)
{
    char path[64];

    txn_abort(w.txn);
    env_free(w.env);
    changes_fini(&w.changes);
    command__command_result__free_unpacked(w.result, NULL);
    snprintf(path, sizeof path, "%s/data.mdb", w.dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", w.dir);
    unlink(path);
    rmdir(w.dir);
}

static inline uint64_t world_hash(void)
{
    uint64_t hash;

    ck_assert_int_eq(table_hash(w.txn, &hash), 0);
    return hash;
}

static inline void world_must_hold(void)
{
    char *text = NULL;

    ck_assert_int_eq(tables_check(w.txn, &text), 0);
    ck_assert_msg(!text, "after index %llu: %s", (unsigned long long)w.index, text);
}

static inline void apply_raw(struct bytes bytes)
{
    uint64_t before = world_hash();

    w.changes.count = 0;
    command__command_result__free_unpacked(w.result, NULL);
    w.result = NULL;
    ck_assert_int_eq(apply(w.txn, ++w.index, bytes, &w.changes, &w.result), 0);
    ck_assert_ptr_nonnull(w.result);
    world_must_hold();
    if (!w.result->problem)
        return;
    ck_assert_uint_eq(world_hash(), before);
    ck_assert_uint_eq(w.changes.count, 0);
}

static inline void apply_command(Command__Command *command)
{
    size_t len;
    uint8_t *packed;

    command->time_ms = w.now_ms;
    len = command__command__get_packed_size(command);
    packed = mem_zeroed(1, len ? len : 1);
    command__command__pack(command, packed);
    apply_raw((struct bytes){packed, len});
    free(packed);
}

/* Wrap a body and apply it: APPLY(CREATE_CLUSTER, create_cluster, &body). */
#define APPLY(CASE, member, body_)                                                                 \
    do {                                                                                           \
        Command__Command command_ = COMMAND__COMMAND__INIT;                                        \
        command_.body_case = COMMAND__COMMAND__BODY_##CASE;                                        \
        command_.member = (body_);                                                                 \
        apply_command(&command_);                                                                  \
    } while (0)

static inline void ck_assert_done(void)
{
    ck_assert_msg(!w.result->problem, "refused: %s",
                  w.result->problem ? w.result->problem->text : "");
}

static inline void ck_assert_refused(Command__ErrorCode code, const char *text)
{
    ck_assert_msg(w.result->problem != NULL, "not refused; expected: %s", text);
    ck_assert_int_eq(w.result->problem->code, code);
    ck_assert_str_eq(w.result->problem->text, text);
}

static inline bool changed(enum change_kind kind, uint64_t seq)
{
    size_t found = 0;

    for (size_t i = 0; i < w.changes.count; i++)
        found += w.changes.items[i].kind == kind && w.changes.items[i].seq == seq;
    ck_assert_uint_le(found, 1); /* Each at most once a command. */
    return found == 1;
}

/* The n-th id; borrowed until four more were asked for. */
static inline char *id_of(unsigned n)
{
    static char ids[4][33];
    static unsigned next;
    char *id = ids[next++ % 4];

    snprintf(id, 33, "%032x", n);
    return id;
}

/* ---- commands, with what most tests do not care about filled in */

static inline uint64_t create_cluster(const char *name)
{
    Ecs__CreateClusterRequest request = ECS__CREATE_CLUSTER_REQUEST__INIT;
    Command__CreateCluster body = COMMAND__CREATE_CLUSTER__INIT;

    request.cluster_name = (char *)name;
    body.request = &request;
    APPLY(CREATE_CLUSTER, create_cluster, &body);
    return w.result->seq;
}

static inline void delete_cluster(const char *name)
{
    Ecs__DeleteClusterRequest request = ECS__DELETE_CLUSTER_REQUEST__INIT;
    Command__DeleteCluster body = COMMAND__DELETE_CLUSTER__INIT;

    request.cluster = (char *)name;
    body.request = &request;
    APPLY(DELETE_CLUSTER, delete_cluster, &body);
}

/* host_port 0: none. */
static inline uint32_t register_definition(const char *family, int cpu, int memory, int host_port)
{
    Ecs__PortMapping mapping = ECS__PORT_MAPPING__INIT, *mappings[] = {&mapping};
    Ecs__ContainerDefinition container = ECS__CONTAINER_DEFINITION__INIT;
    Ecs__ContainerDefinition *containers[] = {&container};
    Ecs__RegisterTaskDefinitionRequest request = ECS__REGISTER_TASK_DEFINITION_REQUEST__INIT;
    Command__RegisterTaskDefinition body = COMMAND__REGISTER_TASK_DEFINITION__INIT;

    container.name = "main";
    container.image = "image";
    container.has_cpu = container.has_memory = true;
    container.cpu = cpu;
    container.memory = memory;
    mapping.has_container_port = mapping.has_host_port = true;
    mapping.container_port = 80;
    mapping.host_port = host_port;
    container.port_mappings = mappings;
    container.n_port_mappings = host_port ? 1 : 0;
    request.family = (char *)family;
    request.container_definitions = containers;
    request.n_container_definitions = 1;
    body.request = &request;
    APPLY(REGISTER_TASK_DEFINITION, register_task_definition, &body);
    return w.result->revision;
}

static inline void deregister_definition(const char *text)
{
    Ecs__DeregisterTaskDefinitionRequest request = ECS__DEREGISTER_TASK_DEFINITION_REQUEST__INIT;
    Command__DeregisterTaskDefinition body = COMMAND__DEREGISTER_TASK_DEFINITION__INIT;

    request.task_definition = (char *)text;
    body.request = &request;
    APPLY(DEREGISTER_TASK_DEFINITION, deregister_task_definition, &body);
}

static inline uint64_t register_worker(unsigned id, const char *cluster, uint32_t cpu,
                                       uint32_t memory, uint64_t session)
{
    Command__RegisterWorker body = COMMAND__REGISTER_WORKER__INIT;

    body.id = id_of(id);
    body.cluster = (char *)cluster;
    body.name = "w";
    body.zone = "us-east-1a";
    body.address = "127.0.0.1";
    body.cpu = cpu;
    body.memory = memory;
    body.session = session;
    APPLY(REGISTER_WORKER, register_worker, &body);
    return w.result->seq;
}

static inline void lose_worker(uint64_t seq)
{
    Command__LoseWorkers body = COMMAND__LOSE_WORKERS__INIT;

    body.worker_seqs = &seq;
    body.n_worker_seqs = 1;
    body.reason = "silent for 3 s";
    APPLY(LOSE_WORKERS, lose_workers, &body);
}

static inline uint64_t create_service(const char *name, const char *definition, int desired,
                                      uint8_t digest)
{
    Ecs__CreateServiceRequest request = ECS__CREATE_SERVICE_REQUEST__INIT;
    Command__CreateService body = COMMAND__CREATE_SERVICE__INIT;

    request.service_name = (char *)name;
    request.task_definition = (char *)definition;
    request.has_desired_count = true;
    request.desired_count = desired;
    body.request = &request;
    body.digest = (ProtobufCBinaryData){1, &digest};
    body.deployment_id = "ecs-svc/1000000000000000001";
    APPLY(CREATE_SERVICE, create_service, &body);
    return w.result->seq;
}

/* desired -1, definition NULL: not given. */
static inline void update_service(const char *name, int desired, const char *definition, bool force)
{
    Ecs__UpdateServiceRequest request = ECS__UPDATE_SERVICE_REQUEST__INIT;
    Command__UpdateService body = COMMAND__UPDATE_SERVICE__INIT;

    request.service = (char *)name;
    request.has_desired_count = desired >= 0;
    request.desired_count = desired;
    request.task_definition = (char *)definition;
    request.has_force_new_deployment = force;
    request.force_new_deployment = force;
    body.request = &request;
    body.deployment_id = "ecs-svc/1000000000000000002";
    APPLY(UPDATE_SERVICE, update_service, &body);
}

static inline void delete_service(const char *name, bool force)
{
    Ecs__DeleteServiceRequest request = ECS__DELETE_SERVICE_REQUEST__INIT;
    Command__DeleteService body = COMMAND__DELETE_SERVICE__INIT;

    request.service = (char *)name;
    request.has_force = force;
    request.force = force;
    body.request = &request;
    APPLY(DELETE_SERVICE, delete_service, &body);
}

/* Place tasks first_id, first_id + 1, ... of the service's newest deployment on a worker. */
static inline void place_tasks(uint64_t service_seq, uint64_t deployment_seq, unsigned first_id,
                               unsigned count, uint64_t worker_seq)
{
    Command__PlaceTasks body = COMMAND__PLACE_TASKS__INIT;
    Command__Placement *placements = mem_new_array(Command__Placement, count);
    Command__Placement **pointers = mem_new_array(Command__Placement *, count);
    char(*ids)[33] = mem_zeroed(count, 33);

    for (unsigned i = 0; i < count; i++) {
        command__placement__init(&placements[i]);
        snprintf(ids[i], 33, "%032x", first_id + i);
        placements[i].task_id = ids[i];
        placements[i].worker_seq = worker_seq;
        pointers[i] = &placements[i];
    }
    body.service_seq = service_seq;
    body.deployment_seq = deployment_seq;
    body.placements = pointers;
    body.n_placements = count;
    body.event_id = "event";
    APPLY(PLACE_TASKS, place_tasks, &body);
    free(placements);
    free(pointers);
    free(ids);
}

/* One report of one task; session is the worker's first, 1. */
static inline void report(uint64_t worker_seq, unsigned task, State__TaskState state,
                          uint64_t started_ms, uint64_t stopped_ms, const char *reason)
{
    Command__TaskReport line = COMMAND__TASK_REPORT__INIT, *lines[] = {&line};
    Command__ReportTasks body = COMMAND__REPORT_TASKS__INIT;

    line.task_id = id_of(task);
    line.state = state;
    line.started_ms = started_ms;
    line.stopped_ms = stopped_ms;
    line.reason = (char *)reason;
    line.stop_code = STATE__STOP_CODE__STOP_ESSENTIAL_CONTAINER_EXITED;
    body.worker_seq = worker_seq;
    body.session = 1;
    body.reports = lines;
    body.n_reports = 1;
    APPLY(REPORT_TASKS, report_tasks, &body);
}

static inline void stop_task(const char *task, const char *reason)
{
    Ecs__StopTaskRequest request = ECS__STOP_TASK_REQUEST__INIT;
    Command__StopTask body = COMMAND__STOP_TASK__INIT;

    request.task = (char *)task;
    request.reason = (char *)reason;
    body.request = &request;
    APPLY(STOP_TASK, stop_task, &body);
}

static inline void expire(uint64_t stopped_before_ms, uint64_t tokens_before_ms, uint32_t limit)
{
    Command__Expire body = COMMAND__EXPIRE__INIT;

    body.stopped_before_ms = stopped_before_ms;
    body.tokens_before_ms = tokens_before_ms;
    body.limit = limit;
    APPLY(EXPIRE, expire, &body);
}

/* ---- reads that must succeed; each gives */

static inline uint64_t task_seq(unsigned id)
{
    uint64_t seq = 0;

    ck_assert_int_eq(table_task_seq(w.txn, id_of(id), &seq), 0);
    return seq;
}

static inline State__TaskStatus *status_of(unsigned id)
{
    State__TaskStatus *status;

    ck_assert_int_eq(table_task_status(w.txn, task_seq(id), &status), 0);
    return status;
}

static inline State__Task *task_of(unsigned id)
{
    State__Task *task;

    ck_assert_int_eq(table_task(w.txn, task_seq(id), &task), 0);
    return task;
}

static inline State__Service *service_of(uint64_t seq)
{
    State__Service *service;

    ck_assert_int_eq(table_service(w.txn, seq, &service), 0);
    return service;
}

static inline State__Deployment *deployment_of(uint64_t service_seq, uint64_t seq)
{
    State__Deployment *deployment;

    ck_assert_int_eq(table_deployment(w.txn, service_seq, seq, &deployment), 0);
    return deployment;
}

static inline State__WorkerUsage *usage_of(uint64_t seq)
{
    State__WorkerUsage *usage;

    ck_assert_int_eq(table_worker_usage(w.txn, seq, &usage), 0);
    return usage;
}

static inline State__ClusterCount *count_of(uint64_t seq)
{
    State__ClusterCount *count;

    ck_assert_int_eq(table_cluster_count(w.txn, seq, &count), 0);
    return count;
}

/* The newest event's text; gives. NULL: there is none. */
static inline int first_event(void *context, const State__ServiceEvent *event)
{
    *(char **)context = mem_string(event->message);
    return 1;
}

static inline char *newest_event(uint64_t service_seq)
{
    char *text = NULL;

    ck_assert_int_eq(table_service_events(w.txn, service_seq, first_event, &text), 0);
    return text;
}

static inline void ck_assert_event(uint64_t service_seq, const char *text)
{
    char *newest = newest_event(service_seq);

    ck_assert_ptr_nonnull(newest);
    ck_assert_str_eq(newest, text);
    free(newest);
}

/* A file's tests, run: one suite, one case. */
#define RUN_TESTS(name, ...)                                                                       \
    int main(void)                                                                                 \
    {                                                                                              \
        const TTest *const tests[] = {__VA_ARGS__};                                                \
        Suite *suite = suite_create("storage");                                                    \
        TCase *tc = tcase_create(name);                                                            \
        SRunner *runner;                                                                           \
        int failed;                                                                                \
                                                                                                   \
        tcase_add_checked_fixture(tc, world_open, world_close);                                    \
        for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)                                  \
            tcase_add_test(tc, tests[i]);                                                          \
        suite_add_tcase(suite, tc);                                                                \
        runner = srunner_create(suite);                                                            \
        srunner_run_all(runner, CK_ENV);                                                           \
        failed = srunner_ntests_failed(runner);                                                    \
        srunner_free(runner);                                                                      \
        return failed != 0;                                                                        \
    }
