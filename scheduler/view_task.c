#include <stdlib.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "scheduler/view_parts.h"

/* state.TaskState: below it a task is starting, above it is ending, and the last is STOPPED. */
#define STATE_RUNNING 3
#define STATE_STOPPED 7

enum view_phase view_task_phase(int state, bool desired_stopped)
{
    if (state >= STATE_STOPPED)
        return VIEW_TASK_STOPPED;
    if (desired_stopped || state > STATE_RUNNING)
        return VIEW_TASK_STOPPING;
    return state == STATE_RUNNING ? VIEW_TASK_RUNNING : VIEW_TASK_PENDING;
}

static bool stays(enum view_phase phase)
{
    return phase == VIEW_TASK_PENDING || phase == VIEW_TASK_RUNNING;
}

/* ---- spots */

static struct spot *spot_at(struct deployment *deployment, struct worker *worker)
{
    struct spot *spot = seqmap_get(&deployment->spot_by_worker, worker->seq);

    if (spot)
        return spot;
    spot = mem_new(struct spot);
    spot->worker = worker;
    list_append(&deployment->spots, &spot->link);
    seqmap_add(&deployment->spot_by_worker, worker->seq, spot);
    return spot;
}

static void spot_drop(struct deployment *deployment, struct spot *spot)
{
    if (spot->refs)
        return;
    must(spot->tasks == 0);
    seqmap_remove(&deployment->spot_by_worker, spot->worker->seq);
    list_remove(&spot->link);
    free(spot);
}

/* ---- counts: what a task adds, and takes away again, by its phase */

static void count_in(struct task *task)
{
    task->worker->tasks += stays(task->phase);
    if (!task->deployment)
        return;
    task->spot->tasks += stays(task->phase);
    task->deployment->count[task->phase]++;
}

static void count_out(struct task *task)
{
    task->worker->tasks -= stays(task->phase);
    if (!task->deployment)
        return;
    task->spot->tasks -= stays(task->phase);
    task->deployment->count[task->phase]--;
}

/* ---- tasks */

static void mark_owner(struct view *view, const struct task *task)
{
    if (task->deployment)
        mark_service(view, task->deployment->service);
}

static void insert(struct view *view, const struct view_task *from)
{
    struct task *task = mem_new(struct task);

    task->seq = from->seq;
    task->phase = from->phase;
    task->worker = view_worker_at(view, from->worker_seq);
    task->worker->task_refs++;
    list_init(&task->link);
    if (from->service_seq) {
        task->deployment =
            view_deployment_at(view_service_at(view, from->service_seq), from->deployment_seq);
        task->spot = spot_at(task->deployment, task->worker);
        task->spot->refs++;
        list_append(&task->deployment->tasks, &task->link);
    }
    seqmap_add(&view->tasks, task->seq, task);
    count_in(task);
    mark_owner(view, task);
}

static void remove_from_deployment(struct view *view, struct task *task)
{
    struct deployment *deployment = task->deployment;
    struct service *service = deployment->service;

    list_remove(&task->link);
    task->spot->refs--;
    spot_drop(deployment, task->spot);
    view_deployment_drop(deployment);
    view_service_drop(view, service);
}

static void task_free(struct view *view, struct task *task)
{
    count_out(task);
    if (task->deployment)
        remove_from_deployment(view, task);
    task->worker->task_refs--;
    view_worker_drop(view, task->worker);
    free(task);
}

void view_remove_task(struct view *view, uint64_t task_seq)
{
    struct task *task = seqmap_get(&view->tasks, task_seq);

    if (!task)
        return;
    mark_owner(view, task);
    seqmap_remove(&view->tasks, task_seq);
    task_free(view, task);
}

void view_put_task(struct view *view, const struct view_task *from)
{
    struct task *task = seqmap_get(&view->tasks, from->seq);

    if (from->phase == VIEW_TASK_STOPPED) {
        view_remove_task(view, from->seq);
    } else if (!task) {
        insert(view, from);
    } else if (task->phase != from->phase) {
        count_out(task);
        task->phase = from->phase;
        count_in(task);
        mark_owner(view, task);
    }
}

void view_tasks_free(struct view *view)
{
    struct task *task;

    for (size_t at = 0; (task = seqmap_next(&view->tasks, &at));)
        task_free(view, task);
    seqmap_fini(&view->tasks);
}
