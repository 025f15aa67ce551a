#include "server/manager/manager.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <uv.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/manager/api.h"
#include "server/manager/become.h"
#include "server/manager/core.h"
#include "server/manager/manager_options.h"
#include "server/manager/peers.h"
#include "server/manager/rpc_server.h"
#include "server/manager/start_problem.h"
#include "server/manager/tokens.h"
#include "server/net/address.h"
#include "server/net/log.h"
#include "storage/directory.h"
#include "storage/tables.h"

enum {
    WORKER_HEARTBEAT_MS = 1000,
    REAP_READERS_EVERY_MS = 60000,
};

/* Address space, not memory: LMDB maps the file, which grows only as it is used. */
static const size_t MAP_BYTES = (size_t)64 << 30;

struct manager {
    struct manager_options options;
    struct sockaddr_storage listen_api, listen_rpc, listen_peer, source;
    struct member members[LIMIT_MANAGERS]; /* In force; none until somebody tells us. */
    size_t member_count;
    struct become become;
    char record[MEMBER_TEXT];

    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t timer;
    uv_timer_t reap;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_signal_t term, interrupt;

    char *state_dir, *incoming_dir; /* In the manager's directory. */
    struct env *env;
    struct core *core;
    struct tls_identity *identity;
    struct peers *peers;
    struct api *api;
    struct api *operators;
    struct rpc_server *rpc;

    bool due;
    bool stopping;
    bool removed;             /* From the cluster: there is nothing to do here any more. */
    struct core_status shown; /* As last logged. */
};

/* ---- clocks */

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static uint64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the turn in the loop */

static void show_status(struct manager *manager)
{
    struct core_status status;

    core_status(manager->core, &status);
    if (status.leader != manager->shown.leader || status.term != manager->shown.term)
        log_info("raft.leader term=%" PRIu64 " leader=%" PRIu64, status.term, status.leader);
    if (status.ready && !manager->shown.ready)
        log_info("raft.leads term=%" PRIu64 " index=%" PRIu64, status.term, status.commit_index);
    manager->shown = status;
}

static void timer_due(uv_timer_t *timer)
{
    ((struct manager *)timer->data)->due = true;
}

static void set_timer(struct manager *manager)
{
    uint64_t at = core_deadline(manager->core);
    uint64_t now = now_ms();

    uv_update_time(&manager->loop);
    uv_timer_start(&manager->timer, timer_due, at > now ? at - now : 0, 0);
}

/* What Raft's core holds is ahead of the disk: only opening the directory again is safe. */
static _Noreturn void give_up(struct manager *manager, int r)
{
    log_error("core.failed error=\"%s\" trace=\"%s\" dir=\"%s\"", strerror(-r), err_trace(),
              manager->options.dir);
    _Exit(EXIT_FAILURE);
}

static void turn_if_due(struct manager *manager)
{
    int r;

    if (!manager->due || manager->stopping)
        return;
    manager->due = false;
    r = core_turn(manager->core, now_ms(), wall_ms());
    if (r < 0)
        give_up(manager, r);
    show_status(manager);
    set_timer(manager);
}

static void before_poll(uv_prepare_t *handle)
{
    turn_if_due(handle->data);
}

static void after_poll(uv_check_t *handle)
{
    turn_if_due(handle->data);
}

static void woken(uv_async_t *handle)
{
    ((struct manager *)handle->data)->due = true;
}

static void wake(void *context)
{
    uv_async_send(&((struct manager *)context)->wake);
}

static void reap_readers(uv_timer_t *timer)
{
    struct manager *manager = timer->data;
    int r = env_reap_readers(manager->env);

    if (r < 0)
        log_warning("storage.reap_failed error=\"%s\"", strerror(-r));
}

/* ---- peers */

static void send_to_peer(void *context, uint64_t to, struct bytes frame)
{
    struct manager *manager = context;

    if (manager->peers)
        peers_send(manager->peers, to, frame);
}

static void push_to_peers(void *context)
{
    struct manager *manager = context;

    if (manager->peers)
        peers_push(manager->peers);
}

static void peer_received(void *context, Peer__PeerFrame *frame)
{
    struct manager *manager = context;

    if (manager->stopping) {
        peer__peer_frame__free_unpacked(frame, NULL);
        return;
    }
    core_receive(manager->core, frame);
    manager->due = true;
}

