/*
 * Workers, as the leader sees them. What a worker should run is a function of the tables; kept in
 * memory are only its waiting Pull and when it was last heard, so a new leader goes on at once.
 *
 * A worker is heard of when a call of it arrives. One that stays silent for worker_lost_ms is
 * declared lost, by a command. The clock starts anew for all when this manager begins to lead and
 * when it was itself asleep: a fault in the control plane must never cost a healthy task.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/manager/core_internal.h"
#include "server/manager/dispatch_answer.h"
#include "storage/tables.h"

enum {
    CHECK_EVERY_MS = 100,
    ASLEEP_MS = 1000, /* A check that comes this late was not on time because we were not. */
    REQUEST_BYTES =
        LIMIT_COMMAND_BYTES - 4096, /* It becomes one command, with little more in it. */
    REPORT_MS = 3000, /* A Report or Register that is not applied by then is answered NOT_LEADER. */
};

struct session {
    uint64_t session; /* As registered. */
    uint64_t heard_ms;
    struct rpc *pull; /* Waiting, or NULL. */
    uint64_t version; /* That it has. */
    bool losing;      /* LoseWorkers is under way. */
    bool connected;   /* As the tables say. */
};

/* ---- sessions */

static struct session *session_of(struct core *core, uint64_t worker_seq)
{
    if (worker_seq >= core->session_count) {
        size_t count =
            worker_seq + 1 > 2 * core->session_count ? worker_seq + 1 : 2 * core->session_count;

        core->sessions = mem_resize(core->sessions, count, sizeof *core->sessions);
        for (size_t i = core->session_count; i < count; i++)
            core->sessions[i] = NULL;
        core->session_count = count;
    }
    if (!core->sessions[worker_seq])
        core->sessions[worker_seq] = mem_new(struct session);
    return core->sessions[worker_seq];
}

static void forget_sessions(struct core *core)
{
    for (size_t i = 0; i < core->session_count; i++)
        free(core->sessions[i]);
    free(core->sessions);
    core->sessions = NULL;
    core->session_count = 0;
}

/* ---- Register */

static char *instance_arn(struct txn *txn, uint64_t worker_seq)
{
    State__Settings *settings = NULL;
    State__Worker *worker = NULL;
    State__Cluster *cluster = NULL;
    char *arn = NULL;

    if (table_settings(txn, &settings) == 0 && table_worker(txn, worker_seq, &worker) == 0 &&
        table_cluster(txn, worker->cluster_seq, &cluster) == 0)
        arn = arn_container_instance(settings, cluster->name, worker->id);
    if (settings)
        state__settings__free_unpacked(settings, NULL);
    if (worker)
        state__worker__free_unpacked(worker, NULL);
    if (cluster)
        state__cluster__free_unpacked(cluster, NULL);
    return arn ? arn : mem_string("");
}

/* What was applied is in the transaction that is still open, or else committed. */
static char *registered_arn(struct core *core, uint64_t worker_seq)
{
    scope(txn_abort) struct txn *txn = NULL;

    if (core->txn)
        return instance_arn(core->txn, worker_seq);
    return env_read(core->config.env, &txn) == 0 ? instance_arn(txn, worker_seq) : mem_string("");
}

static void register_applied(struct core *core, struct proposal *proposal,
                             const Command__CommandResult *result)
{
    const Worker__RegisterRequest *request;
    Worker__RegisterResponse *response;
    struct session *session;

    if (!proposal->rpc)
        return;
    if (!result) {
        dispatch_answer_plainly(core, proposal->rpc, WORKER__OUTCOME__NOT_LEADER);
        return;
    }
    if (result->problem) {
        response = dispatch_register_response(core, WORKER__OUTCOME__REFUSED);
        free(response->message);
        response->message = mem_string(result->problem->text);
        core_answer_rpc(core, proposal->rpc, &response->base);
        return;
    }
    request = (const Worker__RegisterRequest *)proposal->rpc->request;
    session = session_of(core, result->seq);
    session->session = request->session;
    session->heard_ms = core->now_ms;
    session->losing = false;
    session->connected = true;
    response = dispatch_register_response(core, WORKER__OUTCOME__OK);
    free(response->container_instance_arn);
    response->container_instance_arn = registered_arn(core, result->seq);
    core_answer_rpc(core, proposal->rpc, &response->base);
}

