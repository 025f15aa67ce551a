/*
 * etcd over its own gRPC API: rpc Put(PutRequest) and Range(RangeRequest) of service
 * etcdserverpb.KV. The messages have two fields, so they are written by hand.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/net/grpc_client.h"
#include "tests/bench/load.h"

enum {
    NO_LIMIT = 0,
    FAILURE_CHARS = 400,
    KEY = 1, /* Field numbers, of PutRequest and RangeRequest alike. */
    VALUE = 2,
    BYTES = 2, /* The wire type. */
};

struct grpc_caller {
    const struct load_target *target;
    struct grpc_client *client;
    struct buffer message;
    bool is_calling;
    bool is_closed;
    void *context;
};

static const char *const operation_names[] = {"put", "get", NULL};

static void append_varint(struct buffer *message, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));

        buffer_append(message, &byte, 1);
        value >>= 7;
    } while (value > 0);
}

static void append_field(struct buffer *message, unsigned number, struct bytes bytes)
{
    append_varint(message, number << 3 | BYTES);
    append_varint(message, bytes.len);
    buffer_append(message, bytes.base, bytes.len);
}

static void make_put(struct grpc_caller *caller, uint64_t number)
{
    char key[64], value[LOAD_PAYLOAD_BYTES];
    int len = snprintf(key, sizeof key, "bench-%s-%llu", caller->target->prefix,
                       (unsigned long long)number);

    memset(value, 'x', sizeof value);
    append_field(&caller->message, KEY, (struct bytes){key, (size_t)len});
    append_field(&caller->message, VALUE, (struct bytes){value, sizeof value});
}

static void make_get(struct grpc_caller *caller)
{
    const char *key = caller->target->argument ? caller->target->argument : "bench";

    append_field(&caller->message, KEY, (struct bytes){key, strlen(key)});
}

static void caller_free(struct grpc_caller *caller)
{
    buffer_fini(&caller->message);
    free(caller);
}

static void called(void *context, enum grpc_status status, const char *text, struct bytes reply)
{
    struct grpc_caller *caller = context;
    char failure[FAILURE_CHARS];

    (void)reply;
    caller->is_calling = false;
    if (caller->is_closed) {
        caller_free(caller);
        return;
    }
    snprintf(failure, sizeof failure, "%s: %s", grpc_status_name((int)status), text);
    caller->target->done(caller->context, status == GRPC_OK ? NULL : failure);
}

static void *grpc_open(const struct load_target *target, unsigned client, void *context)
{
    struct grpc_caller *caller = mem_new(struct grpc_caller);
    struct grpc_client_config config = {.to = target->to, .context = caller};
    int r = grpc_client_open(target->loop, &config, &caller->client);

    (void)client;
    caller->target = target;
    caller->context = context;
    if (r == 0)
        return caller;
    free(caller);
    errno = -r;
    return NULL;
}

static void grpc_call(void *held, uint64_t number)
{
    struct grpc_caller *caller = held;
    const char *path = "/etcdserverpb.KV/Range";

    buffer_clear(&caller->message);
    if (strcmp(caller->target->operation, "put") == 0) {
        path = "/etcdserverpb.KV/Put";
        make_put(caller, number);
    } else {
        make_get(caller);
    }
    caller->is_calling = true;
    grpc_client_call(caller->client, path,
                     (struct bytes){caller->message.base, caller->message.len}, NO_LIMIT, called,
                     caller);
}

static void grpc_close(void *held)
{
    struct grpc_caller *caller = held;

    grpc_client_close(caller->client);
    caller->is_closed = true;
    if (!caller->is_calling) /* Otherwise `called` is still to come. */
        caller_free(caller);
}

const struct load_protocol load_grpc = {"grpc", operation_names, grpc_open, grpc_call, grpc_close};
