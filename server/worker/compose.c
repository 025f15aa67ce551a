#include "server/worker/compose.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "proto/arn.h"
#include "proto/base/mem.h"
#include "proto/limits.h"
#include "proto/task_definition.h"
#include "server/worker/user.h"

enum {
    STOP_TIMEOUT_S = 30, /* ECS's default. */
    STOP_TIMEOUT_MOST_S = 24 * 60 * 60,
};

static const uint64_t mib = 1024 * 1024;
static const char default_path[] =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* ---- what the definition and the overrides say of a container together */

static const Ecs__ContainerOverride *find_override(const struct compose *compose, const char *name)
{
    const Ecs__TaskOverride *all = compose->assignment->overrides;

    for (size_t i = 0; all && name && i < all->n_container_overrides; i++)
        if (all->container_overrides[i]->name && !strcmp(all->container_overrides[i]->name, name))
            return all->container_overrides[i];
    return NULL;
}

static int32_t cpu_of(const struct compose *compose, const Ecs__ContainerDefinition *definition)
{
    const Ecs__ContainerOverride *override = find_override(compose, definition->name);

    return override && override->has_cpu ? override->cpu
           : definition->has_cpu         ? definition->cpu
                                         : 0;
}

static int32_t memory_of(const struct compose *compose, const Ecs__ContainerDefinition *definition)
{
    const Ecs__ContainerOverride *override = find_override(compose, definition->name);

    return override && override->has_memory ? override->memory
           : definition->has_memory         ? definition->memory
                                            : 0;
}

static uint64_t task_memory_bytes(const struct compose *compose)
{
    const Ecs__TaskOverride *override = compose->assignment->overrides;
    const char *text =
        override && override->memory ? override->memory : compose->definition->memory;
    uint32_t size;

    return text && task_memory_parse(text, &size) == 0 ? size * mib : 0;
}

void compose_limits(const struct compose *compose, struct cgroup_limits *out)
{
    const Ecs__RegisterTaskDefinitionRequest *definition = compose->definition;
    const Ecs__TaskOverride *override = compose->assignment->overrides;
    const char *cpu = override && override->cpu ? override->cpu : definition->cpu;
    bool all_limited = true;
    uint64_t sum = 0;

    *out = (struct cgroup_limits){0};
    for (size_t i = 0; i < definition->n_container_definitions; i++) {
        const Ecs__ContainerDefinition *container = definition->container_definitions[i];
        int32_t weight = cpu_of(compose, container), memory = memory_of(compose, container);

        out->cpu_weight += weight > 0 ? (uint32_t)weight : 0;
        all_limited = all_limited && memory > 0;
        sum += memory > 0 ? (uint64_t)memory * mib : 0;
    }
    if (cpu && task_cpu_parse(cpu, &out->cpu) == 0)
        out->cpu_weight = out->cpu;
    out->memory_bytes = task_memory_bytes(compose);
    if (!out->memory_bytes && all_limited)
        out->memory_bytes = sum;
}

/* ---- argument list, environment */

static void append(char ***list, size_t *count, char *text)
{
    *list = mem_resize(*list, *count + 1, sizeof **list);
    (*list)[(*count)++] = text;
}

static void set_argv(Supervise__Container *out, const Ecs__ContainerDefinition *definition,
                     const Ecs__ContainerOverride *override)
{
    bool overridden = override && override->n_command;
    size_t count = overridden ? override->n_command : definition->n_command;
    char *const *command = overridden ? override->command : definition->command;

    for (size_t i = 0; i < definition->n_entry_point; i++)
        append(&out->argv, &out->n_argv, mem_string(definition->entry_point[i]));
    for (size_t i = 0; i < count; i++)
        append(&out->argv, &out->n_argv, mem_string(command[i]));
}

/* Set NAME=VALUE, in the place of an earlier value if there is one. Takes text. */
static void set_variable(Supervise__Container *out, char *text)
{
    size_t name_len = strcspn(text, "=") + 1;

    for (size_t i = 0; i < out->n_environment; i++) {
        if (strncmp(out->environment[i], text, name_len))
            continue;
        free(out->environment[i]);
        out->environment[i] = text;
        return;
    }
    append(&out->environment, &out->n_environment, text);
}

