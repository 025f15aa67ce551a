/* Tasks: what they are, how they are, and the five orders in which they are looked for. */
#include <errno.h>

#include "proto/base/err.h"
#include "storage/tables_record.h"
#include "storage/tables_write.h"

static void cluster_key(struct key *key, uint64_t cluster_seq, bool desired_stopped)
{
    key_seq(key, cluster_seq);
    key_add_byte(key, desired_stopped);
}

int table_task(struct txn *txn, uint64_t task_seq, State__Task **out)
{
    struct key key;
    int r;

    key_seq(&key, task_seq);
    r = record_get(txn, TABLE_TASK, &key, &state__task__descriptor, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int table_task_status(struct txn *txn, uint64_t task_seq, State__TaskStatus **out)
{
    struct key key;
    int r;

    key_seq(&key, task_seq);
    r = record_get(txn, TABLE_TASK_STATUS, &key, &state__task_status__descriptor, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int table_task_seq(struct txn *txn, const char *task_id, uint64_t *out)
{
    struct key key;
    int r;

    if (!key_id(&key, task_id))
        return TABLE_ABSENT;
    r = record_get_seq(txn, TABLE_TASK_ID, &key, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int table_tasks_of_cluster(struct txn *txn, uint64_t cluster_seq, bool desired_stopped,
                           uint64_t after_seq, table_each_seq each, void *context)
{
    struct key key;

    cluster_key(&key, cluster_seq, desired_stopped);
    return err_up(record_walk_seqs(txn, TABLE_TASK_OF_CLUSTER, &key, after_seq, each, context));
}

int table_tasks_of_service(struct txn *txn, uint64_t service_seq, uint64_t after_seq,
                           table_each_seq each, void *context)
{
    struct key key;

    key_seq(&key, service_seq);
    return err_up(record_walk_seqs(txn, TABLE_TASK_OF_SERVICE, &key, after_seq, each, context));
}

int table_tasks_of_worker(struct txn *txn, uint64_t worker_seq, uint64_t after_seq,
                          table_each_seq each, void *context)
{
    struct key key;

    key_seq(&key, worker_seq);
    return err_up(record_walk_seqs(txn, TABLE_TASK_OF_WORKER, &key, after_seq, each, context));
}

int table_all_tasks(struct txn *txn, uint64_t after_seq, table_each_seq each, void *context)
{
    struct key none = {0};

    return err_up(record_walk_seqs(txn, TABLE_TASK, &none, after_seq, each, context));
}

struct stopped_walk {
    uint64_t before_ms;
    table_each_seq each;
    void *context;
};

static int each_stopped(void *context, struct txn *txn, struct bytes key, struct bytes value)
{
    const struct stopped_walk *walk = context;

    (void)value;
    if (key.len != 16)
        return err_new(-EUCLEAN);
    if (be64_get(key.base) >= walk->before_ms)
        return 1;
    return walk->each(walk->context, txn, be64_get((const uint8_t *)key.base + 8));
}

int table_tasks_stopped(struct txn *txn, uint64_t before_ms, table_each_seq each, void *context)
{
    struct stopped_walk walk = {before_ms, each, context};
    struct key first = {0};

    return err_up(record_walk(txn, TABLE_TASK_STOPPED, &first, 0, each_stopped, &walk));
}

static int put_status(struct txn *txn, uint64_t task_seq, const State__TaskStatus *status)
{
    struct key key;

    key_seq(&key, task_seq);
    return err_up(record_put(txn, TABLE_TASK_STATUS, &key, &status->base));
}

static int add_indexes(struct txn *txn, const State__Task *task, bool desired_stopped)
{
    struct key key;
    int r;

    must(key_id(&key, task->id));
    r = record_put_seq(txn, TABLE_TASK_ID, &key, task->seq);
    if (r < 0)
        return err_up(r);
    cluster_key(&key, task->cluster_seq, desired_stopped);
    key_add_u64(&key, task->seq);
    r = record_mark(txn, TABLE_TASK_OF_CLUSTER, &key);
    if (r < 0)
        return err_up(r);
    key_seqs(&key, task->worker_seq, task->seq);
    r = record_mark(txn, TABLE_TASK_OF_WORKER, &key);
    if (r < 0 || task->service_seq == 0)
        return err_up(r);
    key_seqs(&key, task->service_seq, task->seq);
    return err_up(record_mark(txn, TABLE_TASK_OF_SERVICE, &key));
}

int table_add_task(struct txn *txn, const State__Task *task, const State__TaskStatus *status)
{
    struct key key;
    int r;

    must(status->state != STATE__TASK_STATE__TASK_STOPPED);
    key_seq(&key, task->seq);
    r = record_put(txn, TABLE_TASK, &key, &task->base);
    if (r < 0)
        return err_up(r);
    r = put_status(txn, task->seq, status);
    if (r < 0)
        return err_up(r);
    return err_up(add_indexes(txn, task, status->desired_stopped));
}

static int move_desire(struct txn *txn, const State__Task *task, bool before, bool after)
{
    struct key key;
    int r;

    cluster_key(&key, task->cluster_seq, before);
    key_add_u64(&key, task->seq);
    r = record_drop(txn, TABLE_TASK_OF_CLUSTER, &key);
    if (r < 0)
        return err_up(r);
    cluster_key(&key, task->cluster_seq, after);
    key_add_u64(&key, task->seq);
    return err_up(record_mark(txn, TABLE_TASK_OF_CLUSTER, &key));
}

static int move_stopped(struct txn *txn, const State__Task *task, uint64_t stopped_ms)
{
    struct key key;
    int r;

    key_seqs(&key, task->worker_seq, task->seq);
    r = record_drop(txn, TABLE_TASK_OF_WORKER, &key);
    if (r < 0)
        return err_up(r);
    key_seqs(&key, stopped_ms, task->seq);
    return err_up(record_mark(txn, TABLE_TASK_STOPPED, &key));
}

int table_put_task_status(struct txn *txn, const State__Task *task, const State__TaskStatus *before,
                          const State__TaskStatus *status)
{
    bool was_stopped = before->state == STATE__TASK_STATE__TASK_STOPPED;
    int r = put_status(txn, task->seq, status);

    must(!was_stopped); /* Nothing changes any more. */
    if (r == 0 && before->desired_stopped != status->desired_stopped)
        r = move_desire(txn, task, before->desired_stopped, status->desired_stopped);
    if (r == 0 && status->state == STATE__TASK_STATE__TASK_STOPPED)
        r = move_stopped(txn, task, status->stopped_ms);
    return err_up(r);
}

int table_del_task(struct txn *txn, const State__Task *task, const State__TaskStatus *status)
{
    struct key key;
    int r;

    must(status->state == STATE__TASK_STATE__TASK_STOPPED);
    key_seqs(&key, status->stopped_ms, task->seq);
    r = record_drop(txn, TABLE_TASK_STOPPED, &key);
    key_seq(&key, task->seq);
    if (r == 0)
        r = record_drop(txn, TABLE_TASK, &key);
    if (r == 0)
        r = record_drop(txn, TABLE_TASK_STATUS, &key);
    must(key_id(&key, task->id));
    if (r == 0)
        r = record_drop(txn, TABLE_TASK_ID, &key);
    cluster_key(&key, task->cluster_seq, status->desired_stopped);
    key_add_u64(&key, task->seq);
    if (r == 0)
        r = record_drop(txn, TABLE_TASK_OF_CLUSTER, &key);
    key_seqs(&key, task->service_seq, task->seq);
    if (r == 0 && task->service_seq != 0)
        r = record_drop(txn, TABLE_TASK_OF_SERVICE, &key);
    return err_up(r);
}
