/* Workers, and what is taken of them. */
#include "proto/base/err.h"
#include "storage/tables_record.h"
#include "storage/tables_write.h"

int table_worker(struct txn *txn, uint64_t worker_seq, State__Worker **out)
{
    struct key key;
    int r;

    key_seq(&key, worker_seq);
    r = record_get(txn, TABLE_WORKER, &key, &state__worker__descriptor, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int table_worker_seq(struct txn *txn, const char *worker_id, uint64_t *out)
{
    struct key key;
    int r;

    if (!key_id(&key, worker_id))
        return TABLE_ABSENT;
    r = record_get_seq(txn, TABLE_WORKER_ID, &key, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int table_worker_usage(struct txn *txn, uint64_t worker_seq, State__WorkerUsage **out)
{
    struct key key;
    int r;

    key_seq(&key, worker_seq);
    r = record_get(txn, TABLE_WORKER_USAGE, &key, &state__worker_usage__descriptor, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int table_workers(struct txn *txn, uint64_t cluster_seq, uint64_t after_seq, table_each_seq each,
                  void *context)
{
    struct key key;

    key_seq(&key, cluster_seq);
    return err_up(record_walk_seqs(txn, TABLE_WORKER_OF_CLUSTER, &key, after_seq, each, context));
}

int table_all_workers(struct txn *txn, uint64_t after_seq, table_each_seq each, void *context)
{
    struct key none = {0};

    return err_up(record_walk_seqs(txn, TABLE_WORKER, &none, after_seq, each, context));
}

int table_put_worker(struct txn *txn, const State__Worker *worker)
{
    struct key key;

    key_seq(&key, worker->seq);
    return err_up(record_put(txn, TABLE_WORKER, &key, &worker->base));
}

int table_put_worker_usage(struct txn *txn, uint64_t worker_seq, const State__WorkerUsage *usage)
{
    struct key key;

    key_seq(&key, worker_seq);
    return err_up(record_put(txn, TABLE_WORKER_USAGE, &key, &usage->base));
}

int table_add_worker(struct txn *txn, const State__Worker *worker, const State__WorkerUsage *usage)
{
    struct key key;
    int r = table_put_worker(txn, worker);

    if (r < 0)
        return err_up(r);
    r = table_put_worker_usage(txn, worker->seq, usage);
    if (r < 0)
        return err_up(r);
    must(key_id(&key, worker->id));
    r = record_put_seq(txn, TABLE_WORKER_ID, &key, worker->seq);
    if (r < 0)
        return err_up(r);
    key_seqs(&key, worker->cluster_seq, worker->seq);
    return err_up(record_mark(txn, TABLE_WORKER_OF_CLUSTER, &key));
}
