/*
 * `cais status`: asks each manager it is given for its own view and shows them side by side, so
 * that a disagreement is seen and not averaged away.
 */
#include <argp.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "server/cli/client.h"
#include "server/cli/cmd.h"
#include "server/cli/table.h"
#include "server/cli/verb.h"

enum { TIMEOUT_MS = 3000, ENDPOINTS_MAX = 16 };

struct options {
    const char *endpoints[ENDPOINTS_MAX];
    size_t count;
    bool json;
};

static const struct argp_option flags[] = {
    {"endpoint", 'e', "URL", 0,
     "A manager's API endpoint; may be repeated (default $CAIS_ENDPOINT, or "
     "http://127.0.0.1:4510)",
     0},
    {"json", 'j', NULL, 0, "Print JSON", 0},
    {0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case 'e':
        if (options->count == ENDPOINTS_MAX)
            argp_error(state, "more than %d endpoints", ENDPOINTS_MAX);
        options->endpoints[options->count++] = text;
        return 0;
    case 'j':
        options->json = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument: %s", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Ask one manager; what came of it becomes an entry of the list. Returns if it answered. */
static bool ask(const char *endpoint, json_t *managers)
{
    struct client_answer answer = {0};
    int r = client_get(endpoint, "/cais/status", TIMEOUT_MS, &answer);

    if (r == 0 && answer.status == 200 && json_is_object(answer.body)) {
        json_object_set_new(answer.body, "endpoint", json_string(endpoint));
        json_array_append_new(managers, answer.body);
        return true;
    }
    json_array_append_new(managers,
                          json_pack("{s:s, s:s}", "endpoint", endpoint, "error",
                                    r < 0 ? client_reason(r) : "the manager refused to answer"));
    json_decref(answer.body);
    return false;
}

/* Of those who answered, the one with the latest term knows best who leads. */
static const json_t *best_informed(const json_t *managers)
{
    const json_t *best = NULL, *one;
    size_t i;

    json_array_foreach(managers, i, one)
    {
        if (!text_of(one, "error") && (!best || number(one, "term") > number(best, "term")))
            best = one;
    }
    return best;
}

static const char *leader_of(const json_t *best)
{
    const char *name = best ? text_of(best, "leader_name") : NULL;

    return name && *name ? name : NULL;
}

static void print_json(json_t *managers)
{
    const json_t *best = best_informed(managers);
    json_t *all = json_pack("{s:s?, s:I, s:O}", "leader", leader_of(best), "term",
                            best ? number(best, "term") : 0, "managers", managers);

    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

static void print_text(const json_t *managers)
{
    scope(table_free) struct table *table =
        table_new("MANAGER", "ZONE", "ROLE", "TERM", "LEADER", "READY", "LAST", "COMMITTED",
                  "APPLIED", "ENDPOINT", NULL);
    const json_t *best = best_informed(managers), *one;
    const char *leader = leader_of(best);
    size_t i;

    if (best)
        printf("leader %s, term %" JSON_INTEGER_FORMAT "\n\n", leader ? leader : "none",
               number(best, "term"));
    json_array_foreach(managers, i, one)
    {
        if (text_of(one, "error"))
            continue;
        table_add(table, text_of(one, "name"));
        table_add(table, text_of(one, "zone"));
        table_add(table, text_of(one, "role"));
        table_add_number(table, number(one, "term"));
        table_add(table, text_of(one, "leader_name"));
        table_add(table, json_is_true(json_object_get(one, "ready")) ? "yes" : "no");
        table_add_number(table, number(one, "last_index"));
        table_add_number(table, number(one, "commit_index"));
        table_add_number(table, number(one, "applied_index"));
        table_add(table, text_of(one, "endpoint"));
    }
    if (best)
        table_print(table, stdout);
}

int status_main(int argc, char **argv)
{
    static const struct argp argp = {
        flags, parse, NULL, "Show who leads, in which term, and how far each manager is.",
        NULL,  NULL,  NULL};
    struct options options = {0};
    json_t *managers = json_array();
    const char *set = getenv("CAIS_ENDPOINT");
    bool answered = true;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (options.count == 0)
        options.endpoints[options.count++] = set && *set ? set : "http://127.0.0.1:4510";
    for (size_t i = 0; i < options.count; i++) {
        if (ask(options.endpoints[i], managers))
            continue;
        answered = false;
        verb_failed(argv[0], "%s: %s", options.endpoints[i],
                    text_of(json_array_get(managers, i), "error"));
    }
    if (options.json)
        print_json(managers);
    else
        print_text(managers);
    json_decref(managers);
    return answered ? EXIT_DONE : EXIT_FAILED;
}
