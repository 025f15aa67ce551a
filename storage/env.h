/*
 * The one LMDB environment of a node: open, transact, and walk its databases in key order.
 *
 * Everything durable lives here, so one commit covers it: Raft term and vote, log
 * entries, and the tables the log is applied to. One thread writes; any number read.
 * Rules (evidence: LMDB 0.9.24): fully synced mode only, but for one that is being filled; no
 * WRITEMAP, no DUPSORT, no nested transactions; the map grows only while no transaction is open;
 * read transactions are short, since pages they can see are not used again.
 *
 * A struct env is a handle that stays while what it stands for is exchanged (env_adopt) or mapped
 * anew (env_grow). Both wait until no transaction is open; a long reader is a picture, which
 * they take away instead of waiting for it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/bytes.h"
#include "proto/base/scope.h"

struct env;
struct txn;

enum env_outcome {
    ENV_ABSENT = 1, /* No value under this key, or no further key. */
};

/* Open the environment in an existing directory with `names` as its databases, in an order
 * that is the caller's own: db in the calls below is an index into it. Databases that are
 * not there yet are made. Borrows names. Gives *out to the caller, who frees it after every
 * transaction and picture has ended. -EUSERS: another process has it open for writing. */
int env_open(const char *dir, size_t map_size, const char *const names[], size_t name_count,
             struct env **out);
void env_free(struct env *env); /* NULL is fine. */

/* The same for one that is being filled: commits are not durable, and a power cut may leave
 * anything, until env_settle has returned 0; from then on it is like any other. */
int env_open_filling(const char *dir, size_t map_size, const char *const names[], size_t name_count,
                     struct env **out);
int env_settle(struct env *env);

/* Open for reading only, beside a process that has it open or without one. Neither makes nor
 * changes anything in data.mdb. -ENOENT: there is no environment here, or it lacks one of the
 * databases. */
int env_open_readonly(const char *dir, const char *const names[], size_t name_count,
                      struct env **out);

/* Begin the write transaction, in the one thread that writes. Gives *out; end it with
 * exactly one of txn_commit and txn_abort. Waits, as env_read, while the environment is grown or
 * exchanged: begin none while holding one of another kind. */
int env_write(struct env *env, struct txn **out);

/* Begin a read transaction: a frozen picture of the last commit. Any thread, used by one
 * at a time. Gives *out; end it with txn_abort, within a second. */
int env_read(struct env *env, struct txn **out);

/* A reader that may take long: a frozen picture of the last commit, looked at between enter and
 * leave, which are short, in one thread at a time. -ESTALE from enter, for ever: the environment
 * was grown or exchanged meanwhile and the picture is gone. Gives *out; free it before the
 * environment. While it lives, pages it can see are not used again: the file grows. */
struct picture;
int env_picture(struct env *env, struct picture **out);
int picture_enter(struct picture *picture, struct txn **out); /* *out is borrowed until leave. */
void picture_leave(struct picture *picture);
void picture_free(struct picture *picture); /* NULL is fine. */

int txn_commit(struct txn *txn); /* Takes txn, on failure too. Durable on return. -ENOSPC: disk
                                    full, nothing done. */
void txn_abort(struct txn *txn); /* Takes txn. NULL is fine. */

/* Has anything been stored or removed in this transaction? */
bool txn_changed(const struct txn *txn);

/* Space used and space mapped, in bytes. */
void env_size(struct env *env, size_t *out_used, size_t *out_map);

/* Map so much. Waits for transactions to end, takes pictures away; the caller's thread may have no
 * transaction open. -EBUSY: one did not end within a second; nothing was done. */
int env_grow(struct env *env, size_t map_size);

/* Between turns: map twice as much if more than three quarters are used. Outcomes as env_grow. */
int env_make_room(struct env *env);

/* Let `env` stand for what `next` stood for, and the reverse, on disk too: their directories, which
 * have one parent, change places in one step that is durable on return. `next` must be settled and
 * without transactions; to be rid of the old one, free next and remove its directory. Waits as
 * env_grow. -EBUSY: nothing was done. Any other error: end the process; either may be in place. */
int env_adopt(struct env *env, struct env *next);

/* Put a closed environment's directory where none is yet: from's last step, durable on return.
 * -EEXIST: there is one already. */
int env_place(const char *from, const char *to);

const char *env_dir(const struct env *env); /* Borrowed until env_free. */

size_t env_mapped(const struct env *env); /* Bytes mapped, as env_size. */

/* Remove a closed environment with its directory, durably gone or not. None there is fine; a file
 * that is not an environment's stays, and -ENOTEMPTY tells. */
int env_remove(const char *dir);

/* Free the places of readers that died. Call at start and now and then. */
int env_reap_readers(struct env *env);

/* Read one value. Returns ENV_ABSENT if there is none; *out is then untouched. *out is
 * borrowed: in a read transaction until it ends, in a write transaction until the next write. */
int txn_get(struct txn *txn, size_t db, struct bytes key, struct bytes *out);

/* How many keys a database has. */
int txn_count(struct txn *txn, size_t db, size_t *out);

/* Store one value. Copies. -ENOSPC: the map is full (env_grow), the transaction must be aborted. */
int txn_put(struct txn *txn, size_t db, struct bytes key, struct bytes value);

/* The same for a key above all others in the database: fills pages in order. */
int txn_append(struct txn *txn, size_t db, struct bytes key, struct bytes value);

/* Remove one key; ENV_ABSENT if there was none. */
int txn_del(struct txn *txn, size_t db, struct bytes key);

/* A cursor over one database. The write transaction may change the database while a cursor
 * is open only through cursor_del. Gives *out; close it before its transaction ends. */
struct cursor;
int cursor_open(struct txn *txn, size_t db, struct cursor **out);
void cursor_close(struct cursor *cursor); /* NULL is fine. */

/* Move to the first key >= from, the next key, the previous one, or the last one. ENV_ABSENT: there
 * is none. Outputs are borrowed as by txn_get. */
int cursor_seek(struct cursor *cursor, struct bytes from, struct bytes *out_key, struct bytes *out);
int cursor_next(struct cursor *cursor, struct bytes *out_key, struct bytes *out);
int cursor_prev(struct cursor *cursor, struct bytes *out_key, struct bytes *out);
int cursor_last(struct cursor *cursor, struct bytes *out_key, struct bytes *out);
int cursor_del(struct cursor *cursor); /* Remove where it stands; go on with cursor_next. */

SCOPED(struct env *, env_free);
SCOPED(struct txn *, txn_abort);
SCOPED(struct picture *, picture_free);
SCOPED(struct cursor *, cursor_close);
