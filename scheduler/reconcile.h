/*
 * One service: what is desired against what is, as items of a plan.
 */
#pragma once

#include "scheduler/plan.h"
#include "scheduler/view_parts.h"

/* Append what to do for the service, and when to look at it again without a change. Returns what it
 * cost, in schedule()'s units, at least 1. */
uint32_t reconcile(struct view *view, struct service *service, uint64_t now_ms, struct plan *plan);
