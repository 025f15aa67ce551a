/* What the scheduler asks for: PlaceTasks, StopTasks, NoteService. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "storage/apply_inner.h"
#include "storage/tables_write.h"

enum {
    EVENT_TASKS_MAX = 50, /* Named in one event; a larger number is told as a number. */
};

/* Outcome APPLY_REFUSED: there is no such service. */
static int need_service(struct apply *a, uint64_t seq, struct held **out)
{
    int r = hold_service(a, seq, out);

    if (r > 0)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_SERVICE_NOT_FOUND, "Service not found.");
    return err_up(r);
}

/* ECS: "(service web) has started 2 tasks: (task 1f..) (task 20..)." */
static int tell_of_tasks(struct apply *a, struct held *service, const char *event_id,
                         const char *did, char *const *task_ids, size_t count)
{
    scope(buffer_fini) struct buffer text = {0};

    if (count == 0)
        return 0;
    buffer_append_format(&text, "(service %s) has %s:", service->service->name, did);
    for (size_t i = 0; i < count && i < EVENT_TASKS_MAX; i++)
        buffer_append_format(&text, " (task %s)", task_ids[i]);
    if (count > EVENT_TASKS_MAX)
        buffer_append_format(&text, " and %zu more", count - EVENT_TASKS_MAX);
    buffer_append_text(&text, ".");
    return err_up(service_tell(a, service, event_id, buffer_text(&text)));
}

/* ---- PlaceTasks */

static int place_all(struct apply *a, const struct placing *placing,
                     const Command__PlaceTasks *body)
{
    for (size_t i = 0; i < body->n_placements; i++) {
        const char *refusal;
        int r = place_task(a, placing, body->placements[i], &refusal);

        if (r < 0)
            return err_up(r);
    }
    return 0;
}

static int tell_of_started(struct apply *a, struct held *service, const char *event_id)
{
    char did[64];

    snprintf(did, sizeof did, "started %zu tasks", a->result->n_task_ids);
    return err_up(
        tell_of_tasks(a, service, event_id, did, a->result->task_ids, a->result->n_task_ids));
}

static int place_for(struct apply *a, struct held *service, const State__Deployment *deployment,
                     const Command__PlaceTasks *body)
{
    scope(definition_free) State__TaskDefinition *definition = NULL;
    struct placing placing = {
        .cluster_seq = service->service->cluster_seq,
        .service_seq = service->seq,
        .deployment_seq = deployment->seq,
        .started_by = deployment->id,
    };
    char *group;
    int r = table_task_definition(a->txn, deployment->family, deployment->revision, &definition);

    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    group = mem_format("service:%s", service->service->name);
    placing.definition = definition;
    placing.group = group;
    r = place_all(a, &placing, body);
    free(group);
    return err_up(r);
}

int apply_place_tasks(struct apply *a, const Command__PlaceTasks *body)
{
    struct held *service, *deployment;
    int r = need_service(a, body->service_seq, &service);

    if (r != 0)
        return out_up(r);
    if (service->service->status != STATE__SERVICE_STATUS__SERVICE_ACTIVE)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_SERVICE_NOT_ACTIVE,
                            "Service was not ACTIVE.");
    r = hold_deployment(a, body->service_seq, body->deployment_seq, &deployment);
    if (r > 0)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                            "The deployment was not found.");
    if (r == 0)
        r = place_for(a, service, deployment->deployment, body);
    if (r == 0 && a->result->n_task_ids > 0)
        r = service_unsettle(a, service->seq);
    if (r < 0)
        return err_up(r);
    return err_up(tell_of_started(a, service, body->event_id));
}

/* ---- StopTasks */

struct stopped {
    char **ids;
    size_t count;
};

static int stop_one(struct apply *a, uint64_t task_seq, const Command__StopTasks *body,
                    struct stopped *stopped)
{
    scope(task_pair_fini) struct task_pair pair = {0};
    bool asked = false;
    int r = task_load(a, task_seq, &pair);

    if (r != 0)
        return r > 0 ? 0 : err_up(r);
    if (pair.task->service_seq != body->service_seq)
        return 0;
    r = task_ask_to_stop(a, &pair, STATE__STOP_CODE__STOP_SERVICE_SCHEDULER_INITIATED, body->reason,
                         &asked);
    if (r < 0)
        return err_up(r);
    if (asked)
        stopped->ids[stopped->count++] = mem_string(pair.task->id);
    return 0;
}

