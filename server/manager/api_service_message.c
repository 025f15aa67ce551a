/*
 * One service as ECS shows it: what was asked for with ECS's defaults filled in, its deployments
 * with their counts, and its events.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "server/manager/api_render.h"

/* A service in the making: deployments come oldest first and are put in order at the end. */
struct making {
    struct render *render;
    const State__Service *record;
    Ecs__Service *service;
    Ecs__Deployment **others; /* Not primary. */
    size_t n_others;
    uint32_t running;
    uint32_t pending;
};

/* ---- deployments */

static Ecs__DeploymentRolloutState__Value rollout_state(State__RolloutState state)
{
    switch (state) {
    case STATE__ROLLOUT_STATE__ROLLOUT_COMPLETED:
        return ECS__DEPLOYMENT_ROLLOUT_STATE__VALUE__COMPLETED;
    case STATE__ROLLOUT_STATE__ROLLOUT_FAILED:
        return ECS__DEPLOYMENT_ROLLOUT_STATE__VALUE__FAILED;
    default:
        return ECS__DEPLOYMENT_ROLLOUT_STATE__VALUE__IN_PROGRESS;
    }
}

static const char *rollout_words(State__RolloutState state)
{
    switch (state) {
    case STATE__ROLLOUT_STATE__ROLLOUT_COMPLETED:
        return "completed";
    case STATE__ROLLOUT_STATE__ROLLOUT_FAILED:
        return "failed";
    default:
        return "in progress";
    }
}

/* An older deployment wants what it still has; the primary what the service wants. */
static Ecs__Deployment *deployment_message(const struct making *making,
                                           const State__Deployment *record, bool primary)
{
    const State__Settings *settings = making->render->settings;
    uint32_t has = record->running_count + record->pending_count;
    Ecs__Deployment *deployment = mem_new(Ecs__Deployment);

    ecs__deployment__init(deployment);
    deployment->id = mem_string(record->id);
    deployment->status = mem_string(primary ? "PRIMARY" : "ACTIVE");
    deployment->task_definition = arn_task_definition(settings, record->family, record->revision);
    SET(deployment, desired_count, as_count(primary ? making->record->desired_count : has));
    SET(deployment, running_count, as_count(record->running_count));
    SET(deployment, pending_count, as_count(record->pending_count));
    SET(deployment, failed_tasks, as_count(record->failed_tasks));
    SET(deployment, launch_type, ECS__LAUNCH_TYPE__VALUE__EC2);
    SET(deployment, rollout_state, rollout_state(record->rollout_state));
    deployment->rollout_state_reason =
        mem_format("ECS deployment %s %s.", record->id, rollout_words(record->rollout_state));
    SET_TIME(deployment, created_at, record->created_ms);
    SET_TIME(deployment, updated_at, record->updated_ms);
    return deployment;
}

static int add_deployment(void *context, const State__Deployment *record)
{
    struct making *making = context;
    bool primary = record->seq == making->record->primary_deployment_seq;
    Ecs__Deployment *deployment = deployment_message(making, record, primary);

    making->running += record->running_count;
    making->pending += record->pending_count;
    if (primary) {
        making->service->task_definition = mem_string(deployment->task_definition);
        ADD(making->service, deployments, deployment);
    } else {
        ADD(making, others, deployment);
    }
    return WALK_ON;
}

/* The primary first, then the others, newest first. An INACTIVE service has none left. */
static int add_deployments(struct making *making)
{
    Ecs__Service *service = making->service;
    int r = 0;

    if (making->record->status != STATE__SERVICE_STATUS__SERVICE_INACTIVE)
        r = table_deployments(making->render->txn, making->record->seq, add_deployment, making);
    for (size_t i = making->n_others; i > 0; i--)
        ADD(service, deployments, making->others[i - 1]);
    free(making->others);
    SET(service, running_count, as_count(making->running));
    SET(service, pending_count, as_count(making->pending));
    return err_up(r);
}

/* ---- events, newest first */

static int add_event(void *context, const State__ServiceEvent *record)
{
    struct making *making = context;
    Ecs__ServiceEvent *event = mem_new(Ecs__ServiceEvent);

    ecs__service_event__init(event);
    event->id = mem_string(record->id);
    event->message = mem_string(record->message);
    SET_TIME(event, created_at, record->created_ms);
    ADD(making->service, events, event);
    return WALK_ON;
}

/* ---- what was asked for */

