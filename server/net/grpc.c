#include "server/net/grpc.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/endian.h"
#include "proto/base/must.h"
#include "proto/limits.h"

enum { TIMEOUT_DIGITS = 8 }; /* The most a grpc-timeout may have. */

const char *grpc_status_name(int status)
{
    static const char *const names[] = {
        [GRPC_OK] = "OK",
        [GRPC_CANCELLED] = "CANCELLED",
        [GRPC_UNKNOWN] = "UNKNOWN",
        [GRPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [GRPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [GRPC_NOT_FOUND] = "NOT_FOUND",
        [GRPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [GRPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
        [GRPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [GRPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [GRPC_ABORTED] = "ABORTED",
        [GRPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [GRPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
        [GRPC_INTERNAL] = "INTERNAL",
        [GRPC_UNAVAILABLE] = "UNAVAILABLE",
        [GRPC_DATA_LOSS] = "DATA_LOSS",
        [GRPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
    };

    if (status < GRPC_OK || status > GRPC_UNAUTHENTICATED)
        status = GRPC_UNKNOWN;
    return names[status];
}

/* The table of gRPC's "HTTP to gRPC Status Code Mapping". */
enum grpc_status grpc_status_from_http(int http_status)
{
    switch (http_status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

/* The table of "Errors" in gRPC's "PROTOCOL-HTTP2". */
enum grpc_status grpc_status_from_reset(uint32_t error_code)
{
    switch (error_code) {
    case NGHTTP2_REFUSED_STREAM:
        return GRPC_UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return GRPC_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return GRPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return GRPC_PERMISSION_DENIED;
    default:
        return GRPC_INTERNAL;
    }
}

/* All of the bytes as a decimal number of at most digits_max digits; false if they are none. */
static bool parse_number(const uint8_t *at, size_t len, size_t digits_max, uint64_t *out)
{
    uint64_t value = 0;

    if (len == 0 || len > digits_max)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(at[i] - '0');
    }
    *out = value;
    return true;
}

enum grpc_status grpc_status_parse(struct bytes value)
{
    uint64_t number;

    if (!parse_number(value.base, value.len, 2, &number) || number > GRPC_UNAUTHENTICATED)
        return GRPC_UNKNOWN;
    return (enum grpc_status)number;
}

bool grpc_content_type_is_ours(struct bytes value)
{
    static const char grpc[] = "application/grpc", proto[] = "+proto";
    const char *at = value.base;
    size_t left = value.len;

    if (left < sizeof grpc - 1 || memcmp(at, grpc, sizeof grpc - 1) != 0)
        return false;
    at += sizeof grpc - 1;
    left -= sizeof grpc - 1;
    if (left >= sizeof proto - 1 && memcmp(at, proto, sizeof proto - 1) == 0) {
        at += sizeof proto - 1;
        left -= sizeof proto - 1;
    }
    return left == 0 || *at == ';';
}

/* One unit of a timeout: how many go into a millisecond, or how many milliseconds it has. */
static const struct unit {
    char letter;
    uint64_t per_ms;
    uint64_t ms;
} units[] = {
    {'H', 1, 3600000}, {'M', 1, 60000}, {'S', 1, 1000},
    {'m', 1, 1},       {'u', 1000, 1},  {'n', 1000000, 1},
};

bool grpc_timeout_parse(struct bytes value, uint64_t *out_ms)
{
    const uint8_t *at = value.base;
    uint64_t number;

    if (value.len < 2 || !parse_number(at, value.len - 1, TIMEOUT_DIGITS, &number))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (units[i].letter == (char)at[value.len - 1]) {
            *out_ms = (number * units[i].ms + units[i].per_ms - 1) / units[i].per_ms;
            return true;
        }
    }
    return false;
}

void grpc_timeout_format(uint64_t ms, char out[GRPC_TIMEOUT_TEXT])
{
    const uint64_t digits_full = 100000000; /* The first number of nine digits. */

    if (ms < digits_full)
        snprintf(out, GRPC_TIMEOUT_TEXT, "%um", (unsigned)ms);
    else if (ms / 1000 < digits_full - 1)
        snprintf(out, GRPC_TIMEOUT_TEXT, "%uS", (unsigned)(ms / 1000 + 1));
    else
        snprintf(out, GRPC_TIMEOUT_TEXT, "%uS", (unsigned)(digits_full - 1));
}

void grpc_text_encode(struct buffer *buffer, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at >= ' ' && *at <= '~' && *at != '%')
            buffer_append(buffer, at, 1);
        else
            buffer_append_format(buffer, "%%%02X", *at);
    }
}

static int hex_digit(uint8_t c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) % 16 : -1;
}

void grpc_text_decode(struct buffer *buffer, struct bytes value)
{
    const uint8_t *in = value.base;

    for (size_t at = 0, count = 0; at < value.len && count < GRPC_TEXT_MAX; at++, count++) {
        uint8_t c = in[at];

        if (c == '%' && value.len - at > 2) {
            int high = hex_digit(in[at + 1]), low = hex_digit(in[at + 2]);

            if (high >= 0 && low >= 0) {
                c = (uint8_t)(high * 16 + low);
                at += 2;
            }
        }
        if (c == '\0')
            c = '?';
        buffer_append(buffer, &c, 1);
    }
}

void grpc_message_fini(struct grpc_message *message)
{
    buffer_fini(&message->pending);
}

int grpc_message_feed(struct grpc_message *message, struct bytes bytes)
{
    struct buffer *pending = &message->pending;
    uint32_t len;

    if (pending->len + bytes.len > GRPC_HEAD + LIMIT_RPC_BYTES)
        bytes.len = GRPC_HEAD + LIMIT_RPC_BYTES + 1 - pending->len; /* Enough to tell. */
    buffer_append(pending, bytes.base, bytes.len);
    if (pending->len > 0 && pending->base[0] != 0)
        return GRPC_MESSAGE_COMPRESSED;
    if (pending->len < GRPC_HEAD)
        return 0;
    len = be32_get(pending->base + 1);
    if (len > LIMIT_RPC_BYTES)
        return GRPC_MESSAGE_TOO_LARGE;
    return pending->len > GRPC_HEAD + len ? GRPC_MESSAGE_SECOND : 0;
}

bool grpc_message_is_whole(const struct grpc_message *message, struct bytes *out)
{
    const struct buffer *pending = &message->pending;

    if (pending->len < GRPC_HEAD || pending->len - GRPC_HEAD != be32_get(pending->base + 1))
        return false;
    *out = (struct bytes){pending->base + GRPC_HEAD, pending->len - GRPC_HEAD};
    return true;
}

void grpc_message_append(struct buffer *buffer, struct bytes message)
{
    uint8_t *head;

    must(message.len <= LIMIT_RPC_BYTES);
    head = buffer_extend(buffer, GRPC_HEAD + message.len);
    head[0] = 0;
    be32_put(head + 1, (uint32_t)message.len);
    if (message.len > 0)
        memcpy(head + GRPC_HEAD, message.base, message.len);
}
