/*
 * A small gRPC application for tests: echoes, fails, answers at length, and keeps calls waiting.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/net/grpc_server.h"

enum { ECHO_HELD_MAX = 64 };

struct echo {
    struct grpc_call *held[ECHO_HELD_MAX];
    unsigned held_count;
    unsigned called;
};

static inline void echo_called(void *context, struct grpc_call *call, const char *path,
                               struct bytes message)
{
    struct echo *echo = context;

    echo->called++;
    if (strcmp(path, "/test.Echo/Echo") == 0) {
        grpc_reply(call, message);
    } else if (strcmp(path, "/test.Echo/Fail") == 0) {
        char *text = mem_format("%.*s", (int)message.len, (const char *)message.base);

        grpc_fail(call, GRPC_FAILED_PRECONDITION, text);
        free(text);
    } else if (strcmp(path, "/test.Echo/Size") == 0) { /* The message is how many bytes. */
        char *digits = mem_format("%.*s", (int)message.len, (const char *)message.base);
        size_t size = strtoul(digits, NULL, 10);
        char *reply = mem_zeroed(1, size + 1);

        grpc_reply(call, (struct bytes){reply, size});
        free(reply);
        free(digits);
    } else if (strcmp(path, "/test.Echo/Hold") == 0) {
        must(echo->held_count < ECHO_HELD_MAX);
        echo->held[echo->held_count++] = call;
    } else {
        grpc_fail(call, GRPC_UNIMPLEMENTED, "no such method");
    }
}

static inline void echo_release(struct echo *echo)
{
    for (unsigned i = 0; i < echo->held_count; i++)
        grpc_reply(echo->held[i], (struct bytes){"at last", 7});
    echo->held_count = 0;
}
