/* `cais token`: what newcomers show to be let in. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/cli/cmd.h"
#include "server/cli/operate.h"
#include "server/cli/table.h"
#include "server/cli/verb.h"

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Seconds of "90m", "24h", "30d", "60s"; 0: not such a time. */
static json_int_t seconds_of(const char *text)
{
    static const struct {
        char letter;
        json_int_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end;
    long count;

    if (!isdigit((unsigned char)*text))
        return 0;
    errno = 0;
    count = strtol(text, &end, 10);
    if (errno != 0 || count > 1000000000 || *end == '\0' || end[1] != '\0')
        return 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (*end == units[i].letter)
            return count * units[i].seconds;
    return 0;
}

static int make(int argc, char **argv, const char *action, const char *doc)
{
    struct operate operate = {0};
    json_t *request = json_object();
    json_t *answer = NULL;
    bool fits = true;

    operate_parse(argc, argv, OPERATE_JSON | OPERATE_TTL, "manager", doc, &operate);
    json_object_set_new(request, "role", json_string(operate.names[0]));
    if (operate.ttl) {
        fits = seconds_of(operate.ttl) > 0;
        json_object_set_new(request, "ttlSeconds", json_integer(seconds_of(operate.ttl)));
    }
    if (fits)
        answer = operate_ask(argv[0], &operate, action, request);
    else
        fprintf(stderr, "%s: --ttl: \"%s\" is not a time such as 90m, 24h or 30d\n", argv[0],
                operate.ttl);
    if (answer && operate.json) {
        json_dumpf(answer, stdout, JSON_INDENT(2));
        putchar('\n');
    } else if (answer) {
        printf("%s\n", text_of(answer, "token"));
    }
    if (!fits)
        json_decref(request);
    operate_fini(&operate);
    json_decref(answer);
    return answer ? EXIT_DONE : fits ? EXIT_FAILED : EXIT_USAGE;
}

static int create_main(int argc, char **argv)
{
    return make(argc, argv, "CreateToken",
                "Make a token with which managers may join, and print it: it is shown this once.");
}

static int rotate_main(int argc, char **argv)
{
    return make(argc, argv, "RotateToken",
                "Make a token and revoke all older ones of the same role, in one step.");
}

static int revoke_main(int argc, char **argv)
{
    struct operate operate = {0};
    json_t *answer;

    operate_parse(argc, argv, 0, "ID",
                  "Revoke a token: nobody joins with it from now on. Who has joined stays.",
                  &operate);
    answer =
        operate_ask(argv[0], &operate, "RevokeToken", json_pack("{s:s}", "id", operate.names[0]));
    if (answer)
        printf("%s is revoked\n", operate.names[0]);
    operate_fini(&operate);
    json_decref(answer);
    return answer ? EXIT_DONE : EXIT_FAILED;
}

/* ---- list */

static void add_time(struct table *table, const json_t *token, const char *key)
{
    time_t at = (time_t)json_number_value(json_object_get(token, key));
    char text[sizeof "2000-01-01 00:00:00"];
    struct tm utc;

    gmtime_r(&at, &utc);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &utc);
    table_add(table, at ? text : NULL);
}

static void print_tokens(const json_t *tokens)
{
    scope(table_free) struct table *table =
        table_new("TOKEN", "ROLE", "STATUS", "CREATED (UTC)", "EXPIRES (UTC)", NULL);
    const json_t *one;
    size_t i;

    json_array_foreach(tokens, i, one)
    {
        table_add(table, text_of(one, "id"));
        table_add(table, text_of(one, "role"));
        table_add(table, text_of(one, "status"));
        add_time(table, one, "createdAt");
        add_time(table, one, "expiresAt");
    }
    table_print(table, stdout);
}

static int list_main(int argc, char **argv)
{
    struct operate operate = {0};
    json_t *answer;

    operate_parse(argc, argv, OPERATE_JSON, NULL,
                  "List the tokens, without their secrets, which nobody has but who made them.",
                  &operate);
    answer = operate_ask(argv[0], &operate, "ListTokens", json_object());
    if (answer && operate.json) {
        json_dumpf(answer, stdout, JSON_INDENT(2));
        putchar('\n');
    } else if (answer) {
        print_tokens(json_object_get(answer, "tokens"));
    }
    operate_fini(&operate);
    json_decref(answer);
    return answer ? EXIT_DONE : EXIT_FAILED;
}

int token_main(int argc, char **argv)
{
    static const struct verb verbs[] = {
        {"create", "manager [--ttl TIME]", "make one and print it, this once", create_main},
        {"rotate", "manager [--ttl TIME]", "make one and revoke all older ones", rotate_main},
        {"revoke", "ID", "nobody joins with it any more", revoke_main},
        {"list", NULL, "those there are, without their secrets", list_main},
    };

    return verb_run("cais token", "What newcomers show to join this cluster.", verbs,
                    sizeof verbs / sizeof *verbs, argc, argv);
}
