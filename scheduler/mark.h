/*
 * Which services schedule() looks at next, and when to look at others.
 *
 * Marked services are taken in rounds: in ascending seq, and one marked again after it was taken
 * waits for the next round, so that none is starved. A wake-up marks a service at its time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct service;
struct view;

/* Of each service. */
struct service_mark {
    bool marked;
    uint64_t wake_ms; /* Earliest wake-up queued; 0: none. */
};

struct mark_wake {
    uint64_t at_ms;
    uint64_t seq;
};

struct marks {
    uint64_t *next; /* Seqs marked for the next round. */
    size_t next_count;
    size_t next_cap;
    uint64_t *round; /* Seqs of this round, ascending. */
    size_t round_at;
    size_t round_count;
    size_t round_cap;
    struct mark_wake *wakes; /* A heap, earliest first; stale ones are skipped when due. */
    size_t wake_count;
    size_t wake_cap;
    size_t marked; /* Services that are marked. */
};

void marks_fini(struct marks *marks);

/* Mark; a service with something in flight is marked when that is released. */
void mark_service(struct view *view, struct service *service);

/* Mark at that time, or earlier if an earlier wake-up is queued. */
void mark_at(struct view *view, struct service *service, uint64_t at_ms);

/* Take the mark away from one that is going to be freed. */
void mark_drop(struct view *view, struct service *service);

/* Mark those whose time has come. */
void mark_due(struct view *view, uint64_t now_ms);

/* The next marked service, its mark taken away. NULL: there is none. */
struct service *mark_take(struct view *view);

/* Time of the next wake-up; UINT64_MAX: none. */
uint64_t mark_wakeup_ms(const struct view *view);
