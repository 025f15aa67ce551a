/*
 * Commands out of bytes, for fuzzing apply and for its long random test: any body, filled by
 * descriptor. Members whose names we know get values that often make sense together (two
 * clusters, three workers, ten tasks), so that sequences of commands lead somewhere.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "proto/command.pb-c.h"
#include "proto/message.h"

struct source {
    const uint8_t *at;
    size_t left;
    uint64_t service_seq; /* Last given. */
};

static inline uint8_t source_byte(struct source *source)
{
    if (source->left == 0)
        return 0;
    source->left--;
    return *source->at++;
}

/* ---- values */

static inline bool name_has(const char *name, const char *part)
{
    return strstr(name, part) != NULL;
}

static inline char *ops_text(struct source *source, const char *name)
{
    static const char *const clusters[] = {"default", "default", "default", "blue"};
    static const char *const definitions[] = {"web", "web:1", "api", "api:2"};
    static const char *const any[] = {"web", "", "default", "x", ".5 vCPU", "token", "a b", "."};
    uint8_t byte = source_byte(source);

    if (byte == 255)
        return mem_format("%0600d", 7); /* Longer than any name, and than any key. */
    if (name_has(name, "task_id") || strcmp(name, "id") == 0 || strcmp(name, "task") == 0)
        return mem_format("%032x", byte % 24u);
    if (strcmp(name, "cluster") == 0 || strcmp(name, "cluster_name") == 0)
        return mem_string(clusters[byte % 4]);
    if (strcmp(name, "family") == 0)
        return mem_string(definitions[byte % 2 * 2]);
    if (strcmp(name, "task_definition") == 0)
        return mem_string(definitions[byte % 4]);
    if (strcmp(name, "cpu") == 0 || strcmp(name, "memory") == 0)
        return mem_string(byte % 2 ? "256" : "64");
    if (name_has(name, "service"))
        return mem_string(byte % 2 ? "web" : "api");
    if (name_has(name, "deployment_id"))
        return mem_string("ecs-svc/1000000000000000001");
    return mem_string(any[byte % 8]);
}

static inline uint64_t ops_number(struct source *source, const char *name)
{
    uint8_t byte = source_byte(source);

    if (byte == 255)
        return UINT64_MAX - source_byte(source);
    if (name_has(name, "session"))
        return byte % 16 ? 1 : 2;
    if (name_has(name, "task_seq"))
        return byte % 24;
    if (strcmp(name, "deployment_seq") == 0 && byte % 4)
        return source->service_seq; /* As it is when a service has had no second deployment. */
    if (strcmp(name, "service_seq") == 0)
        return source->service_seq = byte % 16 ? 1 + byte % 2 : byte / 16;
    if (name_has(name, "worker_seq"))
        return byte % 16 ? 1 + byte % 3 : byte / 16;
    if (name_has(name, "seq") || name_has(name, "revision"))
        return byte % 4;
    if (name_has(name, "_ms"))
        return byte * UINT64_C(2000);
    if (strcmp(name, "cpu") == 0 || name_has(name, "memory"))
        return byte * UINT64_C(16);
    return byte;
}

/* ---- messages */

static inline ProtobufCMessage *ops_message(struct source *source,
                                            const ProtobufCMessageDescriptor *type, int depth);

static inline size_t ops_size(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    default:
        return 4;
    }
}

static inline void ops_value(struct source *source, const ProtobufCFieldDescriptor *field,
                             int depth, void *out)
{
    uint64_t number;
    uint32_t half;

    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        *(char **)out = ops_text(source, field->name);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)out = ops_message(source, field->descriptor, depth + 1);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        /* A secret's digest is as long as SHA-256 makes it; any other is refused. */
        half = name_has(field->name, "secret") ? 32 : 1;
        *(ProtobufCBinaryData *)out = (ProtobufCBinaryData){half, mem_zeroed(1, half)};
        ((ProtobufCBinaryData *)out)->data[0] = source_byte(source) % 4;
        break;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)out = source_byte(source) % 2;
        break;
    case PROTOBUF_C_TYPE_ENUM:
        half = source_byte(source) % 9;
        memcpy(out, &half, 4);
        break;
    default:
        number = ops_number(source, field->name);
        half = (uint32_t)number;
        memcpy(out, ops_size(field) == 8 ? (void *)&number : (void *)&half, ops_size(field));
    }
}

static inline void ops_list(struct source *source, const ProtobufCFieldDescriptor *field, int depth,
                            ProtobufCMessage *message)
{
    uint8_t byte = source_byte(source);
    size_t count = strcmp(field->name, "sessions") == 0 && byte % 4 ? 0 : byte % 5;
    size_t size = ops_size(field);
    uint8_t *items = count ? mem_zeroed(count, size) : NULL;

    for (size_t i = 0; i < count; i++)
        ops_value(source, field, depth, items + i * size);
    message_member(message, size_t, field->quantifier_offset) = count;
    message_member(message, void *, field->offset) = items;
}

static inline void ops_field(struct source *source, const ProtobufCFieldDescriptor *field,
                             int depth, ProtobufCMessage *message)
{
    bool message_type = field->type == PROTOBUF_C_TYPE_MESSAGE;

    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return;
    if (message_type && depth > 4)
        return;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        ops_list(source, field, depth, message);
        return;
    }
    /* A member of the command itself is nearly always there, one further in as often as not. */
    if (source_byte(source) % (depth <= 2 ? 16 : 2) == 1)
        return;
    if (field->quantifier_offset && field->label == PROTOBUF_C_LABEL_OPTIONAL && !message_type &&
        field->type != PROTOBUF_C_TYPE_STRING)
        message_member(message, protobuf_c_boolean, field->quantifier_offset) = true;
    ops_value(source, field, depth, (char *)message + field->offset);
}