static void peer_lost(void *context, uint64_t peer)
{
    struct manager *manager = context;

    if (manager->stopping)
        return;
    core_peer_lost(manager->core, peer);
    manager->due = true;
}

static void members_changed(void *context, const struct member *members, size_t count)
{
    struct manager *manager = context;

    memcpy(manager->members, members, count * sizeof *members);
    manager->member_count = count;
    if (manager->peers)
        peers_set(manager->peers, members, count);
}

static bool is_removed(void *context, uint64_t id)
{
    struct manager *manager = context;

    return !manager->stopping && core_has_removed(manager->core, id);
}

static void goodbye(void *context, uint64_t from, const char *reason)
{
    struct manager *manager = context;

    if (manager->removed)
        return;
    log_error("manager.removed said_by=%" PRIu64
              " reason=\"%.200s\" help=\"this manager was removed "
              "from the cluster; to join again, give it an empty directory\"",
              from, reason);
    manager->removed = true;
    uv_stop(&manager->loop);
}

static void joining(void *context, uint64_t guest, Peer__PeerFrame *frame)
{
    struct manager *manager = context;

    if (manager->stopping) {
        peer__peer_frame__free_unpacked(frame, NULL);
        return;
    }
    core_join(manager->core, guest, frame);
    manager->due = true;
}

static void answer_newcomer(void *context, uint64_t guest, struct bytes frame)
{
    struct manager *manager = context;

    if (manager->peers)
        peers_answer(manager->peers, guest, frame);
}

static void token_made(void *context)
{
    struct manager *manager = context;
    int r;

    credentials_forget(manager->options.dir); /* It came before this, to the same log. */
    r = become_write_token(manager->options.dir, &manager->become.token);

    if (r < 0)
        log_warning("manager.token_unwritten dir=\"%s\" error=\"%s\"", manager->options.dir,
                    strerror(-r));
}

/* ---- opening */

