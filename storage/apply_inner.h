/*
 * What the files of apply share: the command at work, the records it holds, and how it ends.
 *
 * A command reads, checks, and only then writes; records that many of its steps change (counts,
 * usage, services, deployments) are held: read once, changed in memory, written once when the
 * command is done, and forgotten when it is refused. So a refused command leaves no trace.
 */
#pragma once

#include "proto/base/err.h"
#include "proto/base/scope.h"
#include "proto/command.pb-c.h"
#include "storage/apply.h"
#include "storage/tables.h"

/* Ends of a step that are not failures. They travel up to apply() by out_up(). */
enum apply_outcome {
    APPLY_REFUSED = 1,  /* result->problem says why. */
    APPLY_ANSWERED = 2, /* The result is complete, and nothing changes. */
};

enum held_kind {
    HELD_CLUSTER_COUNT,
    HELD_SERVICE,
    HELD_DEPLOYMENT,
    HELD_WORKER,
    HELD_USAGE,
};

/* A record held for the length of a command. Set `changed` after changing what it points to. */
struct held {
    enum held_kind kind;
    uint64_t seq; /* Of the cluster, service, deployment or worker. */
    bool changed;
    union {
        ProtobufCMessage *message;
        State__ClusterCount *count;
        State__Service *service;
        State__Deployment *deployment;
        State__Worker *worker;
        State__WorkerUsage *usage;
    };
};

struct held_set {
    struct held **items; /* In the order of first use, which is the order of writing. */
    size_t count;
    size_t cap;
    size_t *slots; /* Open addressing; 1 + position in items, 0: free. */
    size_t slot_count;
};

struct apply {
    struct txn *txn;
    uint64_t index;
    uint64_t now_ms;
    Command__CommandResult *result;
    struct held_set held;
    struct changes changes;    /* As they come: with repetitions, in no order. */
    State__Settings *settings; /* Read when first asked for. */
};

/* An outcome or a failure on its way up: a step's caller passes both on. */
static inline int out_up_at(int r, const char *file, int line, const char *func)
{
    return r > 0 ? r : err_up_at(r, file, line, func);
}

#define out_up(r) out_up_at((r), __FILE__, __LINE__, __func__)

/* ---- the end of a command (apply.c) */

/* Refuse: the problem is the answer. Comes to APPLY_REFUSED, so that `return apply_refuse(...)`
 * is one line and static analysis sees what it returns. */
