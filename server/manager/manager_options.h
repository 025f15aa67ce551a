/*
 * What `cais manager` is told: its flags, settings and variables, checked.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "proto/limits.h"

struct manager_member {
    char *name;
    char *host;
};

struct manager_options {
    char **arguments; /* What the texts point into. */
    const char *dir;
    const char *name;
    const char *zone;
    const char *bind;
    uint16_t api_port;
    uint16_t rpc_port;
    uint16_t peer_port;
    const char *members_text;
    struct manager_member members[LIMIT_MANAGERS]; /* Ids are positions, from 1. */
    size_t member_count;
    uint64_t id;
    const char *region;
    const char *account;
    unsigned election_ms;
    unsigned heartbeat_ms;
    unsigned worker_lost_ms;
};

/* Parse and check; what is wrong is told on standard error and ends the process with 2. */
void manager_options_parse(int argc, char **argv, struct manager_options *out);
void manager_options_fini(struct manager_options *out);
