/*
 * Any bytes as the body of a request: refused with a problem, or read into a message that prints
 * as JSON which reads back as the same JSON.
 */
#include <string.h>

#include "proto/base/must.h"
#include "proto/ecs.pb-c.h"
#include "proto/json.h"
#include "proto/message.h"
#include "proto/problem.h"

static const ProtobufCMessageDescriptor *const types[] = {
    &ecs__register_task_definition_request__descriptor,
    &ecs__create_service_request__descriptor,
    &ecs__run_task_request__descriptor,
    &ecs__describe_tasks_response__descriptor,
    &ecs__describe_container_instances_response__descriptor,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scope(message_free) ProtobufCMessage *message = NULL, *again = NULL;
    scope(problem_free) Command__Problem *problem = NULL;
    scope(buffer_fini) struct buffer first = {0}, second = {0};
    const ProtobufCMessageDescriptor *type;

    if (size == 0)
        return 0;
    type = types[data[0] % (sizeof types / sizeof types[0])];
    if (json_parse(type, (struct bytes){data + 1, size - 1}, &message, &problem) != 0) {
        must(problem);
        return 0;
    }
    json_print(message, &first);
    if (json_parse(type, (struct bytes){first.base, first.len}, &again, &problem) != 0) {
        must(strncmp(problem->text, "Request body", 12) == 0); /* Empty lists made it too long. */
        return 0;
    }
    json_print(again, &second);
    must(first.len == second.len);
    must(memcmp(first.base, second.base, first.len) == 0);
    return 0;
}
