/*
 * The memory of messages that are unpacked: with it, NULL means that the bytes are no message, and
 * never that memory ran out, which stops the process (decision 0001). Bytes that one manager takes
 * for damaged and the others apply would leave them with different states.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

/* For ..._unpack(); ..._free_unpacked() takes it, or NULL. */
extern ProtobufCAllocator unpacking;
