#include "proto/limits.h"
#include "proto/validate_check.h"

enum { MAXIMUM_PERCENT = 200, MINIMUM_HEALTHY_PERCENT = 100 }; /* ECS's defaults. */

static void check_deployment(struct check *check, const Ecs__DeploymentConfiguration *asked)
{
    const Ecs__DeploymentCircuitBreaker *breaker = asked ? asked->deployment_circuit_breaker : NULL;
    int32_t most, least;

    if (!asked)
        return;
    most = asked->has_maximum_percent ? asked->maximum_percent : MAXIMUM_PERCENT;
    least = asked->has_minimum_healthy_percent ? asked->minimum_healthy_percent
                                               : MINIMUM_HEALTHY_PERCENT;
    check_range(check, "maximumPercent", true, most, 100, LIMIT_MAXIMUM_PERCENT);
    check_range(check, "minimumHealthyPercent", true, least, 0, 100);
    if (most == 100 && least == 100)
        check_parameter(check, "Both maximumPercent and minimumHealthyPercent cannot be 100 as "
                               "this will block deployments.");
    check_unsupported(check, breaker && breaker->has_enable && breaker->enable,
                      "deploymentCircuitBreaker");
}

static void check_desired_count(struct check *check, bool has, int32_t count)
{
    check_range(check, "desiredCount", has, count, 0, LIMIT_DESIRED_COUNT);
}

static void check_service_connect(struct check *check,
                                  const Ecs__ServiceConnectConfiguration *asked)
{
    check_unsupported(check, asked && asked->has_enabled && asked->enabled,
                      "serviceConnectConfiguration");
}

static void check_rebalancing(struct check *check, bool has,
                              Ecs__AvailabilityZoneRebalancing__Value value)
{
    check_unsupported(check, has && value == ECS__AVAILABILITY_ZONE_REBALANCING__VALUE__ENABLED,
                      "availabilityZoneRebalancing ENABLED");
}

static void check_grace_period(struct check *check, bool has)
{
    if (has)
        check_parameter(check, "Health check grace period is only valid for services configured "
                               "to use load balancers");
}

/* Who schedules the service, and how. */
static void check_scheduling(struct check *check, const Ecs__CreateServiceRequest *request)
{
    const Ecs__DeploymentController *controller = request->deployment_controller;

    check_unsupported(check,
                      request->has_scheduling_strategy &&
                          request->scheduling_strategy != ECS__SCHEDULING_STRATEGY__VALUE__REPLICA,
                      "schedulingStrategy DAEMON");
    check_unsupported(check,
                      controller && controller->has_type &&
                          controller->type != ECS__DEPLOYMENT_CONTROLLER_TYPE__VALUE__ECS,
                      "deploymentController other than ECS");
    check_launch_type(check, request->has_launch_type, request->launch_type);
    check_rebalancing(check, request->has_availability_zone_rebalancing,
                      request->availability_zone_rebalancing);
    check_placement(check, request->n_placement_strategy, request->placement_strategy);
}

void validate_create_service(struct check *check, const void *message)
{
    static const char *const unsupported[] = {
        "load_balancers",        "service_registries",     "capacity_provider_strategy", "role",
        "placement_constraints", "enable_execute_command", "enable_ecs_managed_tags",
    };
    const Ecs__CreateServiceRequest *request = message;

    check_cluster(check, request->cluster);
    if (!request->service_name)
        check_parameter(check, "Service name can not be blank.");
    check_name(check, "Service name", request->service_name);
    check_scheduling(check, request);
    check_unsupported_fields(check, &request->base, "", unsupported,
                             sizeof unsupported / sizeof unsupported[0]);
    check_service_connect(check, request->service_connect_configuration);
    check_task_definition(check, request->task_definition);
    if (!request->has_desired_count)
        check_parameter(check, "Desired count can not be null for the REPLICA scheduling "
                               "strategy.");
    check_desired_count(check, request->has_desired_count, request->desired_count);
    check_deployment(check, request->deployment_configuration);
    check_client_token(check, request->client_token, LIMIT_SERVICE_TOKEN_CHARS);
    check_platform_version(check, request->platform_version);
    check_network(check, request->network_configuration);
    check_grace_period(check, request->has_health_check_grace_period_seconds);
    check_propagate_tags(check, request->has_propagate_tags, request->propagate_tags);
    check_tags(check, request->n_tags, request->tags);
}

void validate_update_service(struct check *check, const void *message)
{
    static const char *const unsupported[] = {
        "load_balancers",        "service_registries",     "capacity_provider_strategy",
        "placement_constraints", "enable_execute_command", "enable_ecs_managed_tags",
    };
    const Ecs__UpdateServiceRequest *request = message;

    check_cluster(check, request->cluster);
    check_service(check, request->service);
    check_unsupported_fields(check, &request->base, "", unsupported,
                             sizeof unsupported / sizeof unsupported[0]);
    check_service_connect(check, request->service_connect_configuration);
    check_rebalancing(check, request->has_availability_zone_rebalancing,
                      request->availability_zone_rebalancing);
    check_placement(check, request->n_placement_strategy, request->placement_strategy);
    if (request->task_definition)
        check_task_definition(check, request->task_definition);
    check_desired_count(check, request->has_desired_count, request->desired_count);
    check_deployment(check, request->deployment_configuration);
    check_platform_version(check, request->platform_version);
    check_network(check, request->network_configuration);
    check_grace_period(check, request->has_health_check_grace_period_seconds);
    check_propagate_tags(check, request->has_propagate_tags, request->propagate_tags);
}

void validate_describe_services(struct check *check, const void *message)
{
    const Ecs__DescribeServicesRequest *request = message;

    check_cluster(check, request->cluster);
    if (request->n_services == 0)
        check_parameter(check, "Services cannot be empty.");
    check_count(check, "services", request->n_services, LIMIT_DESCRIBE_SERVICES);
    for (size_t i = 0; i < request->n_services && !check->problem; i++)
        check_service(check, request->services[i]);
}

void validate_list_services(struct check *check, const void *message)
{
    const Ecs__ListServicesRequest *request = message;

    check_cluster(check, request->cluster);
    check_page(check, request->has_max_results, request->max_results);
}

void validate_delete_service(struct check *check, const void *message)
{
    const Ecs__DeleteServiceRequest *request = message;

    check_cluster(check, request->cluster);
    check_service(check, request->service);
}
