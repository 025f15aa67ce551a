/*
 * `cais lab up`: everything that can be known to fail is checked before anything is made; what
 * is made is unmade if it fails after all.
 */
#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/cli/verb.h"
#include "server/lab/daemon.h"
#include "server/lab/gate.h"
#include "server/lab/home.h"
#include "server/lab/ready.h"
#include "server/lab/verbs.h"

enum {
    OPT_MANAGERS = 256,
    OPT_ZONES,
    OPT_WORKERS,
    OPT_RUNTIME,
    OPT_API,
    OPT_REGION,
    OPT_ACCOUNT,
    SOCKET_PATH_MAX = 92, /* Of a directory, so that DIR/control.sock fits a socket address. */
};

enum given {
    GIVEN_MANAGERS = 1,
    GIVEN_ZONES = 2,
    GIVEN_WORKERS = 4,
    GIVEN_RUNTIME = 8,
    GIVEN_API = 16,
    GIVEN_REGION = 32,
    GIVEN_ACCOUNT = 64,
};

struct up {
    const char *program;
    const char *asked_dir;
    unsigned given; /* Which options were. */
    struct layout_options options;
    char *dir;
    struct layout *layout;
    bool resumes;
    size_t made; /* Directories. */
    int lock;
    bool holds; /* The directory is ours to undo, its lock being ours or our daemon's. */
};

static const struct argp_option flags[] = {
    {"dir", 'd', "DIR", 0,
     "Where the lab keeps its files (default $CAIS_LAB_DIR, or $XDG_STATE_HOME/cais/lab, or "
     "~/.local/state/cais/lab)",
     0},
    {"managers", OPT_MANAGERS, "N", 0, "1 to 7, of which 3 vote (default 3)", 0},
    {"zones", OPT_ZONES, "N", 0, "Availability zones (default 3)", 0},
    {"workers", OPT_WORKERS, "N", 0, "0 is a control plane alone (default 6)", 0},
    {"runtime", OPT_RUNTIME, "NAME", 0,
     "How workers run tasks: process, or hollow, which runs nothing (default process)", 0},
    {"api", OPT_API, "HOST:PORT", 0,
     "The endpoint; the lab uses the two ports above it too (default 127.0.0.1:4510)", 0},
    {"region", OPT_REGION, "NAME", 0, "Of zones and ARNs (default us-east-1)", 0},
    {"account", OPT_ACCOUNT, "DIGITS", 0, "Of ARNs (default 000000000000)", 0},
    {0},
};

/* ---- arguments */

static unsigned read_count(const char *text, const char *flag, struct argp_state *state)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || value > UINT_MAX)
        argp_error(state, "%s %s: expected a number", flag, text);
    return (unsigned)value;
}

static void read_text(const char *text, const char *flag, char *out, size_t size,
                      struct argp_state *state)
{
    if (strlen(text) >= size)
        argp_error(state, "%s %s: too long", flag, text);
    snprintf(out, size, "%s", text);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct up *up = state->input;
    struct layout_options *options = &up->options;

