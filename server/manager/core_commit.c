/*
 * When the core commits, and why it may wait (docs/decisions/0013):
 *
 * S1  What leaves the process rests on this disk only through term, vote and log entries. A turn
 *     that stores one of these commits before anything leaves.
 * S2  What was applied is a function of entries that a majority has on disk. Answers may be drawn
 *     from it at once: a crash loses the tables' newest state, and applying makes the same again.
 * S3  Other threads see what was committed, and only that: a read that was promised an index is
 *     handed back when it is visible, and what they see never goes back, not even over a crash.
 *
 * So a turn that only applied keeps its transaction open for the next one. That saves a commit for
 * each write, and bounds what S3 hides by KEEP_MS and KEEP_ENTRIES.
 */
#include <errno.h>
#include <string.h>

#include "proto/base/err.h"
#include "server/manager/core_internal.h"
#include "server/net/log.h"

enum {
    KEEP_MS = 5,
    KEEP_ENTRIES = 4096,
    ROOM_MS = 100,       /* Between looks at how full the map is. */
    ROOM_BUSY_MS = 5000, /* After waiting for a reader in vain: waiting stops the core. */
};

int core_begin(struct core *core)
{
    return core->txn ? 0 : err_up(env_write(core->config.env, &core->txn));
}

/* By entries applied or by time. */
static bool has_kept_enough(const struct core *core)
{
    if (!txn_changed(core->txn))
        return false;
    return raft_node_applied_index(core->raft) >= core->visible_index + KEEP_ENTRIES ||
           (core->kept_since_ms != 0 && core->now_ms >= core->kept_since_ms + KEEP_MS);
}

bool core_commit_is_due(const struct core *core)
{
    return raft_node_must_commit(core->raft) || core->reader_waits || has_kept_enough(core);
}

int core_commit(struct core *core)
{
    bool changed = txn_changed(core->txn);
    int r = txn_commit(steal(core->txn));

    if (r < 0)
        return err_up(r);
    core->visible_index = raft_node_applied_index(core->raft);
    if (changed)
        core->reload_ms = 0;
    core->kept_since_ms = 0;
    core->reader_waits = false;
    return 0;
}

void core_keep(struct core *core)
{
    if (!txn_changed(core->txn))
        txn_abort(steal(core->txn));
    else if (core->kept_since_ms == 0)
        core->kept_since_ms = core->now_ms;
}

uint64_t core_commit_deadline(const struct core *core)
{
    return core->txn ? core->kept_since_ms + KEEP_MS : UINT64_MAX;
}

int core_make_room(struct core *core)
{
    int r;

    if (!core->config.map_grows || core->now_ms < core->room_at_ms)
        return 0;
    core->room_at_ms = core->now_ms + ROOM_MS;
    r = core->txn ? core_commit(core) : 0;
    if (r == 0)
        r = env_make_room(core->config.env);
    if (r != -EBUSY)
        return err_up(r);
    core->room_at_ms = core->now_ms + ROOM_BUSY_MS;
    return 0;
}

void core_leave(struct core *core)
{
    int r = core->txn ? core_commit(core) : 0;

    if (r < 0) /* The log has it all. */
        log_warning("core.left_uncommitted error=\"%s\"", strerror(-r));
}