void apply_problem(struct apply *a, Command__ErrorCode code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define apply_refuse(a, ...) (apply_problem((a), __VA_ARGS__), APPLY_REFUSED)

void apply_changed(struct apply *a, enum change_kind kind, uint64_t seq);

/* Copies. */
void apply_result_name(struct apply *a, const char *name);
void apply_result_task(struct apply *a, const char *task_id);
void apply_result_failure(struct apply *a, const char *arn, const char *reason, const char *detail);

/* Region and account for ARNs; empty ones before Bootstrap. Borrowed until the command ends. */
int apply_settings(struct apply *a, const State__Settings **out);

/* ---- held records (apply_held.c). TABLE_ABSENT: there is none. */

int hold_cluster_count(struct apply *a, uint64_t cluster_seq, struct held **out);
int hold_service(struct apply *a, uint64_t service_seq, struct held **out);
int hold_deployment(struct apply *a, uint64_t service_seq, uint64_t deployment_seq,
                    struct held **out);
int hold_worker(struct apply *a, uint64_t worker_seq, struct held **out);
int hold_usage(struct apply *a, uint64_t worker_seq, struct held **out);

/* Write what changed, and tell of it. */
int held_write(struct apply *a);
void held_fini(struct held_set *set);

/* ---- finding what a request names (apply_find.c). They refuse as ECS does. */

/* The ACTIVE cluster. Gives. */
int find_cluster(struct apply *a, const char *text, State__Cluster **out);
/* A service of it, whatever its status. */
int find_service(struct apply *a, uint64_t cluster_seq, const char *text, struct held **out);
/* The ACTIVE revision meant by FAMILY, FAMILY:REVISION or an ARN. Gives. */
int find_definition(struct apply *a, const char *text, State__TaskDefinition **out);
int find_revision(struct apply *a, const char *family, uint32_t revision,
                  State__TaskDefinition **out);

/* ---- text (apply_text.c) */

enum {
    TEXT_REASON_BYTES = 1024, /* Why a task stopped: ECS's limit for StopTask's reason. */
};

/* Replace a string field of a held record, or of a result. Copies text; NULL stores "". */
void text_set(char **field, const char *text);
/* Cut a string of our own at max_len bytes, not within a UTF-8 sequence. NULL is fine. */
void text_cut(char *text, size_t max_len);
bool digest_equal(ProtobufCBinaryData a, ProtobufCBinaryData b);

/* ---- tasks and what is counted of them (apply_task_change.c) */

struct task_pair {
    State__Task *task;
    State__TaskStatus *status;
};

/* TABLE_ABSENT: no such task. Gives both. */
int task_load(struct apply *a, uint64_t seq, struct task_pair *out);
void task_pair_fini(struct task_pair *pair);

static inline void task_pair_fini_scoped(struct task_pair *pair)
{
    task_pair_fini(pair);
}

/* Store a new task with its status, and count it. */
int task_add(struct apply *a, const State__Task *task, State__TaskStatus *status);

/* Store `after` (a changed copy of pair->status, of which it may borrow) and count the difference.
 * Sets its version, and its changed_index if the worker must hear of it. */
int task_change(struct apply *a, const struct task_pair *pair, State__TaskStatus *after,
                bool tell_worker);

/* The manager asks a task to stop, if it has not been asked and is not stopping by itself.
 * *out_asked (NULL is fine) tells if this did it. */
int task_ask_to_stop(struct apply *a, const struct task_pair *pair, State__StopCode code,
                     const char *reason, bool *out_asked);

/* ---- placing (apply_place.c) */

/* What the tasks of one command have in common. All borrowed. */
struct placing {
    uint64_t cluster_seq;
    uint64_t service_seq;    /* 0: standalone. */
    uint64_t deployment_seq; /* 0: standalone. */
    const State__TaskDefinition *definition;
    const char *group;
    const char *started_by;
    Ecs__TaskOverride *overrides; /* NULL: none. */
    Ecs__Tag **tags;
    size_t tag_count;
};

/* Make the task where it was placed, if there is still room, and add it to the result. *out_refusal
 * is ECS's reason
 * ("RESOURCE:CPU", ...) if it was not made, else NULL. */
int place_task(struct apply *a, const struct placing *placing, const Command__Placement *placement,
               const char **out_refusal);

/* ---- tokens to join with (apply_join_token.c) */

/* Forget those that expired or were revoked before a time, at most `limit`. */
int join_tokens_forget(struct apply *a, uint64_t before_ms, uint32_t limit);

/* ---- services (apply_service_change.c) */

/* What its users read: stored as the service's newest event. id may be "": one is made. */
int service_tell(struct apply *a, struct held *service, const char *id, const char *message);
/* The condition of which "steady state" was said has ended. */
int service_unsettle(struct apply *a, uint64_t service_seq);
/* Tasks of it that are not STOPPED. */
int service_live_tasks(struct apply *a, uint64_t service_seq, uint64_t *out);
/* To DRAINING or INACTIVE, keeping the cluster's count of ACTIVE ones. */
int service_set_status(struct apply *a, struct held *service, State__ServiceStatus status);

/* ---- the commands, one function each */

int apply_bootstrap(struct apply *a, const Command__Bootstrap *body);
int apply_create_cluster(struct apply *a, const Command__CreateCluster *body);
int apply_delete_cluster(struct apply *a, const Command__DeleteCluster *body);
int apply_register_task_definition(struct apply *a, const Command__RegisterTaskDefinition *body);
int apply_deregister_task_definition(struct apply *a,
                                     const Command__DeregisterTaskDefinition *body);
int apply_run_task(struct apply *a, const Command__RunTask *body);
int apply_stop_task(struct apply *a, const Command__StopTask *body);
int apply_create_service(struct apply *a, const Command__CreateService *body);
int apply_update_service(struct apply *a, const Command__UpdateService *body);
int apply_delete_service(struct apply *a, const Command__DeleteService *body);
int apply_register_worker(struct apply *a, const Command__RegisterWorker *body);
int apply_lose_workers(struct apply *a, const Command__LoseWorkers *body);
int apply_report_tasks(struct apply *a, const Command__ReportTasks *body);
int apply_place_tasks(struct apply *a, const Command__PlaceTasks *body);
int apply_stop_tasks(struct apply *a, const Command__StopTasks *body);
int apply_note_service(struct apply *a, const Command__NoteService *body);
int apply_expire(struct apply *a, const Command__Expire *body);
int apply_create_token(struct apply *a, const Command__CreateToken *body);
int apply_revoke_token(struct apply *a, const Command__RevokeToken *body);

/* The cluster of this name, made now (apply_cluster.c). spec is borrowed, NULL is fine. */
int cluster_make(struct apply *a, const char *name, Ecs__CreateClusterRequest *spec,
                 uint64_t *out_seq);

/* The next sequence number of a noun (apply.c); `counter` is an enum counter. */
int apply_next_seq(struct apply *a, int counter, uint64_t *out);

/* Unpacked records that live in one function. */
static inline void cluster_free(State__Cluster *record)
{
    state__cluster__free_unpacked(record, NULL);
}
static inline void definition_free(State__TaskDefinition *record)
{
    state__task_definition__free_unpacked(record, NULL);
}

SCOPED(State__Cluster *, cluster_free);
SCOPED(State__TaskDefinition *, definition_free);