static void add_deployment_configuration(Ecs__Service *service, const State__Service *record,
                                         Ecs__CreateServiceRequest *spec)
{
    Ecs__DeploymentConfiguration *configuration = steal(spec->deployment_configuration);

    if (!configuration) {
        configuration = mem_new(Ecs__DeploymentConfiguration);
        ecs__deployment_configuration__init(configuration);
    }
    if (!configuration->deployment_circuit_breaker) {
        configuration->deployment_circuit_breaker = mem_new(Ecs__DeploymentCircuitBreaker);
        ecs__deployment_circuit_breaker__init(configuration->deployment_circuit_breaker);
        SET(configuration->deployment_circuit_breaker, enable, false);
        SET(configuration->deployment_circuit_breaker, rollback, false);
    }
    SET(configuration, maximum_percent, as_count(record->maximum_percent));
    SET(configuration, minimum_healthy_percent, as_count(record->minimum_healthy_percent));
    service->deployment_configuration = configuration;
}

static void add_controller(Ecs__Service *service, Ecs__CreateServiceRequest *spec)
{
    service->deployment_controller = steal(spec->deployment_controller);
    if (!service->deployment_controller) {
        service->deployment_controller = mem_new(Ecs__DeploymentController);
        ecs__deployment_controller__init(service->deployment_controller);
    }
    if (!service->deployment_controller->has_type)
        SET(service->deployment_controller, type, ECS__DEPLOYMENT_CONTROLLER_TYPE__VALUE__ECS);
}

/* Scalars with ECS's default where nothing was asked for. */
static void add_defaults(Ecs__Service *service, const Ecs__CreateServiceRequest *spec)
{
    if (spec->n_capacity_provider_strategy == 0)
        SET(service, launch_type,
            spec->has_launch_type ? spec->launch_type : ECS__LAUNCH_TYPE__VALUE__EC2);
    SET(service, scheduling_strategy,
        spec->has_scheduling_strategy ? spec->scheduling_strategy
                                      : ECS__SCHEDULING_STRATEGY__VALUE__REPLICA);
    SET(service, enable_ecs_managed_tags,
        spec->has_enable_ecs_managed_tags && spec->enable_ecs_managed_tags);
    SET(service, enable_execute_command,
        spec->has_enable_execute_command && spec->enable_execute_command);
    SET(service, propagate_tags,
        spec->has_propagate_tags ? spec->propagate_tags : ECS__PROPAGATE_TAGS__VALUE__NONE);
    SET(service, availability_zone_rebalancing,
        spec->has_availability_zone_rebalancing
            ? spec->availability_zone_rebalancing
            : ECS__AVAILABILITY_ZONE_REBALANCING__VALUE__ENABLED);
    if (spec->has_health_check_grace_period_seconds)
        SET(service, health_check_grace_period_seconds, spec->health_check_grace_period_seconds);
}

static void add_spec(Ecs__Service *service, const State__Service *record,
                     Ecs__CreateServiceRequest *spec, bool tags)
{
    add_defaults(service, spec);
    add_deployment_configuration(service, record, spec);
    add_controller(service, spec);
    MOVE_LIST(service, load_balancers, spec, load_balancers);
    MOVE_LIST(service, service_registries, spec, service_registries);
    MOVE_LIST(service, capacity_provider_strategy, spec, capacity_provider_strategy);
    MOVE_LIST(service, placement_constraints, spec, placement_constraints);
    MOVE_LIST(service, placement_strategy, spec, placement_strategy);
    service->network_configuration = steal(spec->network_configuration);
    service->platform_version = steal(spec->platform_version);
    service->role_arn = steal(spec->role);
    if (!service->task_definition)
        service->task_definition = steal(spec->task_definition);
    if (tags)
        MOVE_LIST(service, tags, spec, tags);
}

static const char *status_name(State__ServiceStatus status)
{
    switch (status) {
    case STATE__SERVICE_STATUS__SERVICE_DRAINING:
        return "DRAINING";
    case STATE__SERVICE_STATUS__SERVICE_INACTIVE:
        return "INACTIVE";
    default:
        return "ACTIVE";
    }
}

static Ecs__Service *service_new(struct render *render, const char *cluster_name,
                                 const State__Service *record)
{
    Ecs__Service *service = mem_new(Ecs__Service);

    ecs__service__init(service);
    service->service_arn = arn_service(render->settings, cluster_name, record->name);
    service->service_name = mem_string(record->name);
    service->cluster_arn = arn_cluster(render->settings, cluster_name);
    service->status = mem_string(status_name(record->status));
    service->created_by = mem_format("arn:aws:iam::%s:root", render->settings->account);
    SET(service, desired_count, as_count(record->desired_count));
    SET_TIME(service, created_at, record->created_ms);
    return service;
}

int render_service(struct render *render, const char *cluster_name, State__Service *record,
                   bool tags, Ecs__Service **out)
{
    Ecs__Service *service = service_new(render, cluster_name, record);
    struct making making = {.render = render, .record = record, .service = service};
    int r = add_deployments(&making);

    if (r == 0)
        r = table_service_events(render->txn, record->seq, add_event, &making);
    if (r < 0) {
        ecs__service__free_unpacked(service, NULL);
        return err_up(r);
    }
    if (record->spec)
        add_spec(service, record, record->spec, tags);
    *out = service;
    return 0;
}
