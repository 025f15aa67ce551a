/*
 * Task reports as data: made, copied, and collected until somebody takes them.
 */
#pragma once

#include "proto/base/list.h"
#include "proto/command.pb-c.h"
#include "proto/worker.pb-c.h"

/* A report of that state with nothing else in it. Gives. */
Command__TaskReport *report_new(const char *task_id, State__TaskState state);
void report_free(Command__TaskReport *report); /* NULL is fine. */

/* Copies. Gives. */
Command__TaskReport *report_copy(const Command__TaskReport *report);

/* STOPPED now, for this reason. Gives. */
Command__TaskReport *report_stopped(const char *task_id, State__StopCode code, const char *reason,
                                    uint64_t now_ms);

/* Replace the reason. Copies. */
void report_set_reason(Command__TaskReport *report, const char *reason);

/* A queue of reports, in a list. */
void report_push(struct list *queue, Command__TaskReport *report); /* Takes. */
Command__TaskReport *report_pop(struct list *queue);               /* Gives, or NULL. */
