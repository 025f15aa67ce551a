#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "proto/limits.h"
#include "proto/task_definition.h"
#include "proto/validate_check.h"

/* What a container may ask for in ECS, would change what runs, and is not honoured here. */
static const char *const unsupported_of_container[] = {
    "repository_credentials",
    "links",
    "environment_files",
    "mount_points",
    "volumes_from",
    "linux_parameters",
    "secrets",
    "depends_on",
    "hostname",
    "user",
    "disable_networking",
    "privileged",
    "readonly_root_filesystem",
    "dns_servers",
    "dns_search_domains",
    "extra_hosts",
    "docker_security_options",
    "interactive",
    "pseudo_terminal",
    "ulimits",
    "health_check",
    "system_controls",
    "resource_requirements",
    "firelens_configuration",
};

static const char *const unsupported_of_definition[] = {
    "volumes",           "placement_constraints",  "proxy_configuration",
    "ephemeral_storage", "inference_accelerators",
};

static void check_container_name(struct check *check, const char *name)
{
    if (!name || !*name)
        check_client(check, "Container.name should not be null or empty.");
    else if (strlen(name) > LIMIT_NAME_CHARS)
        check_client(check, "Container.name is longer than %u.", LIMIT_NAME_CHARS);
    else if (!name_is_valid(name))
        check_client(check, "Container.name contains invalid characters.");
}

static void check_container_size(struct check *check, const Ecs__ContainerDefinition *container,
                                 bool task_has_memory)
{
    const char *name = container->name ? container->name : "";

    if (!task_has_memory && !container->has_memory && !container->has_memory_reservation)
        check_client(check,
                     "Invalid setting for container '%s'. At least one of 'memory' or "
                     "'memoryReservation' must be specified.",
                     name);
    if ((container->has_memory && container->memory < LIMIT_CONTAINER_MEMORY_MIN) ||
        (container->has_memory_reservation &&
         container->memory_reservation < LIMIT_CONTAINER_MEMORY_MIN))
        check_client(check,
                     "Invalid setting for container '%s'. 'memory' and 'memoryReservation' should "
                     "be at least %d.",
                     name, LIMIT_CONTAINER_MEMORY_MIN);
    if (container->has_memory && container->has_memory_reservation &&
        container->memory < container->memory_reservation)
        check_client(check,
                     "Invalid setting for container '%s'. 'memory' should not be less than "
                     "'memoryReservation'.",
                     name);
    if (container->has_cpu && (container->cpu < 0 || container->cpu > (int32_t)LIMIT_TASK_CPU))
        check_client(check, "Invalid 'cpu' setting for container '%s'.", name);
}

static void check_port(struct check *check, const Ecs__RegisterTaskDefinitionRequest *spec,
                       const Ecs__PortMapping *port)
{
    bool host = spec->has_network_mode && spec->network_mode == ECS__NETWORK_MODE__VALUE__host;

    if (!port->has_container_port || port->container_port < 0 || port->container_port > UINT16_MAX)
        check_client(check, "Invalid 'containerPort' setting. The value should be between 0 and "
                            "65535.");
    if (port->has_host_port && (port->host_port < 0 || port->host_port > UINT16_MAX))
        check_client(check, "Invalid 'hostPort' setting. The value should be between 0 and 65535.");
    if (host && port->has_host_port && port->host_port != 0 &&
        port->host_port != port->container_port)
        check_client(check, "When networkMode=host, the host ports and container ports in port "
                            "mappings must match.");
}

static void check_logging(struct check *check, const Ecs__LogConfiguration *logging)
{
    static const char *const unsupported[] = {"options", "secret_options"};

    if (!logging)
        return;
    check_unsupported(
        check, !logging->has_log_driver || logging->log_driver != ECS__LOG_DRIVER__VALUE__json_file,
        "containerDefinitions.logConfiguration.logDriver other than json-file");
    check_unsupported_fields(check, &logging->base, "containerDefinitions.logConfiguration.",
                             unsupported, 2);
}

static void check_environment(struct check *check, const Ecs__ContainerDefinition *container)
{
    for (size_t i = 0; i < container->n_environment; i++) {
        const char *name = container->environment[i]->name;

        if (!name || !*name || strchr(name, '='))
            check_client(check, "Invalid environment variable name for container '%s'.",
                         container->name ? container->name : "");
    }
}

static void check_container(struct check *check, const Ecs__RegisterTaskDefinitionRequest *spec,
                            const Ecs__ContainerDefinition *container)
{
    check_container_name(check, container->name);
    if (!container->image || !*container->image)
        check_client(check, "Container.image should not be null or empty.");
    check_container_size(check, container, spec->memory != NULL);
    check_count(check, "portMappings", container->n_port_mappings, LIMIT_PORT_MAPPINGS);
    for (size_t i = 0; i < container->n_port_mappings && !check->problem; i++)
        check_port(check, spec, container->port_mappings[i]);
    check_environment(check, container);
    check_range(check, "stopTimeout", container->has_stop_timeout, container->stop_timeout, 0,
                LIMIT_STOP_TIMEOUT_S);
    check_logging(check, container->log_configuration);
    check_unsupported_fields(check, &container->base, "containerDefinitions.",
                             unsupported_of_container,
                             sizeof unsupported_of_container / sizeof unsupported_of_container[0]);
}

