/*
 * What a load is made of: callers, each with one connection to one server and one call at a time,
 * and the result of each call. load.c counts; load_http.c and load_grpc.c know what is said.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

enum {
    LOAD_CLIENTS_MAX = 1024,
    LOAD_SERVERS_MAX = 8,
    LOAD_PAYLOAD_BYTES = 256, /* Of a small write: the body of a request, the value of a key. */
    LOAD_PREFIX_CHARS = 8,
};

/* The call that is out ended: NULL if it was acknowledged, else what was wrong, borrowed. After a
 * failure the caller makes no more calls and is to be closed; that may be done from here. */
typedef void load_done_fn(void *context, const char *failure);

struct load_target {
    uv_loop_t *loop;
    struct sockaddr_storage to;
    const char *operation;
    const char *argument; /* What it is done to; NULL: the default of the operation. */
    const char *prefix;   /* New with every run: names that begin with it are new. */
    load_done_fn *done;
};

struct load_protocol {
    const char *name;
    const char *const *operations; /* Ends with NULL. */

    /* Begin to connect. Borrows target until close. Gives the caller, NULL with errno. */
    void *(*open)(const struct load_target *target, unsigned client, void *context);

    /* Make the call with this number, as soon as the connection stands. None may be out. */
    void (*call)(void *caller, uint64_t number);

    /* Takes the caller. A call that is out ends unheard. */
    void (*close)(void *caller);
};

extern const struct load_protocol load_http;
extern const struct load_protocol load_grpc;
