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
    GRPC_HEAD = 5,          /* Compression flag and length before a message. */
    GRPC_TIMEOUT_TEXT = 12, /* Room for a grpc-timeout and its NUL. */
    GRPC_TEXT_MAX = 1024,   /* Of a grpc-message, decoded; the rest is cut off. */

    /* Silence after which the peer is asked for a sign of life; as much again without one, and
     * the connection is over. A client wants to know soon that its server is gone. A server is
     * patient: Google's clients look at idle connections only now and then, and a dead host is
     * found by TCP anyway, STREAM_DEAD_MS after it was asked. */
    GRPC_CLIENT_KEEPALIVE_MS = 2000,
    GRPC_SERVER_KEEPALIVE_MS = 30000,
};

/* "UNAVAILABLE"; "UNKNOWN" for a number that is no status. */
const char *grpc_status_name(int status);

/* The status for an answer that carries none of its own: a gateway's HTTP status, or an HTTP/2
 * error code that ended the stream. */
enum grpc_status grpc_status_from_http(int http_status);
enum grpc_status grpc_status_from_reset(uint32_t error_code);

/* Digits of grpc-status; GRPC_UNKNOWN for anything that is no status. */
enum grpc_status grpc_status_parse(struct bytes value);

/* Whether a content-type is gRPC's with messages in protobuf: application/grpc[+proto][;...]. */
bool grpc_content_type_is_ours(struct bytes value);

/* A grpc-timeout ("1500m") in ms, rounded up; false if it is none. */
bool grpc_timeout_parse(struct bytes value, uint64_t *out_ms);
void grpc_timeout_format(uint64_t ms, char out[GRPC_TIMEOUT_TEXT]);

/* A text as the value of grpc-message: printable ASCII, the rest percent-encoded. Appends. */
void grpc_text_encode(struct buffer *buffer, const char *text);

/* The other way, up to GRPC_TEXT_MAX bytes. A broken escape stays as it is; NUL becomes '?'.
 * Appends. */
void grpc_text_decode(struct buffer *buffer, struct bytes value);

enum grpc_message_outcome {
    GRPC_MESSAGE_COMPRESSED = 1, /* Announced as compressed, which nobody here asked for. */
    GRPC_MESSAGE_TOO_LARGE,      /* Announces more than LIMIT_RPC_BYTES. */
    GRPC_MESSAGE_SECOND,         /* More bytes than one message: not a unary call. */
};

/* The one message of a side of a call, while it comes in. All zeroes is a new one. */
struct grpc_message {
    struct buffer pending;
};

void grpc_message_fini(struct grpc_message *message);

/* Take in bytes, cut anywhere. Copies; memory grows with what came, not with what is announced. */
int grpc_message_feed(struct grpc_message *message, struct bytes bytes);

/* Whether it is all there; *out then borrows it. */
bool grpc_message_is_whole(const struct grpc_message *message, struct bytes *out);

/* Append a message behind its five bytes. Copies. It must be within LIMIT_RPC_BYTES. */
void grpc_message_append(struct buffer *buffer, struct bytes message);

static inline void grpc_message_fini_scoped(struct grpc_message *message)
{
    grpc_message_fini(message);
}
