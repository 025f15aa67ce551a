#include "server/worker/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/limits.h"
#include "proto/unpacking.h"
#include "server/net/address.h"
#include "server/net/grpc_client.h"
#include "server/net/log.h"
#include "server/worker/clock.h"
#include "server/worker/directory.h"
#include "server/worker/report.h"

enum { REDIRECTS_MAX = 3 }; /* In a row, before the next manager is tried in turn. */

enum phase { APART, REGISTERING, REPORTING, PULLING };

/* One connection. It outlives the session's interest in it until its last call has ended. */
struct link {
    struct session *session; /* NULL: given up, nobody listens. */
    struct grpc_client *client;
    uint64_t opened_ms;
    unsigned calls;
};

struct session {
    struct session_config config;
    struct directory managers;
    struct rng rng;
    uv_timer_t timer; /* The next round, or the next Pull after one that could not be obeyed. */
    struct link *link;
    enum phase phase;
    bool reporting;  /* A Report is on its way. */
    bool told;       /* That no leader is reached: logged once, until one is. */
    unsigned rounds; /* Without a leader. */
    unsigned redirects;
    uint64_t pull;    /* The number of the Pull that waits. */
    uint64_t version; /* Of the last answer obeyed. */
    uint32_t heartbeat_ms;
};

static void try_current(struct session *session);
static void send_register(struct session *session);
static void send_pull(struct session *session);

static const char *manager_name(const struct session *session)
{
    return directory_current(&session->managers)->text;
}

/* ---- connections */

static void link_free_if_done(struct link *link)
{
    if (!link->session && link->calls == 0)
        free(link);
}

static void give_up_link(struct session *session)
{
    struct link *link = session->link;

    session->link = NULL;
    session->phase = APART;
    if (session->reporting)
        agent_reported(session->config.agent, false);
    session->reporting = false;
    uv_timer_stop(&session->timer);
    if (!link)
        return;
    link->session = NULL;
    link->calls++; /* Closing may end calls at once: not the link under our hands. */
    grpc_client_close(link->client);
    link->calls--;
    link_free_if_done(link);
}

static void send_message(struct session *session, const char *path, const ProtobufCMessage *message,
                         uint64_t timeout_ms, grpc_called_fn *done)
{
    struct buffer packed = {0};
    size_t len = protobuf_c_message_get_packed_size(message);

    protobuf_c_message_pack(message, buffer_extend(&packed, len));
    session->link->calls++;
    grpc_client_call(session->link->client, path, (struct bytes){packed.base, len}, timeout_ms,
                     done, session->link);
    buffer_fini(&packed);
}

/* A call of this link has ended. The session, if it is still the one that listens. */
static struct session *call_ended(struct link *link)
{
    struct session *session = link->session;

    link->calls--;
    link_free_if_done(link);
    return session;
}

/* ---- the search for a leader */

static uint64_t round_delay_ms(struct session *session)
{
    unsigned late = session->rounds > ROUNDS_EARLY ? session->rounds - ROUNDS_EARLY : 0;
    uint64_t ms = session->rounds <= 1 ? ROUND_FIRST_MS : ROUND_EARLY_MS;

    for (unsigned i = 0; i < late && ms < ROUND_MOST_MS; i++)
        ms *= 2;
    ms = ms / 2 + rng_below(&session->rng, ms);
    return ms < ROUND_MOST_MS ? ms : ROUND_MOST_MS;
}

static void timer_expired(uv_timer_t *timer)
{
    struct session *session = timer->data;

    if (session->phase == PULLING)
        send_pull(session);
    else
        try_current(session);
}

static void next_round(struct session *session)
{
    session->rounds++;
    session->redirects = 0;
    if (!session->told)
        log_warning("worker.apart managers=%zu", session->managers.count);
    session->told = true;
    directory_next(&session->managers, clock_steady_ms());
    uv_timer_start(&session->timer, timer_expired, round_delay_ms(session), 0);
}

static void try_next(struct session *session)
{
    give_up_link(session);
    if (directory_next(&session->managers, clock_steady_ms()))
        try_current(session);
    else
        next_round(session);
}

/* The manager in use is of no use. `silent`: it may not even have heard us. */
static void failed(struct session *session, const char *why, bool silent)
{
    if (session->phase >= REPORTING)
        log_info("worker.lost manager=%s reason=\"%s\"", manager_name(session), why);
    if (silent)
        directory_shun(&session->managers, clock_steady_ms() + SHUN_MS);
    try_next(session);
}

static void redirect(struct session *session, const char *leader)
{
    if (session->phase >= REPORTING)
        log_info("worker.lost manager=%s reason=\"it does not lead any more\"",
                 manager_name(session));
    if (++session->redirects > REDIRECTS_MAX || !*leader ||
        !directory_follow(&session->managers, leader, clock_steady_ms())) {
        try_next(session);
        return;
    }
    give_up_link(session);
    try_current(session);
}