static inline ProtobufCMessage *ops_message(struct source *source,
                                            const ProtobufCMessageDescriptor *type, int depth)
{
    ProtobufCMessage *message = mem_zeroed(1, type->sizeof_message);

    protobuf_c_message_init(type, message);
    for (unsigned i = 0; i < type->n_fields && source->left > 0; i++)
        ops_field(source, &type->fields[i], depth, message);
    return message;
}

/* ---- commands */

static inline void ops_pack(Command__Command *command, struct buffer *out)
{
    buffer_clear(out);
    command__command__pack(command, buffer_extend(out, command__command__get_packed_size(command)));
}

static inline void ops_furnish_definition(const char *family, int host_port, struct buffer *out)
{
    Ecs__PortMapping mapping = ECS__PORT_MAPPING__INIT, *mappings[] = {&mapping};
    Ecs__ContainerDefinition container = ECS__CONTAINER_DEFINITION__INIT;
    Ecs__ContainerDefinition *containers[] = {&container};
    Ecs__RegisterTaskDefinitionRequest request = ECS__REGISTER_TASK_DEFINITION_REQUEST__INIT;
    Command__RegisterTaskDefinition body = COMMAND__REGISTER_TASK_DEFINITION__INIT;
    Command__Command command = COMMAND__COMMAND__INIT;

    mapping.has_container_port = mapping.has_host_port = true;
    mapping.container_port = mapping.host_port = host_port;
    container.name = "main";
    container.has_memory = true;
    container.memory = 64;
    container.port_mappings = mappings;
    container.n_port_mappings = host_port ? 1 : 0;
    request.family = (char *)family;
    request.container_definitions = containers;
    request.n_container_definitions = 1;
    body.request = &request;
    command.body_case = COMMAND__COMMAND__BODY_REGISTER_TASK_DEFINITION;
    command.register_task_definition = &body;
    ops_pack(&command, out);
}

static inline void ops_furnish_worker(unsigned number, struct buffer *out)
{
    Command__RegisterWorker body = COMMAND__REGISTER_WORKER__INIT;
    Command__Command command = COMMAND__COMMAND__INIT;
    char id[33];

    snprintf(id, sizeof id, "%032x", number);
    body.id = id;
    body.session = 1;
    body.cpu = body.memory = 512;
    command.body_case = COMMAND__COMMAND__BODY_REGISTER_WORKER;
    command.register_worker = &body;
    ops_pack(&command, out);
}

static inline void ops_furnish_service(const char *name, struct buffer *out)
{
    Ecs__CreateServiceRequest request = ECS__CREATE_SERVICE_REQUEST__INIT;
    Command__CreateService body = COMMAND__CREATE_SERVICE__INIT;
    Command__Command command = COMMAND__COMMAND__INIT;

    request.service_name = request.task_definition = (char *)name;
    request.has_desired_count = true;
    request.desired_count = 3;
    body.request = &request;
    body.deployment_id = "ecs-svc/1000000000000000001";
    command.body_case = COMMAND__COMMAND__BODY_CREATE_SERVICE;
    command.create_service = &body;
    ops_pack(&command, out);
}

enum { OPS_FURNISH = 7 };

/* The first commands of every history: workers 1 to 3 in "default", services web and api. */
static inline void ops_furnish(unsigned step, struct buffer *out)
{
    if (step < 3)
        ops_furnish_worker(step + 1, out);
    else if (step < 5)
        ops_furnish_definition(step == 3 ? "web" : "api", step == 3 ? 0 : 8080, out);
    else
        ops_furnish_service(step == 5 ? "web" : "api", out);
}

/* How often each body is wanted, in the order of the fields: tasks make up most of life. */
static inline unsigned ops_row(struct source *source)
{
    static const uint8_t often[] = {1, 1, 1, 1, 1, 7, 3, 2, 3, 1, 5, 1, 16, 14, 3, 3, 2, 2, 1};
    unsigned at = source_byte(source) % 68u, row = 0;

    while (row + 1 < sizeof often && at >= often[row])
        at -= often[row++];
    return 1 + row; /* Field 0 is the time. */
}

/* The next command, packed into out. Now and then one byte of it is flipped. */
static inline void ops_next(struct source *source, struct buffer *out)
{
    const ProtobufCMessageDescriptor *type = &command__command__descriptor;
    Command__Command *command = (Command__Command *)mem_zeroed(1, sizeof *command);
    const ProtobufCFieldDescriptor *field = &type->fields[ops_row(source)];
    uint8_t flip;

    command__command__init(command);
    command->time_ms = 100000 + source_byte(source) * UINT64_C(1000);
    message_member(command, uint32_t, field->quantifier_offset) = field->id;
    message_member(command, ProtobufCMessage *, field->offset) =
        ops_message(source, field->descriptor, 1);
    ops_pack(command, out);
    command__command__free_unpacked(command, NULL);
    flip = source_byte(source);
    if (flip > 250 && out->len > 0)
        out->base[source_byte(source) % out->len] ^= flip;
}
