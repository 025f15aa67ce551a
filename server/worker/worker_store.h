/*
 * What an agent must still know after it was restarted: who it is, the highest term it has heard,
 * what it was told to run, and what it last reported. LMDB, in DIR/db.
 *
 * Changes are collected and written by one synced commit; nothing may be acted on before that.
 */
#pragma once

#include <stdint.h>

#include "proto/base/scope.h"
#include "proto/supervise.pb-c.h"

struct store;

enum store_outcome {
    STORE_ABSENT = 1,
};

/* Open, and make what is not there, the worker's id too, from seed. Gives *out. -EUSERS: another
 * agent runs on this directory. -EUCLEAN: this is not a worker's database, or a newer one's. */
int store_open(const char *dir, uint64_t seed, struct store **out);
void store_free(struct store *store);

/* 32 hex digits. Borrowed until store_free(). */
const char *store_worker_id(const struct store *store);

/* The highest term heard, 0 at first. */
uint64_t store_term(const struct store *store);

/* Collect changes. All copy. */
void store_put_term(struct store *store, uint64_t term);
void store_put_task(struct store *store, const Supervise__Task *task);
void store_put_definition(struct store *store, const Worker__Definition *definition);
void store_put_report(struct store *store, const Command__TaskReport *report);
void store_drop_task(struct store *store, const char *task_id); /* Its report too. */

/* Write what was collected; nothing at all is fine. On failure it stays collected, and a later
 * call tries again: -ENOSPC when the disk is full. */
int store_commit(struct store *store);

/* Read everything back: each(context, task, report) for every task; report is NULL if there is
 * none. Both are borrowed during the call. Definitions that no task names are removed. */
int store_each_task(struct store *store,
                    void (*each)(void *context, const Supervise__Task *task,
                                 const Command__TaskReport *report),
                    void *context);

/* A definition that was put. Gives *out. STORE_ABSENT. */
int store_get_definition(struct store *store, const char *family, uint32_t revision,
                         Worker__Definition **out);

SCOPED(struct store *, store_free);