static void link_closed(void *context, int reason)
{
    struct link *link = context;

    if (link->session)
        failed(link->session, uv_strerror(reason), reason == -ETIMEDOUT);
}

static void try_current(struct session *session)
{
    struct link *link = mem_new(struct link);
    struct grpc_client_config config = {
        .to = directory_current(&session->managers)->address,
        .source = &session->config.source,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .closed = link_closed,
        .context = link,
    };
    int r;

    must(!session->link);
    r = grpc_client_open(session->config.loop, &config, &link->client);
    if (r < 0) { /* Of this machine, not of the manager: no other would do better now. */
        log_warning("worker.connect_failed manager=%s error=\"%s\"", manager_name(session),
                    strerror(-r));
        free(link);
        next_round(session);
        return;
    }
    link->session = session;
    link->opened_ms = clock_steady_ms();
    session->link = link;
    send_register(session);
}

/* ---- answers */

/* The message of an answer, or NULL if it is none. */
static ProtobufCMessage *answer(const ProtobufCMessageDescriptor *type, enum grpc_status status,
                                struct bytes reply)
{
    return status == GRPC_OK ? protobuf_c_message_unpack(type, &unpacking, reply.len, reply.base)
                             : NULL;
}

/* Nothing came back, or the connection was never made. */
static bool is_silence(const struct session *session, enum grpc_status status)
{
    return status == GRPC_DEADLINE_EXCEEDED ||
           (status == GRPC_UNAVAILABLE && session->phase == REGISTERING &&
            clock_steady_ms() >= session->link->opened_ms + CONNECT_TIMEOUT_MS);
}

static void call_failed(struct session *session, enum grpc_status status, const char *text)
{
    failed(session, *text ? text : grpc_status_name((int)status), is_silence(session, status));
}

/* A leader's answer is to be believed. False: it is of the past. */
static bool hear(struct session *session, uint64_t term)
{
    int outcome = agent_hear(session->config.agent, term);

    if (outcome == AGENT_OLD_TERM) {
        log_warning("worker.fenced manager=%s term=%lu", manager_name(session), term);
        failed(session, "its term is over", false);
        return false;
    }
    if (outcome == AGENT_NEW_TERM)
        session->config.heard_term(session->config.context, term);
    return true;
}

/* The manager does not know this session any more, or gave us up. Anew, as if the connection
 * was lost: what was on its way on it counts for nothing. */
static void register_again(struct session *session)
{
    log_info("worker.register_again manager=%s", manager_name(session));
    if (++session->redirects > REDIRECTS_MAX) {
        failed(session, "it asks to register again and again", false);
        return;
    }
    give_up_link(session);
    try_current(session);
}

/* What all three answers have in common: OK and not of the past, or dealt with here. */
static bool is_ok(struct session *session, Worker__Outcome outcome, const char *leader,
                  uint64_t term)
{
    switch (outcome) {
    case WORKER__OUTCOME__OK:
        return hear(session, term);
    case WORKER__OUTCOME__NOT_LEADER:
        redirect(session, leader);
        return false;
    case WORKER__OUTCOME__REGISTER:
        register_again(session);
        return false;
    default:
        failed(session, "refused", false);
        return false;
    }
}

/* ---- Register */

static void learn_managers(struct session *session, const Worker__RegisterResponse *response)
{
    for (size_t i = 0; i < response->n_managers && i < LIMIT_MANAGERS; i++) {
        struct directory *managers = &session->managers;
        size_t at = managers->at;

        directory_follow(managers, response->managers[i], UINT64_MAX);
        managers->at = at;
    }
}

static void registered(struct session *session, const Worker__RegisterResponse *response)
{
    log_info("worker.registered manager=%s term=%lu instance=%s", manager_name(session),
             response->term, response->container_instance_arn);
    directory_settle(&session->managers);
    learn_managers(session, response);
    session->rounds = 0;
    session->told = false;
    session->version = 0;
    session->heartbeat_ms = response->heartbeat_ms ? response->heartbeat_ms : HEARTBEAT_DEFAULT_MS;
    session->phase = REPORTING;
    agent_report_all(session->config.agent);
    session_report(session);
}

static void refused(struct session *session, const Worker__RegisterResponse *response)
{
    log_error("worker.refused manager=%s message=\"%s\"", manager_name(session), response->message);
    give_up_link(session);
    uv_timer_start(&session->timer, timer_expired, ROUND_MOST_MS, 0);
}

