/*
 * Straight from the message into the buffer: nothing is allocated but the buffer's own growth.
 */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/must.h"
#include "proto/ecs.pb-c.h"
#include "proto/json.h"
#include "proto/json_name.h"
#include "proto/message.h"

enum { KEPT_MAX = 5 };

/* Where ECS leaves an empty list out instead of printing []: what a task definition holds is
 * echoed as it was given, and some members appear only when they say something. A message not
 * named here prints every empty list. */
static const struct {
    const ProtobufCMessageDescriptor *type;
    const char *kept[KEPT_MAX]; /* Fields that are printed as [] all the same. */
} terse[] = {
    {&ecs__container_definition__descriptor,
     {"port_mappings", "environment", "mount_points", "volumes_from"}},
    {&ecs__task_definition__descriptor, {"volumes", "placement_constraints", "compatibilities"}},
    {&ecs__linux_parameters__descriptor, {NULL}},
    {&ecs__kernel_capabilities__descriptor, {NULL}},
    {&ecs__device__descriptor, {NULL}},
    {&ecs__tmpfs__descriptor, {NULL}},
    {&ecs__health_check__descriptor, {NULL}},
    {&ecs__log_configuration__descriptor, {NULL}},
    {&ecs__firelens_configuration__descriptor, {NULL}},
    {&ecs__docker_volume_configuration__descriptor, {NULL}},
    {&ecs__proxy_configuration__descriptor, {NULL}},
    {&ecs__container_override__descriptor, {NULL}},
    {&ecs__container__descriptor, {"network_bindings", "network_interfaces"}},
    {&ecs__deployment__descriptor, {NULL}},
};

/* Bytes of the valid UTF-8 sequence that begins here, 0 if none does. The terminating NUL stops
 * it, so it reads nothing beyond. */
static size_t utf8_sequence(const unsigned char *at)
{
    static const struct {
        unsigned char from, to;  /* First byte. */
        unsigned char low, high; /* Second byte: no overlong form, no surrogate. */
        size_t len;
    } shapes[] = {
        {0x01, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (at[0] < shapes[i].from || at[0] > shapes[i].to)
            continue;
        if (shapes[i].len > 1 && (at[1] < shapes[i].low || at[1] > shapes[i].high))
            return 0;
        for (size_t n = 2; n < shapes[i].len; n++)
            if ((at[n] & 0xc0) != 0x80)
                return 0;
        return shapes[i].len;
    }
    return 0;
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* The letter after the backslash in JSON's short escapes, or 0. */
static char short_escape(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

/* One character that is not plain. Returns how many bytes of the text it was. */
static size_t print_special(const unsigned char *at, struct buffer *out)
{
    static const char hex[] = "0123456789abcdef";
    char letter = short_escape(*at);
    size_t len;

    if (letter) {
        buffer_append(out, (char[2]){'\\', letter}, 2);
        return 1;
    }
    if (*at < 0x20) {
        buffer_append(out, (char[6]){'\\', 'u', '0', '0', hex[*at >> 4], hex[*at & 15]}, 6);
        return 1;
    }
    len = utf8_sequence(at);
    if (len == 0) {
        buffer_append_text(out, "\xef\xbf\xbd"); /* U+FFFD, the replacement character. */
        return 1;
    }
    buffer_append(out, at, len);
    return len;
}

void json_print_text(const char *text, struct buffer *out)
{
    const unsigned char *at = (const unsigned char *)text;

    buffer_append(out, "\"", 1);
    while (*at) {
        const unsigned char *run = at;

        while (is_plain(*at))
            at++;
        buffer_append(out, run, (size_t)(at - run));
        if (*at)
            at += print_special(at, out);
    }
    buffer_append(out, "\"", 1);
}

static void print_integer(int64_t value, struct buffer *out)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRId64, value);

    buffer_append(out, text, (size_t)len);
}

/* Milliseconds as seconds with three decimals. */
static void print_time(int64_t ms, struct buffer *out)
{
    uint64_t size = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    char text[32];
    int len = snprintf(text, sizeof text, "%s%" PRIu64 ".%03" PRIu64, ms < 0 ? "-" : "",
                       size / 1000, size % 1000);

    buffer_append(out, text, (size_t)len);
}

/* The shorter of two forms that read back as the same number. JSON knows no infinities. */
static void print_real(double value, struct buffer *out)
{
    char text[40];
    int len;

    if (!isfinite(value))
        value = 0;
    len = snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value)
        len = snprintf(text, sizeof text, "%.17g", value);
    buffer_append(out, text, (size_t)len);
    if (strspn(text, "-0123456789") == (size_t)len)
        buffer_append_text(out, ".0");
}

