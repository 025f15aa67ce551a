/*
 * A closed-loop load: clients that each make one call after the other on a connection of their own.
 *
 *     load http HOST:PORT CLIENTS SECONDS register|create|run|describe|describe-tasks|stale [WHAT]
 *     load grpc HOST:PORT[,HOST:PORT...] CLIENTS SECONDS put|get [KEY]
 *
 * Clients are dealt to the servers in turn. After a warm-up of a fifth of the time, what ends
 * within SECONDS is counted. A call that fails is followed by another on a new connection; what
 * failed first is told on standard error. Prints lines of `name: value`; latencies are those of
 * acknowledged calls, from the moment the request is handed to the connection. A call that has
 * been out for longer than STUCK_MS when time is up counts as an error.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <uv.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/net/address.h"
#include "tests/bench/load.h"

enum {
    SECONDS_MAX = 600,
    WARM_UP_SHARE = 5,
    PAUSE_MS = 10, /* After a failure, so that a server that refuses is not besieged. */
    STUCK_MS = 5000,
    USAGE = 2,
};

struct client {
    struct load *load;
    unsigned number;
    void *caller; /* NULL: it failed, and pauses. */
    uint64_t began_ns;
    uv_timer_t pause;
};

struct load {
    uv_loop_t loop;
    const struct load_protocol *protocol;
    struct load_target targets[LOAD_SERVERS_MAX];
    size_t target_count;
    struct client *clients;
    size_t client_count;
    uint64_t seconds;
    char prefix[LOAD_PREFIX_CHARS + 1];
    uint64_t next_call;

    uv_timer_t timer;
    uint64_t counting_ns; /* Since when calls count; 0: not yet. */
    uint64_t errors;
    bool has_told;
    uint32_t *latencies_us;
    size_t latency_count, latency_cap;
};

/* ---- counting */

static void count_acknowledged(struct load *load, uint64_t took_ns)
{
    if (load->counting_ns == 0)
        return;
    if (load->latency_count == load->latency_cap) {
        load->latency_cap = load->latency_cap ? 2 * load->latency_cap : 1 << 16;
        load->latencies_us = mem_resize(load->latencies_us, load->latency_cap, sizeof(uint32_t));
    }
    took_ns = took_ns / 1000 > UINT32_MAX ? UINT32_MAX : took_ns / 1000;
    load->latencies_us[load->latency_count++] = (uint32_t)took_ns;
}

static void count_failed(struct load *load, const char *failure)
{
    if (load->counting_ns != 0)
        load->errors++;
    if (!load->has_told)
        fprintf(stderr, "load: %s\n", failure);
    load->has_told = true;
}