/* The user's variables win over ours but for one: by CAIS_TASK_ID a task's processes are found. */
static bool may_set(const char *name)
{
    return name && *name && !strchr(name, '=') && strcmp(name, "CAIS_TASK_ID");
}

static void set_variables(Supervise__Container *out, Ecs__KeyValuePair *const *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (may_set(pairs[i]->name))
            set_variable(
                out, mem_format("%s=%s", pairs[i]->name, pairs[i]->value ? pairs[i]->value : ""));
}

static void set_port_variables(Supervise__Container *out)
{
    for (size_t i = 0; i < out->n_bindings; i++) {
        const State__Binding *binding = out->bindings[i];

        if (i == 0)
            set_variable(out, mem_format("PORT=%u", binding->host_port));
        set_variable(out, mem_format("PORT_%u=%u", binding->container_port, binding->host_port));
    }
}

static void set_environment(const struct compose *compose, Supervise__Container *out,
                            const Ecs__ContainerDefinition *definition,
                            const Ecs__ContainerOverride *override)
{
    const Worker__Assignment *assignment = compose->assignment;

    set_variable(out, mem_string(default_path));
    set_variable(out, mem_format("HOST=%s", compose->address));
    set_port_variables(out);
    set_variable(out, mem_format("CAIS_TASK_ID=%s", assignment->task_id));
    set_variable(out, mem_format("CAIS_TASK_ARN=%s", assignment->task_arn));
    set_variable(out, mem_format("CAIS_CLUSTER=%s", assignment->cluster));
    set_variable(out, mem_format("CAIS_SERVICE=%s", assignment->service));
    set_variable(out, mem_format("CAIS_CONTAINER=%s", out->name));
    set_variable(out, mem_format("CAIS_ZONE=%s", compose->zone));
    set_variables(out, definition->environment, definition->n_environment);
    if (override)
        set_variables(out, override->environment, override->n_environment);
}

/* ---- ports */

static char *set_bindings(const struct compose *compose, Supervise__Container *out,
                          const Ecs__ContainerDefinition *definition)
{
    out->bindings = mem_new_array(State__Binding *, definition->n_port_mappings);
    for (size_t i = 0; i < definition->n_port_mappings; i++) {
        const Ecs__PortMapping *mapping = definition->port_mappings[i];
        State__Binding *binding = mem_new(State__Binding);

        state__binding__init(binding);
        out->bindings[out->n_bindings++] = binding;
        binding->address = mem_string(compose->address);
        binding->container_port = (uint32_t)mapping->container_port;
        binding->udp =
            mapping->has_protocol && mapping->protocol == ECS__TRANSPORT_PROTOCOL__VALUE__udp;
        binding->host_port = task_definition_host_port(compose->definition, mapping);
        if (!binding->host_port)
            binding->host_port = compose->choose_port(compose->context, binding->udp);
        if (!binding->host_port)
            return mem_string("no dynamic host port is free");
    }
    return NULL;
}

/* ---- limits */

static void add_limit(Supervise__Container *out, int resource, uint64_t soft, uint64_t hard)
{
    Supervise__Limit *limit = mem_new(Supervise__Limit);

    supervise__limit__init(limit);
    limit->resource = (uint32_t)resource;
    limit->soft = soft;
    limit->hard = hard;
    out->limits = mem_resize(out->limits, out->n_limits + 1, sizeof *out->limits);
    out->limits[out->n_limits++] = limit;
}

