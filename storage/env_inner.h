/*
 * What env.c and env_hold.c share.
 */
#pragma once

#include <lmdb.h>
#include <pthread.h>

#include "proto/base/list.h"
#include "storage/env.h"

enum {
    DATABASES_MAX = 48,
};

/*
 * The handle stays, the MDB_env behind it may change. Transactions hold the environment
 * together; growth and adoption hold it alone. A pthread_rwlock_t will not do: a transaction
 * may end in another thread than it began in.
 */
struct env {
    pthread_mutex_t lock;
    pthread_cond_t opened; /* No longer held alone. */
    size_t holders;        /* Transactions open, and pictures entered. */
    bool alone;            /* Somebody holds it alone, or waits to. */
    struct list pictures;  /* Changed under the lock. */

    char *dir;
    MDB_env *mdb;
    int dir_fd; /* Locked: one writing process a directory. */
    size_t db_count;
    MDB_dbi dbs[DATABASES_MAX];
};

struct txn {
    MDB_txn *mdb;
    struct env *env;
    bool changed;
};

/* The one place where LMDB's codes become ours. MDB_NOTFOUND is an outcome and is handled
 * where it can occur. */
int env_errno(int rc);

void env_hold(struct env *env);
void env_release(struct env *env);
