/*
 * A small world for the scheduler's tests: it holds the truth, applies plans to it, and tells the
 * view, as a leader does with the tables. Workers run tasks when they are told to.
 */
#pragma once

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "scheduler/schedule.h"

#define WORLD_CLUSTER   1u
#define WORLD_WORKERS   16u
#define WORLD_SERVICES  4u
#define WORLD_TASKS     20000u
#define WORLD_REVISIONS 64u
#define WORLD_START_MS  1000000u
#define WORLD_BUDGET    4096u

struct world_worker {
    uint64_t seq;
    char zone[8];
    char id[33];
    bool lost;
    uint32_t cpu;
    uint32_t memory;
};

struct world_task {
    uint64_t seq; /* Its index + 1. */
    uint64_t worker_seq;
    uint64_t service_seq; /* 0: standalone. */
    uint64_t deployment_seq;
    uint32_t cpu;
    uint32_t memory;
    uint16_t port; /* 0: none. */
    enum view_phase phase;
};

struct world_deployment {
    uint64_t seq;
    char id[24];
    bool gone;
    bool completed;
    uint32_t cpu;
    uint32_t memory;
    uint16_t port;
    uint64_t start_after_ms;
};

struct world_service {
    uint64_t seq;
    char name[16];
    enum view_service_status status;
    uint32_t desired;
    uint32_t minimum;
    uint32_t maximum;
    bool steady;
    struct world_deployment deployments[WORLD_REVISIONS];
    size_t deployment_count; /* The last one is the primary. */
};

struct world {
    struct view *view;
    uint64_t now_ms;
    uint64_t next_wakeup_ms;
    struct world_worker workers[WORLD_WORKERS];
    size_t worker_count;
    struct world_service services[WORLD_SERVICES];
    size_t service_count;
    struct world_task *tasks;
    size_t task_count;
    struct buffer events; /* One a line. */
    size_t event_count;
    size_t started;
    size_t stopped;
};

static inline struct world_worker *world_worker(struct world *world, uint64_t seq)
{
    ck_assert_uint_ge(seq, 1);
    ck_assert_uint_le(seq, world->worker_count);
    return &world->workers[seq - 1];
}

static inline struct world_service *world_service(struct world *world, uint64_t seq)
{
    ck_assert_uint_ge(seq, 1);
    ck_assert_uint_le(seq, world->service_count);
    return &world->services[seq - 1];
}

static inline struct world_deployment *world_primary(struct world_service *service)
{
    return &service->deployments[service->deployment_count - 1];
}

/* ---- telling the view */

/* Tells what the tasks take of the worker; fails the test if that is more than it has. */
static inline void world_put_worker(struct world *world, uint64_t seq)
{
    struct world_worker *worker = world_worker(world, seq);
    struct view_port ports[64];
    struct view_worker record = {.seq = seq,
                                 .cluster_seq = WORLD_CLUSTER,
                                 .id = worker->id,
                                 .zone = worker->zone,
                                 .active = true,
                                 .connected = !worker->lost,
                                 .cpu = worker->cpu,
                                 .memory = worker->memory,
                                 .ports_used = ports};

    for (size_t i = 0; i < world->task_count; i++) {
        const struct world_task *task = &world->tasks[i];

        if (task->worker_seq != seq || task->phase == VIEW_TASK_STOPPED)
            continue;
        record.cpu_used += task->cpu;
        record.memory_used += task->memory;
        if (!task->port)
            continue;
        for (size_t j = 0; j < record.port_count; j++)
            ck_assert_uint_ne(ports[j].number, task->port);
        ck_assert_uint_lt(record.port_count, 64);
        ports[record.port_count++] = (struct view_port){.number = task->port};
    }
    ck_assert_uint_le(record.cpu_used, record.cpu);
    ck_assert_uint_le(record.memory_used, record.memory);
    view_put_worker(world->view, &record);
}

static inline void world_put_service(struct world *world, const struct world_service *service)
{
    struct view_deployment deployments[WORLD_REVISIONS];
    struct view_port ports[WORLD_REVISIONS];
    struct view_service record = {.seq = service->seq,
                                  .cluster_seq = WORLD_CLUSTER,
                                  .name = service->name,
                                  .status = service->status,
                                  .desired_count = service->desired,
                                  .minimum_healthy_percent = service->minimum,
                                  .maximum_percent = service->maximum,
                                  .steady = service->steady,
                                  .deployments = deployments};

    for (size_t i = 0; i < service->deployment_count; i++) {
        const struct world_deployment *deployment = &service->deployments[i];

        if (deployment->gone)
            continue;
        ports[i] = (struct view_port){.number = deployment->port};
        deployments[record.deployment_count++] = (struct view_deployment){
            .seq = deployment->seq,
            .id = deployment->id,
            .primary = i + 1 == service->deployment_count,
            .completed = deployment->completed,
            .cpu = deployment->cpu,
            .memory = deployment->memory,
            .ports = &ports[i],
            .port_count = deployment->port != 0,
            .start_after_ms = deployment->start_after_ms,
        };
    }
    view_put_service(world->view, &record);
}

