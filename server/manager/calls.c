/*
 * API calls in the core. A call is on exactly one list, or in one proposal:
 *
 *   arrived ──> parked ──┬─ leading: proposal (writes), reading ──> a round (reads) ──> answered
 *                 ▲      └─ following: forwarded ──> applying (until applied here) ──> answered
 *                 └── leadership changed before anything was done
 *
 * A call that another manager forwards is a call like any other whose `done` sends the answer back.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/problem.h"
#include "proto/unpacking.h"
#include "proto/validate.h"
#include "server/manager/command_build.h"
#include "server/manager/core_internal.h"
#include "server/manager/manage.h"

enum {
    CHECK_EVERY_MS = 100,  /* Deadlines are looked at this often. */
    FORWARD_PAUSE_MS = 20, /* After "I do not lead". */
    RECALL_PAUSE_MS = 500, /* For a manager that led to say what became of a call. */
};

/* A call of another manager. */
struct remote_call {
    struct call call;
    struct core *core;
    uint64_t from;
    uint64_t number;
    char *action;
    ProtobufCMessage *request;
};

void call_finish(struct core *core, struct call *call, enum call_outcome outcome)
{
    call->outcome = outcome;
    list_append(&core->answered, &call->link);
}

void calls_hand_back(struct core *core)
{
    list_each (link, &core->answered) {
        struct call *call = list_entry(link, struct call, link);

        list_remove(link);
        core->call_count--;
        call->done(call);
    }
}

static void add(struct core *core, struct call *call)
{
    core->call_count++;
    call->deadline_ms = core->now_ms + LIMIT_API_TIMEOUT_MS;
    if (call->stale)
        call_finish(core, call, CALL_STALE);
    else if (core->stopped || core->call_count > LIMIT_API_CALLS)
        call_finish(core, call, CALL_NO_LEADER);
    else
        list_append(&core->parked, &call->link);
}

void calls_take(struct core *core, struct list *arrived)
{
    list_each (link, arrived) {
        list_remove(link);
        add(core, list_entry(link, struct call, link));
    }
}

/* ---- leading */

static void refuse(struct core *core, struct call *call, Command__Problem *problem)
{
    call->result = mem_new(Command__CommandResult);
    command__command_result__init(call->result);
    call->result->problem = problem;
    call->index = raft_node_applied_index(core->raft);
    call_finish(core, call, CALL_DONE);
}

/* The turn failed for want of space, and this with it. */
static void refuse_full(struct core *core, struct call *call, bool submitted)
{
    refuse(core, call,
           problem_new(COMMAND__ERROR_CODE__ERROR_SERVER, "The disk of manager %s is full: %s.",
                       core->full_name,
                       submitted ? "this may or may not have been done" : "nothing was done"));
}

static void call_applied(struct core *core, struct proposal *proposal,
                         const Command__CommandResult *result)
{
    struct call *call = proposal->call;

    (void)result;
    view_release(core->view, proposal->token, 0);
    core->view_changed = true;
    if (!call)
        return; /* Its time was up. */
    if (!proposal->result && core->shutting) {
        refuse_full(core, call, proposal->submitted);
        return;
    }
    if (!proposal->result) {
        call_finish(core, call, proposal->submitted ? CALL_UNKNOWN : CALL_NO_LEADER);
        return;
    }
    call->result = steal(proposal->result);
    call->index = proposal->index;
    call_finish(core, call, CALL_DONE);
}

static void remote_call_done(struct call *call);

void call_index_known(struct core *core, const struct call *call, uint64_t index)
{
    if (call->done == remote_call_done)
        raft_node_tell_commit(core->raft, list_entry(call, struct remote_call, call)->from, index);
}

void call_collect(struct core *core, struct call *call, const Command__CommandResult *result)
{
    if (call->collect && result && !result->problem)
        call->collect(call, result, core->txn);
}

/* A read: what it was promised must be visible when it is handed back. */
static void finish_read(struct core *core, struct call *call)
{
    if (call->done != remote_call_done && call->index > core->visible_index)
        core->reader_waits = true;
    call_finish(core, call, CALL_DONE);
}

