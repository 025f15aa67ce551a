#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "proto/base/err.h"
#include "server/manager/api_render.h"

/* What DescribeClusters shows when asked for it. */
struct shown {
    bool tags;
    bool settings;
    bool configuration;
    bool statistics;
};

static void add_statistic(Ecs__Cluster *cluster, const char *name, uint32_t value)
{
    Ecs__KeyValuePair *pair = mem_new(Ecs__KeyValuePair);

    ecs__key_value_pair__init(pair);
    pair->name = mem_string(name);
    pair->value = mem_format("%u", value);
    ADD(cluster, statistics, pair);
}

static void add_statistics(Ecs__Cluster *cluster, const State__ClusterCount *count)
{
    add_statistic(cluster, "runningEC2TasksCount", count->running_tasks);
    add_statistic(cluster, "runningFargateTasksCount", 0);
    add_statistic(cluster, "pendingEC2TasksCount", count->pending_tasks);
    add_statistic(cluster, "pendingFargateTasksCount", 0);
    add_statistic(cluster, "activeEC2ServiceCount", count->active_services);
    add_statistic(cluster, "activeFargateServiceCount", 0);
}

static void add_counts(Ecs__Cluster *cluster, const State__ClusterCount *count)
{
    SET(cluster, registered_container_instances_count, as_count(count->workers));
    SET(cluster, running_tasks_count, as_count(count->running_tasks));
    SET(cluster, pending_tasks_count, as_count(count->pending_tasks));
    SET(cluster, active_services_count, as_count(count->active_services));
}

/* What the user once asked for moves into the answer. */
static void add_spec(Ecs__Cluster *cluster, Ecs__CreateClusterRequest *spec, struct shown shown)
{
    MOVE_LIST(cluster, capacity_providers, spec, capacity_providers);
    MOVE_LIST(cluster, default_capacity_provider_strategy, spec,
              default_capacity_provider_strategy);
    if (spec->service_connect_defaults) {
        cluster->service_connect_defaults = mem_new(Ecs__ClusterServiceConnectDefaults);
        ecs__cluster_service_connect_defaults__init(cluster->service_connect_defaults);
        cluster->service_connect_defaults->namespace_ =
            mem_string(spec->service_connect_defaults->namespace_);
    }
    if (shown.tags)
        MOVE_LIST(cluster, tags, spec, tags);
    if (shown.settings)
        MOVE_LIST(cluster, settings, spec, settings);
    if (shown.configuration)
        cluster->configuration = steal(spec->configuration);
}

/* Takes the record apart. */
static int cluster_message(struct render *render, State__Cluster *record, struct shown shown,
                           Ecs__Cluster **out)
{
    State__ClusterCount none = STATE__CLUSTER_COUNT__INIT;
    scope(cluster_count_record_free) State__ClusterCount *count = NULL;
    Ecs__Cluster *cluster;
    int r = table_cluster_count(render->txn, record->seq, &count);

    if (r < 0)
        return err_up(r);
    cluster = mem_new(Ecs__Cluster);
    ecs__cluster__init(cluster);
    cluster->cluster_arn = arn_cluster(render->settings, record->name);
    cluster->cluster_name = mem_string(record->name);
    cluster->status =
        mem_string(record->status == STATE__CLUSTER_STATUS__CLUSTER_ACTIVE ? "ACTIVE" : "INACTIVE");
    add_counts(cluster, count ? count : &none);
    if (shown.statistics)
        add_statistics(cluster, count ? count : &none);
    if (record->spec)
        add_spec(cluster, record->spec, shown);
    *out = cluster;
    return 0;
}

/* The cluster that a write was about. */
static int cluster_of_result(struct render *render, Ecs__Cluster **out)
{
    const struct shown shown = {.tags = true, .settings = true, .configuration = true};
    scope(cluster_record_free) State__Cluster *record = NULL;
    int r = table_cluster(render->txn, render->result->seq, &record);

    if (r == TABLE_ABSENT)
        return render_gone(render);
    if (r < 0)
        return err_up(r);
    r = cluster_message(render, record, shown, out);
    return err_up(r);
}

int render_create_cluster(struct render *render)
{
    Ecs__CreateClusterResponse *response = render->response;

    return cluster_of_result(render, &response->cluster);
}

int render_delete_cluster(struct render *render)
{
    Ecs__DeleteClusterResponse *response = render->response;

    return cluster_of_result(render, &response->cluster);
}

/* ---- ECS DescribeClusters */

static struct shown shown_by(const Ecs__DescribeClustersRequest *request)
{
    struct shown shown = {0};

    for (size_t i = 0; i < request->n_include; i++) {
        shown.tags |= request->include[i] == ECS__CLUSTER_FIELD__VALUE__TAGS;
        shown.settings |= request->include[i] == ECS__CLUSTER_FIELD__VALUE__SETTINGS;
        shown.configuration |= request->include[i] == ECS__CLUSTER_FIELD__VALUE__CONFIGURATIONS;
        shown.statistics |= request->include[i] == ECS__CLUSTER_FIELD__VALUE__STATISTICS;
    }
    return shown;
}

static int describe_cluster(struct render *render, const char *asked, struct shown shown)
{
    Ecs__DescribeClustersResponse *response = render->response;
    scope(cluster_record_free) State__Cluster *record = NULL;
    Ecs__Cluster *cluster = NULL;
    char *name = NULL;
    int r;

    if (arn_parse_cluster(asked, &name) == ARN_MALFORMED)
        return render_refuse(render, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                             "Invalid cluster: '%s'.", asked);
    r = table_cluster_by_name(render->txn, name, &record);
    if (r == 0)
        r = cluster_message(render, record, shown, &cluster);
    else if (r == TABLE_ABSENT) {
        ADD(response, failures, render_failure(arn_cluster(render->settings, name), "MISSING"));
        r = 0;
    }
    if (cluster)
        ADD(response, clusters, cluster);
    free(name);
    return err_up(r);
}

int render_describe_clusters(struct render *render)
{
    const Ecs__DescribeClustersRequest *request = render->request;
    struct shown shown = shown_by(request);
    int r = 0;

    if (request->n_clusters == 0)
        r = describe_cluster(render, NULL, shown);
    for (size_t i = 0; i < request->n_clusters && r == 0; i++)
        r = describe_cluster(render, request->clusters[i], shown);
    return render_up(r);
}

/* ---- ECS ListClusters */

static int list_cluster(void *context, const State__Cluster *cluster)
{
    struct listing *listing = context;
    bool active = cluster->status == STATE__CLUSTER_STATUS__CLUSTER_ACTIVE;

    if (!listing_goes_on(listing))
        return WALK_STOP;
    listing_add(listing, cluster->seq,
                active ? arn_cluster(listing->render->settings, cluster->name) : NULL);
    return WALK_ON;
}

int render_list_clusters(struct render *render)
{
    const Ecs__ListClustersRequest *request = render->request;
    Ecs__ListClustersResponse *response = render->response;
    struct listing listing = {.n_arns = &response->n_cluster_arns};
    int r = listing_begin(&listing, render, "ListClusters", 0, request->next_token,
                          request->max_results);

    if (r != 0)
        return r;
    response->cluster_arns = listing.arns;
    r = table_clusters(render->txn, listing.after, list_cluster, &listing);
    if (r < 0)
        return err_up(r);
    response->next_token = listing_token(&listing);
    return 0;
}
