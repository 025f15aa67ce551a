/*
 * The core without HTTP: three managers, a process each, on one disk and over loopback, and the
 * leader given all the commands it takes by callers in its own process.
 *
 *     bench_raw DIR SECONDS CALLS
 *
 * CALLS are out at a time. A command is RegisterTaskDefinition, a new revision each, 200 bytes in
 * the log; it counts when its result is known: stored by a majority, applied by the leader. Prints
 * `name: value` lines.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/manager/core.h"
#include "server/manager/peers.h"
#include "server/net/address.h"
#include "storage/tables.h"

enum {
    MANAGERS = 3,
    PEER_PORT = 25912,
    WARM_UP_MS = 1000,
    ELECTION_MS = 1000,
    HEARTBEAT_MS = 100,
    GIVE_UP_MS = 30000,
    USAGE = 2,
};

static const size_t MAP_BYTES = (size_t)64 << 30;

struct caller {
    struct call call;
    struct node *node;
    uint64_t began_ns;
};

struct node {
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t timer, phase;
    uv_prepare_t before_poll;
    struct env *env;
    struct core *core;
    struct peers *peers;
    struct member members[MANAGERS];
    bool due;

    uint64_t seconds;
    size_t caller_count;
    struct caller *callers; /* NULL until it leads. */
    Ecs__RegisterTaskDefinitionRequest *request;
    bool counting, over;
    uint64_t done, failed, latency_ns;
    struct timespec began;
};

static _Noreturn void die(const char *what, int r)
{
    fprintf(stderr, "bench_raw: %s: %s\n", what, strerror(-r));
    _exit(EXIT_FAILURE);
}

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

/* ---- the load */

static Ecs__RegisterTaskDefinitionRequest *request_new(void)
{
    static char padding[] =
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    static Ecs__KeyValuePair variable = ECS__KEY_VALUE_PAIR__INIT, *variables[] = {&variable};
    static Ecs__ContainerDefinition container = ECS__CONTAINER_DEFINITION__INIT;
    static Ecs__ContainerDefinition *containers[] = {&container};
    static Ecs__RegisterTaskDefinitionRequest request = ECS__REGISTER_TASK_DEFINITION_REQUEST__INIT;

    variable.name = "PADDING";
    variable.value = padding;
    container.name = "main";
    container.image = "busybox";
    container.has_memory = true;
    container.memory = 16;
    container.environment = variables;
    container.n_environment = 1;
    request.family = "raw";
    request.container_definitions = containers;
    request.n_container_definitions = 1;
    return &request;
}

static void call_done(struct call *call);

static void submit(struct caller *caller)
{
    caller->call = (struct call){
        .action = "RegisterTaskDefinition",
        .write = true,
        .request = &caller->node->request->base,
        .done = call_done,
    };
    caller->began_ns = uv_hrtime();
    core_submit(caller->node->core, &caller->call);
}

static void call_done(struct call *call)
{
    struct caller *caller = (struct caller *)(void *)call;
    struct node *node = caller->node;
    bool done = call->outcome == CALL_DONE && call->result && !call->result->problem;

    if (call->result)
        command__command_result__free_unpacked(call->result, NULL);
    if (node->over)
        return;
    if (node->counting) {
        node->done += done;
        node->failed += !done;
        node->latency_ns += uv_hrtime() - caller->began_ns;
    }
    submit(caller);
}

