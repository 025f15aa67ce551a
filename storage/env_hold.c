/*
 * Who holds an environment: transactions together, growth and adoption alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "storage/directory.h"
#include "storage/env_inner.h"

enum { RESTS = 1000 }; /* Of a millisecond. */

/* A read transaction that somebody else may end: its MDB_txn changes only while the
 * environment is held alone, or by whoever made it. */
struct picture {
    struct list link;
    struct txn txn; /* mdb is NULL once it was taken away. */
};

void env_hold(struct env *env)
{
    pthread_mutex_lock(&env->lock);
    while (env->alone)
        pthread_cond_wait(&env->opened, &env->lock);
    env->holders++;
    pthread_mutex_unlock(&env->lock);
}

void env_release(struct env *env)
{
    pthread_mutex_lock(&env->lock);
    must(env->holders > 0);
    env->holders--;
    pthread_mutex_unlock(&env->lock);
}

/* No clock here: so many short rests. Nobody new comes in meanwhile. */
static bool wait_for_holders(struct env *env)
{
    for (int rest = 0; env->holders > 0 && rest < RESTS; rest++) {
        pthread_mutex_unlock(&env->lock);
        poll(NULL, 0, 1);
        pthread_mutex_lock(&env->lock);
    }
    return env->holders == 0;
}

static void take_pictures_away(struct env *env)
{
    list_each (link, &env->pictures) {
        struct picture *picture = list_entry(link, struct picture, link);

        if (picture->txn.mdb)
            mdb_txn_abort(steal(picture->txn.mdb));
    }
}

static void release_alone(struct env *env)
{
    pthread_mutex_lock(&env->lock);
    env->alone = false;
    pthread_cond_broadcast(&env->opened);
    pthread_mutex_unlock(&env->lock);
}

static int hold_alone(struct env *env)
{
    bool held;

    pthread_mutex_lock(&env->lock);
    must(!env->alone); /* One thread writes, and it is the one that grows and adopts. */
    env->alone = true;
    held = wait_for_holders(env);
    if (held)
        take_pictures_away(env);
    pthread_mutex_unlock(&env->lock);
    if (!held) {
        release_alone(env);
        return err_new(-EBUSY);
    }
    return 0;
}

/* ---- pictures */

int env_picture(struct env *env, struct picture **out)
{
    struct picture *picture = mem_new(struct picture);
    int r;

    env_hold(env);
    picture->txn.env = env;
    r = env_errno(mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &picture->txn.mdb));
    if (r == 0) {
        pthread_mutex_lock(&env->lock);
        list_append(&env->pictures, &picture->link);
        pthread_mutex_unlock(&env->lock);
    }
    env_release(env);
    if (r < 0) {
        free(picture);
        return err_new(r);
    }
    *out = picture;
    return 0;
}

int picture_enter(struct picture *picture, struct txn **out)
{
    env_hold(picture->txn.env);
    if (!picture->txn.mdb) {
        env_release(picture->txn.env);
        return err_new(-ESTALE);
    }
    *out = &picture->txn;
    return 0;
}

void picture_leave(struct picture *picture)
{
    env_release(picture->txn.env);
}

void picture_free(struct picture *picture)
{
    struct env *env;

    if (!picture)
        return;
    env = picture->txn.env;
    env_hold(env);
    pthread_mutex_lock(&env->lock);
    list_remove(&picture->link);
    pthread_mutex_unlock(&env->lock);
    if (picture->txn.mdb)
        mdb_txn_abort(picture->txn.mdb);
    env_release(env);
    free(picture);
}

/* ---- growth */

int env_grow(struct env *env, size_t map_size)
{
    int r = hold_alone(env);

    if (r < 0)
        return err_up(r);
    r = env_errno(mdb_env_set_mapsize(env->mdb, map_size));
    release_alone(env);
    return err_new(r);
}

int env_make_room(struct env *env)
{
    size_t used, map;

    env_size(env, &used, &map);
    if (used / 3 <= map / 4)
        return 0;
    return err_up(env_grow(env, 2 * map));
}

/* ---- adoption */

static int sync_parent(const char *dir)
{
    scope(buffer_fini) struct buffer path = {0};

    buffer_append_format(&path, "%s/..", dir);
    return err_up(directory_sync(buffer_text(&path)));
}

static int rename_durably(const char *from, const char *to, unsigned flags)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, flags) < 0)
        return err_new(-errno);
    return err_up(sync_parent(to));
}

static void exchange(struct env *a, struct env *b)
{
    MDB_env *mdb = a->mdb;
    int dir_fd = a->dir_fd;
    MDB_dbi dbs[DATABASES_MAX];

    must(a->db_count == b->db_count);
    a->mdb = b->mdb;
    b->mdb = mdb;
    a->dir_fd = b->dir_fd;
    b->dir_fd = dir_fd;
    memcpy(dbs, a->dbs, sizeof dbs);
    memcpy(a->dbs, b->dbs, sizeof dbs);
    memcpy(b->dbs, dbs, sizeof dbs);
}

int env_adopt(struct env *env, struct env *next)
{
    int r;

    must(next->holders == 0);
    must(list_is_empty(&next->pictures));
    r = hold_alone(env);
    if (r < 0)
        return err_up(r);
    r = rename_durably(next->dir, env->dir, RENAME_EXCHANGE);
    if (r == 0)
        exchange(env, next);
    release_alone(env);
    return err_up(r);
}

int env_place(const char *from, const char *to)
{
    return err_up(rename_durably(from, to, RENAME_NOREPLACE));
}
