#include "scheduler/reconcile.h"

#include <stdlib.h>

#include "proto/base/mem.h"
#include "scheduler/deploy.h"
#include "scheduler/flight.h"
#include "scheduler/place_group.h"
#include "scheduler/say.h"
#include "scheduler/schedule.h"
#include "scheduler/shrink.h"

/* One look at one service. */
struct look {
    struct view *view;
    struct service *service;
    uint64_t now_ms;
    struct plan *plan;
    struct deploy_now now;
    struct deploy_next next;
    char *events[3]; /* Until the note is made: no room or stuck, completed, steady. */
    size_t event_count;
    uint32_t cost;
};

/* Takes text. */
static void say(struct look *look, char *text)
{
    look->events[look->event_count++] = text;
}

static void count(struct deploy_count *sum, const struct deployment *deployment)
{
    sum->pending += deployment->count[VIEW_TASK_PENDING];
    sum->running += deployment->count[VIEW_TASK_RUNNING];
    sum->stopping += deployment->count[VIEW_TASK_STOPPING];
}

static void decide(struct look *look)
{
    struct service *service = look->service;

    look->now = (struct deploy_now){
        .desired_count = service->status == VIEW_SERVICE_ACTIVE ? service->desired_count : 0,
        .minimum_percent = service->minimum_healthy_percent,
        .maximum_percent = service->maximum_percent,
        .completed = service->primary && service->primary->completed,
    };
    list_each (link, &service->deployments) {
        struct deployment *deployment = list_entry(link, struct deployment, link);

        count(deployment == service->primary ? &look->now.primary : &look->now.older, deployment);
    }
    deploy_decide(&look->now, &look->next);
}

/* ---- starts */

static void wait_for_room(struct look *look, const struct place_result *result)
{
    struct service *service = look->service;
    struct shortage *shortage = &service->shortage;
    uint32_t leaving = look->now.primary.stopping + look->now.older.stopping;

    if (!shortage->here)
        *shortage = (struct shortage){.here = true, .since_ms = look->now_ms};
    shortage->room = false;
    view_service_wait(service);
    if (!shortage->said && leaving && look->now_ms < shortage->since_ms + SCHEDULE_PATIENCE_MS) {
        shortage->retry_ms = shortage->since_ms + SCHEDULE_PATIENCE_MS;
    } else if (!shortage->said || look->now_ms >= shortage->said_ms + SCHEDULE_REPEAT_MS) {
        say(look, say_unplaced(service->name, result));
        shortage->said = true;
        shortage->said_ms = look->now_ms;
        shortage->retry_ms = look->now_ms + SCHEDULE_REPEAT_MS;
    }
}

static void place_tasks(struct look *look, uint32_t wanted)
{
    struct service *service = look->service;
    struct place_group group = {
        .cluster = service->cluster,
        .service = service,
        .deployment = service->primary,
        .need = &service->primary->need,
        .count = wanted < PLAN_TASKS_MAX ? wanted : PLAN_TASKS_MAX,
    };
    struct place_result result;

    place_group(look->view, &group, &result);
    look->cost += (uint32_t)(result.placed + service->cluster->worker_count / 16);
    if (result.placed) {
        struct plan_item *item = plan_add(look->plan, PLAN_START, service->seq, result.token);

        item->deployment_seq = service->primary->seq;
        item->seqs = steal(result.workers);
        item->count = result.placed;
    }
    if (result.unplaced)
        wait_for_room(look, &result);
    else
        view_service_unwait(service);
    place_result_fini(&result);
}

static void start(struct look *look)
{
    struct service *service = look->service;
    struct shortage *shortage = &service->shortage;

    if (look->next.start == 0) {
        view_service_unwait(service);
        return;
    }
    if (look->now_ms < service->primary->start_after_ms)
        mark_at(look->view, service, service->primary->start_after_ms);
    else if (!shortage->here || shortage->room || look->now_ms >= shortage->retry_ms)
        place_tasks(look, look->next.start);
    if (shortage->here)
        mark_at(look->view, service, shortage->retry_ms);
}

/* ---- stops */

/* Up to `wanted` tasks of the primary, or of the older deployments, in any of the phases. */
struct stop_rule {
    bool primary;
    bool pending;
    bool running;
    uint32_t wanted;
};

static bool may_stop(const struct stop_rule *rule, const struct task *task)
{
    return (rule->pending && task->phase == VIEW_TASK_PENDING) ||
           (rule->running && task->phase == VIEW_TASK_RUNNING);
}

