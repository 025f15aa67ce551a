#include "proto/dump.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "proto/json.h"
#include "proto/message.h"

void dump_bytes(struct bytes bytes, struct buffer *out)
{
    const uint8_t *at = bytes.base;

    buffer_append_text(out, "\"");
    for (size_t i = 0; i < bytes.len; i++)
        buffer_append_format(out, "%02x", at[i]);
    buffer_append_text(out, "\"");
}

static void dump_enum(const ProtobufCEnumDescriptor *type, int number, struct buffer *out)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, number);

    if (value)
        json_print_text(value->name, out);
    else
        buffer_append_format(out, "%d", number); /* Written by a newer release. */
}

static void dump_real(double value, struct buffer *out)
{
    if (isfinite(value))
        buffer_append_format(out, "%.17g", value);
    else
        buffer_append_text(out, "null");
}

/* A value of this field's type, wherever it lies. Returns how many bytes it takes in a list. */
static size_t dump_value(const ProtobufCFieldDescriptor *field, const void *at, struct buffer *out)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        buffer_append_format(out, "%" PRId32, *(const int32_t *)at);
        return sizeof(int32_t);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        buffer_append_format(out, "%" PRIu32, *(const uint32_t *)at);
        return sizeof(uint32_t);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        buffer_append_format(out, "%" PRId64, *(const int64_t *)at);
        return sizeof(int64_t);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        buffer_append_format(out, "%" PRIu64, *(const uint64_t *)at);
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_FLOAT:
        dump_real((double)*(const float *)at, out);
        return sizeof(float);
    case PROTOBUF_C_TYPE_DOUBLE:
        dump_real(*(const double *)at, out);
        return sizeof(double);
    case PROTOBUF_C_TYPE_BOOL:
        buffer_append_text(out, *(const protobuf_c_boolean *)at ? "true" : "false");
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_ENUM:
        dump_enum(field->descriptor, *(const int *)at, out);
        return sizeof(int);
    case PROTOBUF_C_TYPE_STRING:
        json_print_text(*(char *const *)at, out);
        return sizeof(char *);
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *data = at;

        dump_bytes((struct bytes){data->data, data->len}, out);
        return sizeof *data;
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        dump_message(*(ProtobufCMessage *const *)at, out);
        return sizeof(ProtobufCMessage *);
    }
    return 0;
}

/* A scalar without a presence bit (proto3) is there when it is not zero. */
static bool says_something(const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)at)->len > 0;
    case PROTOBUF_C_TYPE_STRING:
        return *(char *const *)at && **(char *const *)at;
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(ProtobufCMessage *const *)at != NULL;
    case PROTOBUF_C_TYPE_BOOL:
        return *(const protobuf_c_boolean *)at != 0;
    case PROTOBUF_C_TYPE_DOUBLE:
        return *(const double *)at < 0 || *(const double *)at > 0;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return *(const uint64_t *)at != 0;
    default:
        return *(const uint32_t *)at != 0;
    }
}

static bool is_there(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const void *at = (const char *)message + field->offset;

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return message_const_member(message, size_t, field->quantifier_offset) > 0;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return message_const_member(message, uint32_t, field->quantifier_offset) == field->id;
    if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->quantifier_offset != 0)
        return message_const_member(message, protobuf_c_boolean, field->quantifier_offset);
    return says_something(field, at);
}

static void dump_list(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                      struct buffer *out)
{
    size_t count = message_const_member(message, size_t, field->quantifier_offset);
    const char *at = message_const_member(message, char *, field->offset);

    buffer_append_text(out, "[");
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(out, i > 0 ? "," : "");
        at += dump_value(field, at, out);
    }
    buffer_append_text(out, "]");
}

/* What lets its reader act as the cluster's authority. */
static bool is_secret(const ProtobufCFieldDescriptor *field)
{
    return strcmp(field->name, "ca_key") == 0;
}

void dump_message(const ProtobufCMessage *message, struct buffer *out)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    const char *before = "";

    buffer_append_text(out, "{");
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];

        if (!is_there(message, field))
            continue;
        buffer_append_format(out, "%s\"%s\":", before, field->name);
        if (is_secret(field))
            buffer_append_text(out, "\"(not shown)\"");
        else if (field->label == PROTOBUF_C_LABEL_REPEATED)
            dump_list(message, field, out);
        else
            (void)dump_value(field, (const char *)message + field->offset, out);
        before = ",";
    }
    buffer_append_text(out, "}");
}
