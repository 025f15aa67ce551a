/*
 * From what a manager assigns to what a supervisor runs: argument lists, environments, limits,
 * ports, the order of the containers.
 *
 * What a definition asks for and the process runtime cannot do is refused in words, not left out:
 * a container that waits for another's health, a user that does not exist.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/supervise.pb-c.h"
#include "proto/worker.pb-c.h"
#include "server/worker/cgroup.h"

enum compose_outcome {
    COMPOSE_REFUSED = 1,
};

struct compose {
    const Worker__Assignment *assignment;
    const Ecs__RegisterTaskDefinitionRequest *definition;
    const char *task_path; /* DIR/tasks/ID, absolute. */
    const char *address;   /* Of the worker: HOST. */
    const char *zone;

    /* No control group: RLIMIT_DATA stands in for the memory limit. It bounds each process of a
     * container, not their sum; RLIMIT_AS would also count what Go or Java reserve and never use.
     */
    bool memory_by_rlimit;

    /* Choose a host port for a mapping that leaves it open; 0: there is none. */
    uint32_t (*choose_port)(void *context, bool udp);
    void *context;
};

/* Gives *out; or COMPOSE_REFUSED and in *out_problem why, a text of its own. */
int compose_spec(const struct compose *compose, Supervise__Spec **out, char **out_problem);

/* What the task as a whole may use. cpu and memory of the task are hard limits; without them the
 * containers' memory limits add up, if all have one, and their cpu is a share. */
void compose_limits(const struct compose *compose, struct cgroup_limits *out);
