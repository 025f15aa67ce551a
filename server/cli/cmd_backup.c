/*
 * `cais backup verify` and `cais restore`: what a backup is worth, and back to a manager's
 * directory.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/cli/cmd.h"
#include "server/cli/verb.h"
#include "storage/backup.h"

struct options {
    const char *names[2]; /* FILE, and DIR. */
    size_t name_count, wanted;
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case ARGP_KEY_ARG:
        if (options->name_count == options->wanted)
            argp_error(state, "\"%s\" is too much", text);
        options->names[options->name_count++] = text;
        return 0;
    case ARGP_KEY_END:
        if (options->name_count < options->wanted)
            argp_error(state, options->name_count == 0 ? "which file?" : "which directory?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* -1 after saying why. */
static int open_file(const char *program, const char *name)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        verb_failed(program, "%s: %s", name, strerror(errno));
    return fd;
}

static void print_report(const struct backup_report *report)
{
    printf("cluster %s, as of index %" PRIu64 " (term %" PRIu64 ")\n", report->cluster,
           report->applied.index, report->applied.term);
}

static int say_failed(const char *program, const char *file, const struct backup_report *report,
                      int r)
{
    if (r == BACKUP_BAD)
        return verb_failed(program, "%s: %s", file, report->problem);
    return verb_failed(program, "%s: %s", file, strerror(-r));
}

static int verify_main(int argc, char **argv)
{
    static const struct argp argp = {.parser = parse,
                                     .args_doc = "FILE",
                                     .doc = "Verify a backup: that every byte is what was written, "
                                            "that nothing is missing, and what it is as of."};
    struct options options = {.wanted = 1};
    struct backup_report report = {0};
    int fd, r;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    fd = open_file(argv[0], options.names[0]);
    if (fd < 0)
        return EXIT_FAILED;
    r = backup_verify(fd, &report);
    close(fd);
    if (r == 0) {
        print_report(&report);
        printf("whole, %" PRIu64 " bytes\n", report.bytes);
    } else {
        say_failed(argv[0], options.names[0], &report, r);
    }
    backup_report_fini(&report);
    return r == 0 ? EXIT_DONE : EXIT_FAILED;
}

int backup_main(int argc, char **argv)
{
    static const struct verb verbs[] = {
        {"verify", "FILE", "is a backup whole, and what is it as of", verify_main},
    };

    return verb_run("cais backup", "Backups of a cluster's state.", verbs,
                    sizeof verbs / sizeof *verbs, argc, argv);
}

static int say_refused(const char *program, const char *dir, int r)
{
    if (r == BACKUP_EXISTS)
        return verb_failed(program,
                           "%s: a manager's state is here already; restore into another "
                           "directory",
                           dir);
    return verb_failed(program, "%s: another process is at work here", dir);
}

int restore_main(int argc, char **argv)
{
    static const struct argp argp = {
        .parser = parse,
        .args_doc = "FILE DIR",
        .doc = "Make a manager's directory from a backup, which is verified first. DIR may not "
               "hold a state; if anything fails, it holds none afterwards. Then start a manager "
               "there with --bootstrap."};
    struct options options = {.wanted = 2};
    struct backup_report report = {0};
    int fd, r;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    fd = open_file(argv[0], options.names[0]);
    if (fd < 0)
        return EXIT_FAILED;
    r = backup_restore(fd, options.names[1], &report);
    close(fd);
    if (r == 0) {
        print_report(&report);
        printf("Restored in %s. Start the first manager there with --bootstrap; the others join it "
               "with empty\ndirectories. No manager of the time before may be started again.\n",
               options.names[1]);
    } else if (r == BACKUP_EXISTS || r == BACKUP_BUSY) {
        say_refused(argv[0], options.names[1], r);
    } else {
        say_failed(argv[0], r == BACKUP_BAD ? options.names[0] : options.names[1], &report, r);
    }
    backup_report_fini(&report);
    return r == 0 ? EXIT_DONE : EXIT_FAILED;
}