static int resolve(const char *host, uint16_t port, struct sockaddr_storage *out)
{
    char problem[ADDRESS_PROBLEM];
    char *text = mem_format(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    int r = address_parse(text, out, problem);

    free(text);
    if (r < 0)
        fprintf(stderr, "cais manager: %s\n", problem);
    return r < 0 ? err_new(r) : 0;
}

/* Where to listen: what was said, or where the others have been told that we are. */
static int resolve_all(struct manager *manager)
{
    const struct manager_options *options = &manager->options;
    const struct member *self = &manager->become.self.member;
    const char *bind = options->bind ? options->bind : self->host;
    int r = resolve(bind, self->api_port, &manager->listen_api);

    if (r == 0)
        r = resolve(bind, self->rpc_port, &manager->listen_rpc);
    if (r == 0)
        r = resolve(bind, self->peer_port, &manager->listen_peer);
    if (r == 0)
        r = resolve(bind, 0, &manager->source);
    return err_up(r);
}

/* What is left of an image that was not adopted, or of the state that one took the place of, goes:
 * but not before it is sure that no other process is at work here. */
static int open_storage(struct manager *manager)
{
    int r;

    manager->state_dir = mem_format("%s/state", manager->options.dir);
    manager->incoming_dir = mem_format("%s/incoming", manager->options.dir);
    r = directory_make(manager->state_dir);
    if (r == 0)
        r = env_open(manager->state_dir, MAP_BYTES, table_names, TABLE_COUNT, &manager->env);
    if (r == 0)
        r = env_remove(manager->incoming_dir);
    return err_up(r);
}

static int open_core(struct manager *manager)
{
    const struct become *become = &manager->become;
    struct core_config config = {
        .id = become->self.member.id,
        .first = &become->self.member,
        .first_count = become->first ? 1 : 0,
        .cluster = become->self.cluster,
        .region = manager->options.region,
        .account = manager->options.account,
        .env = manager->env,
        .map_grows = true,
        .incoming = manager->incoming_dir,
        .election_ms = manager->options.election_ms,
        .raft_heartbeat_ms = manager->options.heartbeat_ms,
        .worker_heartbeat_ms = WORKER_HEARTBEAT_MS,
        .worker_lost_ms = manager->options.worker_lost_ms,
        .manager_lost_ms = manager->options.manager_lost_ms,
        .voters = manager->options.voters,
        .send = send_to_peer,
        .push = push_to_peers,
        .members_changed = members_changed,
        .answer = answer_newcomer,
        .token_made = token_made,
        .authority = {become->credentials.authority.base, become->credentials.authority.len},
        .authority_key = {become->authority_key.base, become->authority_key.len},
        .wake = wake,
        .context = manager,
    };

    if (become->first) {
        config.record = member_format(&become->self.member, manager->record);
        config.token_id = become->token.id;
        tokens_digest((struct bytes){become->token.secret, sizeof become->token.secret},
                      config.token_digest);
    }
    if (getrandom(&config.seed, sizeof config.seed, 0) != sizeof config.seed)
        return err_new(-EIO);
    return err_up(core_open(&config, now_ms(), wall_ms(), &manager->core));
}

/* Are the certificates here those of this manager? */
static int open_identity(struct manager *manager)
{
    const struct tls_files files = credentials_files(&manager->become.credentials);
    const struct self *self = &manager->become.self;
    const struct identity *shown;

    if (tls_identity_new(&files, &manager->identity) != 0)
        return err_new(-EUCLEAN);
    shown = tls_identity_self(manager->identity);
    if (shown->id != self->member.id || shown->role != IDENTITY_MANAGER ||
        strcmp(shown->cluster, self->cluster) != 0)
        return err_new(-EUCLEAN);
    return 0;
}

static int open_peers(struct manager *manager)
{
    struct peers_config config = {
        .self = manager->become.self.member,
        .cluster = manager->become.self.cluster,
        .identity = manager->identity,
        .listen = &manager->listen_peer,
        .source = &manager->source,
        .received = peer_received,
        .lost = peer_lost,
        .is_removed = is_removed,
        .goodbye = goodbye,
        .joining = joining,
        .context = manager,
    };
    int r = peers_open(&manager->loop, &config, &manager->peers);

    if (r == 0)
        peers_set(manager->peers, manager->members, manager->member_count);
    return err_up(r);
}

static int open_api(struct manager *manager)
{
    struct api_config config = {
        .door = {manager->core, core_submit, core_status},
        .env = manager->env,
        .listen = (const struct sockaddr *)&manager->listen_api,
        .name = manager->become.self.member.name,
        .zone = manager->become.self.member.zone,
    };

    return err_up(api_open(&config, &manager->api));
}

static int open_operators(struct manager *manager)
{
    const struct api_config config = {
        .door = {manager->core, core_submit, core_status},
        .env = manager->env,
        .operator_dir = manager->options.dir,
        .name = manager->options.name,
        .zone = manager->options.zone,
    };

    return err_up(api_open(&config, &manager->operators));
}

/* Say which step failed, in the words of the one who has to mend it. */
static int failed(const struct manager *manager, const char *what, const char *where, int r)
{
    char *trace = mem_string(err_trace());
    char *why = start_problem(manager->env, r);

    log_error("manager.start_failed what=\"%s\" where=\"%s\" error=\"%s\" trace=\"%s\"", what,
              where, why, trace);
    free(why);
    free(trace);
    return r;
}

/* Everything that becoming a manager needs, and then is one, or has become it. */
static int begin(struct manager *manager)
{
    struct sockaddr_storage source;
    int r = open_storage(manager);

    if (r < 0)
        return failed(manager, "open the storage", manager->options.dir, r);
    if (resolve(manager->options.bind ? manager->options.bind : "127.0.0.1", 0, &source) < 0)
        return -EINVAL;
    r = become(&manager->loop, &manager->options, manager->env, &source, &manager->become);
    if (r < 0)
        return failed(manager, "load the state", manager->options.dir, r);
    return r;
}

static int open_all(struct manager *manager)
{
    char where[ADDRESS_TEXT];
    int r = open_identity(manager);

    if (r < 0)
        return failed(manager, "take up the identity of this manager", manager->options.dir, r);
    r = resolve_all(manager);
    if (r == 0)
        r = open_core(manager);
    if (r < 0)
        return failed(manager, "load the state", manager->options.dir, r);
    r = open_peers(manager);
    if (r < 0)
        return failed(manager, "listen for peers", address_format(&manager->listen_peer, where), r);
    r = rpc_server_open(manager->core, &manager->listen_rpc, &manager->rpc);
    if (r < 0)
        return failed(manager, "listen for workers", address_format(&manager->listen_rpc, where),
                      r);
    r = open_api(manager);
    if (r < 0)
        return failed(manager, "listen for the API", address_format(&manager->listen_api, where),
                      r);
    r = open_operators(manager);
    if (r < 0)
        return failed(manager, "listen for the operator", manager->options.dir, r);
    return 0;
}

/* ---- stopping: whoever may still call somebody goes first */

static void peers_gone(void *context)
{
    struct manager *manager = context;

    manager->peers = NULL;
}

static void close_threads(struct manager *manager)
{
    manager->stopping = true;
    if (manager->core)
        core_stop(manager->core);
    api_close(manager->api);
    api_close(manager->operators);
    rpc_server_close(manager->rpc);
}

static void close_loop(struct manager *manager)
{
    uv_handle_t *handles[] = {
        (uv_handle_t *)&manager->wake,       (uv_handle_t *)&manager->timer,
        (uv_handle_t *)&manager->reap,       (uv_handle_t *)&manager->before_poll,
        (uv_handle_t *)&manager->after_poll, (uv_handle_t *)&manager->term,
        (uv_handle_t *)&manager->interrupt,
    };

    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++)
        uv_close(handles[i], NULL);
    if (manager->peers)
        peers_close(manager->peers, peers_gone, manager);
    uv_run(&manager->loop, UV_RUN_DEFAULT);
    worked(uv_loop_close(&manager->loop));
}

