#include "proto/limits.h"
#include "proto/validate_check.h"

void validate_list_container_instances(struct check *check, const void *message)
{
    static const char *const unsupported[] = {"filter"};
    const Ecs__ListContainerInstancesRequest *request = message;

    check_cluster(check, request->cluster);
    check_page(check, request->has_max_results, request->max_results);
    check_unsupported_fields(check, &request->base, "", unsupported, 1);
}

void validate_describe_container_instances(struct check *check, const void *message)
{
    const Ecs__DescribeContainerInstancesRequest *request = message;
    size_t count = request->n_container_instances;

    check_cluster(check, request->cluster);
    if (count == 0)
        check_parameter(check, "Container instance cannot be empty.");
    check_count(check, "containerInstances", count, LIMIT_DESCRIBE_CONTAINER_INSTANCES);
    for (size_t i = 0; i < count && !check->problem; i++)
        check_container_instance(check, request->container_instances[i]);
}
