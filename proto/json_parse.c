/*
 * jansson reads the text; this walks what it read along the message's descriptor.
 *
 * Before jansson allocates anything, one pass over the bytes bounds how deep and how many the
 * values are. A place is the path to the value being read, linked through the stack, so that it
 * costs nothing until an error names it.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/ecs.pb-c.h"
#include "proto/json.h"
#include "proto/json_name.h"
#include "proto/limits.h"
#include "proto/message.h"
#include "proto/problem.h"

/* A user's text is quoted up to here in an error. */
#define QUOTED "%.64s"

/* The latest moment a timestamp may name: the end of the year 9999. */
#define TIME_MAX_S INT64_C(253402300799)

struct place {
    const struct place *up; /* NULL: the whole text. */
    const char *member;     /* NULL: element `index` of a list. */
    size_t index;
};

struct parser {
    Command__Problem *problem;
};

/* json_decref() takes NULL. */
SCOPED(json_t *, json_decref);

static void append_place(const struct place *place, struct buffer *out)
{
    if (!place->up)
        return;
    append_place(place->up, out);
    if (!place->member) {
        buffer_append_format(out, "[%zu]", place->index);
        return;
    }
    if (out->len > 0)
        buffer_append(out, ".", 1);
    buffer_append_format(out, QUOTED, place->member);
}

static bool refuse_type(struct parser *parser, const char *expected, const struct place *place)
{
    scope(buffer_fini) struct buffer path = {0};

    append_place(place, &path);
    parser->problem = problem_new(COMMAND__ERROR_CODE__ERROR_SERIALIZATION, "Expected %s at %s",
                                  expected, path.len ? buffer_text(&path) : "the start");
    return false;
}

static bool refuse_range(struct parser *parser, const char *what, const struct place *place)
{
    scope(buffer_fini) struct buffer path = {0};

    append_place(place, &path);
    parser->problem = problem_new(COMMAND__ERROR_CODE__ERROR_SERIALIZATION, "%s out of range at %s",
                                  what, buffer_text(&path));
    return false;
}

static bool refuse_enum(struct parser *parser, const ProtobufCEnumDescriptor *type,
                        const char *text, const struct place *place)
{
    scope(buffer_fini) struct buffer path = {0};
    scope(buffer_fini) struct buffer known = {0};

    append_place(place, &path);
    for (unsigned i = 0; i < type->n_values; i++)
        buffer_append_format(&known, "%s%s", i > 0 ? ", " : "",
                             json_name_of_value(&type->values[i]));
    parser->problem = problem_new(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                                  "Value '" QUOTED "' at '%s' failed to satisfy constraint: "
                                  "Member must satisfy enum value set: [%s]",
                                  text, buffer_text(&path), buffer_text(&known));
    return false;
}

static bool read_int32(struct parser *parser, json_t *json, const struct place *place, int32_t *out)
{
    json_int_t value = json_integer_value(json);

    if (!json_is_integer(json))
        return refuse_type(parser, "integer", place);
    if (value < INT32_MIN || value > INT32_MAX)
        return refuse_range(parser, "Integer", place);
    *out = (int32_t)value;
    return true;
}

static bool read_int64(struct parser *parser, json_t *json, const struct place *place, int64_t *out)
{
    if (!json_is_integer(json))
        return refuse_type(parser, "integer", place);
    *out = json_integer_value(json);
    return true;
}

/* Of a number that is not negative. */
static int64_t nearest(double number)
{
    int64_t below = (int64_t)number;

    return below + (number - (double)below >= 0.5);
}

static bool read_time(struct parser *parser, json_t *json, const struct place *place, int64_t *out)
{
    double seconds = json_number_value(json);

    if (!json_is_number(json))
        return refuse_type(parser, "timestamp in seconds", place);
    if (seconds < 0 || seconds > (double)TIME_MAX_S)
        return refuse_range(parser, "Timestamp", place);
    *out = json_is_integer(json) ? json_integer_value(json) * 1000 : nearest(seconds * 1000);
    return true;
}

static bool read_enum(struct parser *parser, const ProtobufCEnumDescriptor *type, json_t *json,
                      const struct place *place, int *out)
{
    const ProtobufCEnumValue *value;

    if (!json_is_string(json))
        return refuse_type(parser, "string", place);
    value = json_name_value(type, json_string_value(json));
    if (!value)
        return refuse_enum(parser, type, json_string_value(json), place);
    *out = value->value;
    return true;
}

static bool read_string(struct parser *parser, json_t *json, const struct place *place, char **out)
{
    if (!json_is_string(json))
        return refuse_type(parser, "string", place);
    *out = mem_string(json_string_value(json));
    return true;
}

static bool read_message(struct parser *parser, const ProtobufCMessageDescriptor *type,
                         json_t *json, const struct place *place, ProtobufCMessage **out);

/* One value into the member at `at`, which has the field's type. On failure nothing is there. */
static bool read_value(struct parser *parser, const ProtobufCFieldDescriptor *field, json_t *json,
                       const struct place *place, void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
        return read_int32(parser, json, place, at);
    case PROTOBUF_C_TYPE_INT64:
        return read_int64(parser, json, place, at);
    case PROTOBUF_C_TYPE_SFIXED64:
        return read_time(parser, json, place, at);
    case PROTOBUF_C_TYPE_DOUBLE:
        if (!json_is_number(json))
            return refuse_type(parser, "number", place);
        *(double *)at = json_number_value(json);
        return true;
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(json))
            return refuse_type(parser, "boolean", place);
        *(protobuf_c_boolean *)at = json_is_true(json);
        return true;
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(parser, field->descriptor, json, place, at);
    case PROTOBUF_C_TYPE_STRING:
        return read_string(parser, json, place, at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return read_message(parser, field->descriptor, json, place, at);
    default:
        must(!"a type that proto/ecs.proto does not use");
        return false;
    }
}

