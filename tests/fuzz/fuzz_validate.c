/*
 * Any JSON as the request of any operation: let through or refused with a text, and a task
 * definition that is let through has a size.
 */
#include <stdlib.h>

#include "proto/base/must.h"
#include "proto/ecs.pb-c.h"
#include "proto/json.h"
#include "proto/message.h"
#include "proto/operator.pb-c.h"
#include "proto/problem.h"
#include "proto/task_definition.h"
#include "proto/validate.h"

static const ProtobufCMessageDescriptor *const types[] = {
    &ecs__register_task_definition_request__descriptor,
    &ecs__create_service_request__descriptor,
    &ecs__run_task_request__descriptor,
    &ecs__create_cluster_request__descriptor,
    &ecs__describe_clusters_request__descriptor,
    &ecs__update_service_request__descriptor,
    &ecs__describe_tasks_request__descriptor,
    &ecs__list_tasks_request__descriptor,
    &ecs__deregister_task_definition_request__descriptor,
    &operator__create_token_request__descriptor,
    &operator__revoke_token_request__descriptor,
    &operator__remove_manager_request__descriptor,
};

static void measure(Ecs__RegisterTaskDefinitionRequest *spec)
{
    State__Port **ports = NULL;
    uint32_t cpu, memory;
    size_t count;

    task_definition_defaults(spec);
    must(task_definition_needs(spec, &cpu, &memory) == 0);
    must(memory > 0);
    count = task_definition_host_ports(spec, &ports);
    for (size_t i = 0; i < count; i++)
        state__port__free_unpacked(ports[i], NULL);
    free(ports);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scope(message_free) ProtobufCMessage *request = NULL;
    scope(problem_free) Command__Problem *problem = NULL;
    const ProtobufCMessageDescriptor *type;

    if (size == 0)
        return 0;
    type = types[data[0] % (sizeof types / sizeof types[0])];
    if (json_parse(type, (struct bytes){data + 1, size - 1}, &request, &problem) != 0)
        return 0;
    if (validate_request(request, &problem) == VALIDATE_REFUSED)
        must(problem->text[0]);
    else if (type == &ecs__register_task_definition_request__descriptor)
        measure((Ecs__RegisterTaskDefinitionRequest *)request);
    return 0;
}
