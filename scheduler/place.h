/*
 * Place equal tasks on workers: who can, who should, and why there was no room.
 *
 * Candidates are the cluster's workers that are ACTIVE, connected, and have cpu, memory and the
 * fixed ports free. Each task goes to the zone with the fewest tasks of its group, there to the
 * worker with the fewest of them, then to the worker with the fewest tasks in total, then to the
 * lowest seq. A zone without a candidate does not hold up the others. The group is a deployment:
 * tasks of an older one do not count, so that the new one is balanced once the old is gone. For
 * standalone tasks it is this batch, and between equal zones the one with fewer tasks in total is
 * taken. Tasks that are stopping count nowhere; their cpu, memory and ports stay taken until they
 * stopped.
 *
 * Costs O(n + k log n) for k tasks and n workers; each pick also looks at every zone once.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "scheduler/view.h"

struct place_request {
    uint64_t cluster_seq;
    uint64_t service_seq;    /* 0: standalone. */
    uint64_t deployment_seq; /* 0: standalone. */
    uint32_t cpu;
    uint32_t memory;
    const struct view_port *ports;
    size_t port_count;
    size_t count; /* At least 1. */
};

/* Why a task found no place. The later, the closer it came. */
enum place_reason {
    PLACE_OK,
    PLACE_NO_WORKERS, /* The cluster has no container instances. */
    PLACE_INACTIVE,   /* None of them is ACTIVE. */
    PLACE_AGENT,      /* None of those is connected. */
    PLACE_CPU,
    PLACE_MEMORY,
    PLACE_PORTS,
};

struct place_result {
    uint64_t token;    /* For view_release(). 0: nothing was placed. */
    uint64_t *workers; /* Seqs, one for each task placed. */
    size_t placed;
    size_t unplaced;
    enum place_reason reason; /* Of the unplaced ones, which are all alike. */
    uint64_t closest_seq; /* The worker that came closest; 0 with PLACE_NO_WORKERS and PLACE_OK. */
    char closest_id[33];
};

/* Place and hold the room until the token is released. Gives *out's memory; place_result_fini. */
void place(struct view *view, const struct place_request *request, struct place_result *out);
void place_result_fini(struct place_result *result);

/* As ECS names it in failures[].reason: "RESOURCE:CPU", "AGENT", ... Static. */
const char *place_reason_name(enum place_reason reason);

static inline void place_result_fini_scoped(struct place_result *result)
{
    place_result_fini(result);
}
