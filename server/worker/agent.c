#include "server/worker/agent.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "proto/base/bytes.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/unpacking.h"
#include "server/worker/report.h"

enum { NO_PULL = 0 };

/* A task's newest report is kept packed: small, and quickly compared. */
struct agent_task {
    char id[ARN_ID_CHARS + 1]; /* First, so that a task is compared by its id. */
    State__TaskState state;
    struct buffer report; /* Empty: none yet. */
    bool stop_ordered;
    uint64_t acknowledged_at; /* STOPPED was: the number of the last Pull sent by then, plus one. */
    struct list link;         /* Of agent.tasks. */
    struct list owed;         /* Of agent.dirty or agent.sent, or of none. */
    struct list leaving;      /* Of agent.leaving, or of none. */
};

struct agent {
    uint64_t term;
    uint64_t pulls;
    void *by_id; /* A tree of tasks. */
    size_t count;
    struct list tasks;
    struct list dirty;   /* To be reported, oldest first. */
    struct list sent;    /* On their way. */
    struct list leaving; /* STOPPED and acknowledged. */
};

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static struct agent_task *find(const struct agent *agent, const char *task_id)
{
    void *const *node = tfind(task_id, &agent->by_id, compare);

    return node ? *node : NULL;
}

static struct agent_task *add(struct agent *agent, const char *task_id)
{
    struct agent_task *task = mem_new(struct agent_task);

    must(id_is_valid(task_id));
    memcpy(task->id, task_id, sizeof task->id);
    task->state = STATE__TASK_STATE__TASK_PENDING;
    list_append(&agent->tasks, &task->link);
    list_init(&task->owed);
    list_init(&task->leaving);
    must(tsearch(task, &agent->by_id, compare));
    agent->count++;
    return task;
}

static void drop(struct agent *agent, struct agent_task *task)
{
    tdelete(task, &agent->by_id, compare);
    list_remove(&task->link);
    list_remove(&task->owed);
    list_remove(&task->leaving);
    buffer_fini(&task->report);
    free(task);
    agent->count--;
}

struct agent *agent_new(uint64_t term)
{
    struct agent *agent = mem_new(struct agent);

    agent->term = term;
    list_init(&agent->tasks);
    list_init(&agent->dirty);
    list_init(&agent->sent);
    list_init(&agent->leaving);
    return agent;
}

void agent_free(struct agent *agent)
{
    if (!agent)
        return;
    list_each (link, &agent->tasks)
        drop(agent, list_entry(link, struct agent_task, link));
    free(agent);
}

int agent_hear(struct agent *agent, uint64_t term)
{
    if (term < agent->term)
        return AGENT_OLD_TERM;
    if (term == agent->term)
        return 0;
    agent->term = term;
    return AGENT_NEW_TERM;
}

size_t agent_task_count(const struct agent *agent)
{
    return agent->count;
}

/* ---- reports */

static bool is_stopped(const struct agent_task *task)
{
    return task->state == STATE__TASK_STATE__TASK_STOPPED;
}

/* To be reported, and therefore not yet to be forgotten. */
static void owe(struct agent *agent, struct agent_task *task)
{
    list_remove(&task->leaving);
    task->acknowledged_at = NO_PULL;
    list_remove(&task->owed);
    list_append(&agent->dirty, &task->owed);
}

static bool set_report(struct agent_task *task, const Command__TaskReport *report)
{
    size_t len = command__task_report__get_packed_size(report);
    struct buffer packed = {0};

    command__task_report__pack(report, buffer_extend(&packed, len));
    if (len == task->report.len && !memcmp(packed.base, task->report.base, len)) {
        buffer_fini(&packed);
        return false;
    }
    buffer_fini(&task->report);
    task->report = packed;
    task->state = report->state;
    return true;
}

