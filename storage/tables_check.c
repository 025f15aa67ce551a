/*
 * One pass over clusters, services, deployments and workers collects what is stored; one over
 * tasks adds up what should be; the rest compares. An index is right when every record has its
 * key in it and it holds as many keys as there are such records.
 */
#include "storage/tables_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "storage/tables_check_inner.h"
#include "storage/tables_write.h"

int check_differs(struct check *c, const char *format, ...)
{
    va_list args;
    char text[256];

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!c->text)
        c->text = mem_string(text);
    return 1;
}

static struct sum *sums_add(struct sums *sums, uint64_t seq, uint64_t owner)
{
    struct sum *sum;

    sums->items = mem_resize(sums->items, sums->count + 1, sizeof *sums->items);
    sum = &sums->items[sums->count++];
    *sum = (struct sum){.seq = seq, .owner = owner};
    return sum;
}

static int compare_sums(const void *left, const void *right)
{
    const struct sum *a = left, *b = right;

    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

struct sum *sums_find(const struct sums *sums, uint64_t seq)
{
    struct sum key = {.seq = seq};

    if (sums->count == 0)
        return NULL;
    return bsearch(&key, sums->items, sums->count, sizeof key, compare_sums);
}

int check_key(struct check *c, enum table table, const struct key *key, uint64_t seq)
{
    struct bytes value;
    int r = txn_get(c->txn, table, key_bytes(key), &value);

    c->keys[table]++;
    if (r < 0)
        return err_up(r);
    if (r > 0)
        return check_differs(c, "%s: no key for %llu", table_names[table], (unsigned long long)seq);
    if (value.len == 8 && seq != 0 && be64_get(value.base) == seq)
        return 0;
    return value.len == 0 && seq == 0
               ? 0
               : check_differs(c, "%s: a key leads elsewhere", table_names[table]);
}

int check_mark(struct check *c, enum table table, uint64_t first, uint64_t second)
{
    struct key key;

    key_seqs(&key, first, second);
    return check_key(c, table, &key, 0);
}

/* ---- clusters, services, deployments, workers */

/* A name leads to the newest thing that has it. */
static int check_name(struct check *c, enum table table, const struct key *key, uint64_t seq)
{
    uint64_t newest = 0;
    int r = record_get_seq(c->txn, table, key, &newest);

    if (r < 0)
        return err_up(r);
    c->keys[table] += newest == seq;
    return newest >= seq ? 0
                         : check_differs(c, "%s: a name leads to an old one", table_names[table]);
}

static int each_cluster(void *context, const State__Cluster *cluster)
{
    struct check *c = context;
    struct key key = {0};

    sums_add(&c->clusters, cluster->seq, 0);
    c->keys[TABLE_CLUSTER_COUNT]++;
    key_add_text(&key, cluster->name);
    return check_name(c, TABLE_CLUSTER_NAME, &key, cluster->seq);
}

static int each_deployment(void *context, const State__Deployment *deployment)
{
    struct check *c = context;

    sums_add(&c->deployments, deployment->seq, deployment->service_seq);
    c->keys[TABLE_DEPLOYMENT]++;
    return 0;
}

static int check_events(struct check *c, const State__Service *service)
{
    uint64_t last = service->event_count;
    uint64_t kept = last < LIMIT_SERVICE_EVENTS ? last : LIMIT_SERVICE_EVENTS;
    struct bytes value;
    struct key key;
    int r;

    c->keys[TABLE_SERVICE_EVENT] += kept;
    for (uint64_t i = 0; i < kept; i++) {
        key_seqs(&key, service->seq, last - i);
        r = txn_get(c->txn, TABLE_SERVICE_EVENT, key_bytes(&key), &value);
        if (r != 0)
            return r > 0 ? check_differs(c, "service %s: event %llu is missing", service->name,
                                         (unsigned long long)(last - i))
                         : err_up(r);
    }
    return 0;
}

static int check_primary(struct check *c, const State__Service *service)
{
    State__Deployment *primary;
    int r = table_deployment(c->txn, service->seq, service->primary_deployment_seq, &primary);

    if (r != 0)
        return r > 0 ? check_differs(c, "service %s: no primary deployment", service->name)
                     : err_up(r);
    state__deployment__free_unpacked(primary, NULL);
    return 0;
}

static int each_service(void *context, const State__Service *service)
{
    struct check *c = context;
    struct sum *cluster = sums_find(&c->clusters, service->cluster_seq);
    struct key key;
    int r;

    if (!cluster)
        return check_differs(c, "service %s: no cluster", service->name);
    cluster->services += service->status == STATE__SERVICE_STATUS__SERVICE_ACTIVE;
    key_seq(&key, service->cluster_seq);
    key_add_text(&key, service->name);
    r = check_name(c, TABLE_SERVICE_NAME, &key, service->seq);
    if (r == 0)
        r = check_primary(c, service);
    if (r == 0)
        r = check_events(c, service);
    if (r == 0)
        r = check_mark(c, TABLE_SERVICE_OF_CLUSTER, service->cluster_seq, service->seq);
    if (r == 0)
        r = table_deployments(c->txn, service->seq, each_deployment, c);
    return r;
}

static int check_worker(struct check *c, const State__Worker *worker)
{
    struct sum *cluster = sums_find(&c->clusters, worker->cluster_seq);
    struct key key;
    int r;

    if (!cluster)
        return check_differs(c, "worker %s: no cluster", worker->id);
    cluster->workers += worker->status != STATE__WORKER_STATUS__WORKER_INACTIVE;
    sums_add(&c->workers, worker->seq, worker->cluster_seq);
    c->keys[TABLE_WORKER_USAGE]++;
    if (!key_id(&key, worker->id))
        return check_differs(c, "worker %s: no id", worker->id);
    r = check_key(c, TABLE_WORKER_ID, &key, worker->seq);
    return r ? r : check_mark(c, TABLE_WORKER_OF_CLUSTER, worker->cluster_seq, worker->seq);
}

static int each_worker(void *context, struct txn *txn, uint64_t seq)
{
    State__Worker *worker;
    int r = table_worker(txn, seq, &worker);

    if (r != 0)
        return r > 0 ? check_differs(context, "worker: no record") : err_up(r);
    r = check_worker(context, worker);
    state__worker__free_unpacked(worker, NULL);
    return r;
}

uint64_t check_port_hash(const State__Port *port)
{
    uint64_t word = ((uint64_t)port->number << 1 | (port->udp ? 1u : 0u)) + 1;

    word *= UINT64_C(0x9e3779b97f4a7c15);
    return word ^ word >> 31;
}

/* ---- what was added up, against what is stored */

static int compare_cluster(struct check *c, const struct sum *sum)
{
    State__ClusterCount *count;
    int r = table_cluster_count(c->txn, sum->seq, &count);

    if (r != 0)
        return r > 0 ? check_differs(c, "cluster: no count") : err_up(r);
    if (count->running_tasks != sum->running || count->pending_tasks != sum->pending ||
        count->active_services != sum->services || count->workers != sum->workers)
        r = check_differs(
            c,
            "cluster %llu: %u running, %u pending, %u services, %u workers; not %llu, "
            "%llu, %llu, %llu",
            (unsigned long long)sum->seq, count->running_tasks, count->pending_tasks,
            count->active_services, count->workers, (unsigned long long)sum->running,
            (unsigned long long)sum->pending, (unsigned long long)sum->services,
            (unsigned long long)sum->workers);
    state__cluster_count__free_unpacked(count, NULL);
    return r;
}

static int compare_deployment(struct check *c, const struct sum *sum)
{
    State__Deployment *deployment;
    int r = table_deployment(c->txn, sum->owner, sum->seq, &deployment);

    if (r != 0)
        return r > 0 ? check_differs(c, "deployment: no record") : err_up(r);
    if (deployment->running_count != sum->running || deployment->pending_count != sum->pending ||
        deployment->stopping_count != sum->stopping)
        r = check_differs(
            c, "deployment %s: %u running, %u pending, %u stopping; not %llu, %llu, %llu",
            deployment->id, deployment->running_count, deployment->pending_count,
            deployment->stopping_count, (unsigned long long)sum->running,
            (unsigned long long)sum->pending, (unsigned long long)sum->stopping);
    state__deployment__free_unpacked(deployment, NULL);
    return r;
}

static int compare_usage(struct check *c, const struct sum *sum, const State__WorkerUsage *usage)
{
    uint64_t ports_hash = 0;

    for (size_t i = 0; i < usage->n_ports; i++)
        ports_hash += check_port_hash(usage->ports[i]);
    if (usage->running_tasks != sum->running || usage->pending_tasks != sum->pending)
        return check_differs(c, "worker %llu: %u running, %u pending; not %llu, %llu",
                             (unsigned long long)sum->seq, usage->running_tasks,
                             usage->pending_tasks, (unsigned long long)sum->running,
                             (unsigned long long)sum->pending);
    if (usage->cpu != sum->cpu || usage->memory != sum->memory)
        return check_differs(c, "worker %llu: cpu %u, memory %u taken; not %llu, %llu",
                             (unsigned long long)sum->seq, usage->cpu, usage->memory,
                             (unsigned long long)sum->cpu, (unsigned long long)sum->memory);
    if (usage->n_ports != sum->ports || ports_hash != sum->ports_hash)
        return check_differs(c, "worker %llu: other ports are taken", (unsigned long long)sum->seq);
    if (usage->changed_index < sum->changed_index)
        return check_differs(c, "worker %llu: would not hear of a change",
                             (unsigned long long)sum->seq);
    return 0;
}

static int compare_worker(struct check *c, const struct sum *sum)
{
    State__WorkerUsage *usage;
    int r = table_worker_usage(c->txn, sum->seq, &usage);

    if (r != 0)
        return r > 0 ? check_differs(c, "worker: no usage") : err_up(r);
    r = compare_usage(c, sum, usage);
    state__worker_usage__free_unpacked(usage, NULL);
    return r;
}

static int compare_all(struct check *c, const struct sums *sums,
                       int (*compare)(struct check *c, const struct sum *sum))
{
    int r = 0;

    for (size_t i = 0; i < sums->count && r == 0; i++)
        r = compare(c, &sums->items[i]);
    return r;
}

/* ---- how many keys an index has; families, tokens */

static int count_key(void *context, struct txn *txn, struct bytes key, struct bytes value)
{
    (void)txn;
    (void)key;
    (void)value;
    ++*(uint64_t *)context;
    return 0;
}

static int compare_keys(struct check *c, enum table table)
{
    struct key first = {0};
    uint64_t count = 0;
    int r = record_walk(c->txn, table, &first, 0, count_key, &count);

    if (r < 0)
        return err_up(r);
    return count == c->keys[table]
               ? 0
               : check_differs(c, "%s: %llu keys, not %llu", table_names[table],
                               (unsigned long long)count, (unsigned long long)c->keys[table]);
}

static int compare_indexes(struct check *c)
{
    static const enum table tables[] = {
        TABLE_CLUSTER_NAME,      TABLE_CLUSTER_COUNT,   TABLE_FAMILY,
        TABLE_SERVICE_NAME,      TABLE_TOKEN,           TABLE_SERVICE_OF_CLUSTER,
        TABLE_SERVICE_EVENT,     TABLE_DEPLOYMENT,      TABLE_TASK_STATUS,
        TABLE_TASK_ID,           TABLE_TASK_OF_CLUSTER, TABLE_TASK_OF_SERVICE,
        TABLE_TASK_OF_WORKER,    TABLE_TASK_STOPPED,    TABLE_WORKER_ID,
        TABLE_WORKER_OF_CLUSTER, TABLE_WORKER_USAGE,
    };
    int r = 0;

    for (size_t i = 0; i < sizeof tables / sizeof *tables && r == 0; i++)
        r = compare_keys(c, tables[i]);
    return r;
}

static int check_family(struct check *c, const State__TaskDefinition *definition)
{
    struct family known;
    int r = table_family(c->txn, definition->family, &known);

    if (r < 0)
        return err_up(r);
    if (r > 0 || known.newest < definition->revision ||
        (definition->active && known.newest_active < definition->revision) ||
        (!definition->active && known.newest_active == definition->revision))
        return check_differs(c, "task definition %s:%u: its family does not know it",
                             definition->family, definition->revision);
    c->keys[TABLE_FAMILY] += known.newest == definition->revision;
    return 0;
}

static int each_definition(void *context, const State__TaskDefinition *definition)
{
    return check_family(context, definition);
}

/* Every token has its age, and the other way round. */
static int each_age(void *context, struct txn *txn, struct bytes key, struct bytes value)
{
    struct check *c = context;
    struct bytes token = {(const uint8_t *)key.base + 8, key.len - 8};
    int r = txn_get(txn, TABLE_TOKEN, token, &value);

    c->keys[TABLE_TOKEN]++;
    return r > 0 ? check_differs(c, "token_age: no token") : err_up(r);
}

/* A token to join with lies under its own id. */
static int each_join_token(void *context, struct txn *txn, struct bytes key, struct bytes value)
{
    State__JoinToken *token;
    bool fits;
    int r = record_unpack(value, &state__join_token__descriptor, &token);

    (void)txn;
    if (r < 0)
        return err_up(r);
    fits = key.len == 4 && be32_get(key.base) == token->id && token->id != 0 &&
           token->secret_digest.len > 0;
    state__join_token__free_unpacked(token, NULL);
    return fits ? 0 : check_differs(context, "join_token: a record under another id");
}

static int check_all(struct check *c)
{
    struct key first = {0};
    int r = table_clusters(c->txn, 0, each_cluster, c);

    if (r == 0)
        r = table_services(c->txn, 0, 0, each_service, c);
    if (r == 0)
        r = table_all_workers(c->txn, 0, each_worker, c);
    if (c->deployments.count > 0)
        qsort(c->deployments.items, c->deployments.count, sizeof(struct sum), compare_sums);
    if (r == 0)
        r = check_tasks(c);
    if (r == 0)
        r = table_task_definitions(c->txn, "", 0, each_definition, c);
    if (r == 0)
        r = record_walk(c->txn, TABLE_TOKEN_AGE, &first, 0, each_age, c);
    if (r == 0)
        r = record_walk(c->txn, TABLE_JOIN_TOKEN, &first, 0, each_join_token, c);
    if (r == 0 && !c->text)
        r = compare_all(c, &c->clusters, compare_cluster);
    if (r == 0 && !c->text)
        r = compare_all(c, &c->deployments, compare_deployment);
    if (r == 0 && !c->text)
        r = compare_all(c, &c->workers, compare_worker);
    if (r == 0 && !c->text)
        r = compare_indexes(c);
    return r < 0 ? err_up(r) : 0;
}

int tables_check(struct txn *txn, char **out_text)
{
    struct check c = {.txn = txn};
    int r = check_all(&c);

    free(c.clusters.items);
    free(c.deployments.items);
    free(c.workers.items);
    if (r < 0) {
        free(c.text);
        return err_up(r);
    }
    *out_text = c.text;
    return 0;
}
