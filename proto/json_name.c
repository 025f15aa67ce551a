#include "proto/json_name.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

struct exception {
    const char *ours;
    const char *ecs;
};

static const struct exception members[] = {
    {"base_count", "base"}, /* "base" is the first member of every generated struct. */
    {"bind_ip", "bindIP"},        {"enable_ecs_managed_tags", "enableECSManagedTags"},
    {"size_in_gib", "sizeInGiB"}, {NULL, NULL},
};

static const struct exception values[] = {
    {"json_file", "json-file"},
    {"container_instance", "container-instance"},
    {NULL, NULL},
};

enum { NAME_MAX_BYTES = 96 }; /* Longer than any field's name in the schema. */

static const char *ecs_of(const struct exception *table, const char *ours)
{
    for (; table->ours; table++)
        if (strcmp(table->ours, ours) == 0)
            return table->ecs;
    return NULL;
}

static const char *ours_of(const struct exception *table, const char *ecs)
{
    for (; table->ours; table++)
        if (strcmp(table->ecs, ecs) == 0)
            return table->ours;
    return NULL;
}

void json_name_append(const char *field, struct buffer *out)
{
    const char *irregular = ecs_of(members, field);
    size_t len = strlen(field);
    uint8_t *at;
    size_t used = 0;

    if (irregular) {
        buffer_append_text(out, irregular);
        return;
    }
    at = buffer_extend(out, len);
    for (size_t i = 0; i < len; i++) {
        if (field[i] == '_' && i + 1 < len)
            at[used++] = (uint8_t)toupper((unsigned char)field[++i]);
        else
            at[used++] = (uint8_t)field[i];
    }
    out->len -= len - used;
}

/* Writes the snake_case of a regular member. False if no field can be called that: a name with
 * '_' in it would otherwise have two spellings. */
static bool to_snake(const char *member, char out[NAME_MAX_BYTES])
{
    size_t used = 0;

    for (; *member; member++) {
        if (used + 3 > NAME_MAX_BYTES || *member == '_')
            return false;
        if (*member >= 'A' && *member <= 'Z')
            out[used++] = '_';
        out[used++] = (char)tolower((unsigned char)*member);
    }
    out[used] = '\0';
    return true;
}

const ProtobufCFieldDescriptor *json_name_field(const ProtobufCMessageDescriptor *type,
                                                const char *member)
{
    const char *irregular = ours_of(members, member);
    char name[NAME_MAX_BYTES];

    if (irregular)
        return protobuf_c_message_descriptor_get_field_by_name(type, irregular);
    if (!to_snake(member, name) || ecs_of(members, name))
        return NULL;
    return protobuf_c_message_descriptor_get_field_by_name(type, name);
}

const ProtobufCEnumValue *json_name_value(const ProtobufCEnumDescriptor *type, const char *text)
{
    const char *irregular = ours_of(values, text);

    if (!irregular && ecs_of(values, text))
        return NULL;
    return protobuf_c_enum_descriptor_get_value_by_name(type, irregular ? irregular : text);
}

const char *json_name_of_value(const ProtobufCEnumValue *value)
{
    const char *irregular = ecs_of(values, value->name);

    return irregular ? irregular : value->name;
}
