#include <string.h>

#include "proto/arn.h"
#include "proto/limits.h"
#include "proto/validate_check.h"

static void check_container_override(struct check *check, const Ecs__ContainerOverride *override)
{
    static const char *const unsupported[] = {"environment_files", "cpu", "memory",
                                              "memory_reservation", "resource_requirements"};

    if (!override->name || !*override->name)
        check_parameter(check, "Container override name can not be blank.");
    check_unsupported_fields(check, &override->base, "overrides.containerOverrides.", unsupported,
                             sizeof unsupported / sizeof unsupported[0]);
    for (size_t i = 0; i < override->n_environment; i++)
        if (!override->environment[i]->name || !*override->environment[i]->name)
            check_parameter(check, "Environment variable name can not be blank.");
}

static void check_overrides(struct check *check, const Ecs__TaskOverride *overrides)
{
    static const char *const unsupported[] = {"cpu", "memory", "inference_accelerator_overrides",
                                              "ephemeral_storage"};

    if (!overrides)
        return;
    check_unsupported_fields(check, &overrides->base, "overrides.", unsupported,
                             sizeof unsupported / sizeof unsupported[0]);
    check_count(check, "overrides.containerOverrides", overrides->n_container_overrides,
                LIMIT_CONTAINERS);
    for (size_t i = 0; i < overrides->n_container_overrides; i++)
        check_container_override(check, overrides->container_overrides[i]);
    if (protobuf_c_message_get_packed_size(&overrides->base) > LIMIT_OVERRIDES_BYTES)
        check_parameter(check, "Overrides longer than %u characters.", LIMIT_OVERRIDES_BYTES);
}

/* "service:" is what services' own tasks are grouped by. */
static void check_group(struct check *check, const char *group)
{
    check_length(check, "group", group, LIMIT_NAME_CHARS);
    if (group && strncmp(group, "service:", 8) == 0)
        check_parameter(check, "Invalid namespace for group.");
}

void validate_run_task(struct check *check, const void *message)
{
    static const char *const unsupported[] = {"capacity_provider_strategy", "placement_constraints",
                                              "enable_execute_command", "enable_ecs_managed_tags"};
    const Ecs__RunTaskRequest *request = message;

    check_cluster(check, request->cluster);
    check_task_definition(check, request->task_definition);
    check_range(check, "count", request->has_count, request->count, 1, LIMIT_RUN_TASK_COUNT);
    check_launch_type(check, request->has_launch_type, request->launch_type);
    check_unsupported_fields(check, &request->base, "", unsupported,
                             sizeof unsupported / sizeof unsupported[0]);
    check_placement(check, request->n_placement_strategy, request->placement_strategy);
    check_platform_version(check, request->platform_version);
    check_network(check, request->network_configuration);
    check_propagate_tags(check, request->has_propagate_tags, request->propagate_tags);
    check_group(check, request->group);
    check_length(check, "startedBy", request->started_by, LIMIT_STARTED_BY_CHARS);
    check_length(check, "referenceId", request->reference_id, LIMIT_REASON_CHARS);
    check_client_token(check, request->client_token, LIMIT_CLIENT_TOKEN_CHARS);
    check_overrides(check, request->overrides);
    check_tags(check, request->n_tags, request->tags);
}

void validate_stop_task(struct check *check, const void *message)
{
    const Ecs__StopTaskRequest *request = message;

    check_cluster(check, request->cluster);
    check_task(check, request->task);
    check_length(check, "reason", request->reason, LIMIT_REASON_CHARS);
}

void validate_describe_tasks(struct check *check, const void *message)
{
    const Ecs__DescribeTasksRequest *request = message;

    check_cluster(check, request->cluster);
    if (request->n_tasks == 0)
        check_parameter(check, "Tasks cannot be empty.");
    check_count(check, "tasks", request->n_tasks, LIMIT_DESCRIBE_TASKS);
    for (size_t i = 0; i < request->n_tasks && !check->problem; i++)
        check_task(check, request->tasks[i]);
}

void validate_list_tasks(struct check *check, const void *message)
{
    const Ecs__ListTasksRequest *request = message;

    check_cluster(check, request->cluster);
    check_page(check, request->has_max_results, request->max_results);
    if (request->container_instance)
        check_container_instance(check, request->container_instance);
    if (request->service_name)
        check_service(check, request->service_name);
    check_name(check, "family", request->family);
    check_length(check, "startedBy", request->started_by, LIMIT_STARTED_BY_CHARS);
}
