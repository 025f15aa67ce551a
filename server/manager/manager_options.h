/*
 * What `cais manager` is told: its flags, settings and variables, checked as far as they can be
 * without looking at what is stored. Texts are NULL, and ports 0, where nothing was said.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/limits.h"

struct manager_options {
    char **arguments; /* What the texts point into. */
    const char *dir;
    const char *name;
    const char *zone;
    const char *bind;
    const char *advertise;
    uint16_t api_port;
    uint16_t rpc_port;
    uint16_t peer_port;

    /* How it comes to be; none of them if it was there before. */
    bool bootstrap;
    const char *join;       /* HOST or HOST:PORT. */
    const char *token;      /* With join, or: */
    const char *token_file; /* where the token is. */
    bool recover;

    const char *region;
    const char *account;
    unsigned voters;
    unsigned election_ms;
    unsigned heartbeat_ms;
    unsigned worker_lost_ms;
    unsigned manager_lost_ms;
};

enum { MANAGER_PEER_PORT = 4512 };

/* Parse and check; what is wrong is told on standard error and ends the process with 2. */
void manager_options_parse(int argc, char **argv, struct manager_options *out);
void manager_options_fini(struct manager_options *out);