bool agent_observe(struct agent *agent, const Command__TaskReport *report)
{
    struct agent_task *task = find(agent, report->task_id);

    if (!task || is_stopped(task) || report->state < task->state || !set_report(task, report))
        return false;
    owe(agent, task);
    return true;
}

void agent_adopt(struct agent *agent, const char *task_id, const Command__TaskReport *report)
{
    struct agent_task *task = find(agent, task_id);

    if (!task)
        task = add(agent, task_id);
    if (report)
        set_report(task, report);
}

void agent_report_all(struct agent *agent)
{
    must(list_is_empty(&agent->sent));
    list_each (link, &agent->tasks) {
        struct agent_task *task = list_entry(link, struct agent_task, link);

        if (task->report.len)
            owe(agent, task);
    }
}

bool agent_has_reports(const struct agent *agent)
{
    return list_is_empty(&agent->sent) && !list_is_empty(&agent->dirty);
}

bool agent_owes_reports(const struct agent *agent)
{
    return !list_is_empty(&agent->sent) || !list_is_empty(&agent->dirty);
}

size_t agent_take_reports(struct agent *agent, Command__TaskReport **out, size_t max)
{
    size_t count = 0;

    must(list_is_empty(&agent->sent));
    while (count < max && !list_is_empty(&agent->dirty)) {
        struct agent_task *task = list_entry(agent->dirty.next, struct agent_task, owed);

        list_remove(&task->owed);
        list_append(&agent->sent, &task->owed);
        out[count] = command__task_report__unpack(&unpacking, task->report.len, task->report.base);
        must(out[count]);
        count++;
    }
    return count;
}

/* What changed again on its way is back among the dirty ones by then, and not looked at here. */
void agent_reported(struct agent *agent, bool acknowledged)
{
    list_each (link, &agent->sent) {
        struct agent_task *task = list_entry(link, struct agent_task, owed);

        list_remove(&task->owed);
        if (!acknowledged) {
            list_append(&agent->dirty, &task->owed);
        } else if (is_stopped(task)) {
            task->acknowledged_at = agent->pulls + 1;
            list_append(&agent->leaving, &task->leaving);
        }
    }
}

/* ---- orders */

static struct agent_action *plan_add(struct agent_plan *plan, enum agent_verb verb,
                                     const char *task_id)
{
    struct agent_action *action;

    if (plan->count == plan->room) {
        plan->room = plan->room ? 2 * plan->room : 16;
        plan->actions = mem_resize(plan->actions, plan->room, sizeof *plan->actions);
    }
    action = &plan->actions[plan->count++];
    *action = (struct agent_action){.verb = verb, .task_id = task_id};
    return action;
}

void agent_plan_fini(struct agent_plan *plan)
{
    free(plan->actions);
    *plan = (struct agent_plan){0};
}

uint64_t agent_pull(struct agent *agent)
{
    return ++agent->pulls;
}

static const Worker__Definition *find_definition(const Worker__PullResponse *response,
                                                 const Worker__Assignment *assignment)
{
    for (size_t i = 0; i < response->n_definitions; i++) {
        const Worker__Definition *definition = response->definitions[i];

        if (definition->spec && definition->revision == assignment->revision &&
            !strcmp(definition->family, assignment->family))
            return definition;
    }
    return NULL;
}

static void decide_new(const Worker__PullResponse *response, const Worker__Assignment *assignment,
                       struct agent_plan *plan)
{
    const Worker__Definition *definition =
        assignment->stop ? NULL : find_definition(response, assignment);
    struct agent_action *action =
        plan_add(plan, definition ? AGENT_START : AGENT_DENY, assignment->task_id);

    action->assignment = assignment;
    action->definition = definition;
}

static void decide_known(const struct agent_task *task, const Worker__Assignment *assignment,
                         struct agent_plan *plan)
{
    if (is_stopped(task)) {
        if (list_is_empty(&task->owed)) /* Else it is being reported anyway. */
            plan_add(plan, AGENT_REMIND, task->id);
    } else if (assignment->stop && !task->stop_ordered) {
        plan_add(plan, AGENT_STOP, task->id);
    }
}

