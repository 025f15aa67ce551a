#include "server/cli/operate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "server/cli/client.h"
#include "server/cli/verb.h"
#include "server/net/settings.h"

enum {
    TIMEOUT_MS = 10000, /* Longer than a manager itself waits. */
    FLAGS_MAX = 6,
};

/* argp's callback gets the verb's own wishes by way of its input. */
static error_t parse(int key, char *text, struct argp_state *state)
{
    struct operate *out = state->input;

    switch (key) {
    case 'd':
        out->dir = text;
        return 0;
    case 'j':
        out->json = true;
        return 0;
    case 'f':
        out->force = true;
        return 0;
    case 's':
        out->stale = true;
        return 0;
    case 't':
        out->ttl = text;
        return 0;
    case ARGP_KEY_ARG:
        if (out->name_count == out->most)
            argp_error(state, "unexpected argument: %s", text);
        out->names[out->name_count++] = text;
        return 0;
    case ARGP_KEY_END:
        if (out->name_count < out->least)
            argp_error(state, "an argument is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static size_t add_flags(unsigned flags, struct argp_option *out)
{
    size_t count = 0;

    out[count++] = (struct argp_option){
        "dir", 'd', "DIR", 0, "The directory of a manager of this machine [/var/lib/cais]", 0};
    if (flags & OPERATE_JSON)
        out[count++] = (struct argp_option){"json", 'j', NULL, 0, "Print JSON", 0};
    if (flags & OPERATE_FORCE)
        out[count++] = (struct argp_option){
            "force", 'f', NULL, 0, "Also if no majority of the others can be reached", 0};
    if (flags & OPERATE_TTL)
        out[count++] = (struct argp_option){
            "ttl", 't', "TIME", 0, "How long it is valid: 90m, 24h, 30d, at most 366d [24h]", 0};
    if (flags & OPERATE_STALE)
        out[count++] = (struct argp_option){
            "stale", 's', NULL, 0, "Of what this manager has, also without a majority", 0};
    return count;
}

void operate_parse(int argc, char **argv, unsigned flags, const char *args, const char *doc,
                   struct operate *out)
{
    struct argp_option options[FLAGS_MAX] = {0};
    const struct argp_option *const dir = options;
    struct argp argp = {options, parse, args, doc, NULL, NULL, NULL};

    out->dir = "/var/lib/cais";
    out->most = args ? 1 : 0;
    out->least = args && args[0] != '[';
    add_flags(flags, options);
    {
        /* Only the directory is a setting: a line `force = true` in a file would be a trap. */
        const struct argp_option settings[] = {*dir, {0}};

        if (settings_arguments(settings, SETTINGS_FILE, argc, argv, &argc, &out->arguments) < 0)
            exit(EXIT_USAGE);
    }
    argp_parse(&argp, argc, out->arguments, 0, NULL, out);
}

void operate_fini(struct operate *operate)
{
    settings_free(operate->arguments);
}

static const char *reason(int r)
{
    if (r == -ENOENT || r == -ECONNREFUSED)
        return "no manager runs there (--dir names another directory)";
    if (r == -EACCES)
        return "permission denied: only its owner may ask";
    return client_reason(r);
}

static void say_refused(const char *program, const json_t *body)
{
    const char *message = json_string_value(json_object_get(body, "message"));

    verb_failed(program, "%s", message ? message : "the manager refused");
}

json_t *operate_ask(const char *program, const struct operate *operate, const char *action,
                    json_t *request)
{
    struct client_answer answer = {0};
    int r = client_operator(operate->dir, action, request, TIMEOUT_MS, &answer);

    json_decref(request);
    if (r < 0) {
        verb_failed(program, "%s: %s", operate->dir, reason(r));
        return NULL;
    }
    if (answer.status == 200)
        return answer.body;
    say_refused(program, answer.body);
    json_decref(answer.body);
    return NULL;
}

bool operate_stream(const char *program, const struct operate *operate, const char *action,
                    int (*take)(void *context, struct bytes bytes), void *context)
{
    struct client_answer answer = {0};
    int r = client_operator_stream(operate->dir, action, operate->stale, TIMEOUT_MS, take, context,
                                   &answer);

    if (r < 0)
        verb_failed(program, "%s: %s", operate->dir, reason(r));
    else if (answer.status != 200)
        say_refused(program, answer.body);
    json_decref(answer.body);
    return r == 0 && answer.status == 200;
}
