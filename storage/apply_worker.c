/* RegisterWorker, LoseWorkers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "proto/base/mem.h"
#include "proto/limits.h"
#include "storage/apply_inner.h"
#include "storage/tables_write.h"

static int invalid(struct apply *a, const char *text)
{
    return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER, "%s", text);
}

/* ---- RegisterWorker */

static bool short_enough(const char *text)
{
    return strnlen(text, LIMIT_NAME_CHARS + 1) <= LIMIT_NAME_CHARS;
}

static int check_registration(struct apply *a, const Command__RegisterWorker *body)
{
    if (!id_is_valid(body->id))
        return invalid(a, "Invalid worker id.");
    if (!short_enough(body->name) || !short_enough(body->zone) || !short_enough(body->address) ||
        !short_enough(body->version))
        return invalid(a, "A worker's name, zone, address or version is too long.");
    if (body->n_attributes > LIMIT_ATTRIBUTES)
        return invalid(a, "Too many attributes.");
    return 0;
}

static const char *cluster_name(const Command__RegisterWorker *body)
{
    return *body->cluster ? body->cluster : "default";
}

/* The cluster to join. *out_seq is 0 if it is "default" and has yet to be made. */
static int find_joined(struct apply *a, const Command__RegisterWorker *body, uint64_t *out_seq)
{
    scope(cluster_free) State__Cluster *cluster = NULL;
    const char *name = cluster_name(body);
    int r = table_cluster_by_name(a->txn, name, &cluster);

    if (r < 0)
        return err_up(r);
    *out_seq = 0;
    if (cluster && cluster->status == STATE__CLUSTER_STATUS__CLUSTER_ACTIVE)
        *out_seq = cluster->seq;
    else if (strcmp(name, "default") != 0)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_CLUSTER_NOT_FOUND, "%s",
                            cluster ? "The referenced cluster was inactive."
                                    : "Cluster not found.");
    return 0;
}

static int count_worker(struct apply *a, uint64_t cluster_seq)
{
    struct held *count;
    int r = hold_cluster_count(a, cluster_seq, &count);

    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    count->count->workers++;
    count->changed = true;
    return 0;
}

/* The worker's attributes with its zone as ECS names it. Fills in the caller's space; borrows. */
struct attributes {
    Ecs__Attribute zone;
    Ecs__Attribute *items[LIMIT_ATTRIBUTES + 1];
    size_t count;
};

static void attributes_with_zone(struct attributes *out, const Command__RegisterWorker *body)
{
    static const char zone_name[] = "ecs.availability-zone";

    out->count = 0;
    for (size_t i = 0; i < body->n_attributes; i++) {
        const char *name = body->attributes[i]->name;

        if (!name || strcmp(name, zone_name) != 0)
            out->items[out->count++] = body->attributes[i];
    }
    ecs__attribute__init(&out->zone);
    out->zone.name = (char *)zone_name;
    out->zone.value = body->zone;
    out->items[out->count++] = &out->zone;
}

/* What the registration says of the worker. Borrows, also of the caller's attributes. */
static void fill_worker(State__Worker *worker, const Command__RegisterWorker *body,
                        struct attributes *attributes)
{
    attributes_with_zone(attributes, body);
    worker->id = body->id;
    worker->name = body->name;
    worker->zone = body->zone;
    worker->address = body->address;
    worker->cpu = body->cpu;
    worker->memory = body->memory;
    worker->version = body->version;
    worker->session = body->session;
    worker->attributes = attributes->items;
    worker->n_attributes = attributes->count;
}

static int register_new(struct apply *a, uint64_t cluster_seq, const Command__RegisterWorker *body)
{
    State__WorkerUsage usage = STATE__WORKER_USAGE__INIT;
    State__Worker worker = STATE__WORKER__INIT;
    struct attributes attributes;
    int r = cluster_seq ? 0 : cluster_make(a, "default", NULL, &cluster_seq);

    if (r == 0)
        r = apply_next_seq(a, COUNTER_WORKER, &worker.seq);
    if (r == 0)
        r = count_worker(a, cluster_seq);
    if (r < 0)
        return err_up(r);
    fill_worker(&worker, body, &attributes);
    worker.cluster_seq = cluster_seq;
    worker.registered_ms = a->now_ms;
    usage.connected = true;
    apply_changed(a, CHANGE_WORKER, worker.seq);
    a->result->seq = worker.seq;
    a->result->cluster_seq = cluster_seq;
    return err_up(table_add_worker(a->txn, &worker, &usage));
}

static int reconnect(struct apply *a, uint64_t worker_seq)
{
    struct held *usage;
    int r = hold_usage(a, worker_seq, &usage);

    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    usage->changed |= !usage->usage->connected;
    usage->usage->connected = true;
    return 0;
}