/* The ids of a response, sorted. */
struct listed {
    const char **ids;
    size_t count;
};

static int compare_ids(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct listed list_ids(const Worker__PullResponse *response)
{
    struct listed listed = {mem_new_array(const char *, response->n_assignments), 0};

    for (size_t i = 0; i < response->n_assignments; i++)
        listed.ids[listed.count++] = response->assignments[i]->task_id;
    if (listed.count > 1)
        qsort(listed.ids, listed.count, sizeof *listed.ids, compare_ids);
    return listed;
}

static bool is_listed(const struct listed *listed, const char *task_id)
{
    return listed->count &&
           bsearch(&task_id, listed->ids, listed->count, sizeof *listed->ids, compare_ids);
}

static bool is_repeated(const struct listed *listed, const char *task_id)
{
    const char **at =
        bsearch(&task_id, listed->ids, listed->count, sizeof *listed->ids, compare_ids);

    must(at);
    return (at > listed->ids && !strcmp(at[-1], task_id)) ||
           (at + 1 < listed->ids + listed->count && !strcmp(at[1], task_id));
}

static void decide_missing(const struct agent *agent, const struct listed *listed,
                           struct agent_plan *plan)
{
    list_each (link, &agent->tasks) {
        const struct agent_task *task = list_entry(link, struct agent_task, link);

        if (!is_stopped(task) && !task->stop_ordered && !is_listed(listed, task->id))
            plan_add(plan, AGENT_STOP, task->id);
    }
}

static void decide_leaving(const struct agent *agent, uint64_t pull, const struct listed *listed,
                           struct agent_plan *plan)
{
    list_each (link, &agent->leaving) {
        const struct agent_task *task = list_entry(link, struct agent_task, leaving);

        if (pull >= task->acknowledged_at && !is_listed(listed, task->id))
            plan_add(plan, AGENT_FORGET, task->id);
    }
}

void agent_decide(const struct agent *agent, uint64_t pull, const Worker__PullResponse *response,
                  struct agent_plan *out)
{
    struct listed listed = list_ids(response);

    for (size_t i = 0; i < response->n_assignments; i++) {
        const Worker__Assignment *assignment = response->assignments[i];
        const struct agent_task *task;

        if (!id_is_valid(assignment->task_id) || is_repeated(&listed, assignment->task_id)) {
            out->malformed++;
            continue;
        }
        task = find(agent, assignment->task_id);
        if (task)
            decide_known(task, assignment, out);
        else
            decide_new(response, assignment, out);
    }
    if (response->complete)
        decide_missing(agent, &listed, out);
    decide_leaving(agent, pull, &listed, out);
    free(listed.ids);
}

static void deny(struct agent *agent, const struct agent_action *action, uint64_t now_ms)
{
    bool stopped = action->assignment->stop;
    Command__TaskReport *report = report_stopped(
        action->task_id,
        stopped ? STATE__STOP_CODE__STOP_NONE : STATE__STOP_CODE__STOP_TASK_FAILED_TO_START,
        stopped ? "" : "CannotStartContainerError: its task definition did not come with it",
        now_ms);

    add(agent, action->task_id);
    agent_observe(agent, report);
    report_free(report);
}

void agent_carry_out(struct agent *agent, const struct agent_plan *plan, uint64_t now_ms)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct agent_action *action = &plan->actions[i];

        switch (action->verb) {
        case AGENT_START:
            add(agent, action->task_id);
            break;
        case AGENT_STOP:
            find(agent, action->task_id)->stop_ordered = true;
            break;
        case AGENT_DENY:
            deny(agent, action, now_ms);
            break;
        case AGENT_REMIND:
            owe(agent, find(agent, action->task_id));
            break;
        case AGENT_FORGET:
            drop(agent, find(agent, action->task_id));
            break;
        }
    }
}
