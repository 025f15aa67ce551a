#include "scheduler/plan.h"

#include <stdlib.h>

#include "proto/base/mem.h"

static void item_fini(struct plan_item *item)
{
    for (size_t i = 0; i < item->event_count; i++)
        free(item->events[i]);
    free(item->events);
    free(item->seqs);
    free(item->reason);
}

void plan_fini(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        item_fini(&plan->items[i]);
    free(plan->items);
    *plan = (struct plan){0};
}

struct plan_item *plan_add(struct plan *plan, enum plan_kind kind, uint64_t service_seq,
                           uint64_t token)
{
    struct plan_item *item;

    if (plan->count == plan->cap) {
        plan->cap = plan->cap ? plan->cap * 2 : 8;
        plan->items = mem_resize(plan->items, plan->cap, sizeof *plan->items);
    }
    item = &plan->items[plan->count++];
    *item = (struct plan_item){.kind = kind, .token = token, .service_seq = service_seq};
    return item;
}

void plan_item_say(struct plan_item *item, char *text)
{
    item->events = mem_resize(item->events, item->event_count + 1, sizeof *item->events);
    item->events[item->event_count++] = text;
}
