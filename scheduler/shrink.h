/*
 * Whom to stop, so that what remains is balanced.
 *
 * Each time from the zone with the most tasks, there from the worker with the most, one that is not
 * RUNNING yet rather than one that is, then the newest (highest seq).
 */
#pragma once

#include "scheduler/view_parts.h"

/* A task that may be stopped. The levels are shrink_choose()'s own. */
struct shrinkable {
    const struct task *task;
    size_t worker_level;
    size_t zone_level;
};

/* Bring those to stop to the front of `tasks`, the first to go first: all of it is sorted. Tasks of
 * `beside`, which stay, weigh on their zones and workers too; NULL: there are none. */
void shrink_order(const struct view *view, struct shrinkable *tasks, size_t count,
                  struct deployment *beside);
