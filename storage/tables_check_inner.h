/*
 * What the two halves of tables_check() share: what is added up, and how a difference is told.
 */
#pragma once

#include "storage/tables_record.h"

/* Added up for one cluster, deployment or worker. */
struct sum {
    uint64_t seq;
    uint64_t owner; /* Cluster of a worker, service of a deployment. */
    uint64_t pending;
    uint64_t running;
    uint64_t stopping;
    uint64_t services; /* ACTIVE ones of a cluster. */
    uint64_t workers;  /* ACTIVE and DRAINING ones of a cluster. */
    uint64_t cpu;
    uint64_t memory;
    uint64_t ports;      /* How many, */
    uint64_t ports_hash; /* and which, whatever their order. */
    uint64_t changed_index;
};

/* In the order of seq. */
struct sums {
    struct sum *items;
    size_t count;
};

struct check {
    struct txn *txn;
    char *text;
    struct sums clusters;
    struct sums deployments;
    struct sums workers;
    uint64_t keys[TABLE_COUNT]; /* How many there should be. */
};

/* Tell a difference; the first one stays. Returns 1, which ends a walk. */
int check_differs(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct sum *sums_find(const struct sums *sums, uint64_t seq); /* NULL: none. */

/* Is this key there, and does it lead to seq (0: to nothing)? 1: no, and that was told. */
int check_key(struct check *c, enum table table, const struct key *key, uint64_t seq);
int check_mark(struct check *c, enum table table, uint64_t first, uint64_t second);

/* Ports are compared as sums of these, whatever their order. */
uint64_t check_port_hash(const State__Port *port);

/* Walk all tasks: check their indexes, and add them up (tables_check_task.c). */
int check_tasks(struct check *c);
