/*
 * The turn. Its order is the promise: frames and calls in, Raft, apply, the leader's plans, the
 * commit if it is due (core_commit.c), and only then frames and answers out.
 */
#include "server/manager/core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/manager/core_internal.h"
#include "server/manager/images.h"
#include "server/net/log.h"
#include "storage/log.h"

enum {
    APPLY_ENTRIES = 512, /* In one turn: one that has much to catch up with still answers. */
};

/* A frame received and not yet looked at. */
struct received {
    struct list link;
    Peer__PeerFrame *frame;
};

void core_hold(struct core *core, uint64_t to, const Peer__PeerFrame *frame)
{
    size_t len = peer__peer_frame__get_packed_size(frame);
    struct held_frame *held = mem_zeroed(1, sizeof *held + len);

    held->to = to;
    held->is_append = frame->body_case == PEER__PEER_FRAME__BODY_APPEND;
    held->len = len;
    peer__peer_frame__pack(frame, held->bytes);
    list_append(&core->held, &held->link);
}

void core_hold_for_raft(void *context, uint64_t to, const Peer__PeerFrame *frame)
{
    core_hold(context, to, frame);
}

void core_answer_rpc(struct core *core, struct rpc *rpc, ProtobufCMessage *response)
{
    rpc->response = response;
    list_append(&core->answered_rpcs, &rpc->link);
}

/* ---- in */

void core_receive(struct core *core, Peer__PeerFrame *frame)
{
    struct received *received = mem_new(struct received);

    received->frame = frame;
    list_append(&core->frames, &received->link);
}

void core_peer_lost(struct core *core, uint64_t peer)
{
    for (size_t i = 0; i < core->lost_count; i++)
        if (core->lost_peers[i] == peer)
            return;
    if (core->lost_count < LIMIT_MANAGERS) /* Beyond it are those who are members no more. */
        core->lost_peers[core->lost_count++] = peer;
}

static bool inbox_add(struct core *core, struct list *to, struct list *link)
{
    bool open;

    pthread_mutex_lock(&core->inbox_lock);
    open = !core->inbox_closed;
    if (open)
        list_append(to, link);
    pthread_mutex_unlock(&core->inbox_lock);
    if (open)
        core->config.wake(core->config.context);
    return open;
}

void core_submit(struct core *core, struct call *call)
{
    list_init(&call->link);
    call->result = NULL;
    if (inbox_add(core, &core->inbox_calls, &call->link))
        return;
    call->outcome = CALL_NO_LEADER;
    call->done(call);
}

void core_rpc(struct core *core, struct rpc *rpc)
{
    list_init(&rpc->link);
    rpc->response = NULL;
    if (!inbox_add(core, &core->inbox_rpcs, &rpc->link))
        rpc->done(rpc); /* Without a response: the connection ends with the process. */
}

static int take_inbox(struct core *core)
{
    struct list calls, rpcs;

    list_init(&calls);
    list_init(&rpcs);
    pthread_mutex_lock(&core->inbox_lock);
    list_splice(&calls, &core->inbox_calls);
    list_splice(&rpcs, &core->inbox_rpcs);
    pthread_mutex_unlock(&core->inbox_lock);
    calls_take(core, &calls);
    return err_up(dispatch_take(core, &rpcs));
}

/* Logged once for each peer and term: a peer that says such things says them all the time. */
static void note_refused(struct core *core, const Peer__PeerFrame *frame)
{
    uint64_t term = raft_node_term(core->raft);

    if (core->refused_from == frame->from && core->refused_term == term)
        return;
    core->refused_from = frame->from;
    core->refused_term = term;
    log_warning("raft.refused peer=%llu kind=%d term=%llu", (unsigned long long)frame->from,
                (int)frame->body_case, (unsigned long long)term);
}

static int receive_frame(struct core *core, const Peer__PeerFrame *frame)
{
    int r = raft_node_receive(core->raft, frame);

    if (r == RAFT_NODE_REFUSED)
        note_refused(core, frame);
    else if (r == 0 && !images_receive(core, frame))
        calls_receive(core, frame);
    return r < 0 ? err_up(r) : 0;
}

