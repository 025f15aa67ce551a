/*
 * One task under its supervisor, as the agent sees it: watched through a pidfd, known by its
 * state file, cleared away if the supervisor was killed.
 *
 *   start or adopt ──> watched ──> over           the supervisor ended in order
 *                         └──────> clearing ──> over   it was killed: its leftovers are killed too
 *
 * RUNNING is passed on when the task's TCP ports are listened on, or PORTS_PATIENCE_MS after its
 * containers were started, so that whoever waits for it to serve may take RUNNING for an answer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "proto/base/list.h"
#include "proto/supervise.pb-c.h"
#include "server/worker/ports.h"

enum supervised_time {
    PORTS_PATIENCE_MS = 5000,
    SUPERVISED_TICK_MS = 25,
};

struct supervised;

/* Who hears of it, from inside any call below. */
struct supervised_owner {
    uv_loop_t *loop;

    /* Gives a report of the task as it is now. */
    void (*changed)(void *context, struct supervised *task, Command__TaskReport *report);

    /* It waits for time to pass: call supervised_tick() every SUPERVISED_TICK_MS for as long as
     * supervised_wants_tick(). */
    void (*wants_tick)(void *context);
    void *context;
};

struct supervised {
    struct list link; /* The owner's. */
    bool orphan;      /* The owner's: nobody asked for it. */

    /* All else is for reading only. */
    const struct supervised_owner *owner; /* Borrowed until supervised_close(). */
    char *id;
    char *path;
    Supervise__Spec *spec; /* NULL if it could not be read. */
    struct watch *watch;   /* The supervisor's pidfd; NULL: there is none. */
    bool clearing;
    bool over;
    bool stop_asked;
    bool settled;        /* RUNNING was passed on. */
    uint64_t settle_by;  /* clock_steady_ms(); 0: its containers are not all started. */
    uint64_t started_ms; /* When it became RUNNING, by the wall clock. */
};

/* Takes path and spec (may be NULL). Gives. */
struct supervised *supervised_new(const struct supervised_owner *owner, const char *task_id,
                                  char *path, Supervise__Spec *spec);

/* Let go of it: the task runs on. Takes task. */
void supervised_close(struct supervised *task);

/* Write the spec and start the supervisor. */
int supervised_start(struct supervised *task);

/* Take up a task whose supervisor may be alive, done or dead. started_ms: when it was reported
 * RUNNING, 0 if it was not. */
void supervised_adopt(struct supervised *task, uint64_t started_ms);

/* Ask the supervisor to stop the task. */
void supervised_stop(struct supervised *task);

/* The state file may have changed. */
void supervised_look(struct supervised *task);

bool supervised_wants_tick(const struct supervised *task);
void supervised_tick(struct supervised *task, const struct listeners *listeners);
