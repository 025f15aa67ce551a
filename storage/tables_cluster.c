/* Clusters and their counts. */
#include "proto/base/err.h"
#include "storage/tables_record.h"
#include "storage/tables_write.h"

static void name_key(struct key *key, const char *name)
{
    key->len = 0;
    key_add_text(key, name);
}

int table_cluster(struct txn *txn, uint64_t cluster_seq, State__Cluster **out)
{
    struct key key;
    int r;

    key_seq(&key, cluster_seq);
    r = record_get(txn, TABLE_CLUSTER, &key, &state__cluster__descriptor, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int table_cluster_by_name(struct txn *txn, const char *name, State__Cluster **out)
{
    struct key key;
    uint64_t seq;
    int r;

    if (!key_name_fits(name))
        return TABLE_ABSENT;
    name_key(&key, name);
    r = record_get_seq(txn, TABLE_CLUSTER_NAME, &key, &seq);
    if (r != 0)
        return r > 0 ? TABLE_ABSENT : err_up(r);
    r = table_cluster(txn, seq, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int table_cluster_count(struct txn *txn, uint64_t cluster_seq, State__ClusterCount **out)
{
    struct key key;
    int r;

    key_seq(&key, cluster_seq);
    r = record_get(txn, TABLE_CLUSTER_COUNT, &key, &state__cluster_count__descriptor, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

struct cluster_walk {
    int (*each)(void *context, const State__Cluster *cluster);
    void *context;
};

static int each_cluster(void *context, struct txn *txn, struct bytes key, struct bytes value)
{
    const struct cluster_walk *walk = context;
    State__Cluster *cluster;
    int r = record_unpack(value, &state__cluster__descriptor, &cluster);

    (void)txn;
    (void)key;
    if (r < 0)
        return err_up(r);
    r = walk->each(walk->context, cluster);
    state__cluster__free_unpacked(cluster, NULL);
    return r;
}

int table_clusters(struct txn *txn, uint64_t after_seq,
                   int (*each)(void *context, const State__Cluster *cluster), void *context)
{
    struct cluster_walk walk = {each, context};
    struct key from;

    if (after_seq == UINT64_MAX)
        return 0;
    key_seq(&from, after_seq + 1);
    return err_up(record_walk(txn, TABLE_CLUSTER, &from, 0, each_cluster, &walk));
}

int table_put_cluster(struct txn *txn, const State__Cluster *cluster)
{
    struct key key;

    key_seq(&key, cluster->seq);
    return err_up(record_put(txn, TABLE_CLUSTER, &key, &cluster->base));
}

int table_put_cluster_count(struct txn *txn, uint64_t cluster_seq, const State__ClusterCount *count)
{
    struct key key;

    key_seq(&key, cluster_seq);
    return err_up(record_put(txn, TABLE_CLUSTER_COUNT, &key, &count->base));
}

int table_add_cluster(struct txn *txn, const State__Cluster *cluster)
{
    State__ClusterCount none = STATE__CLUSTER_COUNT__INIT;
    struct key key;
    int r = table_put_cluster(txn, cluster);

    if (r < 0)
        return err_up(r);
    must(key_name_fits(cluster->name));
    name_key(&key, cluster->name);
    r = record_put_seq(txn, TABLE_CLUSTER_NAME, &key, cluster->seq);
    if (r < 0)
        return err_up(r);
    return err_up(table_put_cluster_count(txn, cluster->seq, &none));
}
