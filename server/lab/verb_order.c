/*
 * The verbs that are one question to a running lab: the orders, status, down.
 */
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/cli/verb.h"
#include "server/lab/control.h"
#include "server/lab/home.h"
#include "server/lab/status.h"
#include "server/lab/verbs.h"

enum { ANSWER_MS = 30 * 1000, ENDED_MS = 5 * 1000, ARGS_MAX = 4, FLAGS_MAX = 6 };

enum flag { FLAG_ONE_WAY = 1, FLAG_TASKS = 2, FLAG_JSON = 4, FLAG_PURGE = 8 };

struct shape {
    const char *verb;
    const char *args;
    const char *doc;
    unsigned least, most; /* Arguments. */
    unsigned flags;
};

#define TARGET "TARGET is a node (m1, w3), leader, or zone:ZONE."
#define ENDS   "A and B are each a node (m1, w3), zone:ZONE or '*'."

static const struct shape shapes[] = {
    {"status", NULL, "Show the lab's nodes, who leads, and what is wrong on purpose.", 0, 0,
     FLAG_JSON},
    {"down", NULL,
     "Take the lab down: tasks, workers, managers. It can come up again as it was, unless its "
     "files are purged.",
     0, 0, FLAG_PURGE},
    {"kill", "TARGET",
     "End a node's process with SIGKILL. A worker's tasks run on without it, unless --tasks is "
     "given. " TARGET,
     1, 1, FLAG_TASKS},
    {"stop", "TARGET", "Freeze a node's process with SIGSTOP. " TARGET, 1, 1, 0},
    {"cont", "TARGET", "Let a stopped node go on (SIGCONT). " TARGET, 1, 1, 0},
    {"start", "TARGET", "Start a dead node again, as it was. " TARGET, 1, 1, 0},
    {"cut", "A B", "Let nothing pass between A and B. " ENDS, 2, 2, FLAG_ONE_WAY},
    {"heal", "[A B]", "Mend the links between A and B, or all of them. " ENDS, 0, 2, FLAG_ONE_WAY},
    {"delay", "A B MS [JITTER]",
     "Delay what passes between A and B by MS milliseconds, each way, and 0 to JITTER more. " ENDS,
     3, 4, FLAG_ONE_WAY},
    {"reset", "A B", "Break the connections there are between A and B, once. " ENDS, 2, 2, 0},
    {"fail-zone", "ZONE", "Cut the power of a zone: its nodes, tasks and links.", 1, 1, 0},
    {"restore-zone", "ZONE", "Switch a failed zone on again.", 1, 1, 0},
};

struct asked {
    const struct shape *shape;
    const char *dir;
    const char *args[ARGS_MAX];
    unsigned count;
    unsigned flags;
};

/* ---- arguments */

