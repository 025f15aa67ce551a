/* `cais managers`: who the managers are, and the operator's say in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "server/cli/cmd.h"
#include "server/cli/operate.h"
#include "server/cli/table.h"
#include "server/cli/verb.h"

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* ---- list */

static void add_row(struct table *table, const json_t *one)
{
    char *heard = mem_format("%lld ms ago", (long long)number(one, "silentMs"));
    bool leads = json_is_true(json_object_get(one, "leader"));

    table_add(table, text_of(one, "name"));
    table_add(table, text_of(one, "zone"));
    table_add(table, leads ? "leader" : text_of(one, "role"));
    table_add(table, leads ? "now" : heard);
    table_add_number(table, number(one, "matchIndex"));
    table_add_number(table, number(one, "lag"));
    table_add(table, text_of(one, "address"));
    table_add(table, text_of(one, "id"));
    free(heard);
}

static void print_managers(const json_t *answer)
{
    scope(table_free) struct table *table =
        table_new("MANAGER", "ZONE", "ROLE", "HEARD", "HAS", "LAG", "ADDRESS", "ID", NULL);
    const json_t *one;
    size_t i;

    printf("leader %s, term %lld, applied %lld\n\n", text_of(answer, "leader"),
           (long long)number(answer, "term"), (long long)number(answer, "appliedIndex"));
    json_array_foreach(json_object_get(answer, "managers"), i, one) add_row(table, one);
    table_print(table, stdout);
}

static int list_main(int argc, char **argv)
{
    struct operate operate = {0};
    json_t *answer;

    operate_parse(argc, argv, OPERATE_JSON, NULL,
                  "List the managers, as the leader sees them: when it last heard of each, how far "
                  "in the log each is, and how many entries behind.",
                  &operate);
    answer = operate_ask(argv[0], &operate, "ListManagers", json_object());
    if (answer && operate.json) {
        json_dumpf(answer, stdout, JSON_INDENT(2));
        putchar('\n');
    } else if (answer) {
        print_managers(answer);
    }
    operate_fini(&operate);
    json_decref(answer);
    return answer ? EXIT_DONE : EXIT_FAILED;
}

/* ---- changes */

static json_t *request_of(const struct operate *operate)
{
    json_t *request = json_object();

    if (operate->name_count > 0)
        json_object_set_new(request, "name", json_string(operate->names[0]));
    if (operate->force)
        json_object_set_new(request, "force", json_true());
    return request;
}

static int change(char **argv, struct operate *operate, const char *action, const char *said)
{
    json_t *answer = operate_ask(argv[0], operate, action, request_of(operate));

    if (answer)
        printf("%s %s\n", operate->names[0], said);
    operate_fini(operate);
    json_decref(answer);
    return answer ? EXIT_DONE : EXIT_FAILED;
}

static int remove_main(int argc, char **argv)
{
    struct operate operate = {0};

    operate_parse(argc, argv, OPERATE_FORCE, "NAME",
                  "Remove a manager for good: it can only come back as a new one.", &operate);
    return change(argv, &operate, "RemoveManager", "is removed");
}

static int promote_main(int argc, char **argv)
{
    struct operate operate = {0};

    operate_parse(argc, argv, 0, "NAME", "Make a stand-by vote.", &operate);
    return change(argv, &operate, "PromoteManager", "votes");
}

static int demote_main(int argc, char **argv)
{
    struct operate operate = {0};

    operate_parse(argc, argv, OPERATE_FORCE, "NAME",
                  "Make a voter a stand-by: it keeps the state and does not vote.", &operate);
    return change(argv, &operate, "DemoteManager", "is a stand-by");
}

static int transfer_main(int argc, char **argv)
{
    struct operate operate = {0};
    json_t *answer;

    operate_parse(argc, argv, 0, "[NAME]",
                  "Hand leadership to NAME, or to whoever has most of the log. Returns when it "
                  "leads; calls that arrive meanwhile wait.",
                  &operate);
    answer = operate_ask(argv[0], &operate, "TransferLeadership", request_of(&operate));
    if (answer)
        printf("%s leads\n", text_of(answer, "leader"));
    operate_fini(&operate);
    json_decref(answer);
    return answer ? EXIT_DONE : EXIT_FAILED;
}

int managers_main(int argc, char **argv)
{
    static const struct verb verbs[] = {
        {"list", NULL, "who they are, who leads, how far each is", list_main},
        {"remove", "NAME [--force]", "remove one for good", remove_main},
        {"promote", "NAME", "make a stand-by vote", promote_main},
        {"demote", "NAME [--force]", "make a voter a stand-by", demote_main},
        {"transfer", "[NAME]", "hand leadership on", transfer_main},
    };

    return verb_run("cais managers", "The managers of this cluster.", verbs,
                    sizeof verbs / sizeof *verbs, argc, argv);
}