static void take_register(struct core *core, struct rpc *rpc)
{
    const Worker__RegisterRequest *request = (const Worker__RegisterRequest *)rpc->request;
    Command__Command *command = command_new(core);
    Command__RegisterWorker *body = mem_new(Command__RegisterWorker);

    command__register_worker__init(body);
    body->id = mem_string(request->worker_id);
    body->session = request->session;
    body->cluster = mem_string(request->cluster);
    body->name = mem_string(request->name);
    body->zone = mem_string(request->zone);
    body->address = mem_string(request->address);
    body->cpu = request->cpu;
    body->memory = request->memory;
    body->version = mem_string(request->version);
    body->n_attributes = request->n_attributes;
    body->attributes = mem_new_array(Ecs__Attribute *, request->n_attributes);
    for (size_t i = 0; i < request->n_attributes; i++) {
        body->attributes[i] = mem_new(Ecs__Attribute);
        ecs__attribute__init(body->attributes[i]);
        body->attributes[i]->name = mem_string(request->attributes[i]->name);
        body->attributes[i]->value = mem_string(request->attributes[i]->value);
    }
    command->body_case = COMMAND__COMMAND__BODY_REGISTER_WORKER;
    command->register_worker = body;
    rpc->deadline_ms = core->now_ms + REPORT_MS;
    propose(core, command, register_applied)->rpc = rpc;
}

/* ---- who is calling */

/* The worker's seq and session, if the tables know both and count it as connected; else the
 * outcome is REGISTER. */
static int identify(struct core *core, const char *worker_id, uint64_t number, uint64_t *out_seq,
                    struct session **out)
{
    State__Worker *worker = NULL;
    State__WorkerUsage *usage = NULL;
    struct session *session;
    uint64_t seq;
    int r = table_worker_seq(core->txn, worker_id, &seq);

    *out = NULL;
    if (r != 0)
        return r < 0 ? err_up(r) : 0;
    session = session_of(core, seq);
    if (session->session == 0) { /* Registered with an earlier leader. */
        r = table_worker(core->txn, seq, &worker);
        if (r == 0)
            r = table_worker_usage(core->txn, seq, &usage);
        if (r < 0)
            return err_up(r);
        if (r == 0) {
            session->session = worker->session;
            session->connected = usage->connected;
        }
        if (worker)
            state__worker__free_unpacked(worker, NULL);
        if (usage)
            state__worker_usage__free_unpacked(usage, NULL);
    }
    if (session->session != number || !session->connected)
        return 0;
    session->heard_ms = core->now_ms;
    *out_seq = seq;
    *out = session;
    return 0;
}

/* ---- Pull */

/* Answer the waiting Pull of a worker if there is news for it. */
static int offer(struct core *core, uint64_t worker_seq, struct session *session)
{
    State__WorkerUsage *usage = NULL;
    uint64_t version;
    int r = table_worker_usage(core->txn, worker_seq, &usage);

    if (r != 0)
        return r < 0 ? err_up(r) : 0;
    version = usage->changed_index;
    session->connected = usage->connected;
    state__worker_usage__free_unpacked(usage, NULL);
    if (!session->pull)
        return 0;
    if (!session->connected) {
        dispatch_answer_plainly(core, steal(session->pull), WORKER__OUTCOME__REGISTER);
        return 0;
    }
    if (session->version != 0 && version <= session->version)
        return 0;
    return err_up(
        dispatch_answer_pull(core, steal(session->pull), worker_seq, session->version, version));
}

