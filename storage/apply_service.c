/* CreateService, UpdateService, DeleteService. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/limits.h"
#include "proto/unpacking.h"
#include "storage/apply_inner.h"
#include "storage/tables_write.h"

/* ECS's defaults for a REPLICA service. */
enum {
    MINIMUM_HEALTHY_PERCENT = 100,
    MAXIMUM_PERCENT = 200,
    DEPLOYMENT_ID_BYTES_MAX = 64,
};

static int invalid(struct apply *a, const char *text)
{
    return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER, "%s", text);
}

static int check_desired(struct apply *a, int32_t desired)
{
    if (desired < 0 || desired > LIMIT_DESIRED_COUNT)
        return invalid(a, "Invalid desired count.");
    return 0;
}

static int check_percents(struct apply *a, const Ecs__DeploymentConfiguration *configuration)
{
    if (configuration && configuration->has_minimum_healthy_percent &&
        configuration->minimum_healthy_percent < 0)
        return invalid(a, "Invalid minimum healthy percent.");
    if (configuration && configuration->has_maximum_percent && configuration->maximum_percent < 0)
        return invalid(a, "Invalid maximum percent.");
    return 0;
}

static void set_percents(State__Service *service, const Ecs__DeploymentConfiguration *configuration)
{
    if (configuration && configuration->has_minimum_healthy_percent)
        service->minimum_healthy_percent = (uint32_t)configuration->minimum_healthy_percent;
    if (configuration && configuration->has_maximum_percent)
        service->maximum_percent = (uint32_t)configuration->maximum_percent;
}

static int check_deployment_id(struct apply *a, const char *id)
{
    size_t len = strnlen(id, DEPLOYMENT_ID_BYTES_MAX + 1);

    if (len == 0 || len > DEPLOYMENT_ID_BYTES_MAX)
        return invalid(a, "Invalid deployment id.");
    return 0;
}

static int result_service(struct apply *a, const State__Service *service)
{
    a->result->seq = service->seq;
    a->result->cluster_seq = service->cluster_seq;
    apply_result_name(a, service->name);
    return 0;
}

static int make_deployment(struct apply *a, uint64_t service_seq, const char *id,
                           const State__TaskDefinition *definition, uint64_t *out_seq)
{
    State__Deployment deployment = STATE__DEPLOYMENT__INIT;
    int r = apply_next_seq(a, COUNTER_DEPLOYMENT, &deployment.seq);

    if (r < 0)
        return err_up(r);
    deployment.service_seq = service_seq;
    deployment.id = (char *)id;
    deployment.family = definition->family;
    deployment.revision = definition->revision;
    deployment.created_ms = a->now_ms;
    deployment.updated_ms = a->now_ms;
    deployment.rollout_state = STATE__ROLLOUT_STATE__ROLLOUT_IN_PROGRESS;
    *out_seq = deployment.seq;
    return err_up(table_put_deployment(a->txn, &deployment));
}

/* ---- CreateService */

/* The name is free, or this is the answer. */
static int check_name(struct apply *a, uint64_t cluster_seq, const Command__CreateService *body)
{
    State__Service *known;
    int r = table_service_by_name(a->txn, cluster_seq, body->request->service_name, &known);

    if (r != 0)
        return r > 0 ? 0 : err_up(r);
    if (known->status == STATE__SERVICE_STATUS__SERVICE_DRAINING)
        r = invalid(a, "Unable to Start a service that is still Draining.");
    else if (known->status != STATE__SERVICE_STATUS__SERVICE_ACTIVE)
        r = 0;
    else if (!digest_equal(known->digest, body->digest))
        r = invalid(a, "Creation of service was not idempotent.");
    else {
        result_service(a, known);
        r = APPLY_ANSWERED;
    }
    state__service__free_unpacked(known, NULL);
    return out_up(r);
}

static int check_create(struct apply *a, const Command__CreateService *body)
{
    const Ecs__CreateServiceRequest *request = body->request;
    int r;

    if (!request)
        return invalid(a, "The request is missing.");
    if (!request->service_name || !name_is_valid(request->service_name))
        return invalid(a, "Invalid service name.");
    r = check_desired(a, request->has_desired_count ? request->desired_count : 0);
    if (r == 0)
        r = check_percents(a, request->deployment_configuration);
    if (r == 0)
        r = check_deployment_id(a, body->deployment_id);
    return out_up(r);
}

static int count_active(struct apply *a, uint64_t cluster_seq)
{
    struct held *count;
    int r = hold_cluster_count(a, cluster_seq, &count);

    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    count->count->active_services++;
    count->changed = true;
    return 0;
}