static void check_containers(struct check *check, const Ecs__RegisterTaskDefinitionRequest *spec)
{
    size_t count = spec->n_container_definitions;
    bool essential = false;

    if (count == 0)
        check_client(check, "Container list cannot be empty.");
    if (count > LIMIT_CONTAINERS)
        check_client(check, "A task definition cannot have more than %u containers.",
                     LIMIT_CONTAINERS);
    for (size_t i = 0; i < count && !check->problem; i++) {
        const Ecs__ContainerDefinition *container = spec->container_definitions[i];

        check_container(check, spec, container);
        for (size_t other = 0; other < i && !check->problem; other++)
            if (strcmp(container->name, spec->container_definitions[other]->name) == 0)
                check_client(check, "Container names should be unique. Duplicate name '%s'.",
                             container->name);
        essential = essential || !container->has_essential || container->essential;
    }
    if (!essential)
        check_client(check, "A task definition must have at least one essential container.");
}

/* A task with the same host port twice could never start. */
static void check_host_ports(struct check *check, const Ecs__RegisterTaskDefinitionRequest *spec)
{
    State__Port **ports = NULL;
    size_t count = check->problem ? 0 : task_definition_host_ports(spec, &ports);

    for (size_t i = 0; i < count; i++)
        for (size_t other = 0; other < i; other++)
            if (ports[i]->number == ports[other]->number && ports[i]->udp == ports[other]->udp)
                check_client(check, "The host port %u is mapped more than once.", ports[i]->number);
    for (size_t i = 0; i < count; i++)
        state__port__free_unpacked(ports[i], NULL);
    free(ports);
}

static void check_size(struct check *check, const Ecs__RegisterTaskDefinitionRequest *spec)
{
    size_t bytes = protobuf_c_message_get_packed_size(&spec->base);
    uint32_t size;

    if (spec->cpu && task_cpu_parse(spec->cpu, &size) == TASK_DEFINITION_MALFORMED)
        check_client(check, "Invalid 'cpu' setting for task.");
    if (spec->memory && task_memory_parse(spec->memory, &size) == TASK_DEFINITION_MALFORMED)
        check_client(check, "Invalid 'memory' setting for task.");
    if (bytes > LIMIT_TASK_DEFINITION_BYTES)
        check_client(check, "Actual length: '%zu'. Max allowed length is '%u' bytes.", bytes,
                     LIMIT_TASK_DEFINITION_BYTES);
}

/* Tasks are processes of the worker: its network, its process ids, its kernel. */
static void check_isolation(struct check *check, const Ecs__RegisterTaskDefinitionRequest *spec)
{
    const Ecs__RuntimePlatform *platform = spec->runtime_platform;

    check_unsupported(check,
                      spec->has_network_mode &&
                          spec->network_mode != ECS__NETWORK_MODE__VALUE__bridge &&
                          spec->network_mode != ECS__NETWORK_MODE__VALUE__host,
                      "networkMode other than bridge and host");
    check_unsupported(check, spec->has_pid_mode && spec->pid_mode != ECS__PID_MODE__VALUE__host,
                      "pidMode other than host");
    check_unsupported(check, spec->has_ipc_mode && spec->ipc_mode != ECS__IPC_MODE__VALUE__host,
                      "ipcMode other than host");
    check_unsupported(check,
                      platform && platform->has_operating_system_family &&
                          platform->operating_system_family != ECS__OSFAMILY__VALUE__LINUX,
                      "runtimePlatform.operatingSystemFamily other than LINUX");
    for (size_t i = 0; i < spec->n_requires_compatibilities; i++)
        check_unsupported(check,
                          spec->requires_compatibilities[i] != ECS__COMPATIBILITY__VALUE__EC2,
                          "requiresCompatibilities other than EC2");
}

void validate_register_task_definition(struct check *check, const void *message)
{
    const Ecs__RegisterTaskDefinitionRequest *request = message;

    if (!request->family || !*request->family)
        check_client(check, "Family should not be null or empty.");
    else if (strlen(request->family) > LIMIT_NAME_CHARS)
        check_client(check, "Family is longer than %u.", LIMIT_NAME_CHARS);
    else if (!name_is_valid(request->family))
        check_client(check, "Family contains invalid characters.");
    check_containers(check, request);
    check_size(check, request);
    check_isolation(check, request);
    check_unsupported_fields(check, &request->base, "", unsupported_of_definition,
                             sizeof unsupported_of_definition /
                                 sizeof unsupported_of_definition[0]);
    check_host_ports(check, request);
    check_tags(check, request->n_tags, request->tags);
}

void validate_describe_task_definition(struct check *check, const void *message)
{
    const Ecs__DescribeTaskDefinitionRequest *request = message;

    check_task_definition(check, request->task_definition);
}

void validate_list_task_definitions(struct check *check, const void *message)
{
    const Ecs__ListTaskDefinitionsRequest *request = message;

    check_name(check, "familyPrefix", request->family_prefix);
    check_page(check, request->has_max_results, request->max_results);
}

void validate_deregister_task_definition(struct check *check, const void *message)
{
    const Ecs__DeregisterTaskDefinitionRequest *request = message;
    const char *text = request->task_definition;
    uint32_t revision = 0;
    char *family = NULL;

    check_task_definition(check, text);
    if (text && arn_parse_task_definition(text, &family, &revision) == 0 && revision == 0)
        check_client(check, "Revision is missing.");
    free(family);
}
