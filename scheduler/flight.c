#include "scheduler/flight.h"

#include <stdlib.h>

#include "proto/base/mem.h"

struct flight *flight_begin(struct view *view, struct service *service, const struct need *need)
{
    struct flight *flight = mem_new(struct flight);

    flight->token = ++view->last_token;
    if (service) {
        flight->service_seq = service->seq;
        service->flights++;
    }
    if (need)
        need_copy(&flight->need, need);
    seqmap_add(&view->flights, flight->token, flight);
    return flight;
}

void flight_hold(struct flight *flight, struct worker *worker)
{
    if (flight->count == flight->cap) {
        flight->cap = flight->cap ? flight->cap * 2 : 4;
        flight->workers = mem_resize(flight->workers, flight->cap, sizeof(struct worker *));
    }
    flight->workers[flight->count++] = worker;
    worker->cpu_held += flight->need.cpu;
    worker->memory_held += flight->need.memory;
    port_set_add(&worker->ports_held, &flight->need.ports);
    worker->flying++;
}

static void let_go(struct view *view, const struct flight *flight, struct worker *worker)
{
    worker->cpu_held -= flight->need.cpu;
    worker->memory_held -= flight->need.memory;
    port_set_remove(&worker->ports_held, &flight->need.ports);
    worker->flying--;
    view_worker_changed(view, worker);
    view_worker_drop(view, worker);
}

static void settle(struct view *view, struct service *service, uint64_t retry_ms)
{
    service->flights--;
    if (retry_ms > service->hold_until_ms)
        service->hold_until_ms = retry_ms;
    mark_service(view, service);
    view_service_drop(view, service);
}

static void release(struct view *view, struct flight *flight, uint64_t retry_ms)
{
    struct service *service = seqmap_get(&view->services, flight->service_seq);

    for (size_t i = 0; i < flight->count; i++)
        let_go(view, flight, flight->workers[i]);
    if (service)
        settle(view, service, retry_ms);
    need_fini(&flight->need);
    free(flight->workers);
    free(flight);
}

void view_release(struct view *view, uint64_t token, uint64_t retry_ms)
{
    struct flight *flight = seqmap_get(&view->flights, token);

    if (!flight)
        return;
    seqmap_remove(&view->flights, token);
    release(view, flight, retry_ms);
}

void view_release_all(struct view *view)
{
    struct flight *flight;

    for (size_t at = 0; (flight = seqmap_next(&view->flights, &at));)
        release(view, flight, 0);
    seqmap_fini(&view->flights);
}
