/*
 * JSON to message and back, by descriptor, for the messages of ecs.proto.
 *
 * The members of a message are its fields in camelCase: task_definition_arn is taskDefinitionArn
 * (four exceptions in proto/json_name.c). Repeated MapEntry is an object of strings, an
 * enumeration a string, a timestamp a number of seconds with a fraction.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "proto/base/bytes.h"
#include "proto/command.pb-c.h"

enum json_outcome {
    JSON_REFUSED = 1,
};

/* Parse an object. Nothing at all is read as {}. Members that the message does not have are
 * ignored at any depth, null is absent, and of a name given twice the last one counts.
 *
 * Gives *out, to be freed with message_free(). Returns JSON_REFUSED and gives *out_problem for
 * text that is not a JSON object in UTF-8 within limits.h, for a value of the wrong type or out
 * of range (SerializationException), and for an unknown enumeration value
 * (InvalidParameterException). */
int json_parse(const ProtobufCMessageDescriptor *type, struct bytes text, ProtobufCMessage **out,
               Command__Problem **out_problem);

/* Append a message as compact JSON. Absent members are left out; an empty list is [] unless it is
 * one that ECS leaves out (table in proto/json_print.c). Always valid JSON in valid UTF-8,
 * whatever bytes the message's strings hold. */
void json_print(const ProtobufCMessage *message, struct buffer *out);

/* Append text as a JSON string, quotes included. */
void json_print_text(const char *text, struct buffer *out);