static int make_service(struct apply *a, uint64_t cluster_seq, const Command__CreateService *body,
                        const State__TaskDefinition *definition)
{
    Ecs__CreateServiceRequest *request = body->request;
    State__Service service = STATE__SERVICE__INIT;
    int r = apply_next_seq(a, COUNTER_SERVICE, &service.seq);

    if (r == 0)
        r = make_deployment(a, service.seq, body->deployment_id, definition,
                            &service.primary_deployment_seq);
    if (r < 0)
        return err_up(r);
    service.cluster_seq = cluster_seq;
    service.name = request->service_name;
    service.status = STATE__SERVICE_STATUS__SERVICE_ACTIVE;
    service.desired_count = request->has_desired_count ? (uint32_t)request->desired_count : 0;
    service.created_ms = a->now_ms;
    service.minimum_healthy_percent = MINIMUM_HEALTHY_PERCENT;
    service.maximum_percent = MAXIMUM_PERCENT;
    set_percents(&service, request->deployment_configuration);
    service.spec = request;
    service.digest = body->digest;
    r = table_add_service(a->txn, &service);
    if (r == 0)
        r = count_active(a, cluster_seq);
    if (r < 0)
        return err_up(r);
    apply_changed(a, CHANGE_SERVICE, service.seq);
    return result_service(a, &service);
}

int apply_create_service(struct apply *a, const Command__CreateService *body)
{
    scope(cluster_free) State__Cluster *cluster = NULL;
    scope(definition_free) State__TaskDefinition *definition = NULL;
    int r = check_create(a, body);

    if (r == 0)
        r = find_cluster(a, body->request->cluster, &cluster);
    if (r == 0)
        r = check_name(a, cluster->seq, body);
    if (r == 0)
        r = find_definition(a, body->request->task_definition, &definition);
    if (r == 0)
        r = make_service(a, cluster->seq, body, definition);
    return out_up(r);
}

/* ---- UpdateService */

#define OVERLAY_POINTER(member)                                                                    \
    do {                                                                                           \
        if (from->member)                                                                          \
            to->member = from->member;                                                             \
    } while (0)
#define OVERLAY_VALUE(member)                                                                      \
    do {                                                                                           \
        if (from->has_##member) {                                                                  \
            to->has_##member = true;                                                               \
            to->member = from->member;                                                             \
        }                                                                                          \
    } while (0)
#define OVERLAY_LIST(member)                                                                       \
    do {                                                                                           \
        if (from->n_##member > 0) {                                                                \
            to->n_##member = from->n_##member;                                                     \
            to->member = from->member;                                                             \
        }                                                                                          \
    } while (0)

/* What the update gives replaces what the service was created with. Borrows from both. */
static void overlay(Ecs__CreateServiceRequest *to, const Ecs__UpdateServiceRequest *from)
{
    OVERLAY_VALUE(desired_count);
    OVERLAY_POINTER(task_definition);
    OVERLAY_LIST(capacity_provider_strategy);
    OVERLAY_POINTER(deployment_configuration);
    OVERLAY_POINTER(network_configuration);
    OVERLAY_LIST(placement_constraints);
    OVERLAY_LIST(placement_strategy);
    OVERLAY_POINTER(platform_version);
    OVERLAY_VALUE(health_check_grace_period_seconds);
    OVERLAY_VALUE(enable_execute_command);
    OVERLAY_VALUE(enable_ecs_managed_tags);
    OVERLAY_LIST(load_balancers);
    OVERLAY_VALUE(propagate_tags);
    OVERLAY_LIST(service_registries);
    OVERLAY_POINTER(service_connect_configuration);
    OVERLAY_VALUE(availability_zone_rebalancing);
}

/* A copy that owns all of itself. Gives. */
static ProtobufCMessage *copy_of(const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = mem_zeroed(1, len ? len : 1);
    ProtobufCMessage *copy;

    protobuf_c_message_pack(message, packed);
    copy = protobuf_c_message_unpack(message->descriptor, &unpacking, len, packed);
    free(packed);
    must(copy); /* It was a message a moment ago. */
    return copy;
}

static void update_spec(State__Service *service, const Ecs__UpdateServiceRequest *request)
{
    Ecs__CreateServiceRequest merged = ECS__CREATE_SERVICE_REQUEST__INIT;
    Ecs__CreateServiceRequest *fresh;

    if (service->spec)
        merged = *service->spec;
    overlay(&merged, request);
    fresh = (Ecs__CreateServiceRequest *)copy_of(&merged.base);
    ecs__create_service_request__free_unpacked(service->spec, NULL);
    service->spec = fresh;
}

