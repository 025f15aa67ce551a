#include "server/manager/manager_options.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "proto/base/mem.h"
#include "server/net/settings.h"

enum {
    OPT_API_PORT = 256,
    OPT_RPC_PORT,
    OPT_PEER_PORT,
    OPT_REGION,
    OPT_ACCOUNT,
    OPT_ELECTION,
    OPT_HEARTBEAT,
    OPT_WORKER_LOST,
};

static const struct argp_option options[] = {
    {"dir", 'd', "DIR", 0, "where this manager keeps its state (made if absent)", 0},
    {"name", 'n', "NAME", 0, "this manager's name, one of --members", 0},
    {"zone", 'z', "ZONE", 0, "its availability zone", 0},
    {"bind", 'b', "HOST", 0, "address to listen on and to dial from [127.0.0.1]", 0},
    {"members", 'm', "NAME=HOST,…", 0,
     "every manager and the address at which the others reach it, the same list on each", 0},
    {"api-port", OPT_API_PORT, "PORT", 0, "ECS API [4510]", 0},
    {"rpc-port", OPT_RPC_PORT, "PORT", 0, "worker RPC, the same on all managers [4511]", 0},
    {"peer-port", OPT_PEER_PORT, "PORT", 0, "managers among themselves, the same on all [4512]", 0},
    {"region", OPT_REGION, "REGION", 0, "of the ARNs; fixed by the first leader [us-east-1]", 0},
    {"account", OPT_ACCOUNT, "DIGITS", 0, "of the ARNs, likewise [000000000000]", 0},
    {"election-timeout-ms", OPT_ELECTION, "MS", 0,
     "a follower without a leader campaigns after this to twice this [300]", 0},
    {"heartbeat-ms", OPT_HEARTBEAT, "MS", 0, "between a leader's signs of life [50]", 0},
    {"worker-lost-ms", OPT_WORKER_LOST, "MS", 0,
     "silence after which a worker's tasks are replaced [3000]", 0},
    {0},
};

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
    case 'm':
        out->members_text = arg;
        return 0;
    case OPT_API_PORT:
        out->api_port = (uint16_t)settings_number(state, "api-port", arg, 1, 65535);
        return 0;
    case OPT_RPC_PORT:
        out->rpc_port = (uint16_t)settings_number(state, "rpc-port", arg, 1, 65535);
        return 0;
    case OPT_PEER_PORT:
        out->peer_port = (uint16_t)settings_number(state, "peer-port", arg, 1, 65535);
        return 0;
    case OPT_REGION:
        out->region = arg;
        return 0;
    case OPT_ACCOUNT:
        out->account = arg;
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
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void parse_members(struct argp_state *state, struct manager_options *out)
{
    char *text = mem_string(out->members_text);
    char *rest = text;
    char *item;

    while ((item = strsep(&rest, ",")) != NULL) {
        char *equals = strchr(item, '=');
        struct manager_member *member;

        if (!equals || equals == item || equals[1] == '\0')
            argp_error(state, "--members: \"%s\" is not NAME=HOST", item);
        if (out->member_count == LIMIT_MANAGERS)
            argp_error(state, "--members: more than %u managers", LIMIT_MANAGERS);
        *equals = '\0';
        member = &out->members[out->member_count++];
        member->name = mem_string(item);
        member->host = mem_string(equals + 1);
        if (!name_is_valid(member->name))
            argp_error(state, "--members: \"%s\" is not a name (letters, digits, - and _)", item);
        for (size_t i = 0; i + 1 < out->member_count; i++)
            if (strcmp(out->members[i].name, member->name) == 0)
                argp_error(state, "--members: \"%s\" is there twice", member->name);
        if (strcmp(member->name, out->name) == 0)
            out->id = out->member_count;
    }
    free(text);
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

static void check(struct argp_state *state, struct manager_options *out)
{
    if (!out->dir)
        argp_error(state, "--dir is missing");
    if (!out->name)
        argp_error(state, "--name is missing");
    if (!out->zone)
        argp_error(state, "--zone is missing");
    if (!out->members_text)
        argp_error(state, "--members is missing");
    parse_members(state, out);
    if (out->id == 0)
        argp_error(state, "--members does not name this manager, \"%s\"", out->name);
    if (!is_account(out->account))
        argp_error(state, "--account: \"%s\" is not twelve digits", out->account);
    if (!is_region(out->region))
        argp_error(state, "--region: \"%s\" is not a region", out->region);
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
        .doc = "Run a manager: it votes in Raft, stores everything and serves the ECS API.\v"
               "Each flag may also be a line `flag = value` of " SETTINGS_FILE
               " or a variable CAIS_FLAG; flags win, then variables.",
    };

    *out = (struct manager_options){
        .bind = "127.0.0.1",
        .api_port = 4510,
        .rpc_port = 4511,
        .peer_port = 4512,
        .region = "us-east-1",
        .account = "000000000000",
        .election_ms = 300,
        .heartbeat_ms = 50,
        .worker_lost_ms = 3000,
    };
    argp_err_exit_status = 2;
    if (settings_arguments(options, SETTINGS_FILE, argc, argv, &argc, &out->arguments) < 0)
        exit(2);
    argv = out->arguments;
    argp_parse(&argp, argc, argv, 0, NULL, out);
}

void manager_options_fini(struct manager_options *out)
{
    for (size_t i = 0; i < out->member_count; i++) {
        free(out->members[i].name);
        free(out->members[i].host);
    }
    settings_free(out->arguments);
}
