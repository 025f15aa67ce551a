#include "server/manager/command_build.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"

/* A message is data all the way down, so the copy of a request is what its packed form says. */
ProtobufCMessage *command_copy(const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = mem_zeroed(1, len ? len : 1);
    ProtobufCMessage *copy;

    protobuf_c_message_pack(message, packed);
    copy = protobuf_c_message_unpack(message->descriptor, NULL, len, packed);
    free(packed);
    must(copy != NULL);
    return copy;
}

/* The clientToken member of a request, or NULL where it has none. */
static char **token_of(ProtobufCMessage *request)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(request->descriptor, "client_token");

    return field ? (char **)(void *)((char *)request + field->offset) : NULL;
}

void command_digest(const ProtobufCMessage *request, ProtobufCBinaryData *out)
{
    ProtobufCMessage *copy = command_copy(request);
    char **token = token_of(copy);
    size_t len;
    uint8_t *packed;

    if (token) {
        free(*token);
        *token = NULL;
    }
    len = protobuf_c_message_get_packed_size(copy);
    packed = mem_zeroed(1, len ? len : 1);
    protobuf_c_message_pack(copy, packed);
    protobuf_c_message_free_unpacked(copy, NULL);

    out->len = SHA256_DIGEST_LENGTH;
    out->data = mem_zeroed(1, SHA256_DIGEST_LENGTH);
    SHA256(packed, len, out->data);
    free(packed);
}

/* "ecs-svc/" and 19 digits, the first not 0. */
static char *deployment_id(struct rng *rng)
{
    const uint64_t least = 1000000000000000000u;

    return mem_format("ecs-svc/%llu", (unsigned long long)(least + rng_below(rng, 9 * least)));
}

static char *uuid(struct rng *rng)
{
    char text[37];

    rng_uuid(rng, text);
    return mem_string(text);
}

/* In each of these: wrap the request, which the command takes, and stamp what apply may not invent.
 */

#define WRAP(out, Type, type, CASE, copy)                                                          \
    do {                                                                                           \
        (out)->body_case = COMMAND__COMMAND__BODY_##CASE;                                          \
        (out)->type = mem_new(Command__##Type);                                                    \
        command__##type##__init((out)->type);                                                      \
        (out)->type->request = (Ecs__##Type##Request *)(copy);                                     \
    } while (0)

static void create_cluster(Command__Command *out, ProtobufCMessage *copy, struct rng *rng)
{
    (void)rng;
    WRAP(out, CreateCluster, create_cluster, CREATE_CLUSTER, copy);
}

static void delete_cluster(Command__Command *out, ProtobufCMessage *copy, struct rng *rng)
{
    (void)rng;
    WRAP(out, DeleteCluster, delete_cluster, DELETE_CLUSTER, copy);
}

static void register_task_definition(Command__Command *out, ProtobufCMessage *copy, struct rng *rng)
{
    (void)rng;
    WRAP(out, RegisterTaskDefinition, register_task_definition, REGISTER_TASK_DEFINITION, copy);
}

static void deregister_task_definition(Command__Command *out, ProtobufCMessage *copy,
                                       struct rng *rng)
{
    (void)rng;
    WRAP(out, DeregisterTaskDefinition, deregister_task_definition, DEREGISTER_TASK_DEFINITION,
         copy);
}

static void stop_task(Command__Command *out, ProtobufCMessage *copy, struct rng *rng)
{
    (void)rng;
    WRAP(out, StopTask, stop_task, STOP_TASK, copy);
}

static void create_service(Command__Command *out, ProtobufCMessage *copy, struct rng *rng)
{
    WRAP(out, CreateService, create_service, CREATE_SERVICE, copy);
    command_digest(copy, &out->create_service->digest);
    out->create_service->deployment_id = deployment_id(rng);
    out->create_service->event_id = uuid(rng);
}

static void update_service(Command__Command *out, ProtobufCMessage *copy, struct rng *rng)
{
    WRAP(out, UpdateService, update_service, UPDATE_SERVICE, copy);
    out->update_service->deployment_id = deployment_id(rng);
    out->update_service->event_id = uuid(rng);
}

static void delete_service(Command__Command *out, ProtobufCMessage *copy, struct rng *rng)
{
    WRAP(out, DeleteService, delete_service, DELETE_SERVICE, copy);
    out->delete_service->event_id = uuid(rng);
}

static const struct kind {
    const char *action;
    const ProtobufCMessageDescriptor *request;
    void (*fill)(Command__Command *out, ProtobufCMessage *copy, struct rng *rng); /* Takes copy. */
} kinds[] = {
    {"CreateCluster", &ecs__create_cluster_request__descriptor, create_cluster},
    {"DeleteCluster", &ecs__delete_cluster_request__descriptor, delete_cluster},
    {"RegisterTaskDefinition", &ecs__register_task_definition_request__descriptor,
     register_task_definition},
    {"DeregisterTaskDefinition", &ecs__deregister_task_definition_request__descriptor,
     deregister_task_definition},
    {"StopTask", &ecs__stop_task_request__descriptor, stop_task},
    {"CreateService", &ecs__create_service_request__descriptor, create_service},
    {"UpdateService", &ecs__update_service_request__descriptor, update_service},
    {"DeleteService", &ecs__delete_service_request__descriptor, delete_service},
};

static const struct kind *kind_of(const char *action)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].action, action) == 0)
            return &kinds[i];
    }
    return NULL;
}

const ProtobufCMessageDescriptor *command_request(const char *action)
{
    const struct kind *kind = kind_of(action);

    if (kind)
        return kind->request;
    return strcmp(action, "RunTask") == 0 ? &ecs__run_task_request__descriptor : NULL;
}

int command_build(const char *action, const ProtobufCMessage *request, const struct stamp *stamp,
                  Command__Command **out)
{
    const struct kind *kind = kind_of(action);
    Command__Command *command;

    if (!kind || request->descriptor != kind->request)
        return err_new(-EINVAL);
    command = mem_new(Command__Command);
    command__command__init(command);
    command->time_ms = stamp->time_ms;
    kind->fill(command, command_copy(request), stamp->rng);
    *out = command;
    return 0;
}
