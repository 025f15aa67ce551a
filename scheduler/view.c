#include "scheduler/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "scheduler/filter.h"
#include "scheduler/flight.h"
#include "scheduler/view_parts.h"

/* ---- clusters */

struct cluster *view_cluster_at(struct view *view, uint64_t seq)
{
    struct cluster *cluster = seqmap_get(&view->clusters, seq);

    if (cluster)
        return cluster;
    cluster = mem_new(struct cluster);
    cluster->seq = seq;
    list_init(&cluster->waiting);
    seqmap_add(&view->clusters, seq, cluster);
    return cluster;
}

void view_cluster_drop(struct view *view, struct cluster *cluster)
{
    if (!cluster || cluster->worker_count || cluster->service_count)
        return;
    must(list_is_empty(&cluster->waiting));
    seqmap_remove(&view->clusters, cluster->seq);
    free(cluster->workers);
    free(cluster);
}

static void join(struct cluster *cluster, struct worker *worker)
{
    if (cluster->worker_count == cluster->worker_cap) {
        cluster->worker_cap = cluster->worker_cap ? cluster->worker_cap * 2 : 8;
        cluster->workers =
            mem_resize(cluster->workers, cluster->worker_cap, sizeof(struct worker *));
    }
    worker->cluster = cluster;
    worker->slot = cluster->worker_count;
    cluster->workers[cluster->worker_count++] = worker;
}

static void leave(struct view *view, struct worker *worker)
{
    struct cluster *cluster = worker->cluster;
    struct worker *last;

    if (!cluster)
        return;
    last = cluster->workers[--cluster->worker_count];
    cluster->workers[worker->slot] = last;
    last->slot = worker->slot;
    worker->cluster = NULL;
    view_cluster_drop(view, cluster);
}

/* ---- workers */

static uint32_t zone_index(struct view *view, const char *name)
{
    for (size_t i = 0; i < view->zone_count; i++)
        if (strcmp(view->zones[i], name) == 0)
            return (uint32_t)i;
    view->zones = mem_resize(view->zones, view->zone_count + 1, sizeof(char *));
    view->zones[view->zone_count] = mem_string(name);
    return (uint32_t)view->zone_count++;
}

struct worker *view_worker_at(struct view *view, uint64_t seq)
{
    struct worker *worker = seqmap_get(&view->workers, seq);

    if (worker)
        return worker;
    worker = mem_new(struct worker);
    worker->seq = seq;
    seqmap_add(&view->workers, seq, worker);
    return worker;
}

void view_worker_drop(struct view *view, struct worker *worker)
{
    if (worker->known || worker->task_refs || worker->flying)
        return;
    seqmap_remove(&view->workers, worker->seq);
    port_set_fini(&worker->ports_used);
    port_set_fini(&worker->ports_held);
    free(worker);
}

void view_worker_changed(struct view *view, struct worker *worker)
{
    if (!worker->cluster)
        return;
    list_each (link, &worker->cluster->waiting) {
        struct service *service = list_entry(link, struct service, waiting);

        if (filter_worker(worker, &service->primary->need) != PLACE_OK)
            continue;
        service->shortage.room = true;
        mark_service(view, service);
    }
}

void view_put_worker(struct view *view, const struct view_worker *from)
{
    struct worker *worker = view_worker_at(view, from->seq);

    if (strcmp(view->zones[worker->zone], from->zone) != 0)
        worker->zone = zone_index(view, from->zone);
    snprintf(worker->id, sizeof worker->id, "%s", from->id);
    worker->active = from->active;
    worker->connected = from->connected;
    worker->cpu = from->cpu;
    worker->memory = from->memory;
    worker->cpu_used = from->cpu_used;
    worker->memory_used = from->memory_used;
    port_set_copy(&worker->ports_used, from->ports_used, from->port_count);
    if (!worker->cluster || worker->cluster->seq != from->cluster_seq) {
        leave(view, worker);
        join(view_cluster_at(view, from->cluster_seq), worker);
    }
    worker->known = true;
    view_worker_changed(view, worker);
}

void view_remove_worker(struct view *view, uint64_t worker_seq)
{
    struct worker *worker = seqmap_get(&view->workers, worker_seq);

    if (!worker)
        return;
    leave(view, worker);
    worker->known = false;
    view_worker_drop(view, worker);
}

/* ---- the whole */

struct view *view_new(void)
{
    struct view *view = mem_new(struct view);

    zone_index(view, "");
    return view;
}

static void workers_free(struct view *view)
{
    struct worker *worker;

    for (size_t at = 0; (worker = seqmap_next(&view->workers, &at));) {
        leave(view, worker);
        port_set_fini(&worker->ports_used);
        port_set_fini(&worker->ports_held);
        free(worker);
    }
    seqmap_fini(&view->workers);
}

void view_free(struct view *view)
{
    if (!view)
        return;
    view_release_all(view);
    view_tasks_free(view);
    view_services_free(view);
    workers_free(view);
    must(view->clusters.count == 0); /* Each went with the last of its workers and services. */
    seqmap_fini(&view->clusters);
    marks_fini(&view->marks);
    for (size_t i = 0; i < view->zone_count; i++)
        free(view->zones[i]);
    free(view->zones);
    free(view);
}

void view_size(const struct view *view, struct view_size *out)
{
    *out = (struct view_size){
        .clusters = view->clusters.count,
        .workers = view->workers.count,
        .services = view->services.count,
        .tasks = view->tasks.count,
        .flights = view->flights.count,
        .marked = view->marks.marked,
    };
}
