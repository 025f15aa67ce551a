/*
 * From tables to answers: what the renderers of all operations (api_<noun>.c) share.
 *
 * A renderer reads the request and a read transaction, for a write also what applying it came to,
 * and fills the response, whose memory is malloc's and is freed whole. Records that are read may
 * be taken apart: their lists move into the response instead of being copied.
 */
#pragma once

#include <stdbool.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/scope.h"
#include "proto/command.pb-c.h"
#include "proto/problem.h"
#include "storage/tables.h"

enum render_outcome {
    RENDER_PROBLEM = 1, /* render->problem is set: the user asked for what is not there. */
};

struct render {
    struct txn *txn;
    const State__Settings *settings;
    const void *request;                  /* Of the operation's own type. */
    const Command__CommandResult *result; /* Of a write; otherwise NULL. */
    const char *secret;                   /* Of a token that was made; otherwise "". */
    void *response;                       /* Of the operation's own type, all absent. */
    Command__Problem *problem;
    State__TaskDefinition *definition; /* The one read last: tasks of a page mostly share theirs. */
};

/* Set an optional scalar. */
#define SET(message, member, value) ((message)->has_##member = 1, (message)->member = (value))

/* Append to a repeated member. Takes item. */
#define ADD(message, member, item)                                                                 \
    do {                                                                                           \
        (message)->member =                                                                        \
            mem_resize((message)->member, (message)->n_##member + 1, sizeof(message)->member[0]);  \
        (message)->member[(message)->n_##member++] = (item);                                       \
    } while (0)

/* Move a repeated member from one message to another that has none. */
#define MOVE_LIST(to, to_member, from, from_member)                                                \
    ((to)->n_##to_member = (from)->n_##from_member, (to)->to_member = (from)->from_member,         \
     (from)->n_##from_member = 0, (from)->from_member = NULL)

/* Refuse: sets the problem and returns RENDER_PROBLEM. */
#define render_refuse(render, code, ...)                                                           \
    ((render)->problem = problem_new((code), __VA_ARGS__), RENDER_PROBLEM)

/* Pass up a failure or an outcome, whichever it is. */
#define render_up(r) ((r) < 0 ? err_up(r) : (r))

/* A time of the tables; 0 stays absent. */
#define SET_TIME(message, member, ms)                                                              \
    do {                                                                                           \
        if ((ms) != 0)                                                                             \
            SET(message, member, (int64_t)(ms));                                                   \
    } while (0)

/* A counter of the tables as ECS's integer. */
static inline int32_t as_count(uint32_t value)
{
    return value > INT32_MAX ? INT32_MAX : (int32_t)value;
}

/* A failures[] entry. Takes arn; copies reason. */
Ecs__Failure *render_failure(char *arn, const char *reason);
/* What a write made is there when its answer is rendered, unless it was forgotten meanwhile. */
int render_gone(struct render *render);

/* The cluster a request names (NULL: "default"); gives *out. An unknown one is a
 * ClusterNotFoundException, one that is no name an InvalidParameterException. */
int render_cluster(struct render *render, const char *asked, State__Cluster **out);

/* A revision; *out is borrowed until the next such call, and NULL if there is none. */
int render_definition(struct render *render, const char *family, uint32_t revision,
                      const State__TaskDefinition **out);

/* The value of a container instance's attribute, or NULL. */
const char *render_attribute(const State__Worker *worker, const char *name);

/* What a walk's `each` returns. */
enum { WALK_ON = 0, WALK_STOP = 1 };

/* A task, and a service with its deployments and events, of the cluster of this name; with its
 * tags if asked for. *out stays NULL if there is no such task. Takes the service's record apart. */
int render_task(struct render *render, const char *cluster_name, uint64_t task_seq, bool tags,
                Ecs__Task **out);
int render_service(struct render *render, const char *cluster_name, State__Service *record,
                   bool tags, Ecs__Service **out);

/* Records of the tables, freed when they leave scope. */
#define RECORD(Type, type)                                                                         \
    static inline void type##_record_free(State__##Type *record)                                   \
    {                                                                                              \
        state__##type##__free_unpacked(record, NULL);                                              \
    }                                                                                              \
    SCOPED(State__##Type *, type##_record_free)

RECORD(Settings, settings);
RECORD(Cluster, cluster);
RECORD(ClusterCount, cluster_count);
RECORD(TaskDefinition, task_definition);
RECORD(Service, service);
RECORD(Deployment, deployment);
RECORD(Task, task);
RECORD(TaskStatus, task_status);
RECORD(Worker, worker);
RECORD(WorkerUsage, worker_usage);

/* ---- listings */

/* One page of ARNs in the making. */
struct listing {
    struct render *render;
    char name[64];    /* What its tokens belong to. */
    uint64_t after;   /* Where it begins. */
    size_t max;       /* Entries a page. */
    size_t looked_at; /* Records so far, fitting or not. */
    uint64_t last;    /* Of them. */
    bool more;        /* The walk stopped before the end. */
    char **arns;      /* Room for max; the response's from the start. */
    size_t *n_arns;
};

/* Begin a page of operation `action` within a cluster (seq 0: of everything). */
int listing_begin(struct listing *listing, struct render *render, const char *action,
                  uint64_t cluster_seq, const char *next_token, int32_t max);
/* May another record be looked at? No: the walk must stop before it. A page may also end before
 * it is full, so that a filter that fits little does not make a long transaction. */
bool listing_goes_on(struct listing *listing);
/* The record was looked at; arn (takes) is NULL if it does not fit what was asked for. */
void listing_add(struct listing *listing, uint64_t seq, char *arn);
/* nextToken, or NULL on the last page. Gives. */
char *listing_token(const struct listing *listing);

/* ---- the renderers, one an operation */

int render_create_cluster(struct render *render);
int render_describe_clusters(struct render *render);
int render_list_clusters(struct render *render);
int render_delete_cluster(struct render *render);
int render_register_task_definition(struct render *render);
int render_describe_task_definition(struct render *render);
int render_list_task_definitions(struct render *render);
int render_deregister_task_definition(struct render *render);
int render_run_task(struct render *render);
int render_stop_task(struct render *render);
int render_describe_tasks(struct render *render);
int render_list_tasks(struct render *render);
int render_create_service(struct render *render);
int render_update_service(struct render *render);
int render_describe_services(struct render *render);
int render_list_services(struct render *render);
int render_delete_service(struct render *render);
int render_list_container_instances(struct render *render);
int render_describe_container_instances(struct render *render);

/* ---- the operator's (api_operator.c) */

int render_managed(struct render *render); /* What the leader answered, as it is. */
int render_create_token(struct render *render);
int render_rotate_token(struct render *render);
int render_revoke_token(struct render *render);
int render_list_tokens(struct render *render);
int prepare_create_token(ProtobufCMessage *request, char *secret);
int prepare_rotate_token(ProtobufCMessage *request, char *secret);
