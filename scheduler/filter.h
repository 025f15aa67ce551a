/*
 * Who can take a task: resources, fixed ports, state; and why not.
 */
#pragma once

#include "scheduler/need.h"
#include "scheduler/place.h"
#include "scheduler/view_parts.h"

/* PLACE_OK, or what is in the way: the later the reason, the more fits. */
enum place_reason filter_worker(const struct worker *worker, const struct need *need);

/* Why no worker of the cluster takes the task, and the worker that came closest: the one with the
 * latest reason, then with the most of what it lacks, then with the lowest seq. cluster may be
 * NULL: there are no workers. Sets out->reason, closest_seq and closest_id. */
void filter_explain(const struct cluster *cluster, const struct need *need,
                    struct place_result *out);
