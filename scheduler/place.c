#include "scheduler/place.h"

#include <stdlib.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "scheduler/filter.h"
#include "scheduler/flight.h"
#include "scheduler/place_group.h"
#include "scheduler/zone.h"

static const char *const reason_names[] = {
    [PLACE_OK] = "OK",
    [PLACE_NO_WORKERS] = "NO ACTIVE INSTANCES",
    [PLACE_INACTIVE] = "NO ACTIVE INSTANCES",
    [PLACE_AGENT] = "AGENT",
    [PLACE_CPU] = "RESOURCE:CPU",
    [PLACE_MEMORY] = "RESOURCE:MEMORY",
    [PLACE_PORTS] = "RESOURCE:PORTS",
};

const char *place_reason_name(enum place_reason reason)
{
    must((size_t)reason < sizeof reason_names / sizeof *reason_names);
    return reason_names[reason];
}

static void pick_all(const struct place_group *group, struct zones *zones, struct flight *flight,
                     struct place_result *out)
{
    struct zone *zone;

    while (out->placed < group->count) {
        struct worker *worker = zones_pick(zones, &zone);

        if (!worker)
            break;
        flight_hold(flight, worker);
        zones_taken(zones, zone, group->need);
        out->workers[out->placed++] = worker->seq;
    }
}

void place_group(struct view *view, const struct place_group *group, struct place_result *out)
{
    struct zones zones;
    struct flight *flight;

    *out = (struct place_result){.unplaced = group->count};
    if (!group->cluster) {
        filter_explain(NULL, group->need, out);
        return;
    }
    zones_init(&zones, view, group->cluster, group->deployment, group->need);
    if (zones.zone_count) {
        flight = flight_begin(view, group->service, group->need);
        out->token = flight->token;
        out->workers = mem_new_array(uint64_t, group->count);
        pick_all(group, &zones, flight, out);
        out->unplaced -= out->placed;
    }
    if (out->unplaced)
        filter_explain(group->cluster, group->need, out);
    zones_fini(&zones);
}

void place(struct view *view, const struct place_request *request, struct place_result *out)
{
    struct need need = {.cpu = request->cpu, .memory = request->memory};
    struct place_group group = {
        .cluster = seqmap_get(&view->clusters, request->cluster_seq),
        .service = seqmap_get(&view->services, request->service_seq),
        .need = &need,
        .count = request->count,
    };

    must(request->count > 0);
    port_set_copy(&need.ports, request->ports, request->port_count);
    if (group.service)
        group.deployment = view_deployment(group.service, request->deployment_seq);
    place_group(view, &group, out);
    need_fini(&need);
}

void place_result_fini(struct place_result *result)
{
    free(result->workers);
    *result = (struct place_result){0};
}
