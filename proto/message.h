/*
 * Any generated message, whatever its type: freeing, and reaching its members by descriptor.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "proto/base/scope.h"

/* Free a message that came from a parser, an unpacker, or malloc. NULL is fine. */
static inline void message_free(ProtobufCMessage *message)
{
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

SCOPED(ProtobufCMessage *, message_free);

/* The member of this C type at an offset that came from the message's own descriptor. */
#define message_member(message, type, offset) (*(type *)(void *)((char *)(message) + (offset)))
#define message_const_member(message, type, offset)                                                \
    (*(type const *)(const void *)((const char *)(message) + (offset)))
