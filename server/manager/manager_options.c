#include "server/manager/manager_options.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "server/net/settings.h"
#include "server/net/token.h"

enum {
    OPT_API_PORT = 256,
    OPT_RPC_PORT,
    OPT_PEER_PORT,
    OPT_ADVERTISE,
    OPT_BOOTSTRAP,
    OPT_JOIN,
    OPT_TOKEN,
    OPT_TOKEN_FILE,
    OPT_RECOVER,
    OPT_REGION,
    OPT_ACCOUNT,
    OPT_VOTERS,
    OPT_ELECTION,
    OPT_HEARTBEAT,
    OPT_WORKER_LOST,
    OPT_MANAGER_LOST,
};

static const struct argp_option options[] = {
    {"dir", 'd', "DIR", 0, "where this manager keeps its state (made if absent)", 0},
    {"name", 'n', "NAME", 0, "its name in the cluster; needed once, to come to be", 0},
    {"zone", 'z', "ZONE", 0, "its availability zone; likewise", 0},
    {"bootstrap", OPT_BOOTSTRAP, NULL, 0,
     "begin a new cluster, of this manager alone; ignored if DIR holds a state", 0},
    {"join", OPT_JOIN, "HOST[:PORT]", 0,
     "join the cluster of this manager, by its peer port [4512]; ignored likewise", 0},
    {"token", OPT_TOKEN, "TOKEN", 0, "to join with", 0},
    {"token-file", OPT_TOKEN_FILE, "FILE", 0, "the same, in a file; waited for if absent", 0},
    {"recover", OPT_RECOVER, NULL, 0,
     "the majority is lost for good: go on alone, as a cluster of this manager only; what only the "
     "lost ones had is lost",
     0},
    {"bind", 'b', "HOST", 0, "address to listen on and to dial from [127.0.0.1]", 0},
    {"advertise", OPT_ADVERTISE, "HOST", 0, "where others reach it [as --bind]", 0},
    {"api-port", OPT_API_PORT, "PORT", 0, "ECS API [4510]", 0},
    {"rpc-port", OPT_RPC_PORT, "PORT", 0, "worker RPC [4511]", 0},
    {"peer-port", OPT_PEER_PORT, "PORT", 0, "managers among themselves [4512]", 0},
    {"region", OPT_REGION, "REGION", 0, "of the ARNs; fixed by --bootstrap [us-east-1]", 0},
    {"account", OPT_ACCOUNT, "DIGITS", 0, "of the ARNs, likewise [000000000000]", 0},
    {"voters", OPT_VOTERS, "N", 0, "managers that vote, if there are as many; others stand by [3]",
     0},
    {"election-timeout-ms", OPT_ELECTION, "MS", 0,
     "a follower without a leader campaigns after this to twice this [300]", 0},
    {"heartbeat-ms", OPT_HEARTBEAT, "MS", 0, "between a leader's signs of life [50]", 0},
    {"worker-lost-ms", OPT_WORKER_LOST, "MS", 0,
     "silence after which a worker's tasks are replaced [3000]", 0},
    {"manager-lost-ms", OPT_MANAGER_LOST, "MS", 0,
     "silence after which a stand-by votes in a manager's place [10000]", 0},
    {0},
};

static uint16_t port_of(struct argp_state *state, const char *flag, const char *text)
{
    return (uint16_t)settings_number(state, flag, text, 1, 65535);
}

