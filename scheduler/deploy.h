/*
 * A service's numbers: how many tasks to start and to stop now, and whether it is there yet.
 *
 * The rolling update: the primary deployment grows while the older ones, taken together, shrink.
 *   upper = floor(desired * maximum percent / 100)  bounds tasks desired RUNNING, of all revisions;
 *   lower = ceil(desired * minimum percent / 100)   bounds RUNNING ones, when old ones are stopped.
 * Each step relies only on what is, not on another step of the same turn being applied.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Tasks by phase. */
struct deploy_count {
    uint32_t pending;
    uint32_t running;
    uint32_t stopping;
};

struct deploy_now {
    uint32_t desired_count;
    uint32_t minimum_percent; /* Above 100 counts as 100. */
    uint32_t maximum_percent; /* Below 100 counts as 100. */
    struct deploy_count primary;
    struct deploy_count older; /* All older deployments together. */
    bool completed;            /* The primary's rollout is. */
};

struct deploy_next {
    uint32_t start;
    uint32_t stop_surplus; /* Of the primary. */
    uint32_t stop_old_pending;
    uint32_t stop_old_running;
    bool stuck;    /* The percentages allow neither a start nor a stop. */
    bool complete; /* The rollout just became complete. */
    bool steady;   /* As desired, and nothing moves. */
};

void deploy_decide(const struct deploy_now *now, struct deploy_next *out);
