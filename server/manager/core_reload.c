/*
 * A full disk. Memory is ahead of the disk then, as with any failure of the storage; but this one
 * passes, and reads can go on. So the turn is taken back, who waited for a write is answered, and
 * Raft's node and the view are opened again from what is durable, as a restart would do, until that
 * succeeds (docs/decisions/0014).
 */
#include <errno.h>
#include <stdio.h>

#include "proto/base/err.h"
#include "server/manager/core_internal.h"
#include "server/manager/images.h"
#include "server/net/log.h"
#include "storage/log.h"

enum {
    RELOAD_FIRST_MS = 100,
    RELOAD_MAX_MS = 2000,
};

int core_load(struct core *core)
{
    scope(txn_abort) struct txn *txn = NULL;
    struct raft_node_config raft = {
        .self = core->config.id,
        .first = core->config.first,
        .first_count = core->config.first_count,
        .keep_entries = core->config.keep_entries,
        .election_ms = core->config.election_ms,
        .heartbeat_ms = core->config.raft_heartbeat_ms,
        .seed = rng_next(&core->rng),
        .send = core_hold_for_raft,
        .context = core,
    };
    int r;

    core->view = view_new();
    core->view_changed = true;
    r = env_write(core->config.env, &txn);

    if (r < 0)
        return err_up(r);
    r = log_format(txn);
    if (r == 0)
        r = log_owner(txn, core->config.id);
    if (r == 0 && core->config.record)
        r = log_self_put(
            txn, &(struct log_self){core->config.id, core->config.cluster, core->config.record});
    if (r == 0)
        r = raft_node_open(&raft, txn, core->now_ms, &core->raft);
    if (r == 0)
        r = view_feed_all(core->view, txn);
    if (r < 0)
        return err_up(r);
    core->visible_index = raft_node_applied_index(core->raft);
    images_loaded(core);
    return err_up(txn_commit(steal(txn)));
}

/* The node is there still, as far as the failed turn has brought it: good for names only. */
static void note_name(struct core *core)
{
    size_t count;
    const struct member *members = raft_node_members(core->raft, &count, NULL);
    const struct member *self = member_find(members, count, core->config.id);

    snprintf(core->full_name, sizeof core->full_name, "%s", self ? self->name : "");
}

void core_shut(struct core *core, bool full)
{
    txn_abort(steal(core->txn));
    core_drop_held(core); /* They may promise what was not stored. */
    calls_unanswer(core);
    if (full)
        note_name(core);
    core->shutting = full;
    proposals_abandon(core);
    dispatch_lose(core);
    proposals_finish(core);
    core->shutting = false;
    admission_stop(core);
    calls_hand_back(core);
    core_hand_back_rpcs(core);
    core_send_held(core); /* Answers to calls of other managers. */
    core_drop_frames(core);
    raft_node_free(steal(core->raft));
    view_free(steal(core->view));
    core->changes.count = 0;
    core->lost_count = 0;
    core->behind = core->reader_waits = false;
    core->kept_since_ms = 0;
    core->known_leader = 0;
    core->leads = core->ready = core->settings_proposed = false;
}

static void put_off(struct core *core)
{
    core->reload_ms = core->reload_ms ? 2 * core->reload_ms : RELOAD_FIRST_MS;
    if (core->reload_ms > RELOAD_MAX_MS)
        core->reload_ms = RELOAD_MAX_MS;
    core->reload_at_ms = core->now_ms + core->reload_ms;
}

int core_survive(struct core *core, int r)
{
    if (r != -ENOSPC)
        return r < 0 ? err_up(r) : 0;
    put_off(core);
    log_warning("core.disk_full trace=\"%s\" again_in_ms=%u", err_trace(), core->reload_ms);
    core_shut(core, true);
    return 0;
}

/* 0 without a node: the disk is full still. */
static int try_load(struct core *core)
{
    int r = core_load(core);

    if (r == 0)
        return 0;
    raft_node_free(steal(core->raft));
    view_free(steal(core->view));
    if (r != -ENOSPC)
        return err_up(r);
    put_off(core);
    return 0;
}

int core_reopen(struct core *core)
{
    core_shut(core, false);
    return err_up(try_load(core));
}

int core_shut_turn(struct core *core)
{
    core_drop_frames(core);
    core->lost_count = 0;
    calls_shut_turn(core);
    if (core->now_ms < core->reload_at_ms)
        return 0;
    return err_up(try_load(core));
}
