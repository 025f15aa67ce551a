/* Expire: forgetting what has ended, in small steps. */
#include <errno.h>

#include "storage/apply_inner.h"
#include "storage/tables_write.h"

enum {
    EXPIRE_MAX = 1000, /* Tasks, and tokens, of one command: keeps the turn short. */
};

struct due {
    uint64_t seqs[EXPIRE_MAX];
    size_t count;
    size_t limit;
};

static int each_due(void *context, struct txn *txn, uint64_t seq)
{
    struct due *due = context;

    (void)txn;
    if (due->count == due->limit)
        return 1;
    due->seqs[due->count++] = seq;
    return 0;
}

static int forget(struct apply *a, uint64_t seq)
{
    scope(task_pair_fini) struct task_pair pair = {0};
    int r = task_load(a, seq, &pair);

    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    r = table_del_task(a->txn, pair.task, pair.status);
    if (r < 0)
        return err_up(r);
    apply_changed(a, CHANGE_TASK_GONE, seq);
    return 0;
}

int apply_expire(struct apply *a, const Command__Expire *body)
{
    struct due due = {.limit = body->limit < EXPIRE_MAX ? body->limit : EXPIRE_MAX};
    int r = table_tasks_stopped(a->txn, body->stopped_before_ms, each_due, &due);

    for (size_t i = 0; i < due.count && r == 0; i++)
        r = forget(a, due.seqs[i]);
    if (r == 0)
        r = table_del_tokens(a->txn, body->tokens_before_ms, (uint32_t)due.limit);
    if (r == 0)
        r = join_tokens_forget(a, body->tokens_before_ms, (uint32_t)due.limit);
    return err_up(r);
}
