/*
 * ReportTasks: what a worker has seen of its tasks.
 *
 * A report only moves a task right. Times are the worker's own clock, held between the task's
 * creation and the command's time; how long a task ran is measured on one clock only.
 */
#include <errno.h>
#include <stdio.h>

#include "proto/base/bytes.h"
#include "proto/limits.h"
#include "proto/task_state.h"
#include "storage/apply_inner.h"

enum {
    START_PROVEN_MS = 10 * 1000, /* RUNNING this long, a start has not failed. */
    BACK_OFF_FIRST_MS = 1000,
    BACK_OFF_MAX_MS = 15 * 60 * 1000,
    FAILURES_TOLD = 3,  /* Failed starts in a row after which the service is said to be unable. */
    BINDINGS_MAX = 100, /* Of one container. */
    ADDRESS_BYTES_MAX = 64,
};

/* ---- from report to status; nothing is copied until the status is stored */

static uint64_t held_to(uint64_t ms, uint64_t created_ms, uint64_t now_ms)
{
    if (ms == 0 || ms > now_ms)
        return now_ms;
    return ms < created_ms ? created_ms : ms;
}

static void cut_container(Command__TaskReport *report, State__Container *container)
{
    text_cut(container->name, LIMIT_NAME_CHARS);
    text_cut(container->reason, TEXT_REASON_BYTES);
    text_cut(container->runtime_id, LIMIT_NAME_CHARS);
    if (!task_state_is_known(container->state))
        container->state = report->state;
    for (size_t i = 0; i < container->n_bindings; i++)
        text_cut(container->bindings[i]->address, ADDRESS_BYTES_MAX);
}

/* The first LIMIT_CONTAINERS of them, as they are stored: borrowed, in the caller's space. */
struct kept_containers {
    State__Container items[LIMIT_CONTAINERS];
    State__Container *pointers[LIMIT_CONTAINERS];
};

static void keep_containers(struct kept_containers *kept, Command__TaskReport *report,
                            State__TaskStatus *after)
{
    size_t count = report->n_containers;

    if (count == 0)
        return;
    if (count > LIMIT_CONTAINERS)
        count = LIMIT_CONTAINERS;
    for (size_t i = 0; i < count; i++) {
        cut_container(report, report->containers[i]);
        kept->items[i] = *report->containers[i];
        if (kept->items[i].n_bindings > BINDINGS_MAX)
            kept->items[i].n_bindings = BINDINGS_MAX;
        kept->pointers[i] = &kept->items[i];
    }
    after->containers = kept->pointers;
    after->n_containers = count;
}

static bool asked_by_manager(const State__TaskStatus *status)
{
    return status->stop_code != STATE__STOP_CODE__STOP_NONE;
}

static void set_stopped(const struct apply *a, const State__Task *task, Command__TaskReport *report,
                        State__TaskStatus *after)
{
    after->stopped_ms = held_to(report->stopped_ms, task->created_ms, a->now_ms);
    if (after->started_ms != 0)
        after->execution_stopped_ms = after->stopped_ms;
    if (asked_by_manager(after))
        return;
    text_cut(report->reason, TEXT_REASON_BYTES);
    after->stopped_reason = report->reason;
    after->stop_code =
        stop_code_name(report->stop_code) ? report->stop_code : STATE__STOP_CODE__STOP_NONE;
}

static void set_status(const struct apply *a, const State__Task *task, Command__TaskReport *report,
                       State__TaskStatus *after)
{
    bool started = report->state == STATE__TASK_STATE__TASK_RUNNING || report->started_ms != 0;

    after->state = report->state;
    if (started && after->started_ms == 0)
        after->started_ms = held_to(report->started_ms, task->created_ms, a->now_ms);
    if (report->state > STATE__TASK_STATE__TASK_RUNNING) {
        after->desired_stopped = true;
        if (after->stopping_ms == 0)
            after->stopping_ms = held_to(report->stopping_ms, task->created_ms, a->now_ms);
    }
    if (report->state == STATE__TASK_STATE__TASK_STOPPED)
        set_stopped(a, task, report, after);
}

/* ---- a service's task that stopped by itself */

static uint64_t ran_ms(const struct apply *a, const Command__TaskReport *report,
                       const State__TaskStatus *after)
{
    if (after->started_ms == 0)
        return 0;
    if (report->started_ms != 0 && report->stopped_ms >= report->started_ms)
        return report->stopped_ms - report->started_ms;
    return a->now_ms > after->started_ms ? a->now_ms - after->started_ms : 0;
}