static inline void world_put_task(struct world *world, const struct world_task *task)
{
    struct view_task record = {.seq = task->seq,
                               .worker_seq = task->worker_seq,
                               .service_seq = task->service_seq,
                               .deployment_seq = task->deployment_seq,
                               .phase = task->phase};

    view_put_task(world->view, &record);
}

/* ---- making it */

static inline void world_init(struct world *world)
{
    *world = (struct world){.now_ms = WORLD_START_MS, .view = view_new()};
    world->tasks = mem_new_array(struct world_task, WORLD_TASKS);
}

static inline void world_fini(struct world *world)
{
    view_free(world->view);
    free(world->tasks);
    buffer_fini(&world->events);
}

static inline uint64_t world_add_worker(struct world *world, const char *zone, uint32_t cpu,
                                        uint32_t memory)
{
    struct world_worker *worker = &world->workers[world->worker_count++];

    ck_assert_uint_le(world->worker_count, WORLD_WORKERS);
    *worker = (struct world_worker){.seq = world->worker_count, .cpu = cpu, .memory = memory};
    snprintf(worker->zone, sizeof worker->zone, "%s", zone);
    snprintf(worker->id, sizeof worker->id, "%032zx", world->worker_count);
    world_put_worker(world, worker->seq);
    return worker->seq;
}

/* Two workers in each of three zones; 1 and 2 are in a, 3 and 4 in b, 5 and 6 in c. */
static inline void world_init_lab(struct world *world)
{
    world_init(world);
    for (int i = 0; i < 6; i++)
        world_add_worker(world, (const char *[]){"a", "b", "c"}[i / 2], 4096, 4096);
}

static inline struct world_deployment *world_add_revision(struct world *world,
                                                          struct world_service *service,
                                                          uint32_t cpu, uint32_t memory)
{
    struct world_deployment *deployment = &service->deployments[service->deployment_count++];

    ck_assert_uint_le(service->deployment_count, WORLD_REVISIONS);
    *deployment =
        (struct world_deployment){.seq = service->deployment_count, .cpu = cpu, .memory = memory};
    snprintf(deployment->id, sizeof deployment->id, "ecs-svc/%zu", service->deployment_count);
    service->steady = false;
    world_put_service(world, service);
    return deployment;
}

static inline struct world_service *world_add_service(struct world *world, uint32_t desired,
                                                      uint32_t cpu, uint32_t memory)
{
    struct world_service *service = &world->services[world->service_count++];

    ck_assert_uint_le(world->service_count, WORLD_SERVICES);
    *service = (struct world_service){
        .seq = world->service_count, .desired = desired, .minimum = 100, .maximum = 200};
    snprintf(service->name, sizeof service->name, "s%zu", world->service_count);
    world_add_revision(world, service, cpu, memory);
    return service;
}

static inline void world_scale(struct world *world, struct world_service *service, uint32_t desired)
{
    service->desired = desired;
    service->steady = false;
    world_put_service(world, service);
}

/* ---- counting it */

static inline uint32_t world_count(const struct world *world, const struct world_service *service,
                                   uint64_t deployment_seq, enum view_phase phase)
{
    uint32_t count = 0;

    for (size_t i = 0; i < world->task_count; i++) {
        const struct world_task *task = &world->tasks[i];

        count += task->service_seq == service->seq && task->phase == phase &&
                 (!deployment_seq || task->deployment_seq == deployment_seq);
    }
    return count;
}

static inline uint32_t world_running(const struct world *world, const struct world_service *service)
{
    return world_count(world, service, 0, VIEW_TASK_RUNNING);
}

/* Desired RUNNING. */
static inline uint32_t world_staying(const struct world *world, const struct world_service *service)
{
    return world_running(world, service) + world_count(world, service, 0, VIEW_TASK_PENDING);
}

static inline uint32_t world_on_worker(const struct world *world,
                                       const struct world_service *service, uint64_t worker_seq)
{
    uint32_t count = 0;

    for (size_t i = 0; i < world->task_count; i++) {
        const struct world_task *task = &world->tasks[i];

        count += task->service_seq == service->seq && task->worker_seq == worker_seq &&
                 (task->phase == VIEW_TASK_PENDING || task->phase == VIEW_TASK_RUNNING);
    }
    return count;
}

/* "2 2 2": tasks desired RUNNING in zones a, b and c. */
static inline const char *world_zones(struct world *world, const struct world_service *service)
{
    static char text[48];
    uint32_t in[3] = {0};

    for (size_t i = 0; i < world->worker_count; i++)
        in[world->workers[i].zone[0] - 'a'] +=
            world_on_worker(world, service, world->workers[i].seq);
    snprintf(text, sizeof text, "%u %u %u", in[0], in[1], in[2]);
    return text;
}

