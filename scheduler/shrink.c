/*
 * Taking one task after the other from the fullest zone and worker comes to sorting. A worker
 * with c tasks gives them up in a fixed order, the first when it has c, the next when it has
 * c - 1, and so on: that number is the task's worker level. Within a zone, higher worker levels
 * go first; so a zone too gives up its tasks in a fixed order, at zone levels z, z - 1, ...
 * Over all zones, higher zone levels go first.
 */
#include "scheduler/shrink.h"

#include <stdlib.h>

#include "proto/base/mem.h"

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* Not RUNNING before RUNNING, then newest first. */
static int by_task(const struct shrinkable *a, const struct shrinkable *b)
{
    int order = compare(a->task->phase == VIEW_TASK_RUNNING, b->task->phase == VIEW_TASK_RUNNING);

    return order ? order : compare(b->task->seq, a->task->seq);
}

static int by_worker(const void *left, const void *right)
{
    const struct shrinkable *a = left, *b = right;
    int order = compare(a->task->worker->seq, b->task->worker->seq);

    return order ? order : by_task(a, b);
}

static int by_worker_level(const struct shrinkable *a, const struct shrinkable *b)
{
    int order = compare(b->worker_level, a->worker_level);

    return order ? order : by_task(a, b);
}

static int by_zone(const void *left, const void *right)
{
    const struct shrinkable *a = left, *b = right;
    int order = compare(a->task->worker->zone, b->task->worker->zone);

    return order ? order : by_worker_level(a, b);
}

static int by_zone_level(const void *left, const void *right)
{
    const struct shrinkable *a = left, *b = right;
    int order = compare(b->zone_level, a->zone_level);

    return order ? order : by_worker_level(a, b);
}

static size_t tasks_beside(const struct deployment *beside, const struct worker *worker)
{
    const struct spot *spot = beside ? seqmap_get(&beside->spot_by_worker, worker->seq) : NULL;

    return spot ? spot->tasks : 0;
}

/* Tasks are sorted by worker. Each run is numbered down to 1 above what stays there. */
static void level_workers(struct shrinkable *tasks, size_t count, const struct deployment *beside)
{
    for (size_t first = 0, end; first < count; first = end) {
        const struct worker *worker = tasks[first].task->worker;
        size_t stay = tasks_beside(beside, worker);

        for (end = first; end < count && tasks[end].task->worker == worker; end++)
            ;
        for (size_t i = first; i < end; i++)
            tasks[i].worker_level = stay + end - i;
    }
}

/* The same for zones. Gives an array by zone index. */
static size_t *count_beside(const struct view *view, struct deployment *beside)
{
    size_t *stay = mem_new_array(size_t, view->zone_count);

    if (!beside)
        return stay;
    list_each (link, &beside->spots) {
        const struct spot *spot = list_entry(link, struct spot, link);

        stay[spot->worker->zone] += spot->tasks;
    }
    return stay;
}

static void level_zones(struct shrinkable *tasks, size_t count, const size_t *stay)
{
    for (size_t first = 0, end; first < count; first = end) {
        uint32_t zone = tasks[first].task->worker->zone;

        for (end = first; end < count && tasks[end].task->worker->zone == zone; end++)
            ;
        for (size_t i = first; i < end; i++)
            tasks[i].zone_level = stay[zone] + end - i;
    }
}

void shrink_order(const struct view *view, struct shrinkable *tasks, size_t count,
                  struct deployment *beside)
{
    size_t *stay;

    if (count == 0)
        return;
    qsort(tasks, count, sizeof *tasks, by_worker);
    level_workers(tasks, count, beside);
    qsort(tasks, count, sizeof *tasks, by_zone);
    stay = count_beside(view, beside);
    level_zones(tasks, count, stay);
    free(stay);
    qsort(tasks, count, sizeof *tasks, by_zone_level);
}