    switch (key) {
    case 'd':
        up->asked_dir = text;
        return 0;
    case OPT_MANAGERS:
        up->given |= GIVEN_MANAGERS;
        options->managers = read_count(text, "--managers", state);
        return 0;
    case OPT_ZONES:
        up->given |= GIVEN_ZONES;
        options->zones = read_count(text, "--zones", state);
        return 0;
    case OPT_WORKERS:
        up->given |= GIVEN_WORKERS;
        options->workers = read_count(text, "--workers", state);
        return 0;
    case OPT_RUNTIME:
        up->given |= GIVEN_RUNTIME;
        read_text(text, "--runtime", options->runtime, sizeof options->runtime, state);
        return 0;
    case OPT_API:
        up->given |= GIVEN_API;
        if (layout_parse_api(text, options) < 0)
            argp_error(state, "--api %s: expected an IPv4 address and a port", text);
        return 0;
    case OPT_REGION:
        up->given |= GIVEN_REGION;
        read_text(text, "--region", options->region, sizeof options->region, state);
        return 0;
    case OPT_ACCOUNT:
        up->given |= GIVEN_ACCOUNT;
        read_text(text, "--account", options->account, sizeof options->account, state);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument: %s", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- checks */

/* What a given option says otherwise than the lab that is there: its name; NULL if nothing. */
static const char *differing(unsigned given, const struct layout_options *asked,
                             const struct layout_options *there)
{
    if ((given & GIVEN_MANAGERS) && asked->managers != there->managers)
        return "--managers";
    if ((given & GIVEN_ZONES) && asked->zones != there->zones)
        return "--zones";
    if ((given & GIVEN_WORKERS) && asked->workers != there->workers)
        return "--workers";
    if ((given & GIVEN_RUNTIME) && strcmp(asked->runtime, there->runtime) != 0)
        return "--runtime";
    if ((given & GIVEN_API) &&
        (asked->api_port != there->api_port || strcmp(asked->api_host, there->api_host) != 0))
        return "--api";
    if ((given & GIVEN_REGION) && strcmp(asked->region, there->region) != 0)
        return "--region";
    if ((given & GIVEN_ACCOUNT) && strcmp(asked->account, there->account) != 0)
        return "--account";
    return NULL;
}

/* A lab that is there comes back as it was. */
static int check_resumed(struct up *up, const struct record *record)
{
    const char *flag = differing(up->given, &up->options, &record->options);
    int lock = -1;

    if (home_lock(up->dir, &lock) == HOME_HELD)
        return verb_failed(up->program, "a lab is running in %s already", up->dir);
    if (lock >= 0)
        close(lock);
    if (flag)
        return verb_failed(up->program,
                           "%s differs from the lab that is in %s; leave it out, or remove that "
                           "lab with `cais lab down --purge`",
                           flag, up->dir);
    if (home_has_remains(up->dir, record))
        return verb_failed(up->program,
                           "processes of a lab whose daemon was killed still run in %s; end them "
                           "with `cais lab down`",
                           up->dir);
    up->options = record->options;
    up->resumes = true;
    return EXIT_DONE;
}

static int check_dir(struct up *up)
{
    scope(record_free) struct record *record = NULL;
    int r = home_look(up->dir);

    if (r == HOME_OTHER)
        return verb_failed(up->program, "%s is not empty, and holds no lab", up->dir);
    if (r < 0)
        return verb_failed(up->program, "%s: %s", up->dir, strerror(-r));
    if (strlen(up->dir) > SOCKET_PATH_MAX)
        return verb_failed(up->program, "%s: the path is too long; at most %d bytes", up->dir,
                           SOCKET_PATH_MAX);
    r = record_load(up->dir, &record);
    return r == 0 ? check_resumed(up, record) : EXIT_DONE;
}

static int check_place(const struct up *up, struct sockaddr_in at, const char *whose)
{
    char text[INET_ADDRSTRLEN];
    int r = gate_try(&at);

    if (r == 0)
        return EXIT_DONE;
    inet_ntop(AF_INET, &at.sin_addr, text, sizeof text);
    return verb_failed(up->program, "%s:%u (%s): %s", text, ntohs(at.sin_port), whose,
                       strerror(-r));
}

static int check_manager(const struct up *up, size_t node)
{
    static const char *const ports[] = {"API", "worker RPC", "peers"};

    for (unsigned port = 0; port < LAYOUT_PORTS; port++) {
        char *whose = mem_format("%s, %s", up->layout->nodes[node].name, ports[port]);
        int code = check_place(up, layout_real(up->layout, node, port), whose);

        if (code == EXIT_DONE)
            code = check_place(up, layout_face(up->layout, node, port), whose);
        free(whose);
        if (code != EXIT_DONE)
            return code;
    }
    return EXIT_DONE;
}

static int check_places(const struct up *up)
{
    struct sockaddr_in front = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)up->options.api_port)};
    int code;

    must(inet_pton(AF_INET, up->options.api_host, &front.sin_addr) == 1);
    code = check_place(up, front, "the endpoint");
    for (size_t i = 0; i < up->layout->node_count && code == EXIT_DONE; i++) {
        struct sockaddr_in worker = {.sin_family = AF_INET, .sin_addr = up->layout->nodes[i].real};

        code = up->layout->nodes[i].manager ? check_manager(up, i)
                                            : check_place(up, worker, up->layout->nodes[i].name);
    }
    return code;
}

