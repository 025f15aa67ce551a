#include "proto/task_definition.h"

#include <string.h>
#include <strings.h>

#include "proto/base/mem.h"
#include "proto/limits.h"

enum { PER_UNIT = 1024 }; /* CPU units of a vCPU, MiB of a GB. */

/* Reads "12", "12.5" or ".5": *out is the number times 1,024. Stops
 * at the first other character and returns how many were read, 0 if it is no such number. */
static size_t read_decimal(const char *text, uint64_t *out)
{
    size_t whole = strspn(text, "0123456789");
    size_t fraction = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
    uint64_t number = 0, scale = 1;

    if (whole + fraction == 0 || whole > 9 || fraction > 6)
        return 0;
    for (size_t i = 0; i < whole; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    for (size_t i = 0; i < fraction; i++, scale *= 10)
        number = number * 10 + (uint64_t)(text[whole + 1 + i] - '0');
    if (number * PER_UNIT % scale != 0)
        return 0;
    *out = number * PER_UNIT / scale;
    return whole + (text[whole] == '.') + fraction;
}

static int parse_size(const char *text, const char *unit, uint32_t limit, uint32_t *out)
{
    uint64_t size;
    size_t len = read_decimal(text, &size);
    const char *rest = text + len;

    if (len == 0)
        return TASK_DEFINITION_MALFORMED;
    if (!*rest) {
        if (strchr(text, '.'))
            return TASK_DEFINITION_MALFORMED;
        size /= PER_UNIT;
    } else if (strcasecmp(rest + strspn(rest, " "), unit) != 0) {
        return TASK_DEFINITION_MALFORMED;
    }
    if (size == 0 || size > limit)
        return TASK_DEFINITION_MALFORMED;
    *out = (uint32_t)size;
    return 0;
}

int task_cpu_parse(const char *text, uint32_t *out)
{
    return parse_size(text, "vCPU", LIMIT_TASK_CPU, out);
}

int task_memory_parse(const char *text, uint32_t *out)
{
    return parse_size(text, "GB", LIMIT_TASK_MEMORY, out);
}

static int32_t container_memory(const Ecs__ContainerDefinition *container)
{
    if (container->has_memory_reservation)
        return container->memory_reservation;
    return container->has_memory ? container->memory : 0;
}

/* Adds, with what is negative as nothing, up to the most that can be said. */
static uint32_t add(uint32_t sum, int32_t more)
{
    uint64_t total = (uint64_t)sum + (more > 0 ? (uint32_t)more : 0);

    return total > UINT32_MAX ? UINT32_MAX : (uint32_t)total;
}

int task_definition_needs(const Ecs__RegisterTaskDefinitionRequest *spec, uint32_t *out_cpu,
                          uint32_t *out_memory)
{
    uint32_t cpu = 0, memory = 0;

    for (size_t i = 0; i < spec->n_container_definitions; i++) {
        const Ecs__ContainerDefinition *container = spec->container_definitions[i];

        cpu = add(cpu, container->has_cpu ? container->cpu : 0);
        memory = add(memory, container_memory(container));
    }
    if (spec->cpu && task_cpu_parse(spec->cpu, &cpu) != 0)
        return TASK_DEFINITION_MALFORMED;
    if (spec->memory && task_memory_parse(spec->memory, &memory) != 0)
        return TASK_DEFINITION_MALFORMED;
    *out_cpu = cpu;
    *out_memory = memory;
    return 0;
}

/* In these network modes a container's port is the host's, or as good as. */
static bool ports_are_the_hosts(const Ecs__RegisterTaskDefinitionRequest *spec)
{
    return spec->has_network_mode && (spec->network_mode == ECS__NETWORK_MODE__VALUE__host ||
                                      spec->network_mode == ECS__NETWORK_MODE__VALUE__awsvpc);
}

uint32_t task_definition_host_port(const Ecs__RegisterTaskDefinitionRequest *spec,
                                   const Ecs__PortMapping *mapping)
{
    int32_t port = mapping->has_host_port ? mapping->host_port : 0;

    if (port == 0 && ports_are_the_hosts(spec) && mapping->has_container_port)
        port = mapping->container_port;
    return port > 0 && port <= UINT16_MAX ? (uint32_t)port : 0;
}

static State__Port *port_new(uint32_t number, const Ecs__PortMapping *mapping)
{
    State__Port *port = mem_new(State__Port);

    state__port__init(port);
    port->number = number;
    port->udp = mapping->has_protocol && mapping->protocol == ECS__TRANSPORT_PROTOCOL__VALUE__udp;
    return port;
}

size_t task_definition_host_ports(const Ecs__RegisterTaskDefinitionRequest *spec,
                                  State__Port ***out)
{
    State__Port **ports = NULL;
    size_t count = 0;

    for (size_t i = 0; i < spec->n_container_definitions; i++) {
        const Ecs__ContainerDefinition *container = spec->container_definitions[i];

        for (size_t m = 0; m < container->n_port_mappings; m++) {
            const Ecs__PortMapping *mapping = container->port_mappings[m];
            uint32_t number = task_definition_host_port(spec, mapping);

            if (number == 0)
                continue;
            ports = mem_resize(ports, count + 1, sizeof ports[0]);
            ports[count++] = port_new(number, mapping);
        }
    }
    *out = ports;
    return count;
}

static void port_defaults(const Ecs__RegisterTaskDefinitionRequest *spec, Ecs__PortMapping *mapping)
{
    if (!mapping->has_host_port) {
        mapping->host_port = (int32_t)task_definition_host_port(spec, mapping);
        mapping->has_host_port = true;
    }
    if (!mapping->has_protocol) {
        mapping->protocol = ECS__TRANSPORT_PROTOCOL__VALUE__tcp;
        mapping->has_protocol = true;
    }
}

void task_definition_defaults(Ecs__RegisterTaskDefinitionRequest *spec)
{
    for (size_t i = 0; i < spec->n_container_definitions; i++) {
        Ecs__ContainerDefinition *container = spec->container_definitions[i];

        container->has_cpu = true; /* 0 if absent: the initial value. */
        if (!container->has_essential) {
            container->essential = true;
            container->has_essential = true;
        }
        for (size_t m = 0; m < container->n_port_mappings; m++)
            port_defaults(spec, container->port_mappings[m]);
    }
}
