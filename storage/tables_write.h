/*
 * Typed writes of the state tables, each keeping the record and its indexes together.
 *
 * Only apply may include this: the tables are what the applied commands add up to. Every call
 * copies what it stores. "add" makes something new and its indexes; "put" writes a record
 * that is there over; "del" removes one and its indexes. What is derived from several nouns
 * (counts, usage) is apply's to keep; tables_check() proves it. Names in keys must have been
 * checked by key_name_fits(), ids by key_id(): must() says so otherwise.
 */
#pragma once

#include "storage/tables.h"

/* The last number handed out of each kind; 0 before the first. */
enum counter {
    COUNTER_CLUSTER,
    COUNTER_SERVICE,
    COUNTER_DEPLOYMENT,
    COUNTER_TASK,
    COUNTER_WORKER,
    COUNTER_COUNT,
};

int table_counter(struct txn *txn, enum counter counter, uint64_t *out);
int table_put_counter(struct txn *txn, enum counter counter, uint64_t last);

int table_put_settings(struct txn *txn, const State__Settings *settings);

int table_add_cluster(struct txn *txn, const State__Cluster *cluster);
int table_put_cluster(struct txn *txn, const State__Cluster *cluster);
int table_put_cluster_count(struct txn *txn, uint64_t cluster_seq,
                            const State__ClusterCount *count);

/* What is known of a family: its newest revision ever and its newest active one (0: none). */
struct family {
    uint32_t newest;
    uint32_t newest_active;
};

int table_family(struct txn *txn, const char *family, struct family *out);
/* Its revision must be the newest of the family, and active. */
int table_add_task_definition(struct txn *txn, const State__TaskDefinition *definition);
/* Of one that is there; keeps the family's newest active revision. */
int table_put_task_definition(struct txn *txn, const State__TaskDefinition *definition);

int table_add_service(struct txn *txn, const State__Service *service);
int table_put_service(struct txn *txn, const State__Service *service);
int table_put_deployment(struct txn *txn, const State__Deployment *deployment);
int table_del_deployment(struct txn *txn, uint64_t service_seq, uint64_t deployment_seq);
/* number counts the service's events from 1. The one that is thereby too old is removed. */
int table_add_service_event(struct txn *txn, uint64_t service_seq, uint64_t number,
                            const State__ServiceEvent *event);

/* A task that is not yet STOPPED. */
int table_add_task(struct txn *txn, const State__Task *task, const State__TaskStatus *status);
/* `before` is the status as it is stored: the indexes follow from the two. */
int table_put_task_status(struct txn *txn, const State__Task *task, const State__TaskStatus *before,
                          const State__TaskStatus *status);
/* A task that is STOPPED. */
int table_del_task(struct txn *txn, const State__Task *task, const State__TaskStatus *status);
/* Those that stopped before a time, the oldest first. */
int table_tasks_stopped(struct txn *txn, uint64_t before_ms, table_each_seq each, void *context);

int table_add_worker(struct txn *txn, const State__Worker *worker, const State__WorkerUsage *usage);
int table_put_worker(struct txn *txn, const State__Worker *worker);
int table_put_worker_usage(struct txn *txn, uint64_t worker_seq, const State__WorkerUsage *usage);

/* Client tokens, apart for each cluster and each kind of request. */
enum token_kind {
    TOKEN_RUN_TASK = 1,
};

int table_token(struct txn *txn, uint64_t cluster_seq, enum token_kind kind, const char *token,
                State__ClientToken **out);
int table_add_token(struct txn *txn, uint64_t cluster_seq, enum token_kind kind,
                    const State__ClientToken *token);
/* Remove the oldest made before a time, at most `limit`. */
int table_del_tokens(struct txn *txn, uint64_t before_ms, uint32_t limit);

/* Of a new token, or of one that is there. Its id is not 0. */
int table_put_join_token(struct txn *txn, const State__JoinToken *token);
int table_del_join_token(struct txn *txn, uint32_t id);