void core_drop_frames(struct core *core)
{
    list_each (link, &core->frames) {
        struct received *received = list_entry(link, struct received, link);

        list_remove(link);
        peer__peer_frame__free_unpacked(received->frame, NULL);
        free(received);
    }
}

void core_drop_held(struct core *core)
{
    list_each (link, &core->held) {
        list_remove(link);
        free(list_entry(link, struct held_frame, link));
    }
}

static int take_frames(struct core *core)
{
    int r = 0;

    list_each (link, &core->frames) {
        struct received *received = list_entry(link, struct received, link);

        list_remove(link);
        if (r == 0)
            r = receive_frame(core, received->frame);
        peer__peer_frame__free_unpacked(received->frame, NULL);
        free(received);
    }
    return err_up(r);
}

static void take_lost_peers(struct core *core)
{
    for (size_t i = 0; i < core->lost_count; i++) {
        raft_node_peer_lost(core->raft, core->lost_peers[i]);
        calls_peer_lost(core, core->lost_peers[i]);
    }
    core->lost_count = 0;
}

/* ---- apply */

static int follow_changes(struct core *core)
{
    int r = view_feed(core->view, core->txn, &core->changes);

    for (size_t i = 0; r == 0 && i < core->changes.count; i++)
        if (core->changes.items[i].kind == CHANGE_WORKER)
            r = dispatch_changed(core, core->changes.items[i].seq);
    if (core->changes.count > 0)
        core->view_changed = true;
    core->changes.count = 0;
    return err_up(r);
}

static int apply_committed(struct core *core)
{
    struct log_entry entry;
    uint64_t index;
    size_t count = 0;
    int r;

    core->behind = false;
    while ((r = raft_node_next(core->raft, &index, &entry)) == 0) {
        Command__CommandResult *result = NULL;

        r = apply(core->txn, index, entry.data, &core->changes, &result);
        if (r < 0)
            return err_up(r);
        r = follow_changes(core);
        proposals_applied(core, index, result);
        if (r < 0)
            return err_up(r);
        core->behind = ++count == APPLY_ENTRIES;
        if (core->behind)
            return 0;
    }
    return r == RAFT_NODE_NONE ? 0 : err_up(r);
}

/* ---- leadership */

static int notice_leadership(struct core *core)
{
    uint64_t term = raft_node_term(core->raft);
    bool leads = raft_node_leads(core->raft);
    bool ready = raft_node_ready(core->raft);
    bool lost = core->leads && (!leads || term != core->term);
    bool gained = ready && (!core->ready || term != core->term);

    core->term = term;
    core->leads = leads;
    core->ready = ready;
    if (lost) {
        proposals_abandon(core);
        dispatch_lose(core);
        lead_lose(core);
    }
    calls_leadership(core);
    return gained ? err_up(dispatch_lead(core)) : 0;
}

/* ---- out */

static void send_frame(struct core *core, struct held_frame *held)
{
    list_remove(&held->link);
    core->config.send(core->config.context, held->to, (struct bytes){held->bytes, held->len});
    free(held);
}

void core_send_held(struct core *core)
{
    list_each (link, &core->held)
        send_frame(core, list_entry(link, struct held_frame, link));
}

/* Raft 10.2.1: the leader's disk and its followers' work side by side. An Append says what the
 * leader has decided, not what its disk has; the leader counts itself only when it has. */
static void send_appends_early(struct core *core)
{
    if (!raft_node_may_send_early(core->raft))
        return;
    list_each (link, &core->held) {
        struct held_frame *held = list_entry(link, struct held_frame, link);

        if (held->is_append)
            send_frame(core, held);
    }
    core->config.push(core->config.context);
}

void core_hand_back_rpcs(struct core *core)
{
    list_each (link, &core->answered_rpcs) {
        struct rpc *rpc = list_entry(link, struct rpc, link);

        list_remove(link);
        rpc->done(rpc);
    }
}