/* The count grows with the elements, so that a list broken off half-way can be freed. */
static bool read_list(struct parser *parser, const ProtobufCFieldDescriptor *field, json_t *json,
                      const struct place *place, ProtobufCMessage *message)
{
    size_t *count = &message_member(message, size_t, field->quantifier_offset);
    size_t size = field->type == PROTOBUF_C_TYPE_ENUM ? sizeof(int) : sizeof(void *);
    char *items;

    if (!json_is_array(json))
        return refuse_type(parser, "list", place);
    if (json_array_size(json) == 0)
        return true;
    items = mem_zeroed(json_array_size(json), size);
    message_member(message, void *, field->offset) = items;
    for (size_t i = 0; i < json_array_size(json); i++) {
        struct place element = {.up = place, .index = i};

        if (!read_value(parser, field, json_array_get(json, i), &element, items + i * size))
            return false;
        *count = i + 1;
    }
    return true;
}

static bool read_map(struct parser *parser, const ProtobufCFieldDescriptor *field, json_t *json,
                     const struct place *place, ProtobufCMessage *message)
{
    size_t *count = &message_member(message, size_t, field->quantifier_offset);
    Ecs__MapEntry **entries;
    const char *key;
    json_t *value;

    if (!json_is_object(json))
        return refuse_type(parser, "object", place);
    if (json_object_size(json) == 0)
        return true;
    entries = mem_new_array(Ecs__MapEntry *, json_object_size(json));
    message_member(message, void *, field->offset) = entries;
    json_object_foreach(json, key, value)
    {
        struct place entry = {.up = place, .member = key};

        if (json_is_null(value))
            continue;
        if (!json_is_string(value))
            return refuse_type(parser, "string", &entry);
        entries[*count] = mem_new(Ecs__MapEntry);
        ecs__map_entry__init(entries[*count]);
        entries[*count]->key = mem_string(key);
        entries[*count]->value = mem_string(json_string_value(value));
        *count += 1;
    }
    return true;
}

static bool read_field(struct parser *parser, const ProtobufCFieldDescriptor *field, json_t *json,
                       const struct place *place, ProtobufCMessage *message)
{
    if (field->descriptor == &ecs__map_entry__descriptor)
        return read_map(parser, field, json, place, message);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return read_list(parser, field, json, place, message);
    if (!read_value(parser, field, json, place, &message_member(message, char, field->offset)))
        return false;
    if (field->quantifier_offset)
        message_member(message, protobuf_c_boolean, field->quantifier_offset) = true;
    return true;
}

static bool read_message(struct parser *parser, const ProtobufCMessageDescriptor *type,
                         json_t *json, const struct place *place, ProtobufCMessage **out)
{
    scope(message_free) ProtobufCMessage *message = NULL;
    const char *key;
    json_t *value;

    if (!json_is_object(json))
        return refuse_type(parser, "object", place);
    message = mem_zeroed(1, type->sizeof_message);
    protobuf_c_message_init(type, message);
    json_object_foreach(json, key, value)
    {
        const ProtobufCFieldDescriptor *field = json_name_field(type, key);
        struct place member = {.up = place, .member = key};

        if (field && !json_is_null(value) && !read_field(parser, field, value, &member, message))
            return false;
    }
    *out = steal(message);
    return true;
}

/* Whether the text is within bounds that hold before anything is allocated for it. Counts
 * brackets and commas outside strings; what is not JSON at all is left for jansson to say. */
static bool is_bounded(const char *text, size_t len)
{
    size_t depth = 0, values = 1;
    bool quoted = false;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            depth++;
            values++;
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        } else if (c == ',') {
            values++;
        }
        if (depth > LIMIT_JSON_DEPTH || values > LIMIT_JSON_NODES)
            return false;
    }
    return true;
}

static int refuse_text(Command__Problem **out_problem, Command__Problem *problem)
{
    *out_problem = problem;
    return JSON_REFUSED;
}

int json_parse(const ProtobufCMessageDescriptor *type, struct bytes text, ProtobufCMessage **out,
               Command__Problem **out_problem)
{
    static const struct place start;
    struct parser parser = {0};
    scope(json_decref) json_t *json = NULL;
    json_error_t error;

    if (text.len == 0)
        text = (struct bytes){"{}", 2};
    if (text.len > LIMIT_BODY_BYTES)
        return refuse_text(out_problem,
                           problem_new(COMMAND__ERROR_CODE__ERROR_SERIALIZATION,
                                       "Request body exceeds %u bytes", LIMIT_BODY_BYTES));
    if (!is_bounded(text.base, text.len))
        return refuse_text(out_problem,
                           problem_new(COMMAND__ERROR_CODE__ERROR_SERIALIZATION,
                                       "Request body holds more than %u values or %u levels",
                                       LIMIT_JSON_NODES, LIMIT_JSON_DEPTH));
    json = json_loadb(text.base, text.len, 0, &error);
    if (!json)
        return refuse_text(out_problem, problem_new(COMMAND__ERROR_CODE__ERROR_SERIALIZATION,
                                                    "Malformed JSON at byte %d: %s", error.position,
                                                    error.text));
    if (!read_message(&parser, type, json, &start, out))
        return refuse_text(out_problem, parser.problem);
    return 0;
}