/* A worker that is back: the same record, a new session. DRAINING stays as it was. */
static int register_again(struct apply *a, const State__Worker *known, uint64_t cluster_seq,
                          const Command__RegisterWorker *body)
{
    State__Worker worker = *known;
    struct attributes attributes;
    int r = 0;

    if (known->cluster_seq != cluster_seq)
        return invalid(a, "A worker must stay in its cluster.");
    fill_worker(&worker, body, &attributes);
    if (known->status == STATE__WORKER_STATUS__WORKER_INACTIVE) {
        worker.status = STATE__WORKER_STATUS__WORKER_ACTIVE;
        r = count_worker(a, cluster_seq);
    }
    if (r == 0)
        r = reconnect(a, known->seq);
    if (r < 0)
        return err_up(r);
    apply_changed(a, CHANGE_WORKER, known->seq);
    a->result->seq = known->seq;
    a->result->cluster_seq = cluster_seq;
    return err_up(table_put_worker(a->txn, &worker));
}

static int register_found(struct apply *a, uint64_t seq, uint64_t cluster_seq,
                          const Command__RegisterWorker *body)
{
    State__Worker *known;
    int r = table_worker(a->txn, seq, &known);

    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    r = register_again(a, known, cluster_seq, body);
    state__worker__free_unpacked(known, NULL);
    return out_up(r);
}

int apply_register_worker(struct apply *a, const Command__RegisterWorker *body)
{
    uint64_t cluster_seq, seq;
    int r = check_registration(a, body);

    if (r == 0)
        r = find_joined(a, body, &cluster_seq);
    if (r != 0)
        return out_up(r);
    r = table_worker_seq(a->txn, body->id, &seq);
    if (r < 0)
        return err_up(r);
    r = r == TABLE_ABSENT ? register_new(a, cluster_seq, body)
                          : register_found(a, seq, cluster_seq, body);
    if (r != 0)
        return out_up(r);
    apply_result_name(a, cluster_name(body));
    return 0;
}

/* ---- LoseWorkers */

struct seqs {
    uint64_t *items;
    size_t count;
    size_t cap;
};

static int collect(void *context, struct txn *txn, uint64_t seq)
{
    struct seqs *seqs = context;

    (void)txn;
    if (seqs->count == seqs->cap) {
        seqs->cap = seqs->cap ? seqs->cap * 2 : 64;
        seqs->items = mem_resize(seqs->items, seqs->cap, sizeof *seqs->items);
    }
    seqs->items[seqs->count++] = seq;
    return 0;
}

/* STOPPED at once, so that it is replaced at once; should its worker return, it is told. */
static int lose_task(struct apply *a, uint64_t seq, const char *reason)
{
    scope(task_pair_fini) struct task_pair pair = {0};
    State__TaskStatus after;
    int r = task_load(a, seq, &pair);

    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    after = *pair.status;
    after.state = STATE__TASK_STATE__TASK_STOPPED;
    after.desired_stopped = true;
    after.stopped_ms = a->now_ms;
    if (after.stopping_ms == 0)
        after.stopping_ms = a->now_ms;
    if (after.started_ms != 0)
        after.execution_stopped_ms = a->now_ms;
    if (after.stop_code == STATE__STOP_CODE__STOP_NONE)
        after.stopped_reason = (char *)reason;
    r = task_change(a, &pair, &after, true);
    if (r == 0)
        r = service_unsettle(a, pair.task->service_seq);
    return err_up(r);
}

static int lose_tasks(struct apply *a, uint64_t worker_seq, const char *reason)
{
    struct seqs tasks = {0};
    int r = table_tasks_of_worker(a->txn, worker_seq, 0, collect, &tasks);

    for (size_t i = 0; i < tasks.count && r == 0; i++)
        r = lose_task(a, tasks.items[i], reason);
    free(tasks.items);
    return err_up(r);
}

/* session 0: whatever it is. A worker that has registered anew since is not lost. */
static int lose_worker(struct apply *a, uint64_t worker_seq, uint64_t session, const char *reason)
{
    struct held *worker, *usage;
    int r = hold_worker(a, worker_seq, &worker);

    if (r != 0)
        return r > 0 ? 0 : err_up(r);
    r = hold_usage(a, worker_seq, &usage);
    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    if (!usage->usage->connected || (session != 0 && session != worker->worker->session))
        return 0;
    usage->usage->connected = false;
    usage->changed = true;
    return err_up(lose_tasks(a, worker_seq, reason));
}

int apply_lose_workers(struct apply *a, const Command__LoseWorkers *body)
{
    char *reason;
    int r = 0;

    if (body->n_sessions > 0 && body->n_sessions != body->n_worker_seqs)
        return invalid(a, "There must be one session for each worker, or none.");
    text_cut(body->reason, TEXT_REASON_BYTES);
    reason = mem_format("Worker lost: %s", *body->reason ? body->reason : "no contact");
    for (size_t i = 0; i < body->n_worker_seqs && r == 0; i++)
        r = lose_worker(a, body->worker_seqs[i], body->n_sessions ? body->sessions[i] : 0, reason);
    free(reason);
    return err_up(r);
}
