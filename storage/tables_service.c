/* Services, their deployments and events. */
#include <errno.h>

#include "proto/base/err.h"
#include "storage/tables_record.h"
#include "storage/tables_write.h"

static void name_key(struct key *key, uint64_t cluster_seq, const char *name)
{
    key_seq(key, cluster_seq);
    key_add_text(key, name);
}

int table_service(struct txn *txn, uint64_t service_seq, State__Service **out)
{
    struct key key;
    int r;

    key_seq(&key, service_seq);
    r = record_get(txn, TABLE_SERVICE, &key, &state__service__descriptor, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int table_service_by_name(struct txn *txn, uint64_t cluster_seq, const char *name,
                          State__Service **out)
{
    struct key key;
    uint64_t seq;
    int r;

    if (!key_name_fits(name))
        return TABLE_ABSENT;
    name_key(&key, cluster_seq, name);
    r = record_get_seq(txn, TABLE_SERVICE_NAME, &key, &seq);
    if (r != 0)
        return r > 0 ? TABLE_ABSENT : err_up(r);
    r = table_service(txn, seq, out);
    return r > 0 ? err_new(-EUCLEAN) : err_up(r);
}

int table_deployment(struct txn *txn, uint64_t service_seq, uint64_t deployment_seq,
                     State__Deployment **out)
{
    struct key key;
    int r;

    key_seqs(&key, service_seq, deployment_seq);
    r = record_get(txn, TABLE_DEPLOYMENT, &key, &state__deployment__descriptor, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

struct service_walk {
    int (*each)(void *context, const State__Service *service);
    void *context;
};

static int give_service(const struct service_walk *walk, State__Service *service)
{
    int r = walk->each(walk->context, service);

    state__service__free_unpacked(service, NULL);
    return r;
}

static int each_service(void *context, struct txn *txn, struct bytes key, struct bytes value)
{
    State__Service *service;
    int r = record_unpack(value, &state__service__descriptor, &service);

    (void)txn;
    (void)key;
    return r < 0 ? err_up(r) : give_service(context, service);
}

static int each_service_seq(void *context, struct txn *txn, uint64_t seq)
{
    State__Service *service;
    int r = table_service(txn, seq, &service);

    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    return give_service(context, service);
}

int table_services(struct txn *txn, uint64_t cluster_seq, uint64_t after_seq,
                   int (*each)(void *context, const State__Service *service), void *context)
{
    struct service_walk walk = {each, context};
    struct key from;

    if (after_seq == UINT64_MAX)
        return 0;
    if (cluster_seq == 0) {
        key_seq(&from, after_seq + 1);
        return err_up(record_walk(txn, TABLE_SERVICE, &from, 0, each_service, &walk));
    }
    key_seq(&from, cluster_seq);
    return err_up(
        record_walk_seqs(txn, TABLE_SERVICE_OF_CLUSTER, &from, after_seq, each_service_seq, &walk));
}

struct deployment_walk {
    int (*each)(void *context, const State__Deployment *deployment);
    void *context;
};

static int each_deployment(void *context, struct txn *txn, struct bytes key, struct bytes value)
{
    const struct deployment_walk *walk = context;
    State__Deployment *deployment;
    int r = record_unpack(value, &state__deployment__descriptor, &deployment);

    (void)txn;
    (void)key;
    if (r < 0)
        return err_up(r);
    r = walk->each(walk->context, deployment);
    state__deployment__free_unpacked(deployment, NULL);
    return r;
}

int table_deployments(struct txn *txn, uint64_t service_seq,
                      int (*each)(void *context, const State__Deployment *deployment),
                      void *context)
{
    struct deployment_walk walk = {each, context};
    struct key from;

    key_seq(&from, service_seq);
    return err_up(record_walk(txn, TABLE_DEPLOYMENT, &from, from.len, each_deployment, &walk));
}

/* Events are few (LIMIT_SERVICE_EVENTS), but the newest is the last key: walk back from the end. */
int table_service_events(struct txn *txn, uint64_t service_seq,
                         int (*each)(void *context, const State__ServiceEvent *event),
                         void *context)
{
    scope(cursor_close) struct cursor *cursor = NULL;
    struct bytes key, value;
    struct key from;
    int r = cursor_open(txn, TABLE_SERVICE_EVENT, &cursor);

    if (r < 0)
        return err_up(r);
    key_seqs(&from, service_seq, UINT64_MAX);
    r = cursor_seek(cursor, key_bytes(&from), &key, &value);
    r = r == ENV_ABSENT ? cursor_last(cursor, &key, &value)
        : r == 0        ? cursor_prev(cursor, &key, &value)
                        : r;
    while (r == 0 && key.len == 16 && be64_get(key.base) == service_seq) {
        State__ServiceEvent *event;

        r = record_unpack(value, &state__service_event__descriptor, &event);
        if (r < 0)
            return err_up(r);
        r = each(context, event);
        state__service_event__free_unpacked(event, NULL);
        if (r != 0)
            return r > 0 ? 0 : err_up(r);
        r = cursor_prev(cursor, &key, &value);
    }
    return r == ENV_ABSENT ? 0 : err_up(r);
}

int table_put_service(struct txn *txn, const State__Service *service)
{
    struct key key;

    key_seq(&key, service->seq);
    return err_up(record_put(txn, TABLE_SERVICE, &key, &service->base));
}

int table_add_service(struct txn *txn, const State__Service *service)
{
    struct key key;
    int r = table_put_service(txn, service);

    if (r < 0)
        return err_up(r);
    must(key_name_fits(service->name));
    name_key(&key, service->cluster_seq, service->name);
    r = record_put_seq(txn, TABLE_SERVICE_NAME, &key, service->seq);
    if (r < 0)
        return err_up(r);
    key_seqs(&key, service->cluster_seq, service->seq);
    return err_up(record_mark(txn, TABLE_SERVICE_OF_CLUSTER, &key));
}

int table_put_deployment(struct txn *txn, const State__Deployment *deployment)
{
    struct key key;

    key_seqs(&key, deployment->service_seq, deployment->seq);
    return err_up(record_put(txn, TABLE_DEPLOYMENT, &key, &deployment->base));
}

int table_del_deployment(struct txn *txn, uint64_t service_seq, uint64_t deployment_seq)
{
    struct key key;

    key_seqs(&key, service_seq, deployment_seq);
    return err_up(record_drop(txn, TABLE_DEPLOYMENT, &key));
}

int table_add_service_event(struct txn *txn, uint64_t service_seq, uint64_t number,
                            const State__ServiceEvent *event)
{
    struct key key;
    int r;

    key_seqs(&key, service_seq, number);
    r = record_put(txn, TABLE_SERVICE_EVENT, &key, &event->base);
    if (r < 0)
        return err_up(r);
    if (number <= LIMIT_SERVICE_EVENTS)
        return 0;
    key_seqs(&key, service_seq, number - LIMIT_SERVICE_EVENTS);
    return err_up(record_drop(txn, TABLE_SERVICE_EVENT, &key));
}
