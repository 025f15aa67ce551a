/*
 * Balance across zones, and across the workers inside a zone: who should take the next task.
 *
 * The candidates stand in one heap a zone, ordered by (tasks of the group, tasks in total, seq).
 * The next task goes to the top of the heap of the zone with the fewest tasks of the group; between
 * equal zones, of that with the better top.
 */
#pragma once

#include "scheduler/need.h"
#include "scheduler/view_parts.h"

struct candidate {
    struct worker *worker;
    uint32_t mine;  /* Tasks of the group. */
    uint32_t total; /* All tasks, those in flight included. */
};

struct zone {
    uint32_t mine;  /* Tasks of the group in the zone, on whatever workers. */
    uint32_t total; /* All tasks in the zone; 0 where that is of no interest. */
    struct candidate *heap;
    size_t count;
};

struct zones {
    struct zone *zones;
    size_t zone_count; /* Only those with candidates. */
    struct candidate *candidates;
    size_t candidate_count;
};

/* Collect the cluster's workers that can take a task. deployment is the group; NULL: standalone
 * tasks, and zones are then compared by their total, too. */
void zones_init(struct zones *zones, const struct view *view, const struct cluster *cluster,
                struct deployment *deployment, const struct need *need);
void zones_fini(struct zones *zones);

/* The worker for the next task; NULL: nobody can take it. Once the caller has taken the room,
 * zones_taken() says so with what the worker has left. */
struct worker *zones_pick(struct zones *zones, struct zone **out_zone);
void zones_taken(struct zones *zones, struct zone *zone, const struct need *need);