static int parse_number(int key, char *arg, struct argp_state *state)
{
    struct manager_options *out = state->input;

    switch (key) {
    case OPT_API_PORT:
        out->api_port = port_of(state, "api-port", arg);
        return 0;
    case OPT_RPC_PORT:
        out->rpc_port = port_of(state, "rpc-port", arg);
        return 0;
    case OPT_PEER_PORT:
        out->peer_port = port_of(state, "peer-port", arg);
        return 0;
    case OPT_VOTERS:
        out->voters = settings_number(state, "voters", arg, 1, LIMIT_MANAGERS);
        return 0;
    case OPT_ELECTION:
        out->election_ms = settings_number(state, "election-timeout-ms", arg, 50, 60000);
        return 0;
    case OPT_HEARTBEAT:
        out->heartbeat_ms = settings_number(state, "heartbeat-ms", arg, 5, 10000);
        return 0;
    case OPT_WORKER_LOST:
        out->worker_lost_ms = settings_number(state, "worker-lost-ms", arg, 1000, 3600000);
        return 0;
    case OPT_MANAGER_LOST:
        out->manager_lost_ms = settings_number(state, "manager-lost-ms", arg, 1000, 86400000);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int parse_option(int key, char *arg, struct argp_state *state)
{
    struct manager_options *out = state->input;

    switch (key) {
    case 'd':
        out->dir = arg;
        return 0;
    case 'n':
        out->name = arg;
        return 0;
    case 'z':
        out->zone = arg;
        return 0;
    case 'b':
        out->bind = arg;
        return 0;
    case OPT_ADVERTISE:
        out->advertise = arg;
        return 0;
    case OPT_BOOTSTRAP:
        out->bootstrap = true;
        return 0;
    case OPT_JOIN:
        out->join = arg;
        return 0;
    case OPT_TOKEN:
        out->token = arg;
        return 0;
    case OPT_TOKEN_FILE:
        out->token_file = arg;
        return 0;
    case OPT_RECOVER:
        out->recover = true;
        return 0;
    case OPT_REGION:
        out->region = arg;
        return 0;
    case OPT_ACCOUNT:
        out->account = arg;
        return 0;
    default:
        return parse_number(key, arg, state);
    }
}

static bool is_account(const char *text)
{
    return strlen(text) == 12 && strspn(text, "0123456789") == 12;
}

static bool is_region(const char *text)
{
    return *text && strlen(text) <= 64 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(text);
}

static void check_names(struct argp_state *state, const struct manager_options *out)
{
    if (!out->dir)
        argp_error(state, "--dir is missing");
    if (out->name && !name_is_valid(out->name))
        argp_error(state, "--name: \"%s\" is not a name (letters, digits, - and _)", out->name);
    if (out->zone && !name_is_valid(out->zone))
        argp_error(state, "--zone: \"%s\" is not a name (letters, digits, - and _)", out->zone);
    if (!is_account(out->account))
        argp_error(state, "--account: \"%s\" is not twelve digits", out->account);
    if (!is_region(out->region))
        argp_error(state, "--region: \"%s\" is not a region", out->region);
}

/* What can be said of a token without asking anybody. */
static void check_token(struct argp_state *state, const char *text)
{
    struct token token;

    if (token_parse(text, &token) != 0)
        argp_error(state, "--token: this is not a token: CAIS1-manager-... is needed");
    if (token.role != TOKEN_MANAGER)
        argp_error(state, "--token: this is a worker's token; a manager's is needed");
}

static void check_beginning(struct argp_state *state, const struct manager_options *out)
{
    if (out->bootstrap && out->join)
        argp_error(state, "--bootstrap begins a cluster and --join joins one: it cannot be both");
    if (out->recover && (out->bootstrap || out->join))
        argp_error(state, "--recover goes on from what is stored: without --bootstrap and --join");
    if (out->token && out->token_file)
        argp_error(state, "--token and --token-file: one of them is enough");
    if (out->join && !out->token && !out->token_file)
        argp_error(state, "--join needs a --token or a --token-file");
    if (!out->join && (out->token || out->token_file))
        argp_error(state, "--token is of use with --join only");
    if (out->token)
        check_token(state, out->token);
}

static void check(struct argp_state *state, struct manager_options *out)
{
    check_names(state, out);
    check_beginning(state, out);
    if (out->heartbeat_ms * 2 > out->election_ms)
        argp_error(state, "--heartbeat-ms must be at most half of --election-timeout-ms");
}

static int parse(int key, char *arg, struct argp_state *state)
{
    if (key == ARGP_KEY_END) {
        check(state, state->input);
        return 0;
    }
    return parse_option(key, arg, state);
}

void manager_options_parse(int argc, char **argv, struct manager_options *out)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc =
            "Run a manager: it votes in Raft, stores everything and serves the ECS API. The first "
            "one of a cluster is begun with --bootstrap, every other one with --join; to start "
            "one again --dir is enough.\v"
            "Each flag may also be a line `flag = value` of " SETTINGS_FILE
            " or a variable CAIS_FLAG; flags win, then variables.",
    };

    *out = (struct manager_options){
        .region = "us-east-1",
        .account = "000000000000",
        .election_ms = 300,
        .heartbeat_ms = 50,
        .worker_lost_ms = 3000,
        .manager_lost_ms = 10000,
        .voters = 3,
    };
    argp_err_exit_status = 2;
    if (settings_arguments(options, SETTINGS_FILE, argc, argv, &argc, &out->arguments) < 0)
        exit(2);
    argv = out->arguments;
    if (argp_parse(&argp, argc, argv, 0, NULL, out) != 0) {
        fprintf(stderr, "cais manager: out of memory\n"); /* It says of all else itself. */
        exit(EXIT_FAILURE);
    }
}

void manager_options_fini(struct manager_options *out)
{
    settings_free(out->arguments);
}
