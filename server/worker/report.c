#include "server/worker/report.h"

#include <stdlib.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/unpacking.h"

struct queued {
    struct list link;
    Command__TaskReport *report;
};

Command__TaskReport *report_new(const char *task_id, State__TaskState state)
{
    Command__TaskReport *report = mem_new(Command__TaskReport);

    command__task_report__init(report);
    report->task_id = mem_string(task_id);
    report->state = state;
    return report;
}

void report_free(Command__TaskReport *report)
{
    if (report)
        command__task_report__free_unpacked(report, NULL);
}

Command__TaskReport *report_copy(const Command__TaskReport *report)
{
    size_t len = command__task_report__get_packed_size(report);
    uint8_t *packed = mem_zeroed(1, len ? len : 1);
    Command__TaskReport *copy;

    command__task_report__pack(report, packed);
    copy = command__task_report__unpack(&unpacking, len, packed);
    free(packed);
    must(copy);
    return copy;
}

Command__TaskReport *report_stopped(const char *task_id, State__StopCode code, const char *reason,
                                    uint64_t now_ms)
{
    Command__TaskReport *report = report_new(task_id, STATE__TASK_STATE__TASK_STOPPED);

    report->stop_code = code;
    report->stopped_ms = now_ms;
    report_set_reason(report, reason);
    return report;
}

void report_set_reason(Command__TaskReport *report, const char *reason)
{
    if (report->reason != protobuf_c_empty_string)
        free(report->reason);
    report->reason = mem_string(reason);
}

void report_push(struct list *queue, Command__TaskReport *report)
{
    struct queued *queued = mem_new(struct queued);

    queued->report = report;
    list_append(queue, &queued->link);
}

Command__TaskReport *report_pop(struct list *queue)
{
    struct queued *queued;
    Command__TaskReport *report;

    if (list_is_empty(queue))
        return NULL;
    queued = list_entry(queue->next, struct queued, link);
    report = queued->report;
    list_remove(&queued->link);
    free(queued);
    return report;
}
