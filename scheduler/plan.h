/*
 * What the scheduler wants done: a list of items, each of which becomes one command.
 *
 * Items are independent: whichever of them are applied, in whatever order, no promise of the
 * scheduler breaks. Ids of tasks and events and the time are stamped by whoever proposes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Tasks in one item, so that its command stays well under LIMIT_COMMAND_BYTES. */
#define PLAN_TASKS_MAX 1000u

#define PLAN_NEVER UINT64_MAX

enum plan_kind {
    PLAN_START, /* command.PlaceTasks */
    PLAN_STOP,  /* command.StopTasks */
    PLAN_NOTE,  /* command.NoteService */
};

struct plan_item {
    enum plan_kind kind;
    uint64_t token; /* For view_release(), once the command was applied or refused. */
    uint64_t service_seq;

    uint64_t deployment_seq; /* PLAN_START: of the new tasks. PLAN_NOTE: completed, 0 for none. */
    uint64_t *seqs;          /* PLAN_START: workers, one for each task. PLAN_STOP: tasks. */
    size_t count;
    char *reason; /* PLAN_STOP: "Scaling activity initiated by (deployment ecs-svc/N)". */

    char **events; /* PLAN_NOTE: texts for the service's users, oldest first. */
    size_t event_count;
    bool steady; /* PLAN_NOTE: what state.Service.steady is to be; as it was, if that is not the
                    news. */
    bool gone;   /* PLAN_NOTE: a draining service has no task left. */
};

/* All zeroes is an empty one. */
struct plan {
    struct plan_item *items;
    size_t count;
    size_t cap;
    uint64_t next_wakeup_ms; /* Call again by then, even if nothing changes. PLAN_NEVER: no need. */
};

void plan_fini(struct plan *plan);

/* Append an item, all zeroes but for these three. Borrowed until the next call. */
struct plan_item *plan_add(struct plan *plan, enum plan_kind kind, uint64_t service_seq,
                           uint64_t token);

/* Add an event to a note. Takes text. */
void plan_item_say(struct plan_item *item, char *text);

static inline void plan_fini_scoped(struct plan *plan)
{
    plan_fini(plan);
}