static void set_limits(const struct compose *compose, Supervise__Container *out,
                       const Ecs__ContainerDefinition *definition)
{
    static const int resources[] = {
        [ECS__ULIMIT_NAME__VALUE__core] = RLIMIT_CORE,
        [ECS__ULIMIT_NAME__VALUE__cpu] = RLIMIT_CPU,
        [ECS__ULIMIT_NAME__VALUE__data] = RLIMIT_DATA,
        [ECS__ULIMIT_NAME__VALUE__fsize] = RLIMIT_FSIZE,
        [ECS__ULIMIT_NAME__VALUE__locks] = RLIMIT_LOCKS,
        [ECS__ULIMIT_NAME__VALUE__memlock] = RLIMIT_MEMLOCK,
        [ECS__ULIMIT_NAME__VALUE__msgqueue] = RLIMIT_MSGQUEUE,
        [ECS__ULIMIT_NAME__VALUE__nice] = RLIMIT_NICE,
        [ECS__ULIMIT_NAME__VALUE__nofile] = RLIMIT_NOFILE,
        [ECS__ULIMIT_NAME__VALUE__nproc] = RLIMIT_NPROC,
        [ECS__ULIMIT_NAME__VALUE__rss] = RLIMIT_RSS,
        [ECS__ULIMIT_NAME__VALUE__rtprio] = RLIMIT_RTPRIO,
        [ECS__ULIMIT_NAME__VALUE__rttime] = RLIMIT_RTTIME,
        [ECS__ULIMIT_NAME__VALUE__sigpending] = RLIMIT_SIGPENDING,
        [ECS__ULIMIT_NAME__VALUE__stack] = RLIMIT_STACK,
    };
    int32_t memory = memory_of(compose, definition);
    uint64_t bytes = memory > 0 ? (uint64_t)memory * mib : task_memory_bytes(compose);

    if (compose->memory_by_rlimit && bytes)
        add_limit(out, RLIMIT_DATA, bytes, bytes);
    for (size_t i = 0; i < definition->n_ulimits; i++) {
        const Ecs__Ulimit *limit = definition->ulimits[i];

        if (limit->has_name && (size_t)limit->name < sizeof resources / sizeof *resources)
            add_limit(out, resources[limit->name],
                      limit->soft_limit < 0 ? RLIM_INFINITY : (uint64_t)limit->soft_limit,
                      limit->hard_limit < 0 ? RLIM_INFINITY : (uint64_t)limit->hard_limit);
    }
}

/* ---- a container */

static char *set_container(const struct compose *compose, Supervise__Container *out,
                           const Ecs__ContainerDefinition *definition)
{
    const Ecs__ContainerOverride *override = find_override(compose, definition->name);
    int32_t timeout_s = definition->has_stop_timeout ? definition->stop_timeout : STOP_TIMEOUT_S;
    char *problem;

    if (!definition->name || !name_is_valid(definition->name))
        return mem_string("a container without a valid name");
    out->name = mem_string(definition->name);
    out->essential = !definition->has_essential || definition->essential;
    out->directory = definition->working_directory && *definition->working_directory
                         ? mem_string(definition->working_directory)
                         : mem_format("%s/work", compose->task_path);
    out->stop_timeout_ms = timeout_s < 0                     ? STOP_TIMEOUT_S * 1000
                           : timeout_s > STOP_TIMEOUT_MOST_S ? STOP_TIMEOUT_MOST_S * 1000
                                                             : (uint32_t)timeout_s * 1000;
    problem = set_bindings(compose, out, definition);
    if (!problem && definition->user && *definition->user)
        problem = user_find(definition->user, &out->user);
    if (problem)
        return problem;
    set_argv(out, definition, override);
    set_environment(compose, out, definition, override);
    set_limits(compose, out, definition);
    return NULL;
}

/* ---- the order of the containers: as defined, except that what another depends on comes first */

static int place_of(const Supervise__Spec *spec, const char *name)
{
    for (size_t i = 0; name && i < spec->n_containers; i++)
        if (!strcmp(spec->containers[i]->name, name))
            return (int)i;
    return -1;
}

static bool defines(const Ecs__RegisterTaskDefinitionRequest *definition, const char *name)
{
    for (size_t i = 0; name && i < definition->n_container_definitions; i++)
        if (definition->container_definitions[i]->name &&
            !strcmp(definition->container_definitions[i]->name, name))
            return true;
    return false;
}

