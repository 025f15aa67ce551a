/*
 * Joining a cluster, as the newcomer: asks the manager it was told of, goes where that one says the
 * leader is, and asks again until it is a member or is told that it will not be.
 */
#pragma once

#include <uv.h>

#include "server/manager/credentials.h"
#include "server/manager/manager_options.h"
#include "server/manager/self.h"

enum join_outcome {
    JOIN_REFUSED = 1, /* For good; the log says why. */
    JOIN_STOPPED = 2, /* Somebody else has stopped the loop. */
};

/* Who asks. Borrows. */
struct join_newcomer {
    const struct member *described; /* With its key. */
    struct bytes request;           /* For a certificate of that key, PEM. */
};

/* Run the loop until this is decided. source: where to dial from (port 0). Nobody is asked but who
 * shows the authority that the token names. Adds the certificates to the key in credentials. */
int join_run(uv_loop_t *loop, const struct manager_options *options,
             const struct join_newcomer *newcomer, const struct sockaddr_storage *source,
             struct credentials *credentials, struct self *out);

/* HOST:PORT of a --join that may leave out the port. Gives. */
char *join_address(const char *text);