static void print_enum(const ProtobufCEnumDescriptor *type, int number, struct buffer *out)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, number);

    if (value)
        json_print_text(json_name_of_value(value), out);
    else
        buffer_append_text(out, "null"); /* Written by a newer release. */
}

/* The value at `at`, which has the field's type. */
static void print_value(const ProtobufCFieldDescriptor *field, const void *at, struct buffer *out)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
        print_integer(*(const int32_t *)at, out);
        return;
    case PROTOBUF_C_TYPE_INT64:
        print_integer(*(const int64_t *)at, out);
        return;
    case PROTOBUF_C_TYPE_SFIXED64:
        print_time(*(const int64_t *)at, out);
        return;
    case PROTOBUF_C_TYPE_DOUBLE:
        print_real(*(const double *)at, out);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        buffer_append_text(out, *(const protobuf_c_boolean *)at ? "true" : "false");
        return;
    case PROTOBUF_C_TYPE_ENUM:
        print_enum(field->descriptor, *(const int *)at, out);
        return;
    case PROTOBUF_C_TYPE_STRING:
        json_print_text(*(char *const *)at, out);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        json_print(*(ProtobufCMessage *const *)at, out);
        return;
    default:
        must(!"a type that proto/ecs.proto does not use");
    }
}

static size_t value_size(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_ENUM:
        return sizeof(int);
    default:
        must(!"a repeated type that proto/ecs.proto does not use");
        return 0;
    }
}

static void print_list(const ProtobufCFieldDescriptor *field, const char *items, size_t count,
                       struct buffer *out)
{
    size_t size = value_size(field);

    buffer_append(out, "[", 1);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append(out, ",", 1);
        print_value(field, items + i * size, out);
    }
    buffer_append(out, "]", 1);
}

static void print_map(Ecs__MapEntry *const *entries, size_t count, struct buffer *out)
{
    buffer_append(out, "{", 1);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append(out, ",", 1);
        json_print_text(entries[i]->key ? entries[i]->key : "", out);
        buffer_append(out, ":", 1);
        json_print_text(entries[i]->value ? entries[i]->value : "", out);
    }
    buffer_append(out, "}", 1);
}

static bool is_map(const ProtobufCFieldDescriptor *field)
{
    return field->descriptor == &ecs__map_entry__descriptor;
}

static bool empty_is_printed(const ProtobufCMessageDescriptor *type,
                             const ProtobufCFieldDescriptor *field)
{
    if (is_map(field))
        return false;
    for (size_t row = 0; row < sizeof terse / sizeof terse[0]; row++) {
        if (terse[row].type != type)
            continue;
        for (size_t i = 0; i < KEPT_MAX && terse[row].kept[i]; i++)
            if (strcmp(terse[row].kept[i], field->name) == 0)
                return true;
        return false;
    }
    return true;
}

static bool is_printed(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return message_const_member(message, size_t, field->quantifier_offset) > 0 ||
               empty_is_printed(message->descriptor, field);
    if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE)
        return message_const_member(message, void *, field->offset) != NULL;
    return message_const_member(message, protobuf_c_boolean, field->quantifier_offset);
}

static void print_field(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                        struct buffer *out)
{
    const char *at = (const char *)message + field->offset;
    size_t count;

    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        print_value(field, at, out);
        return;
    }
    count = message_const_member(message, size_t, field->quantifier_offset);
    if (is_map(field))
        print_map(*(Ecs__MapEntry *const *const *)(const void *)at, count, out);
    else
        print_list(field, *(const char *const *)(const void *)at, count, out);
}

void json_print(const ProtobufCMessage *message, struct buffer *out)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    const char *before = "{\"";

    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];

        if (!is_printed(message, field))
            continue;
        buffer_append_text(out, before);
        json_name_append(field->name, out);
        buffer_append(out, "\":", 2);
        print_field(message, field, out);
        before = ",\"";
    }
    buffer_append_text(out, before[0] == '{' ? "{}" : "}");
}