static int propose_run_task(struct core *core, struct call *call)
{
    Command__Command *command = command_new(core);
    Command__Problem *problem = NULL;
    struct proposal *proposal;
    uint64_t token = 0;
    int r =
        lead_run_task(core, (const Ecs__RunTaskRequest *)call->request, command, &token, &problem);

    if (r < 0 || problem) {
        command__command__free_unpacked(command, NULL);
        if (problem)
            refuse(core, call, problem);
        return err_up(r);
    }
    proposal = propose(core, command, call_applied);
    proposal->call = call;
    proposal->token = token;
    return 0;
}

static int propose_call(struct core *core, struct call *call)
{
    struct stamp stamp = {.time_ms = core->wall_ms, .rng = &core->rng};
    Command__Command *command;

    if (strcmp(call->action, "RunTask") == 0)
        return err_up(propose_run_task(core, call));
    if (manage_request(call->action))
        return err_up(manage_begin(core, call));
    if (command_build(call->action, call->request, &stamp, &command) < 0) {
        call_finish(core, call, CALL_NO_LEADER); /* Of a newer manager than this one. */
        return 0;
    }
    propose(core, command, call_applied)->call = call;
    return 0;
}

static int begin_round(struct core *core)
{
    struct read_round *round;
    uint64_t number, index;
    int r;

    if (list_is_empty(&core->reading))
        return 0;
    r = raft_node_read(core->raft, &number, &index);
    if (r != 0)
        return r < 0 ? err_up(r) : 0;
    round = mem_new(struct read_round);
    round->round = number;
    round->index = index;
    round->term = core->term;
    list_init(&round->calls);
    list_splice(&round->calls, &core->reading);
    list_append(&core->rounds, &round->link);
    return 0;
}

static void finish_round(struct core *core, struct read_round *round)
{
    list_each (link, &round->calls) {
        struct call *call = list_entry(link, struct call, link);

        list_remove(link);
        call->index = round->index;
        call_index_known(core, call, round->index);
        finish_read(core, call);
    }
    list_remove(&round->link);
    free(round);
}

/* A later round that is confirmed confirms the earlier ones: their seq is lower. */
static void check_rounds(struct core *core)
{
    list_each (link, &core->rounds) {
        struct read_round *round = list_entry(link, struct read_round, link);

        if (!raft_node_read_confirmed(core->raft, round->round) ||
            raft_node_applied_index(core->raft) < round->index)
            return;
        finish_round(core, round);
    }
}

static void drop_rounds(struct core *core)
{
    list_each (link, &core->rounds) {
        struct read_round *round = list_entry(link, struct read_round, link);

        list_splice(&core->parked, &round->calls);
        list_remove(link);
        free(round);
    }
    list_splice(&core->parked, &core->reading);
}

/* ---- following */

static void forward(struct core *core, struct call *call, uint64_t leader)
{
    scope(buffer_fini) struct buffer packed = {0};
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__Forward body = PEER__FORWARD__INIT;

    call->number = ++core->call_number;
    call->to = leader;
    body.call = call->number;
    if (call->write) {
        size_t len = protobuf_c_message_get_packed_size(call->request);

        protobuf_c_message_pack(call->request, buffer_extend(&packed, len));
        body.action = (char *)call->action;
        body.request = (ProtobufCBinaryData){packed.len, packed.base};
    }
    frame.from = core->config.id;
    frame.body_case = PEER__PEER_FRAME__BODY_FORWARD;
    frame.forward = &body;
    core_hold(core, leader, &frame);
    list_append(&core->forwarded, &call->link);
}

static void send_forwarded(struct core *core, uint64_t to, uint64_t number,
                           const Peer__Forwarded *what)
{
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__Forwarded body = *what;

    body.call = number;
    frame.from = core->config.id;
    frame.body_case = PEER__PEER_FRAME__BODY_FORWARDED;
    frame.forwarded = &body;
    core_hold(core, to, &frame);
}

static void remote_call_done(struct call *call)
{
    struct remote_call *remote = list_entry(call, struct remote_call, call);
    Peer__Forwarded answer = PEER__FORWARDED__INIT;

    answer.not_leader = call->outcome == CALL_NO_LEADER;
    answer.unknown = call->outcome == CALL_UNKNOWN;
    answer.result = call->result;
    answer.index = call->index;
    send_forwarded(remote->core, remote->from, remote->number, &answer);
    if (call->result)
        command__command_result__free_unpacked(call->result, NULL);
    if (remote->request)
        protobuf_c_message_free_unpacked(remote->request, NULL);
    free(remote->action);
    free(remote);
}

