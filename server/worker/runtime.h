/*
 * What runs tasks: one vtable, so that the agent does not know how.
 *
 *   process   real processes under a supervisor each (shim.h)
 *   hollow    accepts and reports, runs nothing: for tests of scale
 *
 * Orders are calls and return at once; what became of them are events, taken with next(). An
 * order that fails is an event too: the task is STOPPED, with a reason.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "proto/base/rng.h"
#include "proto/worker.pb-c.h"

struct runtime;

enum runtime_outcome {
    RUNTIME_UNKNOWN = 1, /* Nothing of that task is here: it was never started. */
};

struct runtime_ops {
    const char *name;

    /* Run a task. Borrows both. */
    void (*start)(struct runtime *runtime, const Worker__Assignment *assignment,
                  const Ecs__RegisterTaskDefinitionRequest *definition);

    /* Stop it. An unknown or stopped task is fine: its last event was given or will be. */
    void (*stop)(struct runtime *runtime, const char *task_id);

    /* Take up a task that a former agent started; `last` is what it reported (may be NULL).
     * Events follow from its present state. RUNTIME_UNKNOWN. */
    int (*adopt)(struct runtime *runtime, const char *task_id, const Command__TaskReport *last);

    /* After the adoptions: stop and remove whatever else is here. Nothing is reported of it. */
    void (*sweep)(struct runtime *runtime);

    /* The task is STOPPED and nobody asks for it any more: remove what is left of it. */
    void (*forget)(struct runtime *runtime, const char *task_id);

    /* The next event: a task's state as it is now. Gives it, or NULL. */
    Command__TaskReport *(*next)(struct runtime *runtime);

    /* Let go of the loop; tasks run on. Takes runtime, whose memory goes in the loop's next turn.
     */
    void (*close)(struct runtime *runtime);
};

/* Every runtime begins with this. */
struct runtime {
    const struct runtime_ops *ops;
};

struct runtime_config {
    const char *dir;     /* Absolute; task_dir_init() was called on it. */
    const char *address; /* Numeric. */
    const char *zone;
    bool cgroups;  /* Use them where they can be had. */
    uint64_t seed; /* For the choice of ports. */
};

/* Gives *out; end it with its own close(). Copies config. */
int runtime_process_open(uv_loop_t *loop, const struct runtime_config *config,
                         struct runtime **out);
int runtime_hollow_open(uv_loop_t *loop, const struct runtime_config *config, struct runtime **out);
