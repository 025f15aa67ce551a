/*
 * A small client of a manager, or of what stands before one: one call, one connection, and a
 * bound on how long it may take. Blocks; for the command line only.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "proto/base/bytes.h"

struct client_answer {
    int status;   /* HTTP. */
    json_t *body; /* Gives. */
};

/* GET http://HOST:PORT/path. -EINVAL: endpoint is no such URL; -ECONNREFUSED, -ETIMEDOUT, ...;
 * -EPROTO: what answers there speaks something else. */
int client_get(const char *endpoint, const char *path, unsigned timeout_ms,
               struct client_answer *out);

/* An ECS operation, with the lab's key: signatures have their form, and are not checked yet.
 * Borrows the request. */
int client_ecs(const char *endpoint, const char *action, const json_t *request, unsigned timeout_ms,
               struct client_answer *out);

/* An action of the operator's (proto/operator.proto), asked of the manager of this directory
 * through its socket. -ENOENT, -ECONNREFUSED: none runs there. Borrows the request. */
int client_operator(const char *dir, const char *action, const json_t *request, unsigned timeout_ms,
                    struct client_answer *out);

/* The same with an answer that is no JSON: its body goes to `take` as it comes, which returns 0 or
 * -errno, passed up. If it is not status 200, *out has the answer and `take` was not called; else
 * out->body is NULL. Each piece may take timeout_ms. */
int client_operator_stream(const char *dir, const char *action, bool stale, unsigned timeout_ms,
                           int (*take)(void *context, struct bytes bytes), void *context,
                           struct client_answer *out);

/* A failure as a sentence for the user; static. */
const char *client_reason(int r);
