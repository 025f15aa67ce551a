#include "proto/validate_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/arn.h"
#include "proto/base/bytes.h"
#include "proto/base/must.h"
#include "proto/json_name.h"
#include "proto/limits.h"
#include "proto/message.h"
#include "proto/problem.h"

void check_refuse(struct check *check, Command__ErrorCode code, const char *format, ...)
{
    char text[512];
    va_list args;

    if (check->problem)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    check->problem = problem_new(code, "%s", text);
}

void check_unsupported(struct check *check, bool asked, const char *member)
{
    if (asked)
        check_refuse(check, COMMAND__ERROR_CODE__ERROR_UNSUPPORTED_FEATURE, "%s is not supported.",
                     member);
}

/* Whether the field says something. */
static bool is_given(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const char *text;

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return message_const_member(message, size_t, field->quantifier_offset) > 0;
    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        return message_const_member(message, void *, field->offset) != NULL;
    case PROTOBUF_C_TYPE_STRING:
        text = message_const_member(message, char *, field->offset);
        return text && *text;
    case PROTOBUF_C_TYPE_BOOL:
        return message_const_member(message, protobuf_c_boolean, field->quantifier_offset) &&
               message_const_member(message, protobuf_c_boolean, field->offset);
    default:
        return message_const_member(message, protobuf_c_boolean, field->quantifier_offset);
    }
}

void check_unsupported_fields(struct check *check, const ProtobufCMessage *message, const char *of,
                              const char *const *fields, size_t count)
{
    for (size_t i = 0; i < count && !check->problem; i++) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(message->descriptor, fields[i]);
        scope(buffer_fini) struct buffer name = {0};

        must(field);
        buffer_append_text(&name, of);
        json_name_append(field->name, &name);
        check_unsupported(check, is_given(message, field), buffer_text(&name));
    }
}

void check_range(struct check *check, const char *member, bool has, int64_t value, int64_t low,
                 int64_t high)
{
    if (has && (value < low || value > high))
        check_parameter(check, "Invalid %s: %lld. The value should be between %lld and %lld.",
                        member, (long long)value, (long long)low, (long long)high);
}

void check_length(struct check *check, const char *member, const char *text, size_t most)
{
    if (text && strlen(text) > most)
        check_parameter(check, "%s longer than %zu.", member, most);
}

void check_count(struct check *check, const char *member, size_t count, size_t most)
{
    if (count > most)
        check_parameter(check, "%s cannot have more than %zu elements.", member, most);
}

void check_name(struct check *check, const char *member, const char *name)
{
    if (!name)
        return;
    if (!*name)
        check_parameter(check, "%s can not be blank.", member);
    check_length(check, member, name, LIMIT_NAME_CHARS);
    if (!name_is_valid(name))
        check_parameter(check,
                        "%s contains invalid characters. Letters, numbers, hyphens and "
                        "underscores are allowed.",
                        member);
}

void check_cluster(struct check *check, const char *cluster)
{
    char *name = NULL;

    if (arn_parse_cluster(cluster, &name) == ARN_MALFORMED)
        check_parameter(check, "Invalid cluster identifier: " QUOTED, cluster);
    free(name);
}

void check_service(struct check *check, const char *service)
{
    char *name = NULL;

    if (!service || !*service)
        check_parameter(check, "Service can not be blank.");
    else if (arn_parse_member(service, "service", &name) == ARN_MALFORMED)
        check_parameter(check, "Invalid service identifier: " QUOTED, service);
    free(name);
}

/* ECS tells a malformed id by its length; ids of its first years were UUIDs of 36 characters, of
 * which there is none here, so they are merely not found. */
static void check_id(struct check *check, const char *what, const char *kind, const char *text)
{
    char *id = NULL;

    if (arn_parse_member(text, kind, &id) == ARN_MALFORMED)
        check_parameter(check, "Invalid identifier: " QUOTED, text);
    else if (strlen(id) != ARN_ID_CHARS && strlen(id) != 36)
        check_parameter(check, "%s length should be one of [%d,36]", what, ARN_ID_CHARS);
    free(id);
}

void check_task(struct check *check, const char *task)
{
    if (!task || !*task)
        check_parameter(check, "Task can not be blank.");
    else
        check_id(check, "taskId", "task", task);
}

void check_container_instance(struct check *check, const char *instance)
{
    if (!instance || !*instance)
        check_parameter(check, "Container instance can not be blank.");
    else
        check_id(check, "containerInstanceId", "container-instance", instance);
}

