/*
 * The agent's mind: which tasks this worker knows, what is to be done about what a manager says,
 * and what is to be reported. Pure: no clock, no file, no socket.
 *
 * A plan is decided first (agent_decide), made durable by the caller, and only then carried out
 * (agent_carry_out, and the caller's own starting and stopping); a plan that cannot be made
 * durable is dropped and nothing has happened.
 *
 * The life of a task here:
 *
 *   assigned ──> known ──> STOPPED ──> reported ──> acknowledged ──> not listed any more ──>
 * forgotten
 *
 * A task is forgotten after an answer to a Pull that was sent after the manager acknowledged
 * STOPPED, so no earlier order that is still on its way can start it again.
 *
 * The fence: each answer carries the leader's term; one older than the highest heard is refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/scope.h"
#include "proto/worker.pb-c.h"

struct agent;
struct agent_task;

enum agent_outcome {
    AGENT_OLD_TERM = 1, /* From a leader that has been replaced: do not obey. */
    AGENT_NEW_TERM = 2, /* Obey, and remember the term first. */
};

/* term: the highest heard before the restart. */
struct agent *agent_new(uint64_t term);
void agent_free(struct agent *agent);

/* An answer of this term has come. */
int agent_hear(struct agent *agent, uint64_t term);

size_t agent_task_count(const struct agent *agent);

/* A task that was known before the restart, and what was reported of it (copies; NULL if
 * nothing). */
void agent_adopt(struct agent *agent, const char *task_id, const Command__TaskReport *report);

/* ---- orders */

enum agent_verb {
    AGENT_START,  /* A new task: run it. */
    AGENT_STOP,   /* A task that runs, or is about to: stop it. */
    AGENT_DENY,   /* A new task that is not started: it is STOPPED at once. */
    AGENT_REMIND, /* A stopped task the manager takes for running: report it again. */
    AGENT_FORGET, /* Nobody asks for it any more. */
};

struct agent_action {
    enum agent_verb verb;
    const char *task_id;
    const Worker__Assignment *assignment; /* START, DENY: borrowed from the response. */
    const Worker__Definition *definition; /* START: likewise. */
};

struct agent_plan {
    struct agent_action *actions;
    size_t count, room;
    size_t malformed; /* Assignments without a proper id: ignored. */
};

void agent_plan_fini(struct agent_plan *plan);

/* A Pull is about to be sent: its number. */
uint64_t agent_pull(struct agent *agent);

/* What an answer (OK, of a term that was heard) to that Pull asks for. Everything in the plan is
 * borrowed from the response and the agent. */
void agent_decide(const struct agent *agent, uint64_t pull, const Worker__PullResponse *response,
                  struct agent_plan *out);

/* The plan is being obeyed. Tasks that are forgotten leave here, so theirs is the last moment
 * for the plan's task_id: act on it first. */
void agent_carry_out(struct agent *agent, const struct agent_plan *plan, uint64_t now_ms);

/* ---- reports */

/* What became of a task. Copies. False: no news (the same again, an unknown task, or a state that
 * lies behind it). */
bool agent_observe(struct agent *agent, const Command__TaskReport *report);

/* Everything known is to be reported, whatever was acknowledged: the manager is a new one. */
void agent_report_all(struct agent *agent);

/* There is something to report, and nothing on its way. */
bool agent_has_reports(const struct agent *agent);

/* Something is on its way, or to be reported. */
bool agent_owes_reports(const struct agent *agent);

/* Take at most max reports to send; they are on their way until agent_reported(). Gives each. */
size_t agent_take_reports(struct agent *agent, Command__TaskReport **out, size_t max);

/* What was on its way is durable with the managers, or must be sent again. */
void agent_reported(struct agent *agent, bool acknowledged);

SCOPED(struct agent *, agent_free);
