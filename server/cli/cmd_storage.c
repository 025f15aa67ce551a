/*
 * `cais storage check`: is what a manager keeps whole, and what is in it? Reads only, also beside a
 * manager that runs.
 *
 * The reading is done in a child: LMDB trusts its pages, and a damaged one can end whoever follows
 * it.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "proto/json.h"
#include "server/cli/cmd.h"
#include "server/cli/verb.h"
#include "storage/verify.h"

struct options {
    const char *dir;
    bool json;
    bool dump;
};

static const struct argp_option flags[] = {
    {"json", 'j', NULL, 0, "Print JSON", 0},
    {"dump", 'd', NULL, 0, "Print every log entry and every record, a line of JSON each, instead",
     0},
    {0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case 'j':
        options->json = true;
        return 0;
    case 'd':
        options->dump = true;
        return 0;
    case ARGP_KEY_ARG:
        if (options->dir)
            argp_error(state, "one directory at a time");
        options->dir = text;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which directory?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- what was found */

static const char how_to_recover[] =
    "If other managers are well: stop this one, take its directory away, and let it join them "
    "anew.\n"
    "If none is: restore a backup, or start the manager whose storage is whole with --recover.\n";

static void print_json(const char *dir, const struct storage_report *report)
{
    scope(buffer_fini) struct buffer out = {0};

    buffer_append_text(&out, "{\"dir\":");
    json_print_text(dir, &out);
    buffer_append_format(&out,
                         ",\"format\":%" PRIu64 ",\"manager\":\"%" PRIx64 "\",\"term\":%" PRIu64,
                         report->identity.format, report->identity.owner, report->vote.term);
    buffer_append_format(&out, ",\"applied_index\":%" PRIu64 ",\"applied_term\":%" PRIu64,
                         report->applied.index, report->applied.term);
    buffer_append_format(&out, ",\"log_first\":%" PRIu64 ",\"log_last\":%" PRIu64,
                         report->log_first, report->log_last);
    buffer_append_format(&out, ",\"whole\":%s,\"damaged_entry\":%" PRIu64 ",\"problem\":",
                         report->problem ? "false" : "true", report->damaged_entry);
    if (report->problem)
        json_print_text(report->problem, &out);
    else
        buffer_append_text(&out, "null");
    buffer_append_text(&out, ",\"records\":{");
    for (size_t i = 0; i < TABLE_COUNT; i++)
        buffer_append_format(&out, "%s\"%s\":%zu", i > 0 ? "," : "", table_names[i],
                             report->records[i]);
    buffer_append_text(&out, "}}\n");
    fwrite(out.base, 1, out.len, stdout);
}

static void print_text(const struct storage_report *report)
{
    printf("%-20s %12s\n", "DATABASE", "RECORDS");
    for (size_t i = 0; i < TABLE_COUNT; i++)
        printf("%-20s %12zu\n", table_names[i], report->records[i]);
    printf("\nformat %" PRIu64 ", of manager %" PRIx64 ", term %" PRIu64 "\n",
           report->identity.format, report->identity.owner, report->vote.term);
    if (report->log_last > 0)
        printf("log from %" PRIu64 " to %" PRIu64 ", ", report->log_first, report->log_last);
    else
        printf("log empty, ");
    printf("applied to %" PRIu64 " (term %" PRIu64 ")\n", report->applied.index,
           report->applied.term);
    if (report->problem)
        printf("DAMAGED: %s\n", report->problem);
    else
        printf("whole\n");
}

static int print_line(void *context, struct bytes json)
{
    (void)context;
    fwrite(json.base, 1, json.len, stdout);
    putchar('\n');
    return ferror(stdout) ? -EPIPE : 0;
}

/* ---- reading */

static int check(const char *program, const struct options *options, const char *dir)
{
    scope(env_free) struct env *env = NULL;
    scope(txn_abort) struct txn *txn = NULL;
    struct storage_report report = {0};
    bool whole;
    int r = env_open_readonly(dir, table_names, TABLE_COUNT, &env);

    if (r == 0)
        r = env_read(env, &txn);
    if (r == 0)
        r = options->dump ? storage_dump(txn, print_line, NULL) : storage_verify(txn, &report);
    if (r == -ENOENT)
        return verb_failed(program, "%s: no manager keeps its state here", dir);
    if (r < 0)
        return verb_failed(program, "%s: %s", dir,
                           r == -EUCLEAN ? "the database is damaged" : strerror(-r));
    if (options->dump)
        return EXIT_DONE;
    whole = !report.problem;
    if (options->json)
        print_json(dir, &report);
    else
        print_text(&report);
    fflush(stdout);
    if (!whole)
        fputs(how_to_recover, stderr);
    storage_report_fini(&report);
    return whole ? EXIT_DONE : EXIT_FAILED;
}

static int check_in_a_child(const char *program, const struct options *options, const char *dir)
{
    int status;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child < 0)
        return verb_failed(program, "no process to read in: %s", strerror(errno));
    if (child == 0) {
        int code = check(program, options, dir);

        fflush(stdout);
        _exit(code);
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return verb_failed(program, "%s", strerror(errno));
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    verb_failed(program, "%s: data.mdb is damaged so that it cannot be read (%s)", dir,
                strsignal(WTERMSIG(status)));
    fputs(how_to_recover, stderr);
    return EXIT_FAILED;
}

/* A manager's directory has its database in `state`; the database itself will do too. */
static char *database_in(const char *dir)
{
    char *inner = mem_format("%s/state", dir);
    struct stat found;

    if (stat(inner, &found) == 0 && S_ISDIR(found.st_mode))
        return inner;
    free(inner);
    return mem_string(dir);
}

static int check_main(int argc, char **argv)
{
    static const struct argp argp = {flags,
                                     parse,
                                     "DIR",
                                     "Verify what a manager keeps in DIR: the format, every log "
                                     "entry and its checksum, and the tables against "
                                     "themselves. Changes nothing; the manager may run.",
                                     NULL,
                                     NULL,
                                     NULL};
    struct options options = {0};
    char *dir;
    int code;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    dir = database_in(options.dir);
    code = check_in_a_child(argv[0], &options, dir);
    free(dir);
    return code;
}

int storage_main(int argc, char **argv)
{
    static const struct verb verbs[] = {
        {"check", "DIR [--json|--dump]", "is it whole, and what is in it", check_main},
    };

    return verb_run(argv[0], "What a manager keeps on its disk.", verbs,
                    sizeof verbs / sizeof *verbs, argc, argv);
}
