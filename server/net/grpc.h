/*
 * What gRPC over HTTP/2 says, apart from any connection: statuses, timeouts, percent-encoded
 * texts, and the five bytes before each message. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/bytes.h"

/* The numbers and meanings are gRPC's own. */
enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

enum {
    GRPC_HEAD = 5,            /* Compression flag and length before a message. */
    GRPC_TIMEOUT_TEXT = 12,   /* Room for a grpc-timeout and its NUL. */
    GRPC_TEXT_MAX = 1024,     /* Of a grpc-message, decoded; the rest is cut off. */
    GRPC_KEEPALIVE_MS = 2000, /* Silence after which the peer is asked for a sign of life; as
                               * much again without one, and the connection is over. */
};

/* "UNAVAILABLE"; "UNKNOWN" for a number that is no status. */
const char *grpc_status_name(int status);