static void tell_members(struct core *core)
{
    size_t count;
    const struct member *members = raft_node_members(core->raft, &count, NULL);

    if (count == core->told_count && memcmp(members, core->told, count * sizeof *members) == 0)
        return;
    memcpy(core->told, members, count * sizeof *members);
    core->told_count = count;
    if (core->config.members_changed)
        core->config.members_changed(core->config.context, members, count);
}

bool core_has_removed(const struct core *core, uint64_t id)
{
    const struct member *members;
    uint64_t index;
    size_t count;

    if (!core->raft)
        return false;
    members = raft_node_members(core->raft, &count, &index);
    return raft_node_ready(core->raft) && index <= raft_node_commit_index(core->raft) &&
           !member_find(members, count, id);
}

static void add_members(const struct core *core, struct core_status *status)
{
    size_t count;
    const struct member *members = raft_node_members(core->raft, &count, NULL);
    const struct member *self = member_find(members, count, status->id);
    const struct member *leader = member_find(members, count, status->leader);

    status->role = self ? self->role : MEMBER_SPARE;
    if (leader)
        snprintf(status->leader_name, sizeof status->leader_name, "%s", leader->name);
}

static void publish_status(struct core *core)
{
    struct core_status status = {.id = core->config.id, .applied_index = core->visible_index};

    if (core->raft) {
        status.leader = raft_node_leader(core->raft);
        status.term = raft_node_term(core->raft);
        status.last_index = raft_node_last_index(core->raft);
        status.commit_index = raft_node_commit_index(core->raft);
        status.ready = raft_node_ready(core->raft);
        add_members(core, &status);
    }
    pthread_mutex_lock(&core->status_lock);
    core->status = status;
    pthread_mutex_unlock(&core->status_lock);
}

void core_status(struct core *core, struct core_status *out)
{
    pthread_mutex_lock(&core->status_lock);
    *out = core->status;
    pthread_mutex_unlock(&core->status_lock);
}

/* ---- the turn */

static int collect(struct core *core)
{
    int r = raft_node_begin(core->raft, core->txn, core->now_ms);

    if (r < 0)
        return err_up(r);
    r = take_frames(core);
    if (r < 0)
        return err_up(r);
    take_lost_peers(core); /* What a peer said came before the end of its connection. */
    r = raft_node_tick(core->raft);
    if (r < 0)
        return err_up(r);
    r = notice_leadership(core);
    if (r < 0)
        return err_up(r);
    return err_up(take_inbox(core));
}

static int decide(struct core *core)
{
    int r = apply_committed(core);

    if (r < 0)
        return err_up(r);
    r = notice_leadership(core); /* What was applied may have made this leader ready. */
    if (r < 0)
        return err_up(r);
    r = calls_turn(core);
    if (r < 0)
        return err_up(r);
    r = dispatch_turn(core);
    if (r < 0)
        return err_up(r);
    r = lead_turn(core);
    if (r < 0)
        return err_up(r);
    r = admission_turn(core);
    if (r < 0)
        return err_up(r);
    r = images_turn(core);
    if (r < 0)
        return err_up(r);
    r = proposals_submit(core);
    if (r < 0)
        return err_up(r);
    return err_up(raft_node_end(core->raft));
}

static int turn_once(struct core *core)
{
    int r = core_begin(core);

    if (r < 0)
        return err_up(r);
    r = collect(core);
    if (r == 0)
        r = decide(core);
    if (r < 0) {
        txn_abort(steal(core->txn));
        return err_up(r);
    }
    if (core_commit_is_due(core)) {
        send_appends_early(core);
        r = core_commit(core);
        if (r < 0)
            return err_up(r);
    } else {
        core_keep(core);
    }
    core_send_held(core);
    tell_members(core);
    publish_status(core);
    proposals_finish(core);
    calls_hand_back(core);
    core_hand_back_rpcs(core);
    admission_finish(core);
    core_send_held(core); /* Answers to calls of other managers. */
    return 0;
}