static void asked_to_stop(uv_signal_t *handle, int number)
{
    struct manager *manager = handle->data;

    log_info("manager.stopping signal=%d", number);
    uv_stop(&manager->loop);
}

static void init_loop(struct manager *manager)
{
    worked(uv_loop_init(&manager->loop));
    worked(uv_async_init(&manager->loop, &manager->wake, woken));
    worked(uv_timer_init(&manager->loop, &manager->timer));
    worked(uv_timer_init(&manager->loop, &manager->reap));
    worked(uv_prepare_init(&manager->loop, &manager->before_poll));
    worked(uv_check_init(&manager->loop, &manager->after_poll));
    worked(uv_signal_init(&manager->loop, &manager->term));
    worked(uv_signal_init(&manager->loop, &manager->interrupt));
    manager->wake.data = manager;
    manager->timer.data = manager;
    manager->reap.data = manager;
    manager->before_poll.data = manager;
    manager->after_poll.data = manager;
    manager->term.data = manager;
    manager->interrupt.data = manager;
    worked(uv_signal_start(&manager->term, asked_to_stop, SIGTERM));
    worked(uv_signal_start(&manager->interrupt, asked_to_stop, SIGINT));
}

static void run(struct manager *manager)
{
    const struct member *self = &manager->become.self.member;

    worked(uv_prepare_start(&manager->before_poll, before_poll));
    worked(uv_check_start(&manager->after_poll, after_poll));
    worked(
        uv_timer_start(&manager->reap, reap_readers, REAP_READERS_EVERY_MS, REAP_READERS_EVERY_MS));
    log_info("manager.started id=%" PRIu64 " zone=%s host=%s api=%u", self->id, self->zone,
             self->host, self->api_port);
    manager->due = true;
    uv_run(&manager->loop, UV_RUN_DEFAULT);
}

/* Returns the exit status. */
static int live(struct manager *manager)
{
    int r = begin(manager);

    if (r == BECOME_DONE)
        return EXIT_SUCCESS;
    if (r != 0)
        return EXIT_FAILURE;
    log_setup(manager->become.self.member.name, LOG_INFO);
    if (open_all(manager) < 0)
        return EXIT_FAILURE;
    run(manager);
    return manager->removed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int manager_main(int argc, char **argv)
{
    struct manager *manager = mem_new(struct manager);
    int status;

    manager_options_parse(argc, argv, &manager->options);
    log_setup(manager->options.name ? manager->options.name : "manager", LOG_INFO);
    signal(SIGPIPE, SIG_IGN);
    init_loop(manager);
    status = live(manager);
    close_threads(manager);
    close_loop(manager);
    core_free(manager->core);
    env_free(manager->env);
    tls_identity_free(manager->identity);
    become_fini(&manager->become);
    free(manager->state_dir);
    free(manager->incoming_dir);
    manager_options_fini(&manager->options);
    free(manager);
    return status;
}
