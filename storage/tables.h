/*
 * The state tables: typed reads by id, by index and in order, within a transaction.
 *
 * Keys are big-endian, so that key order is the order of sequence numbers and things made in
 * order fill pages in order. storage/format.md gives keys and values. Writing is in
 * tables_write.h, which only apply may include.
 *
 * Every read that gives a message gives it to the caller, who frees it with the generated
 * *__free_unpacked(message, NULL). TABLE_ABSENT leaves *out untouched. A record that cannot be
 * unpacked is -EUCLEAN.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/state.pb-c.h"
#include "storage/env.h"

/* The databases of a manager's environment, in the order that env_open gets their names. */
enum table {
    TABLE_META,               /* name -> Settings, counters, and what storage/log.h keeps. */
    TABLE_LOG,                /* Raft log; storage/log.h. */
    TABLE_CLUSTER,            /* cluster seq -> state.Cluster */
    TABLE_CLUSTER_NAME,       /* name -> cluster seq, of the newest of this name */
    TABLE_CLUSTER_COUNT,      /* cluster seq -> state.ClusterCount */
    TABLE_TASK_DEFINITION,    /* family, 0, revision -> state.TaskDefinition */
    TABLE_FAMILY,             /* family -> newest revision ever, newest active revision or 0 */
    TABLE_SERVICE,            /* service seq -> state.Service */
    TABLE_SERVICE_NAME,       /* cluster seq, name -> service seq, of the newest of this name */
    TABLE_SERVICE_OF_CLUSTER, /* cluster seq, service seq -> nothing */
    TABLE_DEPLOYMENT,         /* service seq, deployment seq -> state.Deployment */
    TABLE_SERVICE_EVENT,      /* service seq, event number -> state.ServiceEvent */
    TABLE_TASK,               /* task seq -> state.Task */
    TABLE_TASK_STATUS,        /* task seq -> state.TaskStatus */
    TABLE_TASK_ID,            /* 16 bytes -> task seq */
    TABLE_TASK_OF_CLUSTER,    /* cluster seq, desired stopped (one byte), task seq -> nothing */
    TABLE_TASK_OF_SERVICE,    /* service seq, task seq -> nothing */
    TABLE_TASK_OF_WORKER,     /* worker seq, task seq -> nothing; only tasks not yet STOPPED */
    TABLE_TASK_STOPPED,       /* stopped_ms, task seq -> nothing; in the order they are forgotten */
    TABLE_WORKER,             /* worker seq -> state.Worker */
    TABLE_WORKER_ID,          /* 16 bytes -> worker seq */
    TABLE_WORKER_OF_CLUSTER,  /* cluster seq, worker seq -> nothing */
    TABLE_WORKER_USAGE,       /* worker seq -> state.WorkerUsage */
    TABLE_TOKEN,              /* cluster seq, kind (one byte), token -> state.ClientToken */
    TABLE_TOKEN_AGE,          /* created_ms, key of TABLE_TOKEN -> nothing */
    TABLE_JOIN_TOKEN,         /* token id (u32) -> state.JoinToken */
    TABLE_COUNT,
};

extern const char *const table_names[TABLE_COUNT];

enum table_outcome {
    TABLE_ABSENT = 1,
};

int table_settings(struct txn *txn, State__Settings **out);

int table_cluster(struct txn *txn, uint64_t cluster_seq, State__Cluster **out);
int table_cluster_by_name(struct txn *txn, const char *name, State__Cluster **out);
int table_cluster_count(struct txn *txn, uint64_t cluster_seq, State__ClusterCount **out);

/* One revision. */
int table_task_definition(struct txn *txn, const char *family, uint32_t revision,
                          State__TaskDefinition **out);
/* The newest ACTIVE revision of a family. */
int table_task_definition_newest(struct txn *txn, const char *family, State__TaskDefinition **out);

int table_service(struct txn *txn, uint64_t service_seq, State__Service **out);
int table_service_by_name(struct txn *txn, uint64_t cluster_seq, const char *name,
                          State__Service **out);
int table_deployment(struct txn *txn, uint64_t service_seq, uint64_t deployment_seq,
                     State__Deployment **out);

int table_task(struct txn *txn, uint64_t task_seq, State__Task **out);
int table_task_status(struct txn *txn, uint64_t task_seq, State__TaskStatus **out);
int table_task_seq(struct txn *txn, const char *task_id, uint64_t *out);

int table_worker(struct txn *txn, uint64_t worker_seq, State__Worker **out);
int table_worker_seq(struct txn *txn, const char *worker_id, uint64_t *out);
int table_worker_usage(struct txn *txn, uint64_t worker_seq, State__WorkerUsage **out);

int table_join_token(struct txn *txn, uint32_t id, State__JoinToken **out);

/* Walks, in ascending order. `each` gets a borrowed record and returns 0 to go on, or 1 to stop
 * there (the walk then returns 0), or -errno, which is passed up. The starting point is exclusive:
 * pass 0, or "" and 0, to begin with the first. */
typedef int (*table_each_seq)(void *context, struct txn *txn, uint64_t seq);

int table_clusters(struct txn *txn, uint64_t after_seq,
                   int (*each)(void *context, const State__Cluster *cluster), void *context);
/* In the order of family, then ascending revision. */
int table_task_definitions(struct txn *txn, const char *after_family, uint32_t after_revision,
                           int (*each)(void *context, const State__TaskDefinition *definition),
                           void *context);
/* All services when cluster_seq is 0. */
int table_services(struct txn *txn, uint64_t cluster_seq, uint64_t after_seq,
                   int (*each)(void *context, const State__Service *service), void *context);
/* Oldest first. */
int table_deployments(struct txn *txn, uint64_t service_seq,
                      int (*each)(void *context, const State__Deployment *deployment),
                      void *context);
/* Newest first. */
int table_service_events(struct txn *txn, uint64_t service_seq,
                         int (*each)(void *context, const State__ServiceEvent *event),
                         void *context);
int table_workers(struct txn *txn, uint64_t cluster_seq, uint64_t after_seq, table_each_seq each,
                  void *context);
int table_tasks_of_cluster(struct txn *txn, uint64_t cluster_seq, bool desired_stopped,
                           uint64_t after_seq, table_each_seq each, void *context);
int table_tasks_of_service(struct txn *txn, uint64_t service_seq, uint64_t after_seq,
                           table_each_seq each, void *context);
/* Those not yet STOPPED. */
int table_tasks_of_worker(struct txn *txn, uint64_t worker_seq, uint64_t after_seq,
                          table_each_seq each, void *context);
/* Every task and every worker there is: for building the scheduler's view at start. */
int table_all_tasks(struct txn *txn, uint64_t after_seq, table_each_seq each, void *context);
int table_all_workers(struct txn *txn, uint64_t after_seq, table_each_seq each, void *context);

/* In the order of id. */
int table_join_tokens(struct txn *txn, uint32_t after_id,
                      int (*each)(void *context, const State__JoinToken *token), void *context);

/* Does this name in META belong to the state? The others are the Raft log's (storage/log.h). */
bool table_meta_is_state(struct bytes name);

/* A hash of all state tables (not META's Raft part, not LOG): equal on all managers at equal
 * applied index. Costs a pass over everything: for tests and `cais status --hash`. */
int table_hash(struct txn *txn, uint64_t *out);
