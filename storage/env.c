#include "storage/env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "storage/env_birth.h"
#include "storage/env_inner.h"

enum {
    FULL_BLOCKS = 64,
    READERS_MAX = 256, /* Transactions at once, not threads: the environment is opened NOTLS. */
};

struct cursor {
    MDB_cursor *mdb;
    struct txn *txn;
};

int env_errno(int rc)
{
    switch (rc) {
    case MDB_SUCCESS:
        return 0;
    case MDB_MAP_FULL:
        return -ENOSPC;
    case MDB_CORRUPTED:
    case MDB_PANIC:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_PAGE_NOTFOUND:
        return -EUCLEAN;
    case MDB_READERS_FULL:
    case MDB_MAP_RESIZED:
        return -EAGAIN;
    default:
        return rc > 0 ? -rc : -EIO;
    }
}

static MDB_val to_val(struct bytes bytes)
{
    return (MDB_val){.mv_size = bytes.len, .mv_data = (void *)bytes.base};
}

static struct bytes from_val(MDB_val val)
{
    return (struct bytes){.base = val.mv_data, .len = val.mv_size};
}

static int begin(struct env *env, unsigned flags, struct txn **out)
{
    struct txn *txn = mem_new(struct txn);
    int r;

    txn->env = env;
    env_hold(env);
    r = env_errno(mdb_txn_begin(env->mdb, NULL, flags, &txn->mdb));
    if (r < 0) {
        env_release(env);
        free(txn);
        return err_new(r);
    }
    *out = txn;
    return 0;
}

int env_write(struct env *env, struct txn **out)
{
    return err_up(begin(env, 0, out));
}

int env_read(struct env *env, struct txn **out)
{
    return err_up(begin(env, MDB_RDONLY, out));
}

/* LMDB tells a write that was cut short, as on a full disk, as EIO. */
static bool disk_is_full(const struct env *env)
{
    struct statvfs space;

    return fstatvfs(env->dir_fd, &space) == 0 && space.f_bavail < FULL_BLOCKS;
}

int txn_commit(struct txn *txn)
{
    int r = env_errno(mdb_txn_commit(txn->mdb));

    if (r == -EIO && disk_is_full(txn->env))
        r = -ENOSPC;
    env_release(txn->env);
    free(txn);
    return err_new(r);
}

void txn_abort(struct txn *txn)
{
    if (!txn)
        return;
    mdb_txn_abort(txn->mdb);
    env_release(txn->env);
    free(txn);
}

bool txn_changed(const struct txn *txn)
{
    return txn->changed;
}

static MDB_dbi dbi(const struct txn *txn, size_t db)
{
    must(db < txn->env->db_count);
    return txn->env->dbs[db];
}

int txn_get(struct txn *txn, size_t db, struct bytes key, struct bytes *out)
{
    MDB_val k = to_val(key);
    MDB_val v;
    int rc = mdb_get(txn->mdb, dbi(txn, db), &k, &v);

    if (rc == MDB_NOTFOUND)
        return ENV_ABSENT;
    if (rc != 0)
        return err_new(env_errno(rc));
    *out = from_val(v);
    return 0;
}

static int put(struct txn *txn, size_t db, struct bytes key, struct bytes value, unsigned flags)
{
    MDB_val k = to_val(key);
    MDB_val v = to_val(value);

    txn->changed = true;
    return err_new(env_errno(mdb_put(txn->mdb, dbi(txn, db), &k, &v, flags)));
}

int txn_put(struct txn *txn, size_t db, struct bytes key, struct bytes value)
{
    return err_up(put(txn, db, key, value, 0));
}

int txn_append(struct txn *txn, size_t db, struct bytes key, struct bytes value)
{
    return err_up(put(txn, db, key, value, MDB_APPEND));
}

