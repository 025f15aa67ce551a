#include "scheduler/filter.h"

#include <string.h>

/* What is left; negative when a worker came back with less than its tasks have. */
static int64_t cpu_free(const struct worker *worker)
{
    return (int64_t)worker->cpu - (int64_t)worker->cpu_used - (int64_t)worker->cpu_held;
}

static int64_t memory_free(const struct worker *worker)
{
    return (int64_t)worker->memory - (int64_t)worker->memory_used - (int64_t)worker->memory_held;
}

static bool ports_taken(const struct worker *worker, const struct need *need)
{
    return port_set_meets(&need->ports, &worker->ports_used) ||
           port_set_meets(&need->ports, &worker->ports_held);
}

enum place_reason filter_worker(const struct worker *worker, const struct need *need)
{
    if (!worker->active)
        return PLACE_INACTIVE;
    if (!worker->connected)
        return PLACE_AGENT;
    if (cpu_free(worker) < need->cpu)
        return PLACE_CPU;
    if (memory_free(worker) < need->memory)
        return PLACE_MEMORY;
    if (need->ports.count && ports_taken(worker, need))
        return PLACE_PORTS;
    return PLACE_OK;
}

/* How much a worker has of what stops the task there. */
static int64_t left_of(const struct worker *worker, enum place_reason reason)
{
    switch (reason) {
    case PLACE_CPU:
        return cpu_free(worker);
    case PLACE_MEMORY:
        return memory_free(worker);
    default:
        return 0;
    }
}

static bool closer(const struct worker *a, const struct worker *b, enum place_reason reason)
{
    int64_t left_a = left_of(a, reason), left_b = left_of(b, reason);

    return left_a != left_b ? left_a > left_b : a->seq < b->seq;
}

void filter_explain(const struct cluster *cluster, const struct need *need,
                    struct place_result *out)
{
    enum place_reason best_reason = PLACE_NO_WORKERS;
    const struct worker *best = NULL;

    for (size_t i = 0; cluster && i < cluster->worker_count; i++) {
        const struct worker *worker = cluster->workers[i];
        enum place_reason reason = filter_worker(worker, need);

        if (!best || reason > best_reason ||
            (reason == best_reason && closer(worker, best, reason))) {
            best = worker;
            best_reason = reason;
        }
    }
    out->reason = best_reason;
    out->closest_seq = best ? best->seq : 0;
    memcpy(out->closest_id, best ? best->id : "", best ? sizeof best->id : 1);
}
