/*
 * Fills a stopped manager's state, as if a large installation had been asked of it: workers,
 * services, and tasks that run on them, by the same commands and the same apply as a live one.
 *
 *     bench_fill DIR TASKS WORKERS SERVICES
 *
 * DIR holds the LMDB environment of a manager that has started at least once. The log is emptied,
 * as after a trimming. Prints `name: value` lines.
 */
#include <errno.h>
#include <raft.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "storage/apply.h"
#include "storage/log.h"
#include "storage/tables.h"

enum {
    USAGE = 2,
    SESSION = 1,
    COMMANDS_A_COMMIT = 100,
    TASKS_A_COMMAND = 500,
    WORKER_CPU = 1 << 20,
    WORKER_MEMORY = 1 << 20,
    ZONES = 3,
};

static const size_t MAP_BYTES = (size_t)64 << 30;

struct fill {
    struct env *env;
    struct txn *txn;
    struct changes changes;
    struct log_applied applied;
    unsigned uncommitted;
    uint64_t now_ms;

    uint64_t tasks, workers, services; /* How many are wanted. */
    uint64_t *worker_seqs;
    Command__CommandResult *result; /* Of the last command. */
};

static void die(const char *what, int r)
{
    fprintf(stderr, "bench_fill: %s: %s\n", what, strerror(-r));
    exit(EXIT_FAILURE);
}

static void commit(struct fill *fill)
{
    int r = log_applied_put(fill->txn, &fill->applied);

    if (r == 0)
        r = txn_commit(steal(fill->txn));
    if (r == 0)
        r = env_write(fill->env, &fill->txn);
    if (r < 0)
        die("commit", r);
    fill->uncommitted = 0;
}

static void apply_command(struct fill *fill, Command__Command *command)
{
    scope(buffer_fini) struct buffer packed = {0};
    size_t len;
    int r;

    command->time_ms = fill->now_ms++;
    len = command__command__get_packed_size(command);
    command__command__pack(command, buffer_extend(&packed, len));
    command__command_result__free_unpacked(fill->result, NULL);
    fill->result = NULL;
    fill->changes.count = 0;
    r = apply(fill->txn, ++fill->applied.index, (struct bytes){packed.base, packed.len},
              &fill->changes, &fill->result);
    if (r < 0)
        die("apply", r);
    if (fill->result->problem) {
        fprintf(stderr, "bench_fill: refused: %s\n", fill->result->problem->text);
        exit(EXIT_FAILURE);
    }
    if (++fill->uncommitted == COMMANDS_A_COMMIT)
        commit(fill);
}

/* ---- what is there */

static void add_definition(struct fill *fill)
{
    Command__Command command = COMMAND__COMMAND__INIT;
    Command__RegisterTaskDefinition body = COMMAND__REGISTER_TASK_DEFINITION__INIT;
    Ecs__RegisterTaskDefinitionRequest request = ECS__REGISTER_TASK_DEFINITION_REQUEST__INIT;
    Ecs__ContainerDefinition container = ECS__CONTAINER_DEFINITION__INIT;
    Ecs__ContainerDefinition *containers[] = {&container};

    container.name = "main";
    container.image = "registry.example/web:1";
    container.has_cpu = container.has_memory = true;
    container.cpu = 1;
    container.memory = 1;
    request.family = "filled";
    request.container_definitions = containers;
    request.n_container_definitions = 1;
    body.request = &request;
    command.body_case = COMMAND__COMMAND__BODY_REGISTER_TASK_DEFINITION;
    command.register_task_definition = &body;
    apply_command(fill, &command);
}

static void add_worker(struct fill *fill, uint64_t number)
{
    Command__Command command = COMMAND__COMMAND__INIT;
    Command__RegisterWorker body = COMMAND__REGISTER_WORKER__INIT;
    char id[33], name[32], zone[32];

    snprintf(id, sizeof id, "%016x%016llx", 0xb, (unsigned long long)number);
    snprintf(name, sizeof name, "filled-%llu", (unsigned long long)number);
    snprintf(zone, sizeof zone, "us-east-1%c", 'a' + (int)(number % ZONES));
    body.id = id;
    body.session = SESSION;
    body.cluster = "default";
    body.name = name;
    body.zone = zone;
    body.address = "127.0.0.1";
    body.cpu = WORKER_CPU;
    body.memory = WORKER_MEMORY;
    command.body_case = COMMAND__COMMAND__BODY_REGISTER_WORKER;
    command.register_worker = &body;
    apply_command(fill, &command);
    fill->worker_seqs[number] = fill->result->seq;
}

static int newest_deployment(void *context, const State__Deployment *deployment)
{
    *(uint64_t *)context = deployment->seq;
    return 0;
}

static uint64_t add_service(struct fill *fill, uint64_t number, uint64_t desired,
                            uint64_t *out_deployment)
{
    Command__Command command = COMMAND__COMMAND__INIT;
    Command__CreateService body = COMMAND__CREATE_SERVICE__INIT;
    Ecs__CreateServiceRequest request = ECS__CREATE_SERVICE_REQUEST__INIT;
    uint8_t digest[32] = {(uint8_t)number};
    char name[32], id[40];
    uint64_t seq;
    int r;

    snprintf(name, sizeof name, "filled-%llu", (unsigned long long)number);
    snprintf(id, sizeof id, "ecs-svc/%019llu", (unsigned long long)number + 1);
    request.service_name = name;
    request.task_definition = "filled:1";
    request.has_desired_count = true;
    request.desired_count = (int32_t)desired;
    body.request = &request;
    body.digest = (ProtobufCBinaryData){sizeof digest, digest};
    body.deployment_id = id;
    command.body_case = COMMAND__COMMAND__BODY_CREATE_SERVICE;
    command.create_service = &body;
    apply_command(fill, &command);
    seq = fill->result->seq;
    r = table_deployments(fill->txn, seq, newest_deployment, out_deployment);
    if (r < 0)
        die("deployments", r);
    return seq;
}