int txn_del(struct txn *txn, size_t db, struct bytes key)
{
    MDB_val k = to_val(key);
    int rc = mdb_del(txn->mdb, dbi(txn, db), &k, NULL);

    if (rc == MDB_NOTFOUND)
        return ENV_ABSENT;
    txn->changed = true;
    return err_new(env_errno(rc));
}

int txn_count(struct txn *txn, size_t db, size_t *out)
{
    MDB_stat stat;
    int r = env_errno(mdb_stat(txn->mdb, dbi(txn, db), &stat));

    if (r < 0)
        return err_new(r);
    *out = stat.ms_entries;
    return 0;
}

int cursor_open(struct txn *txn, size_t db, struct cursor **out)
{
    struct cursor *cursor = mem_new(struct cursor);
    int r = env_errno(mdb_cursor_open(txn->mdb, dbi(txn, db), &cursor->mdb));

    if (r < 0) {
        free(cursor);
        return err_new(r);
    }
    cursor->txn = txn;
    *out = cursor;
    return 0;
}

void cursor_close(struct cursor *cursor)
{
    if (!cursor)
        return;
    mdb_cursor_close(cursor->mdb);
    free(cursor);
}

static int move(struct cursor *cursor, MDB_val k, MDB_cursor_op op, struct bytes *out_key,
                struct bytes *out)
{
    MDB_val v;
    int rc = mdb_cursor_get(cursor->mdb, &k, &v, op);

    if (rc == MDB_NOTFOUND)
        return ENV_ABSENT;
    if (rc != 0)
        return err_new(env_errno(rc));
    *out_key = from_val(k);
    *out = from_val(v);
    return 0;
}

int cursor_seek(struct cursor *cursor, struct bytes from, struct bytes *out_key, struct bytes *out)
{
    return move(cursor, to_val(from), from.len ? MDB_SET_RANGE : MDB_FIRST, out_key, out);
}

int cursor_next(struct cursor *cursor, struct bytes *out_key, struct bytes *out)
{
    return move(cursor, (MDB_val){0}, MDB_NEXT, out_key, out);
}

int cursor_prev(struct cursor *cursor, struct bytes *out_key, struct bytes *out)
{
    return move(cursor, (MDB_val){0}, MDB_PREV, out_key, out);
}

int cursor_last(struct cursor *cursor, struct bytes *out_key, struct bytes *out)
{
    return move(cursor, (MDB_val){0}, MDB_LAST, out_key, out);
}

int cursor_del(struct cursor *cursor)
{
    cursor->txn->changed = true;
    return err_new(env_errno(mdb_cursor_del(cursor->mdb, 0)));
}

static int open_databases(struct env *env, unsigned flags, const char *const names[],
                          size_t name_count)
{
    scope(txn_abort) struct txn *txn = NULL;
    int r;

    must(name_count <= DATABASES_MAX);
    r = begin(env, flags & MDB_RDONLY, &txn);
    if (r < 0)
        return err_up(r);
    for (size_t i = 0; i < name_count; i++) {
        int rc =
            mdb_dbi_open(txn->mdb, names[i], flags & MDB_RDONLY ? 0 : MDB_CREATE, &env->dbs[i]);

        if (rc != 0)
            return err_new(rc == MDB_NOTFOUND ? -ENOENT : env_errno(rc));
    }
    env->db_count = name_count;
    return err_up(txn_commit(steal(txn)));
}

