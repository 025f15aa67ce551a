/*
 * How fast the scheduler decides: 100,000 tasks over 1,000 workers in three zones.
 *
 * `spread` is 20 services of 5,000 tasks each, planned by schedule() in calls of the size a leader
 * makes; `single` is one place() after the other, as for RunTask of one task. Every decision is fed
 * back into the view as the applied command would be, before the next. The figures of a line count
 * all of that; those with `decide` only the time inside the scheduler's entry point. What came
 * out is checked: every task placed, no worker overfull, zones balanced.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "scheduler/place.h"
#include "scheduler/schedule.h"

enum {
    CLUSTER = 1,
    ZONES = 3,
    WORKERS = 1000,
    TASKS = 100000,
    SERVICES = 20,
    TASK_CPU = 64,
    TASK_MEMORY = 32,
    ROOM = 128, /* Tasks that fit a worker: a little more than it gets. */
    BUDGET = 4096,
};

struct world {
    struct view *view;
    uint32_t on_worker[WORKERS];
    uint32_t in_zone[SERVICES + 1][ZONES]; /* The last row: standalone tasks. */
    uint64_t task_count;
    uint64_t deciding_ns;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- telling the view */

static void put_worker(struct world *world, uint64_t seq)
{
    static const char *const zones[ZONES] = {"us-east-1a", "us-east-1b", "us-east-1c"};
    uint32_t tasks = world->on_worker[seq - 1];
    char id[33];

    must(tasks <= ROOM);
    snprintf(id, sizeof id, "%032llx", (unsigned long long)seq);
    view_put_worker(world->view, &(struct view_worker){.seq = seq,
                                                       .cluster_seq = CLUSTER,
                                                       .id = id,
                                                       .zone = zones[seq % ZONES],
                                                       .active = true,
                                                       .connected = true,
                                                       .cpu = ROOM * TASK_CPU,
                                                       .memory = ROOM * TASK_MEMORY,
                                                       .cpu_used = tasks * TASK_CPU,
                                                       .memory_used = tasks * TASK_MEMORY});
}

static void put_service(struct world *world, uint64_t seq)
{
    char name[16], id[32];
    struct view_deployment deployment = {
        .seq = seq, .id = id, .primary = true, .cpu = TASK_CPU, .memory = TASK_MEMORY};

    snprintf(name, sizeof name, "s%u", (unsigned)seq);
    snprintf(id, sizeof id, "ecs-svc/%u", (unsigned)seq);
    view_put_service(world->view, &(struct view_service){.seq = seq,
                                                         .cluster_seq = CLUSTER,
                                                         .name = name,
                                                         .desired_count = TASKS / SERVICES,
                                                         .minimum_healthy_percent = 100,
                                                         .maximum_percent = 200,
                                                         .deployments = &deployment,
                                                         .deployment_count = 1});
}

static void put_task(struct world *world, uint64_t worker_seq, uint64_t service_seq)
{
    must(worker_seq >= 1 && worker_seq <= WORKERS);
    world->on_worker[worker_seq - 1]++;
    world->in_zone[service_seq > 0 ? service_seq - 1 : SERVICES][worker_seq % ZONES]++;
    view_put_task(world->view, &(struct view_task){.seq = ++world->task_count,
                                                   .worker_seq = worker_seq,
                                                   .service_seq = service_seq,
                                                   .deployment_seq = service_seq,
                                                   .phase = VIEW_TASK_PENDING});
}

/* Each worker once, however many tasks it got: as applied changes come. */
static void put_workers(struct world *world, const uint64_t *seqs, size_t count)
{
    bool told[WORKERS] = {false};

    for (size_t i = 0; i < count; i++) {
        if (!told[seqs[i] - 1])
            put_worker(world, seqs[i]);
        told[seqs[i] - 1] = true;
    }
}

static void world_init(struct world *world)
{
    *world = (struct world){.view = view_new()};
    for (uint64_t seq = 1; seq <= WORKERS; seq++)
        put_worker(world, seq);
}

static void must_be_balanced(const uint32_t in_zone[ZONES])
{
    for (size_t a = 0; a < ZONES; a++)
        for (size_t b = 0; b < ZONES; b++)
            must(in_zone[a] <= in_zone[b] + 1);
}

/* ---- spread */

static void take_item(struct world *world, const struct plan_item *item)
{
    if (item->kind == PLAN_START) {
        put_service(world, item->service_seq);
        for (size_t i = 0; i < item->count; i++)
            put_task(world, item->seqs[i], item->service_seq);
        put_workers(world, item->seqs, item->count);
    }
    view_release(world->view, item->token, 0);
}

static void schedule_all(struct world *world)
{
    while (world->task_count < TASKS) {
        scope(plan_fini) struct plan plan = {0};
        uint64_t began = now_ns();

        schedule(world->view, 1000000, BUDGET, &plan);
        world->deciding_ns += now_ns() - began;
        must(plan.count > 0);
        for (size_t i = 0; i < plan.count; i++)
            take_item(world, &plan.items[i]);
    }
}

static void spread(struct world *world)
{
    world_init(world);
    for (uint64_t seq = 1; seq <= SERVICES; seq++)
        put_service(world, seq);
    schedule_all(world);
}

/* ---- single */

static void place_one(struct world *world)
{
    scope(place_result_fini) struct place_result result = {0};
    struct place_request request = {
        .cluster_seq = CLUSTER, .cpu = TASK_CPU, .memory = TASK_MEMORY, .count = 1};
    uint64_t began = now_ns();

    place(world->view, &request, &result);
    world->deciding_ns += now_ns() - began;
    must(result.placed == 1);
    put_task(world, result.workers[0], 0);
    put_worker(world, result.workers[0]);
    view_release(world->view, result.token, 0);
}

static void single(struct world *world)
{
    world_init(world);
    while (world->task_count < TASKS)
        place_one(world);
}

/* ---- */

static void measure(const char *name, void (*run)(struct world *world))
{
    struct world world;
    uint64_t began = now_ns(), took;

    run(&world);
    took = now_ns() - began;
    must(world.task_count == TASKS);
    for (size_t row = 0; row <= SERVICES; row++)
        must_be_balanced(world.in_zone[row]);
    printf("schedule_%s_per_s: %.0f\nschedule_%s_decide_per_s: %.0f\n", name,
           TASKS / ((double)took / 1e9), name, TASKS / ((double)world.deciding_ns / 1e9));
    view_free(world.view);
}

int main(void)
{
    measure("spread", spread);
    measure("single", single);
    return 0;
}