static void register_done(void *context, enum grpc_status status, const char *text,
                          struct bytes reply)
{
    struct session *session = call_ended(context);
    Worker__RegisterResponse *response;

    if (!session)
        return;
    response =
        (Worker__RegisterResponse *)answer(&worker__register_response__descriptor, status, reply);
    if (!response) {
        call_failed(session, status, text);
        return;
    }
    if (response->outcome == WORKER__OUTCOME__REFUSED)
        refused(session, response);
    else if (is_ok(session, response->outcome, response->leader, response->term))
        registered(session, response);
    worker__register_response__free_unpacked(response, NULL);
}

static void send_register(struct session *session)
{
    session->phase = REGISTERING;
    send_message(session, "/worker.Dispatcher/Register", &session->config.identity->base,
                 REGISTER_TIMEOUT_MS, register_done);
}

/* ---- Pull */

static void pull_done(void *context, enum grpc_status status, const char *text, struct bytes reply)
{
    struct session *session = call_ended(context);
    Worker__PullResponse *response;

    if (!session)
        return;
    response = (Worker__PullResponse *)answer(&worker__pull_response__descriptor, status, reply);
    if (!response) {
        call_failed(session, status, text);
        return;
    }
    if (is_ok(session, response->outcome, response->leader, response->term)) {
        session->redirects = 0;
        if (session->config.pulled(session->config.context, session->pull, response) < 0) {
            uv_timer_start(&session->timer, timer_expired, ROUND_MOST_MS, 0);
        } else {
            session->version = response->version;
            send_pull(session);
        }
    }
    worker__pull_response__free_unpacked(response, NULL);
}

static void send_pull(struct session *session)
{
    Worker__PullRequest request = WORKER__PULL_REQUEST__INIT;

    session->phase = PULLING;
    session->pull = agent_pull(session->config.agent);
    request.worker_id = session->config.identity->worker_id;
    request.session = session->config.identity->session;
    request.version = session->version;
    send_message(session, "/worker.Dispatcher/Pull", &request.base,
                 session->heartbeat_ms + PULL_MARGIN_MS, pull_done);
}

/* ---- Report */

static void report_done(void *context, enum grpc_status status, const char *text,
                        struct bytes reply)
{
    struct session *session = call_ended(context);
    Worker__ReportResponse *response;

    if (!session)
        return;
    response =
        (Worker__ReportResponse *)answer(&worker__report_response__descriptor, status, reply);
    if (!response) {
        call_failed(session, status, text);
        return;
    }
    if (is_ok(session, response->outcome, response->leader, response->term)) {
        session->reporting = false;
        agent_reported(session->config.agent, true);
        session_report(session);
    }
    worker__report_response__free_unpacked(response, NULL);
}

static void send_report(struct session *session)
{
    Worker__ReportRequest request = WORKER__REPORT_REQUEST__INIT;
    Command__TaskReport *reports[LIMIT_REPORTS];

    request.worker_id = session->config.identity->worker_id;
    request.session = session->config.identity->session;
    request.reports = reports;
    request.n_reports = agent_take_reports(session->config.agent, reports, LIMIT_REPORTS);
    session->reporting = true;
    send_message(session, "/worker.Dispatcher/Report", &request.base, REPORT_TIMEOUT_MS,
                 report_done);
    for (size_t i = 0; i < request.n_reports; i++)
        report_free(reports[i]);
}

void session_report(struct session *session)
{
    if (session->phase < REPORTING || session->reporting)
        return;
    if (agent_has_reports(session->config.agent))
        send_report(session);
    else if (session->phase == REPORTING)
        send_pull(session);
}

/* ---- opening and closing */

bool session_is_registered(const struct session *session)
{
    return session->phase >= REPORTING;
}

int session_open(const struct session_config *config, struct session **out)
{
    struct session *session = mem_new(struct session);
    int r = uv_timer_init(config->loop, &session->timer);

    if (r < 0) {
        free(session);
        return err_new(r);
    }
    must(config->manager_count > 0);
    session->config = *config;
    session->config.managers = NULL;
    session->config.addresses = NULL;
    session->timer.data = session;
    rng_seed(&session->rng, config->seed);
    directory_init(&session->managers);
    for (size_t i = 0; i < config->manager_count; i++)
        directory_add(&session->managers, config->managers[i], &config->addresses[i]);
    directory_shuffle(&session->managers, &session->rng);
    uv_timer_start(&session->timer, timer_expired, 0, 0);
    *out = session;
    return 0;
}

static void timer_closed(uv_handle_t *handle)
{
    struct session *session = handle->data;

    directory_fini(&session->managers);
    free(session);
}

void session_close(struct session *session)
{
    give_up_link(session);
    uv_close((uv_handle_t *)&session->timer, timer_closed);
}