/* LMDB would let a second process write in turns; two managers on one directory must not. */
static int lock_directory(struct env *env)
{
    env->dir_fd = open(env->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (env->dir_fd < 0)
        return err_new(-errno);
    if (flock(env->dir_fd, LOCK_EX | LOCK_NB) < 0)
        return err_new(errno == EWOULDBLOCK ? -EUSERS : -errno);
    return 0;
}

static int open_mdb(struct env *env, unsigned flags, size_t map_size)
{
    int r = env_errno(mdb_env_create(&env->mdb));

    if (r == 0)
        r = env_errno(mdb_env_set_mapsize(env->mdb, map_size));
    if (r < 0)
        return err_new(r);
    mdb_env_set_maxdbs(env->mdb, DATABASES_MAX);
    mdb_env_set_maxreaders(env->mdb, READERS_MAX);
    r = env_errno(mdb_env_open(env->mdb, env->dir, MDB_NOTLS | flags, 0600));
    return err_new(r);
}

static struct env *new_env(const char *dir)
{
    struct env *env = mem_new(struct env);

    worked(pthread_mutex_init(&env->lock, NULL));
    worked(pthread_cond_init(&env->opened, NULL));
    list_init(&env->pictures);
    env->dir = mem_string(dir);
    env->dir_fd = -1;
    return env;
}

static int open_to_write(const char *dir, size_t map_size, unsigned flags,
                         const char *const names[], size_t name_count, struct env **out)
{
    scope(env_free) struct env *env = new_env(dir);
    int r;

    must(map_size > 0);
    r = lock_directory(env);
    if (r < 0)
        return err_up(r);
    r = env_birth(env->dir_fd);
    if (r < 0)
        return err_up(r);
    r = open_mdb(env, flags, map_size);
    if (r < 0)
        return err_up(r);
    r = env_reap_readers(env);
    if (r < 0)
        return err_up(r);
    r = open_databases(env, flags, names, name_count);
    if (r < 0)
        return err_up(r);
    if (fsync(env->dir_fd) < 0) /* The files' names must survive a power cut too. */
        return err_new(-errno);
    *out = steal(env);
    return 0;
}

int env_open(const char *dir, size_t map_size, const char *const names[], size_t name_count,
             struct env **out)
{
    return err_up(open_to_write(dir, map_size, 0, names, name_count, out));
}

int env_open_filling(const char *dir, size_t map_size, const char *const names[], size_t name_count,
                     struct env **out)
{
    return err_up(open_to_write(dir, map_size, MDB_NOSYNC, names, name_count, out));
}

int env_settle(struct env *env)
{
    int r = env_errno(mdb_env_sync(env->mdb, 1));

    if (r == 0)
        r = env_errno(mdb_env_set_flags(env->mdb, MDB_NOSYNC, 0));
    if (r == 0 && fsync(env->dir_fd) < 0)
        r = -errno;
    return err_new(r);
}

int env_open_readonly(const char *dir, const char *const names[], size_t name_count,
                      struct env **out)
{
    scope(env_free) struct env *env = new_env(dir);
    int r = open_mdb(env, MDB_RDONLY, 1); /* LMDB maps what there is, however much. */

    if (r == 0)
        r = open_databases(env, MDB_RDONLY, names, name_count);
    if (r < 0)
        return err_up(r);
    *out = steal(env);
    return 0;
}

void env_free(struct env *env)
{
    if (!env)
        return;
    must(env->holders == 0);
    must(list_is_empty(&env->pictures));
    if (env->mdb)
        mdb_env_close(env->mdb);
    if (env->dir_fd >= 0)
        close(env->dir_fd);
    pthread_mutex_destroy(&env->lock);
    pthread_cond_destroy(&env->opened);
    free(env->dir);
    free(env);
}

const char *env_dir(const struct env *env)
{
    return env->dir;
}

void env_size(struct env *env, size_t *out_used, size_t *out_map)
{
    MDB_envinfo info;
    MDB_stat stat;

    mdb_env_info(env->mdb, &info);
    mdb_env_stat(env->mdb, &stat);
    *out_used = (info.me_last_pgno + 1) * stat.ms_psize;
    *out_map = info.me_mapsize;
}

int env_reap_readers(struct env *env)
{
    int dead;

    return err_new(env_errno(mdb_reader_check(env->mdb, &dead)));
}

size_t env_mapped(const struct env *env)
{
    MDB_envinfo info;

    mdb_env_info(env->mdb, &info);
    return info.me_mapsize;
}
