/*
 * A worker: the agent's mind, its memory, its hands and its link, wired together on a uv loop.
 *
 * All that happened in one turn of the loop is dealt with at its end, in one order: what became of
 * tasks is noted and made durable, then it is reported. Orders are made durable before they are
 * obeyed. Closing a worker leaves its tasks running; the next one on the same directory adopts
 * them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "proto/worker.pb-c.h"
#include "server/worker/runtime.h"

struct worker;

struct worker_config {
    const char *dir; /* Absolute. */
    const char *cluster;
    const char *name;
    const char *zone;
    const char *address; /* Numeric; where tasks are reached and connections come from. */
    uint32_t cpu;        /* Units. */
    uint32_t memory;     /* MiB. */
    Ecs__Attribute *const *attributes;
    size_t attribute_count;
    const char *const *managers;              /* "host:port". */
    const struct sockaddr_storage *addresses; /* The same, resolved. */
    size_t manager_count;
    int (*open_runtime)(uv_loop_t *loop, const struct runtime_config *config, struct runtime **out);
    bool cgroups;
    uint64_t seed;
};

/* Open: adopt what runs, stop what nobody knows, look for the leader. Copies config. Gives *out.
 * -EUSERS: another worker uses this directory. */
int worker_open(uv_loop_t *loop, const struct worker_config *config, struct worker **out);

/* Takes worker; its memory goes in the loop's time. */
void worker_close(struct worker *worker);
