/*
 * Any message as JSON for the eyes of an operator: fields by their names in the schema,
 * enumerations by theirs, bytes in hexadecimal; what has its default value is left out, and the key
 * of the cluster's authority is not shown. For showing only: nothing reads it back.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "proto/base/bytes.h"

/* Append the message as one object without line breaks. Always valid JSON in valid UTF-8. */
void dump_message(const ProtobufCMessage *message, struct buffer *out);

/* Append bytes as a JSON string of hexadecimal digits. */
void dump_bytes(struct bytes bytes, struct buffer *out);