static int stop_all(struct apply *a, struct held *service, const Command__StopTasks *body,
                    struct stopped *stopped)
{
    char did[64];
    int r = 0;

    for (size_t i = 0; i < body->n_task_seqs && r == 0; i++)
        r = stop_one(a, body->task_seqs[i], body, stopped);
    if (r < 0)
        return err_up(r);
    snprintf(did, sizeof did, "stopped %zu running tasks", stopped->count);
    return err_up(tell_of_tasks(a, service, body->event_id, did, stopped->ids, stopped->count));
}

int apply_stop_tasks(struct apply *a, const Command__StopTasks *body)
{
    struct stopped stopped = {0};
    struct held *service;
    int r = body->service_seq ? need_service(a, body->service_seq, &service)
                              : apply_refuse(a, COMMAND__ERROR_CODE__ERROR_SERVICE_NOT_FOUND,
                                             "Service not found.");

    if (r != 0)
        return out_up(r);
    text_cut(body->reason, TEXT_REASON_BYTES);
    stopped.ids = mem_new_array(char *, body->n_task_seqs);
    r = stop_all(a, service, body, &stopped);
    for (size_t i = 0; i < stopped.count; i++)
        free(stopped.ids[i]);
    free(stopped.ids);
    return err_up(r);
}

/* ---- NoteService */

struct drained {
    uint64_t primary_seq;
    uint64_t *seqs;
    size_t count;
};

static int each_deployment(void *context, const State__Deployment *deployment)
{
    struct drained *drained = context;

    if (deployment->seq == drained->primary_seq || deployment->running_count > 0 ||
        deployment->pending_count > 0 || deployment->stopping_count > 0)
        return 0;
    drained->seqs = mem_resize(drained->seqs, drained->count + 1, sizeof *drained->seqs);
    drained->seqs[drained->count++] = deployment->seq;
    return 0;
}

/* Those that are neither primary nor have a task left. */
static int remove_drained(struct apply *a, const State__Service *service)
{
    struct drained drained = {.primary_seq = service->primary_deployment_seq};
    int r = table_deployments(a->txn, service->seq, each_deployment, &drained);

    for (size_t i = 0; i < drained.count && r == 0; i++)
        r = table_del_deployment(a->txn, service->seq, drained.seqs[i]);
    if (r == 0 && drained.count > 0)
        apply_changed(a, CHANGE_SERVICE, service->seq);
    free(drained.seqs);
    return err_up(r);
}

static int complete(struct apply *a, const State__Service *service, uint64_t deployment_seq)
{
    struct held *primary;
    int r;

    if (deployment_seq == 0 || deployment_seq != service->primary_deployment_seq)
        return 0;
    r = hold_deployment(a, service->seq, deployment_seq, &primary);
    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    if (primary->deployment->rollout_state != STATE__ROLLOUT_STATE__ROLLOUT_COMPLETED) {
        primary->deployment->rollout_state = STATE__ROLLOUT_STATE__ROLLOUT_COMPLETED;
        primary->deployment->updated_ms = a->now_ms;
        primary->changed = true;
    }
    return err_up(remove_drained(a, service));
}

static int end(struct apply *a, struct held *service)
{
    uint64_t live;
    int r;

    if (service->service->status != STATE__SERVICE_STATUS__SERVICE_DRAINING)
        return 0;
    r = service_live_tasks(a, service->seq, &live);
    if (r < 0)
        return err_up(r);
    if (live > 0)
        return 0;
    return err_up(service_set_status(a, service, STATE__SERVICE_STATUS__SERVICE_INACTIVE));
}

int apply_note_service(struct apply *a, const Command__NoteService *body)
{
    struct held *service;
    int r = need_service(a, body->service_seq, &service);

    if (r != 0)
        return out_up(r);
    for (size_t i = 0; i < body->n_events && r == 0; i++)
        r = service_tell(a, service, body->events[i]->id, body->events[i]->message);
    if (r == 0)
        r = complete(a, service->service, body->completed_deployment_seq);
    if (r == 0 && body->gone)
        r = end(a, service);
    if (r < 0)
        return err_up(r);
    service->changed |= !service->service->steady != !body->steady;
    service->service->steady = body->steady;
    return 0;
}
