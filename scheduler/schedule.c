#include "scheduler/schedule.h"

#include "scheduler/reconcile.h"
#include "scheduler/view_parts.h"

void schedule(struct view *view, uint64_t now_ms, uint32_t budget, struct plan *out)
{
    uint64_t spent = 0;

    mark_due(view, now_ms);
    do {
        struct service *service = mark_take(view);

        if (!service)
            break;
        spent += reconcile(view, service, now_ms, out);
    } while (spent < budget);
    out->next_wakeup_ms = view->marks.marked ? now_ms : mark_wakeup_ms(view);
}