static bool is_valid(const ProtobufCMessage *request)
{
    Command__Problem *problem = NULL;
    bool valid = validate_request(request, &problem) == 0;

    problem_free(problem);
    return valid;
}

/* False: an action that this manager does not know, or bytes that are no valid request of it: what
 * follows counts on its form, whoever was to check it first. */
static bool unpack_forward(const Peer__Forward *body, struct remote_call *remote)
{
    const ProtobufCMessageDescriptor *type;

    remote->action = mem_string(body->action);
    remote->call.action = remote->action;
    if (body->action[0] == '\0')
        return true; /* A read. */
    type = command_request(body->action);
    if (!type)
        type = manage_request(body->action);
    if (!type)
        return false;
    remote->request =
        protobuf_c_message_unpack(type, &unpacking, body->request.len, body->request.data);
    remote->call.request = remote->request;
    remote->call.write = true;
    return remote->request && is_valid(remote->request);
}

static void receive_forward(struct core *core, uint64_t from, const Peer__Forward *body)
{
    struct remote_call *remote = mem_new(struct remote_call);

    remote->core = core;
    remote->from = from;
    remote->number = body->call;
    remote->call.done = remote_call_done;
    list_init(&remote->call.link);
    if (raft_node_leads(core->raft) && unpack_forward(body, remote)) {
        add(core, &remote->call);
        return;
    }
    core->call_count++;
    call_finish(core, &remote->call, CALL_NO_LEADER);
}

static struct call *find_forwarded(struct core *core, uint64_t number)
{
    list_each (link, &core->forwarded) {
        struct call *call = list_entry(link, struct call, link);

        if (call->number == number)
            return call;
    }
    return NULL; /* Answered already: its time was up. */
}

static void receive_forwarded(struct core *core, uint64_t from, Peer__Forwarded *body)
{
    struct call *call = find_forwarded(core, body->call);

    if (!call || call->to != from)
        return;
    list_remove(&call->link);
    if (body->not_leader) {
        core->forward_after_ms = core->now_ms + FORWARD_PAUSE_MS;
        list_append(&core->parked, &call->link);
    } else if (body->unknown || (call->write && !body->result)) {
        call_finish(core, call, CALL_UNKNOWN);
    } else {
        call->result = steal(body->result);
        call->index = body->index;
        list_append(&core->applying, &call->link);
    }
}

void calls_receive(struct core *core, const Peer__PeerFrame *frame)
{
    if (frame->body_case == PEER__PEER_FRAME__BODY_FORWARD)
        receive_forward(core, frame->from, frame->forward);
    else if (frame->body_case == PEER__PEER_FRAME__BODY_FORWARDED)
        receive_forwarded(core, frame->from, frame->forwarded);
}

/* It does not lead any more. A read may be asked again; of a write it says itself what became of
 * it, also when it has handed leadership on, but is waited for only so long. */
static void hurry(struct core *core, uint64_t from)
{
    list_each (link, &core->forwarded) {
        struct call *call = list_entry(link, struct call, link);

        if (call->to != from)
            continue;
        if (!call->write) {
            list_remove(link);
            list_append(&core->parked, &call->link);
        } else if (call->deadline_ms > core->now_ms + RECALL_PAUSE_MS) {
            call->deadline_ms = core->now_ms + RECALL_PAUSE_MS;
        }
    }
}

/* The leader they went to will not answer: a read may be asked again, a write may have been done.
 */
static void recall(struct core *core, uint64_t from)
{
    list_each (link, &core->forwarded) {
        struct call *call = list_entry(link, struct call, link);

        if (call->to != from)
            continue;
        list_remove(link);
        if (call->write)
            call_finish(core, call, CALL_UNKNOWN);
        else
            list_append(&core->parked, &call->link);
    }
}

void calls_peer_lost(struct core *core, uint64_t peer)
{
    recall(core, peer);
}

void calls_leadership(struct core *core)
{
    uint64_t leader = raft_node_leader(core->raft);

    if (leader != core->known_leader && core->known_leader != 0)
        hurry(core, core->known_leader);
    core->known_leader = leader;
    if (!core->ready)
        drop_rounds(core);
}

/* ---- the turn */