static char *check_dependencies(const Ecs__RegisterTaskDefinitionRequest *definition,
                                const Ecs__ContainerDefinition *container)
{
    for (size_t i = 0; i < container->n_depends_on; i++) {
        const Ecs__ContainerDependency *on = container->depends_on[i];

        if (!defines(definition, on->container_name))
            return mem_format("dependsOn: there is no container %s",
                              on->container_name ? on->container_name : "without a name");
        if (on->condition == ECS__CONTAINER_CONDITION__VALUE__HEALTHY)
            return mem_format("dependsOn: container %s has no health here; the condition HEALTHY "
                              "is not supported",
                              on->container_name);
    }
    return NULL;
}

static bool is_next(const Supervise__Spec *spec, const Ecs__ContainerDefinition *container)
{
    if (place_of(spec, container->name) >= 0)
        return false;
    for (size_t i = 0; i < container->n_depends_on; i++)
        if (place_of(spec, container->depends_on[i]->container_name) < 0)
            return false;
    return true;
}

static void set_waits(const Supervise__Spec *spec, Supervise__Container *out,
                      const Ecs__ContainerDefinition *definition)
{
    out->waits = mem_new_array(Supervise__Wait *, definition->n_depends_on);
    for (size_t i = 0; i < definition->n_depends_on; i++) {
        const Ecs__ContainerDependency *on = definition->depends_on[i];
        Supervise__Wait *wait = mem_new(Supervise__Wait);

        supervise__wait__init(wait);
        wait->container = (uint32_t)place_of(spec, on->container_name);
        wait->until =
            on->condition == ECS__CONTAINER_CONDITION__VALUE__COMPLETE  ? SUPERVISE__UNTIL__COMPLETE
            : on->condition == ECS__CONTAINER_CONDITION__VALUE__SUCCESS ? SUPERVISE__UNTIL__SUCCESS
                                                                        : SUPERVISE__UNTIL__STARTED;
        out->waits[out->n_waits++] = wait;
    }
}

/* The next container in order that can be placed, or NULL. */
static const Ecs__ContainerDefinition *
next_container(const Supervise__Spec *spec, const Ecs__RegisterTaskDefinitionRequest *definition)
{
    for (size_t i = 0; i < definition->n_container_definitions; i++)
        if (is_next(spec, definition->container_definitions[i]))
            return definition->container_definitions[i];
    return NULL;
}

static char *set_containers(const struct compose *compose, Supervise__Spec *spec)
{
    const Ecs__RegisterTaskDefinitionRequest *definition = compose->definition;
    size_t count = definition->n_container_definitions;
    char *problem = NULL;

    if (count == 0 || count > LIMIT_CONTAINERS)
        return mem_format("a task definition of %zu containers", count);
    for (size_t i = 0; i < count && !problem; i++)
        problem = check_dependencies(definition, definition->container_definitions[i]);
    spec->containers = mem_new_array(Supervise__Container *, count);
    while (!problem && spec->n_containers < count) {
        const Ecs__ContainerDefinition *next = next_container(spec, definition);
        Supervise__Container *container;

        if (!next)
            return mem_string("dependsOn: containers wait for each other, or two have one name");
        container = mem_new(Supervise__Container);
        supervise__container__init(container);
        set_waits(spec, container, next);
        spec->containers[spec->n_containers++] = container;
        problem = set_container(compose, container, next);
    }
    return problem;
}

int compose_spec(const struct compose *compose, Supervise__Spec **out, char **out_problem)
{
    Supervise__Spec *spec = mem_new(Supervise__Spec);
    char *problem;

    supervise__spec__init(spec);
    spec->task_id = mem_string(compose->assignment->task_id);
    problem = set_containers(compose, spec);
    if (problem) {
        supervise__spec__free_unpacked(spec, NULL);
        *out_problem = problem;
        return COMPOSE_REFUSED;
    }
    *out = spec;
    return 0;
}