void check_task_definition(struct check *check, const char *definition)
{
    const char *colon = definition ? strrchr(definition, ':') : NULL;
    char *family = NULL;
    uint32_t revision;

    if (!definition || !*definition)
        check_client(check, "TaskDefinition can not be blank.");
    else if (arn_parse_task_definition(definition, &family, &revision) == 0)
        free(family);
    else if (colon && strspn(colon + 1, "0123456789") != strlen(colon + 1))
        check_client(check, "Invalid revision number. Number: " QUOTED, colon + 1);
    else
        check_client(check, "Invalid task definition identifier: " QUOTED, definition);
}

void check_page(struct check *check, bool has_max_results, int32_t max_results)
{
    check_range(check, "maxResults", has_max_results, max_results, 1, LIMIT_PAGE);
}

/* ECS allows letters, numbers and spaces of any script, and _ . : / = + - @: of ASCII just these.
 */
static bool is_tag_text(const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x80 && !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                " _.:/=+-@",
                                c))
            return false;
    }
    return true;
}

/* Code points, since that is what ECS counts. */
static size_t characters(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static void check_tag(struct check *check, const Ecs__Tag *tag)
{
    const char *value = tag->value ? tag->value : "";

    if (!tag->key || !*tag->key) {
        check_parameter(check, "Tag key can not be blank.");
        return;
    }
    if (characters(tag->key) > LIMIT_TAG_KEY_CHARS)
        check_parameter(check, "Tag key longer than %u.", LIMIT_TAG_KEY_CHARS);
    if (characters(value) > LIMIT_TAG_VALUE_CHARS)
        check_parameter(check, "Tag value longer than %u.", LIMIT_TAG_VALUE_CHARS);
    if (strncasecmp(tag->key, "aws:", 4) == 0)
        check_parameter(check, "Tag keys starting with 'aws:' are reserved for system use.");
    if (!is_tag_text(tag->key) || !is_tag_text(value))
        check_parameter(check, "Tag '" QUOTED "' contains invalid characters.", tag->key);
}

void check_tags(struct check *check, size_t count, Ecs__Tag *const *tags)
{
    check_count(check, "tags", count, LIMIT_TAGS);
    for (size_t i = 0; i < count && !check->problem; i++) {
        check_tag(check, tags[i]);
        for (size_t other = 0; other < i && !check->problem; other++)
            if (strcmp(tags[i]->key, tags[other]->key) == 0)
                check_parameter(check, "Duplicate tag keys found: " QUOTED, tags[i]->key);
    }
}

void check_client_token(struct check *check, const char *token, size_t most)
{
    check_length(check, "clientToken", token, most);
    for (const char *at = token ? token : ""; *at; at++)
        if (*at < '!' || *at > '~')
            check_parameter(check, "clientToken contains invalid characters.");
}

void check_launch_type(struct check *check, bool has, Ecs__LaunchType__Value type)
{
    if (has && type != ECS__LAUNCH_TYPE__VALUE__EC2)
        check_unsupported(check, true,
                          type == ECS__LAUNCH_TYPE__VALUE__FARGATE ? "launchType FARGATE"
                                                                   : "launchType EXTERNAL");
}

void check_propagate_tags(struct check *check, bool has, Ecs__PropagateTags__Value value)
{
    check_unsupported(check, has && value != ECS__PROPAGATE_TAGS__VALUE__NONE, "propagateTags");
}

void check_platform_version(struct check *check, const char *version)
{
    if (version && *version)
        check_parameter(check, "The platform version must be null when specifying an EC2 launch "
                               "type.");
}

void check_network(struct check *check, const Ecs__NetworkConfiguration *network)
{
    if (network && network->awsvpc_configuration)
        check_parameter(check, "Network Configuration is not valid for the given networkMode of "
                               "this task definition.");
}

static bool is_default_placement(size_t position, const Ecs__PlacementStrategy *strategy)
{
    if (!strategy->has_type || strategy->type != ECS__PLACEMENT_STRATEGY_TYPE__VALUE__spread ||
        !strategy->field)
        return false;
    if (position == 0)
        return strcmp(strategy->field, "attribute:ecs.availability-zone") == 0;
    return strcmp(strategy->field, "instanceId") == 0 || strcmp(strategy->field, "host") == 0;
}

void check_placement(struct check *check, size_t count, Ecs__PlacementStrategy *const *strategy)
{
    for (size_t i = 0; i < count; i++)
        check_unsupported(check, i > 1 || !is_default_placement(i, strategy[i]),
                          "placementStrategy other than spread over "
                          "attribute:ecs.availability-zone, then instanceId,");
}
