/*
 * How a manager comes to be: it was there before, or bootstraps a cluster, or joins one, or goes on
 * alone after the others were lost.
 */
#pragma once

#include <uv.h>

#include "server/manager/credentials.h"
#include "server/manager/manager_options.h"
#include "server/manager/self.h"
#include "server/net/token.h"

enum become_outcome {
    BECOME_FAILED = 1, /* Standard error or the log says why. */
    BECOME_DONE = 2,   /* That was all there was to do, or somebody has stopped the loop. */
};

struct become {
    struct self self;
    bool first;         /* It begins a cluster: `self` is to be stored with its configuration. */
    struct token token; /* Then: what others may join with. */
    struct credentials credentials;
    struct buffer authority_key; /* PEM; until it is stored with the state of a new cluster. */
};

/* Decide; call become_fini in any case. Joining runs the loop. Source: where to dial from (port 0).
 */
int become(uv_loop_t *loop, const struct manager_options *options, struct env *env,
           const struct sockaddr_storage *source, struct become *out);

void become_fini(struct become *become);

/* Leave the token in DIR/manager.token, for the operator. */
int become_write_token(const char *dir, const struct token *token);
