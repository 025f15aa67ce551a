#include "server/manager/command_build.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/limits.h"
#include "proto/message.h"
#include "proto/operator.pb-c.h"
#include "proto/unpacking.h"

#define DEFAULT_TOKEN_TTL_MS (UINT64_C(24) * 60 * 60 * 1000)

/* A message is data all the way down, so the copy of a request is what its packed form says. */
ProtobufCMessage *command_copy(const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = mem_zeroed(1, len ? len : 1);
    ProtobufCMessage *copy;

    protobuf_c_message_pack(message, packed);
    copy = protobuf_c_message_unpack(message->descriptor, &unpacking, len, packed);
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

/* The operator's. Form was checked: proto/validate_operator.c. */

static uint32_t token_id(const char *text)
{
    return (uint32_t)strtoul(text, NULL, 16);
}

static Command__CreateToken *token_body(const char *id, const char *digest, bool has_ttl,
                                        int64_t ttl_s)
{
    Command__CreateToken *body = mem_new(Command__CreateToken);

    command__create_token__init(body);
    body->id = token_id(id);
    body->role = STATE__TOKEN_ROLE__TOKEN_MANAGER;
    body->ttl_ms = has_ttl ? (uint64_t)ttl_s * 1000 : DEFAULT_TOKEN_TTL_MS;
    body->secret_digest.len = SHA256_DIGEST_LENGTH;
    body->secret_digest.data = mem_zeroed(1, SHA256_DIGEST_LENGTH);
    for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        char byte[3] = {digest[2 * i], digest[2 * i + 1], '\0'};

        body->secret_digest.data[i] = (uint8_t)strtoul(byte, NULL, 16);
    }
    return body;
}

static void create_token(Command__Command *out, ProtobufCMessage *copy, struct rng *rng)
{
    const Operator__CreateTokenRequest *request = (const Operator__CreateTokenRequest *)copy;

    (void)rng;
    out->body_case = COMMAND__COMMAND__BODY_CREATE_TOKEN;
    out->create_token = token_body(request->id, request->secret_digest, request->has_ttl_seconds,
                                   request->ttl_seconds);
    message_free(copy);
}

static void rotate_token(Command__Command *out, ProtobufCMessage *copy, struct rng *rng)
{
    const Operator__RotateTokenRequest *request = (const Operator__RotateTokenRequest *)copy;

    (void)rng;
    out->body_case = COMMAND__COMMAND__BODY_CREATE_TOKEN;
    out->create_token = token_body(request->id, request->secret_digest, request->has_ttl_seconds,
                                   request->ttl_seconds);
    out->create_token->revoke_older = true;
    message_free(copy);
}

static void revoke_token(Command__Command *out, ProtobufCMessage *copy, struct rng *rng)
{
    const Operator__RevokeTokenRequest *request = (const Operator__RevokeTokenRequest *)copy;

    (void)rng;
    out->body_case = COMMAND__COMMAND__BODY_REVOKE_TOKEN;
    out->revoke_token = mem_new(Command__RevokeToken);
    command__revoke_token__init(out->revoke_token);
    out->revoke_token->id = token_id(request->id);
    message_free(copy);
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
    {"CreateToken", &operator__create_token_request__descriptor, create_token},
    {"RotateToken", &operator__rotate_token_request__descriptor, rotate_token},
    {"RevokeToken", &operator__revoke_token_request__descriptor, revoke_token},
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
