/* Held records: read once a command, written once. */
#include <errno.h>
#include <stdlib.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "storage/apply_inner.h"
#include "storage/tables_write.h"

static size_t slot_of(const struct held_set *set, enum held_kind kind, uint64_t seq)
{
    uint64_t hash = (seq * 8 + (uint64_t)kind) * UINT64_C(0x9e3779b97f4a7c15);
    size_t slot = (size_t)(hash >> 32) & (set->slot_count - 1);

    while (set->slots[slot] != 0) {
        const struct held *held = set->items[set->slots[slot] - 1];

        if (held->kind == kind && held->seq == seq)
            break;
        slot = (slot + 1) & (set->slot_count - 1);
    }
    return slot;
}

static struct held *find(const struct held_set *set, enum held_kind kind, uint64_t seq)
{
    size_t position = set->slot_count ? set->slots[slot_of(set, kind, seq)] : 0;

    return position ? set->items[position - 1] : NULL;
}

static void grow(struct held_set *set)
{
    set->cap = set->cap ? set->cap * 2 : 16;
    set->items = mem_resize(set->items, set->cap, sizeof(struct held *));
    free(set->slots);
    set->slot_count = set->cap * 2;
    set->slots = mem_new_array(size_t, set->slot_count);
    for (size_t i = 0; i < set->count; i++)
        set->slots[slot_of(set, set->items[i]->kind, set->items[i]->seq)] = i + 1;
}

/* Takes message. */
static struct held *add(struct held_set *set, enum held_kind kind, uint64_t seq,
                        ProtobufCMessage *message)
{
    struct held *held = mem_new(struct held);

    if (set->count == set->cap)
        grow(set);
    held->kind = kind;
    held->seq = seq;
    held->message = message;
    set->items[set->count++] = held;
    set->slots[slot_of(set, kind, seq)] = set->count;
    return held;
}

/* What every hold below ends with, given how reading went. */
static int loaded(struct apply *a, enum held_kind kind, uint64_t seq, int r,
                  ProtobufCMessage *message, struct held **out)
{
    if (r != 0)
        return r > 0 ? TABLE_ABSENT : err_up(r);
    *out = add(&a->held, kind, seq, message);
    return 0;
}

int hold_cluster_count(struct apply *a, uint64_t cluster_seq, struct held **out)
{
    State__ClusterCount *count = NULL;
    int r;

    *out = find(&a->held, HELD_CLUSTER_COUNT, cluster_seq);
    if (*out)
        return 0;
    r = table_cluster_count(a->txn, cluster_seq, &count);
    r = loaded(a, HELD_CLUSTER_COUNT, cluster_seq, r, (ProtobufCMessage *)count, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int hold_service(struct apply *a, uint64_t service_seq, struct held **out)
{
    State__Service *service = NULL;
    int r;

    *out = find(&a->held, HELD_SERVICE, service_seq);
    if (*out)
        return 0;
    r = table_service(a->txn, service_seq, &service);
    r = loaded(a, HELD_SERVICE, service_seq, r, (ProtobufCMessage *)service, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int hold_deployment(struct apply *a, uint64_t service_seq, uint64_t deployment_seq,
                    struct held **out)
{
    State__Deployment *deployment = NULL;
    int r;

    *out = find(&a->held, HELD_DEPLOYMENT, deployment_seq);
    if (*out)
        return (*out)->deployment->service_seq == service_seq ? 0 : TABLE_ABSENT;
    r = table_deployment(a->txn, service_seq, deployment_seq, &deployment);
    r = loaded(a, HELD_DEPLOYMENT, deployment_seq, r, (ProtobufCMessage *)deployment, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int hold_worker(struct apply *a, uint64_t worker_seq, struct held **out)
{
    State__Worker *worker = NULL;
    int r;

    *out = find(&a->held, HELD_WORKER, worker_seq);
    if (*out)
        return 0;
    r = table_worker(a->txn, worker_seq, &worker);
    r = loaded(a, HELD_WORKER, worker_seq, r, (ProtobufCMessage *)worker, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

int hold_usage(struct apply *a, uint64_t worker_seq, struct held **out)
{
    State__WorkerUsage *usage = NULL;
    int r;

    *out = find(&a->held, HELD_USAGE, worker_seq);
    if (*out)
        return 0;
    r = table_worker_usage(a->txn, worker_seq, &usage);
    r = loaded(a, HELD_USAGE, worker_seq, r, (ProtobufCMessage *)usage, out);
    return r > 0 ? TABLE_ABSENT : err_up(r);
}

static int write_one(struct apply *a, const struct held *held)
{
    switch (held->kind) {
    case HELD_CLUSTER_COUNT:
        apply_changed(a, CHANGE_CLUSTER, held->seq);
        return err_up(table_put_cluster_count(a->txn, held->seq, held->count));
    case HELD_SERVICE:
        apply_changed(a, CHANGE_SERVICE, held->seq);
        return err_up(table_put_service(a->txn, held->service));
    case HELD_DEPLOYMENT:
        apply_changed(a, CHANGE_SERVICE, held->deployment->service_seq);
        return err_up(table_put_deployment(a->txn, held->deployment));
    case HELD_WORKER:
        apply_changed(a, CHANGE_WORKER, held->seq);
        return err_up(table_put_worker(a->txn, held->worker));
    case HELD_USAGE:
        apply_changed(a, CHANGE_WORKER, held->seq);
        return err_up(table_put_worker_usage(a->txn, held->seq, held->usage));
    }
    return 0;
}

int held_write(struct apply *a)
{
    int r = 0;

    for (size_t i = 0; i < a->held.count && r == 0; i++)
        if (a->held.items[i]->changed)
            r = write_one(a, a->held.items[i]);
    return err_up(r);
}

void held_fini(struct held_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        protobuf_c_message_free_unpacked(set->items[i]->message, NULL);
        free(set->items[i]);
    }
    free(set->items);
    free(set->slots);
    *set = (struct held_set){0};
}
