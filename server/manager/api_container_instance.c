#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "server/manager/api_render.h"

static const char *status_name(State__WorkerStatus status)
{
    switch (status) {
    case STATE__WORKER_STATUS__WORKER_DRAINING:
        return "DRAINING";
    case STATE__WORKER_STATUS__WORKER_INACTIVE:
        return "INACTIVE";
    default:
        return "ACTIVE";
    }
}

/* ---- resources: ECS fills in all the numbers, whatever the type */

static Ecs__Resource *resource_new(const char *name, const char *type, int32_t value)
{
    Ecs__Resource *resource = mem_new(Ecs__Resource);

    ecs__resource__init(resource);
    resource->name = mem_string(name);
    resource->type = mem_string(type);
    SET(resource, double_value, 0);
    SET(resource, long_value, 0);
    SET(resource, integer_value, value);
    return resource;
}

/* The host ports in use. */
static Ecs__Resource *ports_new(const char *name, const State__WorkerUsage *usage, bool udp)
{
    Ecs__Resource *resource = resource_new(name, "STRINGSET", 0);

    for (size_t i = 0; usage && i < usage->n_ports; i++) {
        if (usage->ports[i]->udp == udp)
            ADD(resource, string_set_value, mem_format("%u", usage->ports[i]->number));
    }
    return resource;
}

static uint32_t left(uint32_t has, uint32_t taken)
{
    return taken < has ? has - taken : 0;
}

static void add_resources(Ecs__ContainerInstance *instance, const State__Worker *worker,
                          const State__WorkerUsage *usage)
{
    ADD(instance, registered_resources, resource_new("CPU", "INTEGER", as_count(worker->cpu)));
    ADD(instance, registered_resources,
        resource_new("MEMORY", "INTEGER", as_count(worker->memory)));
    ADD(instance, registered_resources, ports_new("PORTS", NULL, false));
    ADD(instance, registered_resources, ports_new("PORTS_UDP", NULL, true));

    ADD(instance, remaining_resources,
        resource_new("CPU", "INTEGER", as_count(left(worker->cpu, usage->cpu))));
    ADD(instance, remaining_resources,
        resource_new("MEMORY", "INTEGER", as_count(left(worker->memory, usage->memory))));
    ADD(instance, remaining_resources, ports_new("PORTS", usage, false));
    ADD(instance, remaining_resources, ports_new("PORTS_UDP", usage, true));
}

/* ---- the rest */

static void add_attributes(Ecs__ContainerInstance *instance, State__Worker *worker)
{
    Ecs__Attribute *zone;

    if (!render_attribute(worker, "ecs.availability-zone") && worker->zone[0]) {
        zone = mem_new(Ecs__Attribute);
        ecs__attribute__init(zone);
        zone->name = mem_string("ecs.availability-zone");
        zone->value = mem_string(worker->zone);
        ADD(worker, attributes, zone);
    }
    MOVE_LIST(instance, attributes, worker, attributes);
}

static Ecs__VersionInfo *version_info_new(const char *version)
{
    Ecs__VersionInfo *info = mem_new(Ecs__VersionInfo);

    ecs__version_info__init(info);
    info->agent_version = version[0] ? mem_string(version) : NULL;
    return info;
}

/* Takes the worker's record apart. */
static Ecs__ContainerInstance *instance_message(struct render *render, const char *cluster_name,
                                                State__Worker *worker,
                                                const State__WorkerUsage *usage)
{
    Ecs__ContainerInstance *instance = mem_new(Ecs__ContainerInstance);

    ecs__container_instance__init(instance);
    instance->container_instance_arn =
        arn_container_instance(render->settings, cluster_name, worker->id);
    instance->ec2_instance_id = mem_string(worker->name);
    instance->status = mem_string(status_name(worker->status));
    instance->version_info = version_info_new(worker->version);
    SET(instance, version, (int64_t)usage->changed_index);
    SET(instance, agent_connected, usage->connected);
    SET(instance, running_tasks_count, as_count(usage->running_tasks));
    SET(instance, pending_tasks_count, as_count(usage->pending_tasks));
    SET_TIME(instance, registered_at, worker->registered_ms);
    add_resources(instance, worker, usage);
    add_attributes(instance, worker);
    return instance;
}

/* ---- ECS DescribeContainerInstances */