/* ---- starting */

static int prepare(struct up *up)
{
    scope(record_free) struct record *record = record_new(&up->options);
    int r = home_make(up->dir, &up->made);

    if (r < 0)
        return verb_failed(up->program, "%s: %s", up->dir, strerror(-r));
    r = home_lock(up->dir, &up->lock);
    if (r == HOME_HELD)
        return verb_failed(up->program, "a lab is running in %s already", up->dir);
    up->holds = r == 0;
    if (r == 0 && !up->resumes)
        r = record_save(up->dir, record);
    return r < 0 ? verb_failed(up->program, "%s: %s", up->dir, strerror(-r)) : EXIT_DONE;
}

static int start_daemon(struct up *up)
{
    char *problem = NULL;
    int r = ready_start_daemon(up->dir, up->lock, &problem);

    close(up->lock); /* The daemon has it now, or nobody needs it. */
    if (r < 0)
        return verb_failed(up->program, "the lab's daemon: %s", strerror(-r));
    if (problem)
        r = verb_failed(up->program, "%s", problem);
    free(problem);
    return r;
}

static int wait_ready(struct up *up)
{
    char *problem = ready_wait(up->dir, up->layout);

    if (!problem)
        return EXIT_DONE;
    verb_failed(up->program, "%s", problem);
    free(problem);
    return EXIT_FAILED;
}

/* Take away what was made. A lab that was there before keeps its files. */
static void undo(struct up *up)
{
    if (up->holds) {
        ready_end_daemon(up->dir);
        if (!up->resumes)
            home_empty(up->dir);
    }
    home_unmake(up->dir, up->made);
}

static void print_result(const struct up *up, double seconds)
{
    const struct layout_options *o = &up->options;

    printf("The lab is up: %u manager%s, %u zone%s, %u worker%s, in %.1f s%s.\n\n"
           "  endpoint  http://%s:%u\n"
           "  files     %s\n\n"
           "Any key will do, the lab does not check signatures:\n\n"
           "  export AWS_ACCESS_KEY_ID=cais AWS_SECRET_ACCESS_KEY=cais\n"
           "  export AWS_DEFAULT_REGION=%s\n"
           "  aws --endpoint-url http://%s:%u ecs list-clusters\n",
           o->managers, o->managers == 1 ? "" : "s", o->zones, o->zones == 1 ? "" : "s", o->workers,
           o->workers == 1 ? "" : "s", seconds, up->resumes ? ", with the state it had" : "",
           o->api_host, o->api_port, up->dir, o->region, o->api_host, o->api_port);
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int bring_up(struct up *up)
{
    double began = now_s();
    int code;

    ready_hold_signals();
    code = prepare(up);
    if (code == EXIT_DONE)
        code = start_daemon(up);
    if (code == EXIT_DONE)
        code = wait_ready(up);
    if (code == EXIT_DONE)
        print_result(up, now_s() - began);
    else
        undo(up);
    return code;
}

static int check_and_bring_up(struct up *up)
{
    char *problem = layout_problem(&up->options);
    int code;

    if (problem) {
        verb_failed(up->program, "%s", problem);
        free(problem);
        return EXIT_USAGE;
    }
    code = check_dir(up);
    if (code != EXIT_DONE)
        return code;
    up->layout = layout_new(&up->options);
    code = check_places(up);
    if (code == EXIT_DONE)
        code = bring_up(up);
    layout_free(up->layout);
    return code;
}

int up_main(int argc, char **argv)
{
    static const struct argp argp = {
        flags,
        parse,
        NULL,
        "Start a lab: real managers and workers on loopback addresses, in zones of their own, "
        "every link between them through a fabric that can break it. Returns when a leader is "
        "elected, all managers have joined and all workers are ACTIVE. A lab that was taken down "
        "comes up as it was.",
        NULL,
        NULL,
        NULL};
    struct up up = {.program = argv[0], .lock = -1};
    int code;

    layout_options_default(&up.options);
    argp_parse(&argp, argc, argv, 0, NULL, &up);
    up.dir = home_dir(argv[0], up.asked_dir);
    if (!up.dir)
        return EXIT_FAILED;
    code = check_and_bring_up(&up);
    free(up.dir);
    return code;
}
