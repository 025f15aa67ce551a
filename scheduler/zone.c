#include "scheduler/zone.h"

#include <stdlib.h>

#include "proto/base/mem.h"
#include "scheduler/filter.h"

/* ---- one zone's heap */

static bool candidate_before(const struct candidate *a, const struct candidate *b)
{
    if (a->mine != b->mine)
        return a->mine < b->mine;
    if (a->total != b->total)
        return a->total < b->total;
    return a->worker->seq < b->worker->seq;
}

static void sift_down(struct zone *zone, size_t at)
{
    struct candidate moved = zone->heap[at];

    for (size_t child = at * 2 + 1; child < zone->count; child = at * 2 + 1) {
        if (child + 1 < zone->count && candidate_before(&zone->heap[child + 1], &zone->heap[child]))
            child++;
        if (!candidate_before(&zone->heap[child], &moved))
            break;
        zone->heap[at] = zone->heap[child];
        at = child;
    }
    zone->heap[at] = moved;
}

static void heapify(struct zone *zone)
{
    for (size_t at = zone->count / 2; at-- > 0;)
        sift_down(zone, at);
}

/* ---- all zones */

/* Tasks in each zone: of the deployment, or of all (standalone) on the cluster's workers. */
static void count_zones(struct zone *zones, const struct cluster *cluster,
                        struct deployment *deployment)
{
    if (deployment) {
        list_each (link, &deployment->spots) {
            const struct spot *spot = list_entry(link, struct spot, link);

            zones[spot->worker->zone].mine += spot->tasks;
        }
        return;
    }
    for (size_t i = 0; i < cluster->worker_count; i++) {
        const struct worker *worker = cluster->workers[i];

        zones[worker->zone].total += worker->tasks + worker->flying;
    }
}

static uint32_t tasks_of(const struct deployment *deployment, const struct worker *worker)
{
    const struct spot *spot;

    if (!deployment)
        return 0;
    spot = seqmap_get(&deployment->spot_by_worker, worker->seq);
    return spot ? spot->tasks : 0;
}

/* Who can, counted by zone. Gives an array with room for one more than needed, never NULL. */
static struct worker **collect(struct zone *zones, const struct cluster *cluster,
                               const struct need *need, size_t *out_count)
{
    struct worker **able = mem_new_array(struct worker *, cluster->worker_count + 1);
    size_t count = 0;

    for (size_t i = 0; i < cluster->worker_count; i++) {
        struct worker *worker = cluster->workers[i];

        if (filter_worker(worker, need) != PLACE_OK)
            continue;
        able[count++] = worker;
        zones[worker->zone].count++;
    }
    *out_count = count;
    return able;
}

/* Each zone's candidates into its own part of the array. */
static void deal(struct zones *zones, struct worker **able, const struct deployment *deployment)
{
    struct candidate *next = zones->candidates;

    for (size_t i = 0; i < zones->zone_count; i++) {
        zones->zones[i].heap = next;
        next += zones->zones[i].count;
        zones->zones[i].count = 0;
    }
    for (size_t i = 0; i < zones->candidate_count; i++) {
        struct zone *zone = &zones->zones[able[i]->zone];

        zone->heap[zone->count++] = (struct candidate){
            .worker = able[i],
            .mine = tasks_of(deployment, able[i]),
            .total = able[i]->tasks + able[i]->flying,
        };
    }
}

static void drop_zone(struct zones *zones, struct zone *zone)
{
    *zone = zones->zones[--zones->zone_count];
}

void zones_init(struct zones *zones, const struct view *view, const struct cluster *cluster,
                struct deployment *deployment, const struct need *need)
{
    struct worker **able;

    zones->zone_count = view->zone_count;
    zones->zones = mem_new_array(struct zone, view->zone_count);
    count_zones(zones->zones, cluster, deployment);
    able = collect(zones->zones, cluster, need, &zones->candidate_count);
    zones->candidates = mem_new_array(struct candidate, zones->candidate_count + 1);
    deal(zones, able, deployment);
    free(able);
    for (size_t i = zones->zone_count; i-- > 0;) {
        heapify(&zones->zones[i]);
        if (zones->zones[i].count == 0)
            drop_zone(zones, &zones->zones[i]);
    }
}

void zones_fini(struct zones *zones)
{
    free(zones->zones);
    free(zones->candidates);
}

static bool zone_before(const struct zone *a, const struct zone *b)
{
    if (a->mine != b->mine)
        return a->mine < b->mine;
    if (a->total != b->total)
        return a->total < b->total;
    return candidate_before(&a->heap[0], &b->heap[0]);
}

struct worker *zones_pick(struct zones *zones, struct zone **out_zone)
{
    struct zone *best = NULL;

    for (size_t i = 0; i < zones->zone_count; i++)
        if (!best || zone_before(&zones->zones[i], best))
            best = &zones->zones[i];
    if (!best)
        return NULL;
    *out_zone = best;
    return best->heap[0].worker;
}

void zones_taken(struct zones *zones, struct zone *zone, const struct need *need)
{
    struct candidate *top = &zone->heap[0];

    zone->mine++;
    top->mine++;
    top->total++;
    if (filter_worker(top->worker, need) != PLACE_OK)
        *top = zone->heap[--zone->count];
    if (zone->count == 0)
        drop_zone(zones, zone);
    else
        sift_down(zone, 0);
}