/* Gives an array of all tasks under the rule. */
static struct shrinkable *stoppable(const struct look *look, const struct stop_rule *rule,
                                    size_t *out_count)
{
    const struct deploy_count *most = rule->primary ? &look->now.primary : &look->now.older;
    struct shrinkable *tasks = mem_new_array(struct shrinkable, most->pending + most->running);
    size_t found = 0;

    list_each (link, &look->service->deployments) {
        struct deployment *deployment = list_entry(link, struct deployment, link);

        if ((deployment == look->service->primary) != rule->primary)
            continue;
        list_each (at, &deployment->tasks) {
            const struct task *task = list_entry(at, struct task, link);

            if (may_stop(rule, task))
                tasks[found++].task = task;
        }
    }
    *out_count = found;
    return tasks;
}

static void stop_by(struct look *look, const struct stop_rule *rule, uint64_t *seqs, size_t *at)
{
    struct shrinkable *tasks;
    size_t found;

    if (rule->wanted == 0 || *at == PLAN_TASKS_MAX)
        return;
    tasks = stoppable(look, rule, &found);
    shrink_order(look->view, tasks, found, rule->primary ? NULL : look->service->primary);
    for (size_t i = 0; i < found && i < rule->wanted && *at < PLAN_TASKS_MAX; i++)
        seqs[(*at)++] = tasks[i].task->seq;
    look->cost += (uint32_t)(found / 16);
    free(tasks);
}

static const char *initiator(const struct service *service)
{
    const struct deployment *deployment = service->primary;

    if (!deployment)
        deployment = list_entry(service->deployments.prev, struct deployment, link);
    return deployment->id ? deployment->id : "";
}

static void stop(struct look *look)
{
    const struct deploy_next *next = &look->next;
    const struct stop_rule rules[] = {
        {.primary = true, .pending = true, .running = true, .wanted = next->stop_surplus},
        {.pending = true, .wanted = next->stop_old_pending},
        {.running = true, .wanted = next->stop_old_running},
    };
    uint64_t all = (uint64_t)next->stop_surplus + next->stop_old_pending + next->stop_old_running;
    struct plan_item *item;

    if (all == 0)
        return;
    item = plan_add(look->plan, PLAN_STOP, look->service->seq,
                    flight_begin(look->view, look->service, NULL)->token);
    item->seqs = mem_new_array(uint64_t, all < PLAN_TASKS_MAX ? all : PLAN_TASKS_MAX);
    item->reason = say_scaling(initiator(look->service));
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        stop_by(look, &rules[i], item->seqs, &item->count);
    look->cost += (uint32_t)item->count;
}

/* ---- notes */

static struct plan_item *note(struct look *look)
{
    struct service *service = look->service;
    struct plan_item *item = plan_add(look->plan, PLAN_NOTE, service->seq,
                                      flight_begin(look->view, service, NULL)->token);

    for (size_t i = 0; i < look->event_count; i++)
        plan_item_say(item, look->events[i]);
    item->steady = service->steady;
    return item;
}

static void tell_stuck(struct look *look)
{
    struct service *service = look->service;

    if (look->next.stuck && !service->stuck_said)
        say(look, say_stuck(service->name));
    service->stuck_said = look->next.stuck;
}

static void tell(struct look *look)
{
    const struct service *service = look->service;
    const struct deploy_next *next = &look->next;
    struct plan_item *item;

    tell_stuck(look);
    if (next->complete)
        say(look, say_completed(service->name, service->primary->id));
    if (next->steady && !service->steady)
        say(look, say_steady(service->name));
    if (look->event_count == 0 && next->steady == service->steady)
        return;
    item = note(look);
    item->deployment_seq = next->complete ? service->primary->seq : 0;
    item->steady = next->steady;
}

/* ---- the service */

static void drain(struct look *look)
{
    if (look->next.steady) /* As desired: none. */
        note(look)->gone = true;
    else
        stop(look);
}

static void look_at(struct look *look)
{
    struct service *service = look->service;

    if (!service->known || service->flights || service->status == VIEW_SERVICE_INACTIVE)
        return;
    if (look->now_ms < service->hold_until_ms) {
        mark_at(look->view, service, service->hold_until_ms);
        return;
    }
    decide(look);
    if (service->status == VIEW_SERVICE_DRAINING) {
        view_service_unwait(service);
        drain(look);
    } else if (service->primary) {
        start(look);
        stop(look);
        tell(look);
    }
}

uint32_t reconcile(struct view *view, struct service *service, uint64_t now_ms, struct plan *plan)
{
    struct look look = {
        .view = view, .service = service, .now_ms = now_ms, .plan = plan, .cost = 1};

    look_at(&look);
    return look.cost;
}