static void take_argument(struct asked *asked, char *text, struct argp_state *state)
{
    if (asked->count == asked->shape->most)
        argp_error(state, "unexpected argument: %s", text);
    asked->args[asked->count++] = text;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct asked *asked = state->input;

    switch (key) {
    case 'd':
        asked->dir = text;
        return 0;
    case 'j':
        asked->flags |= FLAG_JSON;
        return 0;
    case 'o':
        asked->flags |= FLAG_ONE_WAY;
        return 0;
    case 't':
        asked->flags |= FLAG_TASKS;
        return 0;
    case 'p':
        asked->flags |= FLAG_PURGE;
        return 0;
    case ARGP_KEY_ARG:
        take_argument(asked, text, state);
        return 0;
    case ARGP_KEY_END:
        if (asked->count < asked->shape->least)
            argp_error(state, "expected %s", asked->shape->args);
        if (asked->shape->least == 0 && asked->count == 1)
            argp_error(state, "expected both ends or none: %s", asked->shape->args);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void flags_of(const struct shape *shape, struct argp_option out[FLAGS_MAX])
{
    static const struct {
        unsigned flag;
        struct argp_option option;
    } all[] = {
        {FLAG_JSON, {"json", 'j', NULL, 0, "Print JSON", 0}},
        {FLAG_ONE_WAY, {"one-way", 'o', NULL, 0, "Only what goes from A to B", 0}},
        {FLAG_TASKS, {"tasks", 't', NULL, 0, "Lose the machine: a worker's tasks end too", 0}},
        {FLAG_PURGE, {"purge", 'p', NULL, 0, "Remove the lab's directory too", 0}},
    };
    size_t count = 0;

    out[count++] = (struct argp_option){"dir",
                                        'd',
                                        "DIR",
                                        0,
                                        "The lab's directory (default $CAIS_LAB_DIR, or "
                                        "$XDG_STATE_HOME/cais/lab, or ~/.local/state/cais/lab)",
                                        0};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (shape->flags & all[i].flag)
            out[count++] = all[i].option;
    }
    out[count] = (struct argp_option){0};
}

/* argv[0] is the way to the verb: "cais lab kill". */
static const struct shape *shape_of(const char *program)
{
    const char *verb = strrchr(program, ' ');

    for (size_t i = 0; verb && i < sizeof shapes / sizeof *shapes; i++) {
        if (strcmp(shapes[i].verb, verb + 1) == 0)
            return &shapes[i];
    }
    must_failed("a verb without a shape", __FILE__, __LINE__);
}

static void read_arguments(int argc, char **argv, struct asked *out)
{
    const struct shape *shape = shape_of(argv[0]);
    struct argp_option flags[FLAGS_MAX];
    struct argp argp = {flags, parse, shape->args, shape->doc, NULL, NULL, NULL};

    flags_of(shape, flags);
    *out = (struct asked){.shape = shape};
    argp_parse(&argp, argc, argv, 0, NULL, out);
}

/* ---- asking */

static json_t *question_of(const struct asked *asked)
{
    json_t *args = json_array();

    for (unsigned i = 0; i < asked->count; i++)
        json_array_append_new(args, json_string(asked->args[i]));
    return json_pack("{s:s, s:o, s:b, s:b}", "verb", asked->shape->verb, "args", args, "one_way",
                     (asked->flags & FLAG_ONE_WAY) != 0, "tasks", (asked->flags & FLAG_TASKS) != 0);
}

/* Has the lab's daemon been killed, and what it started not? */
static bool was_abandoned(const char *dir, const struct record *record)
{
    int lock = -1;
    bool abandoned = home_lock(dir, &lock) == 0 && home_has_remains(dir, record);

    if (lock >= 0)
        close(lock);
    return abandoned;
}

static void say_absent(const char *program, const char *dir)
{
    scope(record_free) struct record *record = NULL;

    if (record_load(dir, &record) == 0 && was_abandoned(dir, record))
        verb_failed(program,
                    "the daemon of the lab in %s was killed; end what it left with `cais lab down`",
                    dir);
    else
        verb_failed(program, "no lab is running in %s", dir);
}

/* Ask the lab. Gives an answer that is ok; NULL after saying what went wrong. */
static json_t *ask(const char *program, const char *dir, const struct asked *asked)
{
    json_t *question = question_of(asked);
    json_t *answer = NULL;
    int r = question ? control_ask(dir, question, ANSWER_MS, &answer) : -EILSEQ;

    json_decref(question);
    if (r == CONTROL_ABSENT)
        say_absent(program, dir);
    else if (r < 0)
        verb_failed(program, "the lab in %s does not answer: %s", dir, strerror(-r));
    else if (json_is_true(json_object_get(answer, "ok")))
        return answer;
    else
        verb_failed(program, "%s", json_string_value(json_object_get(answer, "error")));
    json_decref(answer);
    return NULL;
}

static void print_said(const json_t *answer)
{
    const json_t *line;
    size_t i;

    json_array_foreach(json_object_get(answer, "said"), i, line)
        printf("%s\n", json_string_value(line));
}

int order_main(int argc, char **argv)
{
    struct asked asked;
    json_t *answer;
    char *dir;

    read_arguments(argc, argv, &asked);
    dir = home_dir(argv[0], asked.dir);
    if (!dir)
        return EXIT_FAILED;
    answer = ask(argv[0], dir, &asked);
    free(dir);
    if (!answer)
        return EXIT_FAILED;
    print_said(answer);
    json_decref(answer);
    return EXIT_DONE;
}

int lab_status_main(int argc, char **argv)
{
    struct asked asked;
    json_t *answer, *status;
    char *dir;

    read_arguments(argc, argv, &asked);
    dir = home_dir(argv[0], asked.dir);
    if (!dir)
        return EXIT_FAILED;
    answer = ask(argv[0], dir, &asked);
    free(dir);
    if (!answer)
        return EXIT_FAILED;
    status = json_object_get(answer, "status");
    if (asked.flags & FLAG_JSON) {
        json_dumpf(status, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        status_print(status, stdout);
    }
    json_decref(answer);
    return EXIT_DONE;
}

/* ---- down */

/* The daemon was killed, or the lab is down already: end what is left, if anything. Returns if
 * there was anything. */
static int clear_remains(const char *dir, bool *out_any)
{
    scope(record_free) struct record *record = NULL;
    int r = record_load(dir, &record);

    *out_any = false;
    if (r != 0)
        return 0;
    *out_any = home_has_remains(dir, record);
    if (*out_any)
        home_kill_remains(dir, record);
    for (size_t i = 0; i < record->node_count; i++)
        record->nodes[i] = (struct proc){0};
    record->daemon = (struct proc){0};
    return err_up(record_save(dir, record));
}

static int end_remains(const char *program, const char *dir)
{
    scope(record_free) struct record *record = NULL;
    int lock = -1;
    bool any = false;
    int r;

    if (record_load(dir, &record) != 0)
        return verb_failed(program, "there is no lab in %s", dir);
    r = home_lock(dir, &lock);
    if (r == HOME_HELD)
        return verb_failed(program, "the lab in %s is starting or ending: try again", dir);
    if (r == 0)
        r = clear_remains(dir, &any);
    if (lock >= 0)
        close(lock);
    if (r < 0)
        return verb_failed(program, "%s: %s", dir, strerror(-r));
    printf(any ? "the lab's daemon had been killed; what it left is ended\n"
               : "the lab was down already\n");
    return EXIT_DONE;
}

static int take_down(const char *program, const char *dir, const struct asked *asked)
{
    json_t *question = question_of(asked);
    json_t *answer = NULL;
    int r = control_ask(dir, question, ANSWER_MS, &answer);

    json_decref(question);
    if (r == CONTROL_ABSENT)
        return end_remains(program, dir);
    if (r < 0)
        return verb_failed(program, "the lab in %s does not answer: %s", dir, strerror(-r));
    if (!json_is_true(json_object_get(answer, "ok"))) {
        verb_failed(program, "%s", json_string_value(json_object_get(answer, "error")));
        json_decref(answer);
        return EXIT_FAILED;
    }
    print_said(answer);
    json_decref(answer);
    r = home_wait_free(dir, ENDED_MS);
    return r < 0 ? verb_failed(program, "its daemon does not end: %s", strerror(-r)) : EXIT_DONE;
}

int down_main(int argc, char **argv)
{
    struct asked asked;
    char *dir;
    int code;
    int r;

    read_arguments(argc, argv, &asked);
    dir = home_dir(argv[0], asked.dir);
    if (!dir)
        return EXIT_FAILED;
    code = take_down(argv[0], dir, &asked);
    if (code == EXIT_DONE && (asked.flags & FLAG_PURGE)) {
        r = home_purge(dir);
        if (r < 0)
            code = verb_failed(argv[0], "%s: %s", dir, strerror(-r));
        else
            printf("%s is removed\n", dir);
    }
    free(dir);
    return code;
}
