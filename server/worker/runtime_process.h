/*
 * Inside the runtime of real processes; for its own files only (runtime_process.c,
 * runtime_start.c).
 */
#pragma once

#include "proto/base/list.h"
#include "server/worker/cgroup.h"
#include "server/worker/runtime.h"
#include "server/worker/supervised.h"

struct process_runtime {
    struct runtime runtime;
    struct supervised_owner owner;
    char *dir, *address, *zone;
    struct cgroup_base cgroups; /* Without directories: none. */
    struct rng rng;
    struct list tasks; /* struct supervised; over ones until they are forgotten. */
    struct list events;
    uv_timer_t timer; /* Runs while a task wants ticks. */
    uv_poll_t pokes;
    int socket;
    int open_handles;
};

/* The task of that id, or NULL. */
struct supervised *process_find(struct process_runtime *process, const char *task_id);

/* runtime_ops.start */
void process_start(struct runtime *runtime, const Worker__Assignment *assignment,
                   const Ecs__RegisterTaskDefinitionRequest *definition);
