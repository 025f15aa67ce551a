/*
 * How a field is called in JSON, and the other way round: a bijection between snake_case and
 * camelCase, with the few members that ECS spells against its own rule in one table.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "proto/base/bytes.h"

/* Append the JSON name of a field, without quotes. */
void json_name_append(const char *field, struct buffer *out);

/* The field that a JSON member stands for, or NULL if the message has none of this name. */
const ProtobufCFieldDescriptor *json_name_field(const ProtobufCMessageDescriptor *type,
                                                const char *member);

/* An enumeration's value by its ECS string; NULL if there is none. And back. */
const ProtobufCEnumValue *json_name_value(const ProtobufCEnumDescriptor *type, const char *text);
const char *json_name_of_value(const ProtobufCEnumValue *value);