/* An image takes the place of everything there is: nothing may be on its way. */
static int adopt(struct core *core)
{
    int r = core->txn ? core_commit(core) : 0;

    if (r == 0)
        r = images_adopt(core);
    if (r < 0 || !core->raft)
        return err_up(r);
    tell_members(core);
    publish_status(core);
    calls_hand_back(core);
    return 0;
}

int core_turn(struct core *core, uint64_t now_ms, uint64_t wall_ms)
{
    must(!core->stopped);
    if (now_ms > core->now_ms)
        core->now_ms = now_ms;
    core->wall_ms = wall_ms;
    do {
        int r = core->raft ? core_survive(core, turn_once(core)) : core_shut_turn(core);

        if (r < 0)
            return err_up(r);
    } while (core->raft && raft_node_owes(core->raft));
    if (core->raft && images_are_due(core))
        return err_up(core_survive(core, adopt(core)));
    if (!core->raft)
        publish_status(core);
    return core->raft ? err_up(core_survive(core, core_make_room(core))) : 0;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t core_deadline(const struct core *core)
{
    uint64_t at;

    if (!core->raft)
        return sooner(core->reload_at_ms, calls_deadline(core));
    at = sooner(raft_node_deadline(core->raft), core_commit_deadline(core));
    if (core->behind)
        return core->now_ms;
    at = sooner(at, calls_deadline(core));
    at = sooner(at, dispatch_deadline(core));
    at = sooner(at, images_deadline(core));
    return sooner(at, lead_deadline(core));
}

/* ---- life */

static void init_lists(struct core *core)
{
    struct list *heads[] = {
        &core->inbox_calls, &core->inbox_rpcs, &core->frames,        &core->held,
        &core->finished,    &core->answered,   &core->answered_rpcs, &core->proposing,
        &core->proposed,    &core->parked,     &core->reading,       &core->rounds,
        &core->forwarded,   &core->applying,   &core->newcomers,     &core->admitted,
        &core->managing,
    };

    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        list_init(heads[i]);
}

int core_open(const struct core_config *config, uint64_t now_ms, uint64_t wall_ms,
              struct core **out)
{
    struct core *core = mem_new(struct core);
    int r;

    core->config = *config;
    core->now_ms = now_ms;
    core->wall_ms = wall_ms;
    rng_seed(&core->rng, config->seed);
    pthread_mutex_init(&core->inbox_lock, NULL);
    pthread_mutex_init(&core->status_lock, NULL);
    init_lists(core);
    core->images = images_new();
    r = core_load(core);
    if (r < 0) {
        core_free(core);
        return err_up(r);
    }
    tell_members(core);
    publish_status(core);
    *out = core;
    return 0;
}

void core_stop(struct core *core)
{
    struct list calls, rpcs;

    list_init(&calls);
    list_init(&rpcs);
    core->stopped = true;
    pthread_mutex_lock(&core->inbox_lock);
    core->inbox_closed = true;
    list_splice(&calls, &core->inbox_calls);
    list_splice(&rpcs, &core->inbox_rpcs);
    pthread_mutex_unlock(&core->inbox_lock);
    calls_take(core, &calls);
    list_splice(&core->answered_rpcs, &rpcs);
    proposals_abandon(core);
    proposals_finish(core);
    calls_stop(core);
    dispatch_stop(core);
    calls_hand_back(core);
    core_hand_back_rpcs(core);
    core_leave(core);
}

void core_free(struct core *core)
{
    if (!core)
        return;
    if (!core->stopped)
        core_stop(core);
    core_drop_frames(core);
    core_drop_held(core);
    admission_stop(core);
    images_free(core->images);
    raft_node_free(core->raft);
    view_free(core->view);
    changes_fini(&core->changes);
    free(core->sessions);
    pthread_mutex_destroy(&core->inbox_lock);
    pthread_mutex_destroy(&core->status_lock);
    free(core);
}