/* The definition to roll out: the one asked for, the primary's own when a new deployment is forced,
 * or none (absent). */
static int find_rollout(struct apply *a, const State__Service *service,
                        const Ecs__UpdateServiceRequest *request, State__TaskDefinition **out)
{
    struct held *primary;
    bool force = request->has_force_new_deployment && request->force_new_deployment;
    int r = hold_deployment(a, service->seq, service->primary_deployment_seq, &primary);

    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    if (request->task_definition) {
        r = find_definition(a, request->task_definition, out);
        if (r != 0)
            return out_up(r);
        if (!force && (*out)->revision == primary->deployment->revision &&
            strcmp((*out)->family, primary->deployment->family) == 0) {
            definition_free(*out);
            *out = NULL;
        }
    } else if (force) {
        r = table_task_definition(a->txn, primary->deployment->family,
                                  primary->deployment->revision, out);
        if (r != 0)
            return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    }
    return 0;
}

static int update(struct apply *a, struct held *service, const Command__UpdateService *body,
                  const State__TaskDefinition *rollout)
{
    State__Service *record = service->service;
    int r = 0;

    if (rollout)
        r = make_deployment(a, record->seq, body->deployment_id, rollout,
                            &record->primary_deployment_seq);
    if (r < 0)
        return err_up(r);
    if (body->request->has_desired_count)
        record->desired_count = (uint32_t)body->request->desired_count;
    set_percents(record, body->request->deployment_configuration);
    update_spec(record, body->request);
    record->steady = false;
    service->changed = true;
    return result_service(a, record);
}

static int check_update(struct apply *a, const Command__UpdateService *body)
{
    const Ecs__UpdateServiceRequest *request = body->request;
    int r;

    if (!request)
        return invalid(a, "The request is missing.");
    r = check_desired(a, request->has_desired_count ? request->desired_count : 0);
    if (r == 0)
        r = check_percents(a, request->deployment_configuration);
    if (r == 0)
        r = check_deployment_id(a, body->deployment_id);
    return out_up(r);
}

int apply_update_service(struct apply *a, const Command__UpdateService *body)
{
    scope(cluster_free) State__Cluster *cluster = NULL;
    scope(definition_free) State__TaskDefinition *rollout = NULL;
    struct held *service;
    int r = check_update(a, body);

    if (r == 0)
        r = find_cluster(a, body->request->cluster, &cluster);
    if (r == 0)
        r = find_service(a, cluster->seq, body->request->service, &service);
    if (r == 0 && service->service->status != STATE__SERVICE_STATUS__SERVICE_ACTIVE)
        r = apply_refuse(a, COMMAND__ERROR_CODE__ERROR_SERVICE_NOT_ACTIVE,
                         "Service was not ACTIVE.");
    if (r == 0)
        r = find_rollout(a, service->service, body->request, &rollout);
    if (r == 0)
        r = update(a, service, body, rollout);
    return out_up(r);
}

/* ---- DeleteService */

static int drain(struct apply *a, struct held *service)
{
    uint64_t live;
    int r = service_live_tasks(a, service->seq, &live);

    if (r < 0)
        return err_up(r);
    service->service->desired_count = 0;
    service->service->steady = false;
    return err_up(service_set_status(a, service,
                                     live > 0 ? STATE__SERVICE_STATUS__SERVICE_DRAINING
                                              : STATE__SERVICE_STATUS__SERVICE_INACTIVE));
}

/* A DRAINING one is being deleted already: the answer is the same. */
static int delete_found(struct apply *a, struct held *service, bool force)
{
    const State__Service *record = service->service;
    int r;

    if (record->status == STATE__SERVICE_STATUS__SERVICE_INACTIVE)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_SERVICE_NOT_ACTIVE,
                            "Service was not ACTIVE.");
    if (record->desired_count > 0 && !force)
        return invalid(a, "The service cannot be stopped while it is scaled above 0.");
    r = record->status == STATE__SERVICE_STATUS__SERVICE_ACTIVE ? drain(a, service) : 0;
    return r < 0 ? err_up(r) : result_service(a, record);
}

int apply_delete_service(struct apply *a, const Command__DeleteService *body)
{
    const Ecs__DeleteServiceRequest *request = body->request;
    scope(cluster_free) State__Cluster *cluster = NULL;
    struct held *service;
    int r;

    if (!request)
        return invalid(a, "The request is missing.");
    r = find_cluster(a, request->cluster, &cluster);
    if (r == 0)
        r = find_service(a, cluster->seq, request->service, &service);
    if (r == 0)
        r = delete_found(a, service, request->has_force && request->force);
    return out_up(r);
}
