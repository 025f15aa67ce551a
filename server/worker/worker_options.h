/*
 * What `cais worker` is told: its flags, settings and variables, checked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proto/ecs.pb-c.h"
#include "proto/limits.h"

struct worker_options {
    char **arguments; /* What the texts point into. */
    const char *dir;
    const char *name;
    const char *zone;
    const char *address;
    const char *cluster;
    const char *runtime;
    uint32_t cpu;
    uint32_t memory;
    bool cgroups;
    char *managers[LIMIT_MANAGERS];
    struct sockaddr_storage addresses[LIMIT_MANAGERS];
    size_t manager_count;
    Ecs__Attribute *attributes[LIMIT_ATTRIBUTES];
    size_t attribute_count;
};

/* Parse and check; what is wrong is told on standard error and ends the process with 2. */
void worker_options_parse(int argc, char **argv, struct worker_options *out);
void worker_options_fini(struct worker_options *options);
