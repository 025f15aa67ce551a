#include "scheduler/mark.h"

#include <stdlib.h>

#include "proto/base/mem.h"
#include "scheduler/view_parts.h"

void marks_fini(struct marks *marks)
{
    free(marks->next);
    free(marks->round);
    free(marks->wakes);
    *marks = (struct marks){0};
}

/* On a follower nobody takes marks: services that came and went would pile up. */
static void forget_gone(struct view *view)
{
    struct marks *marks = &view->marks;
    size_t kept = 0;

    for (size_t i = 0; i < marks->next_count; i++) {
        const struct service *service = seqmap_get(&view->services, marks->next[i]);

        if (service && service->mark.marked)
            marks->next[kept++] = marks->next[i];
    }
    marks->next_count = kept;
}

static void make_room(struct view *view)
{
    struct marks *marks = &view->marks;

    forget_gone(view);
    if (marks->next_count * 2 < marks->next_cap)
        return;
    marks->next_cap = marks->next_cap ? marks->next_cap * 2 : 16;
    marks->next = mem_resize(marks->next, marks->next_cap, sizeof *marks->next);
}

void mark_service(struct view *view, struct service *service)
{
    struct marks *marks = &view->marks;

    if (service->mark.marked || service->flights)
        return;
    if (marks->next_count == marks->next_cap)
        make_room(view);
    marks->next[marks->next_count++] = service->seq;
    service->mark.marked = true;
    marks->marked++;
}

void mark_drop(struct view *view, struct service *service)
{
    if (service->mark.marked)
        view->marks.marked--;
    service->mark.marked = false; /* Its seq stays queued and is skipped when taken. */
}

static int compare_seqs(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static void begin_round(struct marks *marks)
{
    uint64_t *seqs = marks->round;
    size_t cap = marks->round_cap;

    marks->round = marks->next;
    marks->round_cap = marks->next_cap;
    marks->round_count = marks->next_count;
    marks->round_at = 0;
    marks->next = seqs;
    marks->next_cap = cap;
    marks->next_count = 0;
    if (marks->round_count)
        qsort(marks->round, marks->round_count, sizeof *marks->round, compare_seqs);
}

struct service *mark_take(struct view *view)
{
    struct marks *marks = &view->marks;

    while (marks->marked) {
        struct service *service;

        if (marks->round_at == marks->round_count)
            begin_round(marks);
        service = seqmap_get(&view->services, marks->round[marks->round_at++]);
        if (service && service->mark.marked) {
            mark_drop(view, service);
            return service;
        }
    }
    return NULL;
}

/* ---- wake-ups: a binary heap by (time, seq) */

static bool wakes_before(const struct mark_wake *a, const struct mark_wake *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->seq < b->seq;
}

static void push(struct marks *marks, struct mark_wake wake)
{
    size_t at = marks->wake_count++;

    if (at == marks->wake_cap) {
        marks->wake_cap = marks->wake_cap ? marks->wake_cap * 2 : 16;
        marks->wakes = mem_resize(marks->wakes, marks->wake_cap, sizeof *marks->wakes);
    }
    for (; at && wakes_before(&wake, &marks->wakes[(at - 1) / 2]); at = (at - 1) / 2)
        marks->wakes[at] = marks->wakes[(at - 1) / 2];
    marks->wakes[at] = wake;
}

static struct mark_wake pop(struct marks *marks)
{
    struct mark_wake first = marks->wakes[0], last = marks->wakes[--marks->wake_count];
    size_t at = 0;

    for (size_t child = 1; child < marks->wake_count; child = at * 2 + 1) {
        if (child + 1 < marks->wake_count &&
            wakes_before(&marks->wakes[child + 1], &marks->wakes[child]))
            child++;
        if (!wakes_before(&marks->wakes[child], &last))
            break;
        marks->wakes[at] = marks->wakes[child];
        at = child;
    }
    marks->wakes[at] = last;
    return first;
}

void mark_at(struct view *view, struct service *service, uint64_t at_ms)
{
    if (service->mark.wake_ms && service->mark.wake_ms <= at_ms)
        return;
    service->mark.wake_ms = at_ms;
    push(&view->marks, (struct mark_wake){at_ms, service->seq});
}

void mark_due(struct view *view, uint64_t now_ms)
{
    struct marks *marks = &view->marks;

    while (marks->wake_count && marks->wakes[0].at_ms <= now_ms) {
        struct mark_wake wake = pop(marks);
        struct service *service = seqmap_get(&view->services, wake.seq);

        if (!service || service->mark.wake_ms != wake.at_ms)
            continue; /* Gone, or an earlier one came in its place. */
        service->mark.wake_ms = 0;
        mark_service(view, service);
    }
}

uint64_t mark_wakeup_ms(const struct view *view)
{
    return view->marks.wake_count ? view->marks.wakes[0].at_ms : UINT64_MAX;
}
