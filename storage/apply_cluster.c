/* Bootstrap, CreateCluster, DeleteCluster. */
#include <errno.h>
#include <stdlib.h>

#include "proto/arn.h"
#include "storage/apply_inner.h"
#include "storage/tables_write.h"

int apply_bootstrap(struct apply *a, const Command__Bootstrap *body)
{
    const State__Settings *known;
    int r;

    if (!body->settings)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                            "Settings are missing.");
    r = apply_settings(a, &known);
    if (r < 0)
        return err_up(r);
    return a->settings ? 0 : err_up(table_put_settings(a->txn, body->settings));
}

static int result_cluster(struct apply *a, uint64_t seq, const char *name)
{
    a->result->seq = seq;
    a->result->cluster_seq = seq;
    apply_result_name(a, name);
    return 0;
}

int cluster_make(struct apply *a, const char *name, Ecs__CreateClusterRequest *spec,
                 uint64_t *out_seq)
{
    State__Cluster cluster = STATE__CLUSTER__INIT;
    int r = apply_next_seq(a, COUNTER_CLUSTER, &cluster.seq);

    if (r < 0)
        return err_up(r);
    cluster.name = (char *)name;
    cluster.status = STATE__CLUSTER_STATUS__CLUSTER_ACTIVE;
    cluster.created_ms = a->now_ms;
    cluster.spec = spec;
    r = table_add_cluster(a->txn, &cluster);
    if (r < 0)
        return err_up(r);
    apply_changed(a, CHANGE_CLUSTER, cluster.seq);
    *out_seq = cluster.seq;
    return 0;
}

int apply_create_cluster(struct apply *a, const Command__CreateCluster *body)
{
    scope(cluster_free) State__Cluster *known = NULL;
    const char *name = body->request ? body->request->cluster_name : NULL;
    uint64_t seq;
    int r;

    if (!name)
        name = "default";
    if (!name_is_valid(name))
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                            "Invalid cluster name: %.255s", name);
    r = table_cluster_by_name(a->txn, name, &known);
    if (r < 0)
        return err_up(r);
    if (known && known->status == STATE__CLUSTER_STATUS__CLUSTER_ACTIVE)
        return result_cluster(a, known->seq, known->name);
    r = cluster_make(a, name, body->request, &seq);
    return r < 0 ? err_up(r) : result_cluster(a, seq, name);
}

static int each_live_service(void *context, const State__Service *service)
{
    bool *found = context;

    *found = service->status != STATE__SERVICE_STATUS__SERVICE_INACTIVE;
    return *found;
}

/* ECS DeleteCluster: refused while anything lives in it. */
static int check_empty(struct apply *a, uint64_t cluster_seq)
{
    struct held *held;
    bool services = false;
    int r = table_services(a->txn, cluster_seq, 0, each_live_service, &services);

    if (r < 0)
        return err_up(r);
    if (services)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_CLUSTER_CONTAINS_SERVICES,
                            "The Cluster cannot be deleted while Services are active.");
    r = hold_cluster_count(a, cluster_seq, &held);
    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    if (held->count->running_tasks > 0 || held->count->pending_tasks > 0)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_CLUSTER_CONTAINS_TASKS,
                            "The Cluster cannot be deleted while Tasks are active.");
    if (held->count->workers > 0)
        return apply_refuse(
            a, COMMAND__ERROR_CODE__ERROR_CLUSTER_CONTAINS_CONTAINER_INSTANCES,
            "The Cluster cannot be deleted while Container Instances are active or draining.");
    return 0;
}

/* Deleting an INACTIVE one answers as the first time did. */
static int find_deletable(struct apply *a, const char *text, State__Cluster **out)
{
    char *name = NULL;
    int r = arn_parse_cluster(text, &name);

    if (r == 0)
        r = table_cluster_by_name(a->txn, name, out);
    free(name);
    if (r > 0)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_CLUSTER_NOT_FOUND, "Cluster not found.");
    return err_up(r);
}

int apply_delete_cluster(struct apply *a, const Command__DeleteCluster *body)
{
    scope(cluster_free) State__Cluster *cluster = NULL;
    int r = find_deletable(a, body->request ? body->request->cluster : NULL, &cluster);

    if (r != 0)
        return out_up(r);
    if (cluster->status == STATE__CLUSTER_STATUS__CLUSTER_ACTIVE) {
        r = check_empty(a, cluster->seq);
        if (r != 0)
            return out_up(r);
        cluster->status = STATE__CLUSTER_STATUS__CLUSTER_INACTIVE;
        r = table_put_cluster(a->txn, cluster);
        if (r < 0)
            return err_up(r);
        apply_changed(a, CHANGE_CLUSTER, cluster->seq);
    }
    return result_cluster(a, cluster->seq, cluster->name);
}