static double cpu_seconds(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void report(const struct node *node)
{
    printf("raw_per_s: %.0f\nraw_failed: %" PRIu64 "\nraw_mean_us: %.0f\nraw_leader_cpu_s: %.2f\n",
           (double)node->done / (double)node->seconds, node->failed,
           node->done ? (double)node->latency_ns / (double)node->done / 1000 : 0, cpu_seconds());
    fflush(stdout);
}

static void phase_over(uv_timer_t *timer)
{
    struct node *node = timer->data;

    if (!node->counting) {
        node->counting = true;
        uv_timer_start(&node->phase, phase_over, node->seconds * 1000, 0);
        return;
    }
    node->over = true;
    report(node);
    _exit(node->failed ? EXIT_FAILURE : EXIT_SUCCESS); /* The parent ends the others. */
}

static void load_if_leading(struct node *node)
{
    struct core_status status;

    if (node->callers)
        return;
    core_status(node->core, &status);
    if (!status.ready)
        return;
    node->request = request_new();
    node->callers = mem_new_array(struct caller, node->caller_count);
    for (size_t i = 0; i < node->caller_count; i++) {
        node->callers[i].node = node;
        submit(&node->callers[i]);
    }
    uv_timer_start(&node->phase, phase_over, WARM_UP_MS, 0);
}

/* ---- a manager's loop without its API */

static void timer_due(uv_timer_t *timer)
{
    ((struct node *)timer->data)->due = true;
}

static void turn_if_due(uv_prepare_t *handle)
{
    struct node *node = handle->data;
    uint64_t at, now;
    int r;

    while (node->due) {
        node->due = false;
        r = core_turn(node->core, now_ms(), wall_ms());
        if (r < 0)
            die("turn", r);
        load_if_leading(node);
    }
    at = core_deadline(node->core);
    now = now_ms();
    uv_update_time(&node->loop);
    uv_timer_start(&node->timer, timer_due, at > now ? at - now : 0, 0);
}

static void woken(uv_async_t *handle)
{
    ((struct node *)handle->data)->due = true;
}

static void wake(void *context)
{
    uv_async_send(&((struct node *)context)->wake);
}

static void send_to_peer(void *context, uint64_t to, struct bytes frame)
{
    struct node *node = context;

    if (node->peers)
        peers_send(node->peers, to, frame);
}

static void push_to_peers(void *context)
{
    struct node *node = context;

    if (node->peers)
        peers_push(node->peers);
}

static void peer_received(void *context, Peer__PeerFrame *frame)
{
    struct node *node = context;

    core_receive(node->core, frame);
    node->due = true;
}

static void peer_lost(void *context, uint64_t peer)
{
    struct node *node = context;

    core_peer_lost(node->core, peer);
    node->due = true;
}

static bool is_removed(void *context, uint64_t id)
{
    (void)context;
    (void)id;
    return false;
}

static void goodbye(void *context, uint64_t from, const char *reason)
{
    (void)context;
    (void)from;
    (void)reason;
}

static void make_member(struct member *member, unsigned number)
{
    *member = (struct member){
        .id = number + 1,
        .role = MEMBER_VOTER,
        .peer_port = (uint16_t)(PEER_PORT + number),
        .rpc_port = 1,
        .api_port = 1,
    };
    snprintf(member->name, sizeof member->name, "raw%u", number);
    snprintf(member->zone, sizeof member->zone, "zone-%u", number);
    strcpy(member->host, "127.0.0.1");
}

static void open_core(struct node *node, unsigned number)
{
    struct core_config config = {
        .id = number + 1,
        .first = node->members,
        .first_count = MANAGERS,
        .region = "us-east-1",
        .account = "000000000000",
        .env = node->env,
        .election_ms = ELECTION_MS,
        .raft_heartbeat_ms = HEARTBEAT_MS,
        .worker_heartbeat_ms = 1000,
        .worker_lost_ms = 3000,
        .seed = number + 1,
        .send = send_to_peer,
        .push = push_to_peers,
        .wake = wake,
        .context = node,
    };
    int r = core_open(&config, now_ms(), wall_ms(), &node->core);

    if (r < 0)
        die("core", r);
}

static void open_peers(struct node *node, unsigned number)
{
    struct sockaddr_storage listen, source;
    struct peers_config config = {
        .self = node->members[number],
        .cluster = "raw",
        .listen = &listen,
        .source = &source,
        .received = peer_received,
        .lost = peer_lost,
        .is_removed = is_removed,
        .goodbye = goodbye,
        .context = node,
    };
    char text[32];
    int r;

    snprintf(text, sizeof text, "127.0.0.1:%u", PEER_PORT + number);
    r = address_parse(text, &listen, NULL);
    if (r == 0)
        r = address_parse("127.0.0.1:0", &source, NULL);
    if (r == 0)
        r = peers_open(&node->loop, &config, &node->peers);
    if (r < 0)
        die("peers", r);
    peers_set(node->peers, node->members, MANAGERS);
}

static _Noreturn void run_node(const char *dir, unsigned number, uint64_t seconds, size_t callers)
{
    struct node *node = mem_new(struct node);
    char *path = mem_format("%s/%u", dir, number);
    int r;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    node->seconds = seconds;
    node->caller_count = callers;
    for (unsigned i = 0; i < MANAGERS; i++)
        make_member(&node->members[i], i);
    if (mkdir(path, 0700) < 0)
        die(path, -errno);
    r = env_open(path, MAP_BYTES, table_names, TABLE_COUNT, &node->env);
    if (r < 0)
        die(path, r);
    worked(uv_loop_init(&node->loop));
    worked(uv_async_init(&node->loop, &node->wake, woken));
    worked(uv_timer_init(&node->loop, &node->timer));
    worked(uv_timer_init(&node->loop, &node->phase));
    worked(uv_prepare_init(&node->loop, &node->before_poll));
    node->wake.data = node->timer.data = node->phase.data = node->before_poll.data = node;
    open_core(node, number);
    open_peers(node, number);
    worked(uv_prepare_start(&node->before_poll, turn_if_due));
    node->due = true;
    uv_run(&node->loop, UV_RUN_DEFAULT);
    die("loop", -EPROTO);
}

static void end_all(const pid_t *children)
{
    for (unsigned i = 0; i < MANAGERS; i++)
        if (children[i] > 0)
            kill(children[i], SIGKILL);
    for (unsigned i = 0; i < MANAGERS; i++)
        if (children[i] > 0)
            waitpid(children[i], NULL, 0);
}

static uint64_t number(const char *text, uint64_t max)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (*end != '\0' || value == 0 || value > max) {
        fprintf(stderr, "bench_raw: \"%s\" is not a number from 1 to %" PRIu64 "\n", text, max);
        exit(USAGE);
    }
    return value;
}

int main(int argc, char **argv)
{
    pid_t children[MANAGERS] = {0}, first;
    uint64_t seconds;
    size_t callers;
    int status;

    if (argc != 4) {
        fputs("usage: bench_raw DIR SECONDS CALLS\n", stderr);
        return USAGE;
    }
    seconds = number(argv[2], 60);
    callers = number(argv[3], LIMIT_API_CALLS);
    for (unsigned i = 0; i < MANAGERS; i++) {
        children[i] = fork();
        if (children[i] == 0)
            run_node(argv[1], i, seconds, callers);
    }
    alarm((unsigned)(GIVE_UP_MS / 1000 + seconds)); /* The children end with us. */
    do
        first = waitpid(-1, &status, 0);
    while (first < 0 && errno == EINTR);
    for (unsigned i = 0; i < MANAGERS; i++)
        if (children[i] == first)
            children[i] = 0;
    end_all(children);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}