static int by_value(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

/* The latency that this share of calls, in thousandths, stayed within. */
static unsigned percentile(const struct load *load, size_t thousandths)
{
    size_t rank = load->latency_count * thousandths / 1000;

    if (load->latency_count == 0)
        return 0;
    return load->latencies_us[rank < load->latency_count ? rank : load->latency_count - 1];
}

static void print(struct load *load, double seconds)
{
    if (load->latency_count > 0)
        qsort(load->latencies_us, load->latency_count, sizeof(uint32_t), by_value);
    printf("per_s: %.1f\n", (double)load->latency_count / seconds);
    printf("p50_us: %u\np90_us: %u\np99_us: %u\np999_us: %u\nmax_us: %u\n", percentile(load, 500),
           percentile(load, 900), percentile(load, 990), percentile(load, 999),
           percentile(load, 1000));
    printf("acknowledged: %zu\nerrors: %llu\n", load->latency_count,
           (unsigned long long)load->errors);
}

/* ---- clients */

static void client_open(struct client *client);

static void client_call(struct client *client)
{
    client->began_ns = uv_hrtime();
    client->load->protocol->call(client->caller, client->load->next_call++);
}

static void client_paused(uv_timer_t *timer)
{
    client_open(timer->data);
}

static void client_fail(struct client *client, const char *failure)
{
    struct load *load = client->load;

    count_failed(load, failure);
    if (client->caller)
        load->protocol->close(client->caller);
    client->caller = NULL;
    uv_timer_start(&client->pause, client_paused, PAUSE_MS, 0);
}

static void client_open(struct client *client)
{
    struct load *load = client->load;
    const struct load_target *target = &load->targets[client->number % load->target_count];

    client->caller = load->protocol->open(target, client->number, client);
    if (client->caller)
        client_call(client);
    else
        client_fail(client, strerror(errno));
}

static void client_done(void *context, const char *failure)
{
    struct client *client = context;

    if (failure) {
        client_fail(client, failure);
        return;
    }
    count_acknowledged(client->load, uv_hrtime() - client->began_ns);
    client_call(client);
}

/* ---- the run */

static void finish(uv_timer_t *timer)
{
    struct load *load = timer->data;
    uint64_t now_ns = uv_hrtime();

    for (size_t i = 0; i < load->client_count; i++) {
        struct client *client = &load->clients[i];

        if (client->caller && now_ns - client->began_ns > STUCK_MS * 1000000ull)
            count_failed(load, "a call is not answered");
        if (client->caller)
            load->protocol->close(client->caller);
        uv_close((uv_handle_t *)&client->pause, NULL);
    }
    print(load, (double)(now_ns - load->counting_ns) / 1e9);
    uv_close((uv_handle_t *)timer, NULL);
}

static void start_counting(uv_timer_t *timer)
{
    struct load *load = timer->data;

    load->counting_ns = uv_hrtime();
    uv_timer_start(timer, finish, load->seconds * 1000, 0);
}

static void run(struct load *load)
{
    load->clients = mem_new_array(struct client, load->client_count);
    for (size_t i = 0; i < load->client_count; i++) {
        struct client *client = &load->clients[i];

        client->load = load;
        client->number = (unsigned)i;
        worked(uv_timer_init(&load->loop, &client->pause));
        client->pause.data = client;
        client_open(client);
    }
    worked(uv_timer_init(&load->loop, &load->timer));
    load->timer.data = load;
    uv_timer_start(&load->timer, start_counting, load->seconds * 1000 / WARM_UP_SHARE, 0);
    uv_run(&load->loop, UV_RUN_DEFAULT);
    worked(uv_loop_close(&load->loop));
    free(load->clients);
    free(load->latencies_us);
}

/* ---- arguments */

static _Noreturn void usage(const char *problem)
{
    fprintf(stderr,
            "load: %s\n"
            "usage: load http HOST:PORT CLIENTS SECONDS "
            "register|create|run|describe|describe-tasks|stale [WHAT]\n"
            "       load grpc HOST:PORT[,HOST:PORT...] CLIENTS SECONDS put|get [KEY]\n",
            problem);
    exit(USAGE);
}

static uint64_t number_within(const char *text, uint64_t max)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || value < 1 || value > max)
        usage("CLIENTS is 1 to 1024, SECONDS is 1 to 600");
    return value;
}

static const struct load_protocol *protocol_named(const char *name)
{
    const struct load_protocol *const protocols[] = {&load_http, &load_grpc};

    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (strcmp(name, protocols[i]->name) == 0)
            return protocols[i];
    usage("the protocol is http or grpc");
}

static const char *operation_of(const struct load_protocol *protocol, const char *name)
{
    for (size_t i = 0; protocol->operations[i]; i++)
        if (strcmp(name, protocol->operations[i]) == 0)
            return protocol->operations[i];
    usage("an unknown operation");
}

static void take_servers(struct load *load, char *list, const struct load_target *common)
{
    char *rest = list;

    for (char *one = strsep(&rest, ","); one; one = strsep(&rest, ",")) {
        struct load_target *target = &load->targets[load->target_count];
        char problem[ADDRESS_PROBLEM];

        if (load->target_count++ == LOAD_SERVERS_MAX)
            usage("too many servers");
        *target = *common;
        if (address_parse(one, &target->to, problem) < 0)
            usage(problem);
    }
}

static void make_prefix(char out[LOAD_PREFIX_CHARS + 1])
{
    uint32_t value = 0;

    must(getrandom(&value, sizeof value, 0) == (ssize_t)sizeof value);
    snprintf(out, LOAD_PREFIX_CHARS + 1, "%08x", value);
}

int main(int argc, char **argv)
{
    struct load load = {0};
    struct load_target target = {.loop = &load.loop, .prefix = load.prefix, .done = client_done};

    if (argc < 6 || argc > 7)
        usage("five or six arguments");
    load.protocol = protocol_named(argv[1]);
    load.client_count = number_within(argv[3], LOAD_CLIENTS_MAX);
    load.seconds = number_within(argv[4], SECONDS_MAX);
    target.operation = operation_of(load.protocol, argv[5]);
    target.argument = argv[6];
    if (strcmp(target.operation, "describe-tasks") == 0 && !target.argument)
        usage("describe-tasks needs a task");
    make_prefix(load.prefix);
    take_servers(&load, argv[2], &target);
    worked(uv_loop_init(&load.loop));
    run(&load);
    return 0;
}