/* The instance of this id, if it is of this cluster; otherwise *out stays NULL. */
static int instance_by_id(struct render *render, const State__Cluster *cluster, const char *id,
                          Ecs__ContainerInstance **out)
{
    State__WorkerUsage none = STATE__WORKER_USAGE__INIT;
    scope(worker_usage_record_free) State__WorkerUsage *usage = NULL;
    scope(worker_record_free) State__Worker *worker = NULL;
    uint64_t seq = 0;
    int r = TABLE_ABSENT;

    if (id_is_valid(id))
        r = table_worker_seq(render->txn, id, &seq);
    if (r == 0)
        r = table_worker(render->txn, seq, &worker);
    if (r == 0 && worker->cluster_seq == cluster->seq) {
        r = table_worker_usage(render->txn, seq, &usage);
        if (r >= 0)
            *out = instance_message(render, cluster->name, worker, usage ? usage : &none);
    }
    return r < 0 ? err_up(r) : 0;
}

static int describe_instance(struct render *render, const State__Cluster *cluster,
                             const char *asked)
{
    Ecs__DescribeContainerInstancesResponse *response = render->response;
    Ecs__ContainerInstance *instance = NULL;
    char *id = NULL;
    int r;

    if (arn_parse_member(asked, "container-instance", &id) == ARN_MALFORMED)
        return render_refuse(render, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                             "Invalid container instance: '%s'.", asked);
    r = instance_by_id(render, cluster, id, &instance);
    if (instance)
        ADD(response, container_instances, instance);
    else if (r == 0)
        ADD(response, failures,
            render_failure(arn_container_instance(render->settings, cluster->name, id), "MISSING"));
    free(id);
    return err_up(r);
}

int render_describe_container_instances(struct render *render)
{
    const Ecs__DescribeContainerInstancesRequest *request = render->request;
    scope(cluster_record_free) State__Cluster *cluster = NULL;
    int r = render_cluster(render, request->cluster, &cluster);

    for (size_t i = 0; r == 0 && i < request->n_container_instances; i++)
        r = describe_instance(render, cluster, request->container_instances[i]);
    return render_up(r);
}

/* ---- ECS ListContainerInstances */

struct instances {
    struct listing listing;
    const Ecs__ListContainerInstancesRequest *request;
    const State__Cluster *cluster;
};

/* Without a status asked for: those that are registered, ACTIVE and DRAINING. */
static bool status_fits(const Ecs__ListContainerInstancesRequest *request,
                        State__WorkerStatus status)
{
    if (status == STATE__WORKER_STATUS__WORKER_INACTIVE)
        return false;
    if (!request->has_status)
        return true;
    return request->status == (status == STATE__WORKER_STATUS__WORKER_DRAINING
                                   ? ECS__CONTAINER_INSTANCE_STATUS__VALUE__DRAINING
                                   : ECS__CONTAINER_INSTANCE_STATUS__VALUE__ACTIVE);
}

static int list_instance(void *context, struct txn *txn, uint64_t seq)
{
    struct instances *list = context;
    scope(worker_record_free) State__Worker *worker = NULL;
    char *arn = NULL;
    int r;

    if (!listing_goes_on(&list->listing))
        return WALK_STOP;
    r = table_worker(txn, seq, &worker);
    if (r < 0)
        return err_up(r);
    if (worker && status_fits(list->request, worker->status))
        arn =
            arn_container_instance(list->listing.render->settings, list->cluster->name, worker->id);
    listing_add(&list->listing, seq, arn);
    return WALK_ON;
}

static int list_instances(struct render *render, const State__Cluster *cluster)
{
    const Ecs__ListContainerInstancesRequest *request = render->request;
    Ecs__ListContainerInstancesResponse *response = render->response;
    struct instances list = {.listing = {.n_arns = &response->n_container_instance_arns},
                             .request = request,
                             .cluster = cluster};
    int r = listing_begin(&list.listing, render, "ListContainerInstances", cluster->seq,
                          request->next_token, request->max_results);

    if (r != 0)
        return render_up(r);
    response->container_instance_arns = list.listing.arns;
    r = table_workers(render->txn, cluster->seq, list.listing.after, list_instance, &list);
    response->next_token = listing_token(&list.listing);
    return err_up(r);
}

int render_list_container_instances(struct render *render)
{
    const Ecs__ListContainerInstancesRequest *request = render->request;
    scope(cluster_record_free) State__Cluster *cluster = NULL;
    int r;

    if (request->filter && request->filter[0])
        return render_refuse(render, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                             "filter is not supported yet: list without it.");
    r = render_cluster(render, request->cluster, &cluster);
    if (r == 0)
        r = list_instances(render, cluster);
    return render_up(r);
}