int dispatch_changed(struct core *core, uint64_t worker_seq)
{
    if (worker_seq >= core->session_count || !core->sessions[worker_seq])
        return 0;
    return err_up(offer(core, worker_seq, core->sessions[worker_seq]));
}

static void answer_nothing_new(struct core *core, struct session *session)
{
    Worker__PullResponse *response = dispatch_pull_response(core, WORKER__OUTCOME__OK);

    response->version = session->version;
    core_answer_rpc(core, steal(session->pull), &response->base);
}

static int take_pull(struct core *core, struct rpc *rpc)
{
    const Worker__PullRequest *request = (const Worker__PullRequest *)rpc->request;
    struct session *session;
    uint64_t seq;
    int r = identify(core, request->worker_id, request->session, &seq, &session);

    if (r < 0)
        return err_up(r);
    if (!session) {
        dispatch_answer_plainly(core, rpc, WORKER__OUTCOME__REGISTER);
        return 0;
    }
    if (session->pull) /* Its connection broke, and it asks again. */
        answer_nothing_new(core, session);
    session->pull = rpc;
    session->version = request->version;
    rpc->deadline_ms = core->now_ms + core->config.worker_heartbeat_ms;
    return err_up(offer(core, seq, session));
}

/* ---- Report */

static void report_applied(struct core *core, struct proposal *proposal,
                           const Command__CommandResult *result)
{
    Worker__Outcome outcome = WORKER__OUTCOME__OK;

    if (!proposal->rpc)
        return;
    if (!result)
        outcome = WORKER__OUTCOME__NOT_LEADER;
    else if (result->problem)
        outcome = WORKER__OUTCOME__REGISTER;
    dispatch_answer_plainly(core, proposal->rpc, outcome);
}

static int take_report(struct core *core, struct rpc *rpc)
{
    Worker__ReportRequest *request = (Worker__ReportRequest *)rpc->request;
    Command__Command *command;
    Command__ReportTasks *body;
    struct session *session;
    uint64_t seq;
    int r = identify(core, request->worker_id, request->session, &seq, &session);

    if (r < 0)
        return err_up(r);
    if (!session) {
        dispatch_answer_plainly(core, rpc, WORKER__OUTCOME__REGISTER);
        return 0;
    }
    if (request->n_reports > LIMIT_REPORTS) {
        dispatch_answer_plainly(core, rpc, WORKER__OUTCOME__REFUSED);
        return 0;
    }
    command = command_new(core);
    body = mem_new(Command__ReportTasks);
    command__report_tasks__init(body);
    body->worker_seq = seq;
    body->session = request->session;
    body->n_reports = request->n_reports; /* Moved: the request does not need them any more. */
    body->reports = request->reports;
    request->n_reports = 0;
    request->reports = NULL;
    command->body_case = COMMAND__COMMAND__BODY_REPORT_TASKS;
    command->report_tasks = body;
    rpc->deadline_ms = core->now_ms + REPORT_MS;
    propose(core, command, report_applied)->rpc = rpc;
    return 0;
}

int dispatch_take(struct core *core, struct list *arrived)
{
    list_each (link, arrived) {
        struct rpc *rpc = list_entry(link, struct rpc, link);
        int r = 0;

        list_remove(link);
        if (!core->ready)
            dispatch_answer_plainly(core, rpc, WORKER__OUTCOME__NOT_LEADER);
        else if (protobuf_c_message_get_packed_size(rpc->request) > REQUEST_BYTES)
            dispatch_answer_plainly(core, rpc, WORKER__OUTCOME__REFUSED);
        else if (rpc->kind == RPC_REGISTER)
            take_register(core, rpc);
        else if (rpc->kind == RPC_PULL)
            r = take_pull(core, rpc);
        else
            r = take_report(core, rpc);
        if (r < 0)
            return err_up(r);
    }
    return 0;
}

