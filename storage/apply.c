#include "storage/apply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/base/mem.h"
#include "proto/limits.h"
#include "proto/problem.h"
#include "proto/unpacking.h"
#include "storage/apply_inner.h"
#include "storage/tables_write.h"

/* ---- the end of a command */

void apply_problem(struct apply *a, Command__ErrorCode code, const char *format, ...)
{
    va_list args;
    char text[512]; /* What is quoted of a request is a name; longer ones are cut. */

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    problem_free(a->result->problem);
    a->result->problem = problem_new(code, "%s", text);
}

static void changes_add(struct changes *changes, struct change change)
{
    if (changes->count == changes->cap) {
        changes->cap = changes->cap ? changes->cap * 2 : 16;
        changes->items = mem_resize(changes->items, changes->cap, sizeof *changes->items);
    }
    changes->items[changes->count++] = change;
}

void changes_fini(struct changes *changes)
{
    free(changes->items);
    *changes = (struct changes){0};
}

void apply_changed(struct apply *a, enum change_kind kind, uint64_t seq)
{
    changes_add(&a->changes, (struct change){kind, seq});
}

static int compare_changes(const void *left, const void *right)
{
    const struct change *a = left, *b = right;

    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/* Each once, in an order that depends on nothing but what they are. */
static void hand_over(struct changes *from, struct changes *to)
{
    if (from->count == 0)
        return;
    qsort(from->items, from->count, sizeof *from->items, compare_changes);
    changes_add(to, from->items[0]);
    for (size_t i = 1; i < from->count; i++)
        if (compare_changes(&from->items[i - 1], &from->items[i]) != 0)
            changes_add(to, from->items[i]);
}

void apply_result_name(struct apply *a, const char *name)
{
    text_set(&a->result->name, name);
}

void apply_result_task(struct apply *a, const char *task_id)
{
    Command__CommandResult *result = a->result;

    result->task_ids = mem_resize(result->task_ids, result->n_task_ids + 1, sizeof(char *));
    result->task_ids[result->n_task_ids++] = mem_string(task_id);
}

void apply_result_failure(struct apply *a, const char *arn, const char *reason, const char *detail)
{
    Command__CommandResult *result = a->result;
    Ecs__Failure *failure = mem_new(Ecs__Failure);

    ecs__failure__init(failure);
    failure->arn = mem_string(arn);
    failure->reason = mem_string(reason);
    failure->detail = mem_string(detail);
    result->failures =
        mem_resize(result->failures, result->n_failures + 1, sizeof *result->failures);
    result->failures[result->n_failures++] = failure;
}

int apply_settings(struct apply *a, const State__Settings **out)
{
    static const State__Settings none = STATE__SETTINGS__INIT;
    int r = a->settings ? 0 : table_settings(a->txn, &a->settings);

    if (r < 0)
        return err_up(r);
    *out = a->settings ? a->settings : &none;
    return 0;
}

int apply_next_seq(struct apply *a, int counter, uint64_t *out)
{
    uint64_t last;
    int r = table_counter(a->txn, (enum counter)counter, &last);

    if (r < 0)
        return err_up(r);
    *out = last + 1;
    return err_up(table_put_counter(a->txn, (enum counter)counter, last + 1));
}

/* ---- one command */

/* Every body is a message of its own type, given by pointer: one row each. */
#define BODIES(X)                                                                                  \
    X(BOOTSTRAP, bootstrap)                                                                        \
    X(CREATE_CLUSTER, create_cluster)                                                              \
    X(DELETE_CLUSTER, delete_cluster)                                                              \
    X(REGISTER_TASK_DEFINITION, register_task_definition)                                          \
    X(DEREGISTER_TASK_DEFINITION, deregister_task_definition)                                      \
    X(RUN_TASK, run_task)                                                                          \
    X(STOP_TASK, stop_task)                                                                        \
    X(CREATE_SERVICE, create_service)                                                              \
    X(UPDATE_SERVICE, update_service)                                                              \
    X(DELETE_SERVICE, delete_service)                                                              \
    X(REGISTER_WORKER, register_worker)                                                            \
    X(LOSE_WORKERS, lose_workers)                                                                  \
    X(REPORT_TASKS, report_tasks)                                                                  \
    X(PLACE_TASKS, place_tasks)                                                                    \
    X(STOP_TASKS, stop_tasks)                                                                      \
    X(NOTE_SERVICE, note_service)                                                                  \
    X(EXPIRE, expire)                                                                              \
    X(CREATE_TOKEN, create_token)                                                                  \
    X(REVOKE_TOKEN, revoke_token)

static int apply_body(struct apply *a, const Command__Command *command)
{
    switch (command->body_case) {
#define BODY(CASE, name)                                                                           \
    case COMMAND__COMMAND__BODY_##CASE:                                                            \
        return out_up(apply_##name(a, command->name));
        BODIES(BODY)
#undef BODY
    default:
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_SERVER, "The command has no known body.");
    }
}

static int apply_bytes(struct apply *a, struct bytes bytes)
{
    Command__Command *command;
    int r;

    if (bytes.len > LIMIT_COMMAND_BYTES)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_SERVER, "The command is too large.");
    command = command__command__unpack(&unpacking, bytes.len, bytes.base);
    if (!command)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_SERVER, "The command cannot be read.");
    a->now_ms = command->time_ms;
    r = apply_body(a, command);
    if (r == 0)
        r = held_write(a);
    command__command__free_unpacked(command, NULL);
    return out_up(r);
}

int apply(struct txn *txn, uint64_t index, struct bytes command, struct changes *changes,
          Command__CommandResult **out)
{
    struct apply a = {.txn = txn, .index = index, .result = mem_new(Command__CommandResult)};
    int r;

    command__command_result__init(a.result);
    r = apply_bytes(&a, command);
    if (r == 0)
        hand_over(&a.changes, changes);
    if (r >= 0 && out)
        *out = steal(a.result);
    command__command_result__free_unpacked(a.result, NULL);
    state__settings__free_unpacked(a.settings, NULL);
    changes_fini(&a.changes);
    held_fini(&a.held);
    return r < 0 ? err_up(r) : 0;
}