static int route(struct core *core)
{
    uint64_t leader = raft_node_leader(core->raft);
    bool may_forward = leader != 0 && leader != core->config.id && !raft_node_leads(core->raft) &&
                       core->now_ms >= core->forward_after_ms;

    list_each (link, &core->parked) {
        struct call *call = list_entry(link, struct call, link);
        int r = 0;

        if (!core->ready && !may_forward)
            continue;
        if (call->write && raft_node_transferring(core->raft))
            continue; /* The next leader's. */
        list_remove(link);
        if (may_forward)
            forward(core, call, leader);
        else if (call->write)
            r = propose_call(core, call);
        else
            list_append(&core->reading, &call->link);
        if (r < 0)
            return err_up(r);
    }
    return 0;
}

static void check_applying(struct core *core)
{
    uint64_t applied = raft_node_applied_index(core->raft);

    list_each (link, &core->applying) {
        struct call *call = list_entry(link, struct call, link);

        if (call->index > applied)
            continue;
        list_remove(link);
        if (call->write) {
            call_collect(core, call, call->result);
            call_finish(core, call, CALL_DONE);
        } else {
            finish_read(core, call);
        }
    }
}

static void expire_list(struct core *core, struct list *head, bool may_be_done)
{
    list_each (link, head) {
        struct call *call = list_entry(link, struct call, link);

        if (core->now_ms < call->deadline_ms)
            continue;
        list_remove(link);
        if (call->result)
            command__command_result__free_unpacked(steal(call->result), NULL);
        call_finish(core, call, may_be_done && call->write ? CALL_UNKNOWN : CALL_NO_LEADER);
    }
}

static void expire_proposed(struct core *core)
{
    list_each (link, &core->proposed) {
        struct proposal *proposal = list_entry(link, struct proposal, link);

        if (!proposal->call || core->now_ms < proposal->call->deadline_ms)
            continue;
        call_finish(core, steal(proposal->call), CALL_UNKNOWN);
    }
}

static void expire(struct core *core)
{
    if (core->now_ms < core->calls_checked_ms + CHECK_EVERY_MS)
        return;
    core->calls_checked_ms = core->now_ms;
    expire_list(core, &core->parked, false);
    expire_list(core, &core->reading, false);
    list_each (link, &core->rounds)
        expire_list(core, &list_entry(link, struct read_round, link)->calls, false);
    expire_list(core, &core->forwarded, true);
    expire_list(core, &core->applying, true);
    expire_list(core, &core->managing, true);
    expire_proposed(core);
}

int calls_turn(struct core *core)
{
    int r = route(core);

    if (r < 0)
        return err_up(r);
    r = begin_round(core);
    if (r < 0)
        return err_up(r);
    check_rounds(core);
    check_applying(core);
    manage_turn(core);
    expire(core);
    return 0;
}

uint64_t calls_deadline(const struct core *core)
{
    if (core->call_count == 0)
        return UINT64_MAX;
    if (!list_is_empty(&core->parked) && core->forward_after_ms > core->now_ms)
        return core->forward_after_ms;
    return core->calls_checked_ms + CHECK_EVERY_MS;
}

static void stop_list(struct core *core, struct list *head, enum call_outcome outcome)
{
    list_each (link, head) {
        struct call *call = list_entry(link, struct call, link);

        list_remove(link);
        if (call->result)
            command__command_result__free_unpacked(steal(call->result), NULL);
        call_finish(core, call, outcome);
    }
}

void calls_stop(struct core *core)
{
    drop_rounds(core);
    stop_list(core, &core->parked, CALL_NO_LEADER);
    stop_list(core, &core->reading, CALL_NO_LEADER);
    stop_list(core, &core->forwarded, CALL_UNKNOWN);
    stop_list(core, &core->applying, CALL_UNKNOWN);
    stop_list(core, &core->managing, CALL_UNKNOWN);
}

void calls_unanswer(struct core *core)
{
    list_each (link, &core->answered) {
        struct call *call = list_entry(link, struct call, link);

        if (call->write || call->outcome != CALL_DONE || call->done == remote_call_done)
            continue;
        list_remove(link);
        list_append(&core->parked, link);
    }
    drop_rounds(core);
}

void calls_shut_turn(struct core *core)
{
    struct list calls;

    list_init(&calls);
    pthread_mutex_lock(&core->inbox_lock);
    list_splice(&calls, &core->inbox_calls);
    pthread_mutex_unlock(&core->inbox_lock);
    calls_take(core, &calls);
    expire(core);
    calls_hand_back(core);
}