/* ---- silence */

static void lose_applied(struct core *core, struct proposal *proposal,
                         const Command__CommandResult *result)
{
    (void)result;
    if (proposal->worker_seq < core->session_count && core->sessions[proposal->worker_seq])
        core->sessions[proposal->worker_seq]->losing = false;
}

static void lose(struct core *core, uint64_t worker_seq, struct session *session)
{
    Command__Command *command = command_new(core);
    Command__LoseWorkers *body = mem_new(Command__LoseWorkers);

    command__lose_workers__init(body);
    body->n_worker_seqs = 1;
    body->worker_seqs = mem_new_array(uint64_t, 1);
    body->worker_seqs[0] = worker_seq;
    body->n_sessions = 1; /* One that registers anew meanwhile is not meant. */
    body->sessions = mem_new_array(uint64_t, 1);
    body->sessions[0] = session->session;
    body->reason = mem_format("not heard of for %u ms", core->config.worker_lost_ms);
    command->body_case = COMMAND__COMMAND__BODY_LOSE_WORKERS;
    command->lose_workers = body;
    session->losing = true;
    propose(core, command, lose_applied)->worker_seq = worker_seq;
}

static void check_silence(struct core *core)
{
    uint64_t late = core->now_ms - core->silence_checked_ms;

    core->silence_checked_ms = core->now_ms;
    for (size_t seq = 0; seq < core->session_count; seq++) {
        struct session *session = core->sessions[seq];

        if (!session || !session->connected)
            continue;
        if (late > ASLEEP_MS)
            session->heard_ms += late;
        if (session->heard_ms > core->now_ms)
            session->heard_ms = core->now_ms;
        if (session->pull && core->now_ms >= session->pull->deadline_ms)
            answer_nothing_new(core, session);
        if (!session->losing && core->now_ms >= session->heard_ms + core->config.worker_lost_ms)
            lose(core, seq, session);
    }
}

static void expire_proposed(struct core *core)
{
    list_each (link, &core->proposed) {
        struct proposal *proposal = list_entry(link, struct proposal, link);

        if (proposal->rpc && core->now_ms >= proposal->rpc->deadline_ms)
            dispatch_answer_plainly(core, steal(proposal->rpc), WORKER__OUTCOME__NOT_LEADER);
    }
}

int dispatch_turn(struct core *core)
{
    if (!core->ready || core->now_ms < core->silence_checked_ms + CHECK_EVERY_MS)
        return 0;
    check_silence(core);
    expire_proposed(core);
    return 0;
}

uint64_t dispatch_deadline(const struct core *core)
{
    return core->ready ? core->silence_checked_ms + CHECK_EVERY_MS : UINT64_MAX;
}

/* ---- leadership */

static int each_worker(void *context, struct txn *txn, uint64_t seq)
{
    struct core *core = context;
    State__WorkerUsage *usage = NULL;
    int r = table_worker_usage(txn, seq, &usage);

    if (r != 0)
        return r < 0 ? err_up(r) : 0;
    if (usage->connected) {
        struct session *session = session_of(core, seq);

        session->heard_ms = core->now_ms; /* A full interval to return. */
        session->connected = true;
    }
    state__worker_usage__free_unpacked(usage, NULL);
    return 0;
}

int dispatch_lead(struct core *core)
{
    core->silence_checked_ms = core->now_ms;
    return err_up(table_all_workers(core->txn, 0, each_worker, core));
}

void dispatch_lose(struct core *core)
{
    for (size_t i = 0; i < core->session_count; i++)
        if (core->sessions[i] && core->sessions[i]->pull)
            dispatch_answer_plainly(core, core->sessions[i]->pull, WORKER__OUTCOME__NOT_LEADER);
    forget_sessions(core);
}

void dispatch_stop(struct core *core)
{
    dispatch_lose(core);
}