static inline size_t world_said(struct world *world, const char *part)
{
    size_t count = 0;

    for (const char *at = buffer_text(&world->events); (at = strstr(at, part)); at++)
        count++;
    return count;
}

/* ---- the passing of a turn */

static inline void world_set_phase(struct world *world, struct world_task *task,
                                   enum view_phase phase)
{
    if (task->phase == phase)
        return;
    task->phase = phase;
    if (task->service_seq)
        world_service(world, task->service_seq)->steady = false;
    world_put_task(world, task);
    world_put_worker(world, task->worker_seq);
    if (task->service_seq)
        world_put_service(world, world_service(world, task->service_seq));
}

static inline void world_add_task(struct world *world, const struct plan_item *item,
                                  uint64_t worker_seq)
{
    struct world_service *service = world_service(world, item->service_seq);
    const struct world_deployment *deployment = &service->deployments[item->deployment_seq - 1];
    struct world_task *task = &world->tasks[world->task_count++];

    ck_assert_uint_le(world->task_count, WORLD_TASKS);
    *task = (struct world_task){.seq = world->task_count,
                                .worker_seq = worker_seq,
                                .service_seq = item->service_seq,
                                .deployment_seq = item->deployment_seq,
                                .cpu = deployment->cpu,
                                .memory = deployment->memory,
                                .port = deployment->port,
                                .phase = VIEW_TASK_STOPPED};
    world->started++;
    world_set_phase(world, task, VIEW_TASK_PENDING);
}

static inline void world_apply_note(struct world *world, const struct plan_item *item)
{
    struct world_service *service = world_service(world, item->service_seq);

    for (size_t i = 0; i < item->event_count; i++, world->event_count++)
        buffer_append_format(&world->events, "%s\n", item->events[i]);
    service->steady = item->steady;
    if (item->gone)
        service->status = VIEW_SERVICE_INACTIVE;
    if (item->deployment_seq == world_primary(service)->seq) {
        world_primary(service)->completed = true;
        for (size_t i = 0; i + 1 < service->deployment_count; i++)
            service->deployments[i].gone = true;
    }
    world_put_service(world, service);
}

/* As the command made of the item would be applied; the token is not released. */
static inline void world_apply(struct world *world, const struct plan_item *item)
{
    switch (item->kind) {
    case PLAN_START:
        for (size_t i = 0; i < item->count; i++)
            if (!world_worker(world, item->seqs[i])->lost) /* Apply refuses that placement. */
                world_add_task(world, item, item->seqs[i]);
        break;
    case PLAN_STOP:
        for (size_t i = 0; i < item->count; i++, world->stopped++) {
            struct world_task *task = &world->tasks[item->seqs[i] - 1];

            if (task->phase != VIEW_TASK_STOPPED)
                world_set_phase(world, task, VIEW_TASK_STOPPING);
        }
        break;
    case PLAN_NOTE:
        world_apply_note(world, item);
        break;
    }
}

/* Schedule and apply everything at once. Returns the number of items. */
static inline size_t world_turn(struct world *world)
{
    scope(plan_fini) struct plan plan = {0};

    schedule(world->view, world->now_ms, WORLD_BUDGET, &plan);
    world->next_wakeup_ms = plan.next_wakeup_ms;
    for (size_t i = 0; i < plan.count; i++) {
        world_apply(world, &plan.items[i]);
        view_release(world->view, plan.items[i].token, 0);
    }
    return plan.count;
}

/* Every task gets where it should: PENDING ones run, STOPPING ones stop. Returns how many moved. */
static inline size_t world_run_tasks(struct world *world)
{
    size_t moved = 0;

    for (size_t i = 0; i < world->task_count; i++) {
        struct world_task *task = &world->tasks[i];

        if (task->phase == VIEW_TASK_PENDING)
            world_set_phase(world, task, VIEW_TASK_RUNNING);
        else if (task->phase == VIEW_TASK_STOPPING)
            world_set_phase(world, task, VIEW_TASK_STOPPED);
        else
            continue;
        moved++;
    }
    return moved;
}

/* Turns until nothing happens any more. */
static inline void world_settle(struct world *world)
{
    for (int turn = 0; turn < 1000; turn++) {
        size_t items = world_turn(world);

        if (world_run_tasks(world) + items == 0)
            return;
        world->now_ms += 10;
    }
    ck_abort_msg("it never came to rest");
}

static inline void world_lose(struct world *world, uint64_t worker_seq)
{
    world_worker(world, worker_seq)->lost = true;
    for (size_t i = 0; i < world->task_count; i++)
        if (world->tasks[i].worker_seq == worker_seq)
            world_set_phase(world, &world->tasks[i], VIEW_TASK_STOPPED);
    world_put_worker(world, worker_seq);
}

static inline void world_return(struct world *world, uint64_t worker_seq)
{
    world_worker(world, worker_seq)->lost = false;
    world_put_worker(world, worker_seq);
}
