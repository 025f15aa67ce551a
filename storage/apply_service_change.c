/* What several commands do to a service: its events, its steadiness, its end. */
#include <errno.h>
#include <stdio.h>

#include "storage/apply_inner.h"
#include "storage/tables_write.h"

enum {
    EVENT_BYTES_MAX = 8192,
    EVENT_ID_BYTES_MAX = 64,
    UUID_BYTES = 37,
};

/* A UUID (version 8: of our own making) that every manager derives alike: apply has no chance. */
static void make_id(char out[UUID_BYTES], uint64_t index, uint64_t service_seq, uint64_t number)
{
    uint64_t high = (index + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ service_seq;
    uint64_t low = (number + 1) * UINT64_C(0xbf58476d1ce4e5b9) ^ (high >> 31);

    high = high * UINT64_C(0x94d049bb133111eb) ^ (low >> 29);
    low = low * UINT64_C(0x9e3779b97f4a7c15) ^ (high >> 32);
    snprintf(out, UUID_BYTES, "%08x-%04x-8%03x-%04x-%012llx", (unsigned)(high >> 32),
             (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xfff),
             (unsigned)(0x8000 | (low >> 48 & 0x3fff)),
             (unsigned long long)(low & UINT64_C(0xffffffffffff)));
}

int service_tell(struct apply *a, struct held *service, const char *id, const char *message)
{
    State__ServiceEvent event = STATE__SERVICE_EVENT__INIT;
    State__Service *record = service->service;
    char made[UUID_BYTES];
    char cut[EVENT_BYTES_MAX + 1];
    char own[EVENT_ID_BYTES_MAX + 1];

    record->event_count++;
    service->changed = true;
    make_id(made, a->index, record->seq, record->event_count);
    snprintf(own, sizeof own, "%s", id && *id ? id : made);
    snprintf(cut, sizeof cut, "%s", message);
    text_cut(cut, EVENT_BYTES_MAX - 1); /* Not within a character. */
    event.id = own;
    event.message = cut;
    event.created_ms = a->now_ms;
    return err_up(table_add_service_event(a->txn, record->seq, record->event_count, &event));
}

int service_unsettle(struct apply *a, uint64_t service_seq)
{
    struct held *held;
    int r;

    if (service_seq == 0)
        return 0;
    r = hold_service(a, service_seq, &held);
    if (r != 0)
        return r > 0 ? err_new(-EUCLEAN) : err_up(r);
    if (held->service->steady) {
        held->service->steady = false;
        held->changed = true;
    }
    return 0;
}

static int each_deployment(void *context, const State__Deployment *deployment)
{
    uint64_t *live = context;

    *live += deployment->running_count;
    *live += deployment->pending_count;
    *live += deployment->stopping_count;
    return 0;
}

/* Reads the tables, not what is held: before this command has changed a task. */
int service_live_tasks(struct apply *a, uint64_t service_seq, uint64_t *out)
{
    uint64_t live = 0;
    int r = table_deployments(a->txn, service_seq, each_deployment, &live);

    if (r < 0)
        return err_up(r);
    *out = live;
    return 0;
}

int service_set_status(struct apply *a, struct held *service, State__ServiceStatus status)
{
    State__Service *record = service->service;
    struct held *count;
    int r;

    if (record->status == STATE__SERVICE_STATUS__SERVICE_ACTIVE) {
        r = hold_cluster_count(a, record->cluster_seq, &count);
        if (r != 0)
            return r > 0 ? err_new(-EUCLEAN) : err_up(r);
        if (count->count->active_services == 0)
            return err_new(-EUCLEAN);
        count->count->active_services--;
        count->changed = true;
    }
    record->status = status;
    service->changed = true;
    return 0;
}