struct batch {
    Command__Placement placements[TASKS_A_COMMAND];
    Command__Placement *placement_list[TASKS_A_COMMAND];
    Command__TaskReport reports[TASKS_A_COMMAND];
    Command__TaskReport *report_list[TASKS_A_COMMAND];
    char ids[TASKS_A_COMMAND][33];
};

/* The tasks of a batch all go to one worker, so that one report tells of them. */
static void add_tasks(struct fill *fill, struct batch *batch, uint64_t service, uint64_t deployment,
                      uint64_t first, size_t count)
{
    uint64_t worker = fill->worker_seqs[first / TASKS_A_COMMAND % fill->workers];
    Command__Command place = COMMAND__COMMAND__INIT, tell = COMMAND__COMMAND__INIT;
    Command__PlaceTasks placing = COMMAND__PLACE_TASKS__INIT;
    Command__ReportTasks telling = COMMAND__REPORT_TASKS__INIT;

    for (size_t i = 0; i < count; i++) {
        snprintf(batch->ids[i], sizeof batch->ids[i], "%016llx%016llx",
                 (unsigned long long)(first + i) * 0x9e3779b97f4a7c15,
                 (unsigned long long)first + i);
        command__placement__init(&batch->placements[i]);
        batch->placements[i].task_id = batch->ids[i];
        batch->placements[i].worker_seq = worker;
        batch->placement_list[i] = &batch->placements[i];
        command__task_report__init(&batch->reports[i]);
        batch->reports[i].task_id = batch->ids[i];
        batch->reports[i].state = STATE__TASK_STATE__TASK_RUNNING;
        batch->reports[i].started_ms = fill->now_ms;
        batch->report_list[i] = &batch->reports[i];
    }
    placing.service_seq = service;
    placing.deployment_seq = deployment;
    placing.placements = batch->placement_list;
    placing.n_placements = count;
    placing.event_id = "00000000-0000-0000-0000-000000000000";
    place.body_case = COMMAND__COMMAND__BODY_PLACE_TASKS;
    place.place_tasks = &placing;
    apply_command(fill, &place);
    telling.worker_seq = worker;
    telling.session = SESSION;
    telling.reports = batch->report_list;
    telling.n_reports = count;
    tell.body_case = COMMAND__COMMAND__BODY_REPORT_TASKS;
    tell.report_tasks = &telling;
    apply_command(fill, &tell);
}

static void fill_all(struct fill *fill)
{
    struct batch *batch = mem_new(struct batch);
    uint64_t done = 0;

    add_definition(fill);
    for (uint64_t i = 0; i < fill->workers; i++)
        add_worker(fill, i);
    for (uint64_t i = 0; i < fill->services; i++) {
        uint64_t until = fill->tasks * (i + 1) / fill->services, deployment = 0;
        uint64_t service = add_service(fill, i, until - done, &deployment);

        while (done < until) {
            size_t count = until - done < TASKS_A_COMMAND ? until - done : TASKS_A_COMMAND;

            add_tasks(fill, batch, service, deployment, done, count);
            done += count;
        }
    }
    free(batch);
}

static void open_state(struct fill *fill, const char *dir)
{
    int r = env_open(dir, MAP_BYTES, table_names, TABLE_COUNT, &fill->env);

    if (r == 0)
        r = env_write(fill->env, &fill->txn);
    if (r == 0)
        r = log_applied_get(fill->txn, &fill->applied);
    if (r < 0)
        die(dir, r);
    if (fill->applied.index == 0)
        die("nothing was ever applied here", -EINVAL);
}

/* What was applied here never was in the log: leave it as after a trimming, with one entry. */
static void trim_log(struct fill *fill)
{
    struct log_entry barrier = {.term = fill->applied.term, .type = RAFT_BARRIER};
    int r = log_truncate(fill->txn, 1);

    if (r == 0)
        r = log_append(fill->txn, fill->applied.index, &barrier);
    if (r < 0)
        die("log", r);
}

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (*end != '\0' || value == 0) {
        fprintf(stderr, "bench_fill: \"%s\" is not a number\n", text);
        exit(USAGE);
    }
    return value;
}

int main(int argc, char **argv)
{
    struct fill fill = {0};
    struct timespec now;
    size_t used, map;

    if (argc != 5) {
        fputs("usage: bench_fill DIR TASKS WORKERS SERVICES\n", stderr);
        return USAGE;
    }
    fill.tasks = number(argv[2]);
    fill.workers = number(argv[3]);
    fill.services = number(argv[4]);
    fill.worker_seqs = mem_new_array(uint64_t, fill.workers);
    clock_gettime(CLOCK_REALTIME, &now);
    fill.now_ms = (uint64_t)now.tv_sec * 1000;
    open_state(&fill, argv[1]);
    fill_all(&fill);
    trim_log(&fill);
    commit(&fill);
    txn_abort(fill.txn);
    env_size(fill.env, &used, &map);
    printf("fill_applied_index: %llu\nfill_state_mb: %zu\n", (unsigned long long)fill.applied.index,
           used >> 20);
    command__command_result__free_unpacked(fill.result, NULL);
    changes_fini(&fill.changes);
    env_free(fill.env);
    free(fill.worker_seqs);
    return EXIT_SUCCESS;
}
