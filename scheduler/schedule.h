/*
 * The one entry point: what should happen now to the services that changed.
 *
 * schedule() looks at marked services in rounds: ascending seq, and one that is marked again waits
 * for the next round. For each it compares desired with observed, adds items to the plan, and
 * notes under their tokens what is in flight (view_release). Same view, same time, same plan.
 * A service with nothing new costs nothing.
 *
 * What it promises, however items are applied or refused:
 *   1. Missing tasks are started at once, except before the deployment's start_after_ms.
 *   2. While a new revision rolls out, tasks desired RUNNING never exceed
 *      floor(desired * maximum percent), and it stops no task when that would leave fewer than
 *      ceil(desired * minimum percent) RUNNING.
 *   3. No worker is given more than it has: cpu, memory, fixed ports.
 *   4. Scaling down keeps zones within one of each other, if they were.
 *
 * "Unable to place" is said when it begins, and again every five minutes while it lasts; placing is
 * retried when a worker changes so that a task would fit, and after those five minutes. A service
 * that waits for its own stopping tasks to leave gets half a minute first. What was said is
 * remembered in the view only: a new leader says it once more.
 */
#pragma once

#include <stdint.h>

#include "scheduler/plan.h"
#include "scheduler/view.h"

/* Between two tries, and two events, for want of room; and for own stopping tasks to make room. */
#define SCHEDULE_REPEAT_MS   300000u
#define SCHEDULE_PATIENCE_MS 30000u

/* Append to *out what to do at now_ms (the leader's wall clock) and set out->next_wakeup_ms; it is
 * now_ms when the budget ended the call. budget bounds the work: a service looked at costs 1, a
 * task started or stopped 1, and a search for room 1 for 16 workers; at least one service is looked
 * at. 4,096 is a few milliseconds. */
void schedule(struct view *view, uint64_t now_ms, uint32_t budget, struct plan *out);