static uint64_t back_off_ms(uint32_t failures)
{
    uint64_t ms = BACK_OFF_FIRST_MS;

    for (uint32_t i = 1; i < failures && ms < BACK_OFF_MAX_MS; i++)
        ms *= 2;
    return ms < BACK_OFF_MAX_MS ? ms : BACK_OFF_MAX_MS;
}

static int count_failure(struct apply *a, const State__Task *task, bool proven)
{
    struct held *held;
    State__Deployment *deployment;
    int r = hold_deployment(a, task->service_seq, task->deployment_seq, &held);

    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    deployment = held->deployment;
    held->changed = true;
    deployment->failed_tasks++;
    deployment->consecutive_failures = proven ? 0 : deployment->consecutive_failures + 1;
    deployment->start_after_ms =
        proven ? 0 : a->now_ms + back_off_ms(deployment->consecutive_failures);
    return 0;
}

static int tell_failure(struct apply *a, const State__Task *task, const State__TaskStatus *after)
{
    scope(buffer_fini) struct buffer text = {0};
    const char *reason = *after->stopped_reason ? after->stopped_reason : "no reason was given";
    struct held *service;
    int r = hold_service(a, task->service_seq, &service);

    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    buffer_append_format(&text, "(service %s) (task %s) %s: %s", service->service->name, task->id,
                         after->started_ms ? "stopped" : "failed to start", reason);
    if (text.base[text.len - 1] != '.')
        buffer_append_text(&text, ".");
    return err_up(service_tell(a, service, "", buffer_text(&text)));
}

/* Once for each row of failures, in ECS's words. */
static int tell_back_off(struct apply *a, const State__Task *task)
{
    scope(buffer_fini) struct buffer text = {0};
    struct held *deployment, *service;
    int r = hold_deployment(a, task->service_seq, task->deployment_seq, &deployment);

    if (r == 0)
        r = hold_service(a, task->service_seq, &service);
    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    if (deployment->deployment->consecutive_failures != FAILURES_TOLD)
        return 0;
    buffer_append_format(&text,
                         "(service %s) is unable to consistently start tasks successfully. For "
                         "more information, see the Troubleshooting section of the Amazon ECS "
                         "Developer Guide.",
                         service->service->name);
    return err_up(service_tell(a, service, "", buffer_text(&text)));
}

static int note_stopped(struct apply *a, const State__Task *task, const Command__TaskReport *report,
                        const State__TaskStatus *after)
{
    int r = count_failure(a, task, ran_ms(a, report, after) >= START_PROVEN_MS);

    if (r == 0)
        r = tell_failure(a, task, after);
    if (r == 0)
        r = tell_back_off(a, task);
    return err_up(r);
}

static int note_service(struct apply *a, const struct task_pair *pair,
                        const Command__TaskReport *report, const State__TaskStatus *after)
{
    bool leaves = !pair->status->desired_stopped && after->desired_stopped;
    int r = 0;

    if (pair->task->service_seq == 0 || asked_by_manager(pair->status))
        return 0;
    if (leaves)
        r = service_unsettle(a, pair->task->service_seq);
    if (r == 0 && after->state == STATE__TASK_STATE__TASK_STOPPED)
        r = note_stopped(a, pair->task, report, after);
    return err_up(r);
}

/* ---- */

static int apply_one(struct apply *a, uint64_t worker_seq, Command__TaskReport *report)
{
    scope(task_pair_fini) struct task_pair pair = {0};
    struct kept_containers kept;
    State__TaskStatus after;
    uint64_t seq;
    int r = table_task_seq(a->txn, report->task_id, &seq);

    if (r == 0)
        r = task_load(a, seq, &pair);
    if (r != 0)
        return r > 0 ? 0 : err_up(r);
    if (pair.task->worker_seq != worker_seq ||
        !task_state_may_move(pair.status->state, report->state))
        return 0;
    after = *pair.status;
    set_status(a, pair.task, report, &after);
    keep_containers(&kept, report, &after);
    r = task_change(a, &pair, &after, false);
    if (r == 0)
        r = note_service(a, &pair, report, &after);
    return err_up(r);
}

int apply_report_tasks(struct apply *a, const Command__ReportTasks *body)
{
    struct held *worker;
    int r = hold_worker(a, body->worker_seq, &worker);

    if (r < 0)
        return err_up(r);
    if (r > 0)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER, "unknown worker");
    if (worker->worker->session != body->session)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER, "stale session");
    for (size_t i = 0; i < body->n_reports && r == 0; i++)
        r = apply_one(a, body->worker_seq, body->reports[i]);
    return err_up(r);
}
