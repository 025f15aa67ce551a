/*
 * `cais backup` and `cais restore`: the state in a file, what the file is worth, and back to a
 * manager's directory.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "server/cli/cmd.h"
#include "server/cli/operate.h"
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

/* ---- making one */

static int write_all(void *context, struct bytes bytes)
{
    const int *fd = context;
    const char *at = bytes.base;

    while (bytes.len > 0) {
        ssize_t n = write(*fd, at, bytes.len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            at += n;
            bytes.len -= (size_t)n;
        }
    }
    return 0;
}

/* In place under its name only when it is whole and durable. */
static int keep_file(int fd, const char *draft, const char *name, struct backup_report *report)
{
    char *copy, *dir;
    int dir_fd, r;

    if (fsync(fd) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    r = backup_verify(fd, report);
    if (r == 0 && rename(draft, name) < 0)
        r = -errno;
    if (r != 0)
        return r;
    copy = mem_string(name);
    dir = dirname(copy);
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = dir_fd < 0 || fsync(dir_fd) < 0 ? -errno : 0;
    if (dir_fd >= 0)
        close(dir_fd);
    free(copy);
    return r;
}

static int fetch_into(const char *program, const struct operate *operate, int fd, const char *draft)
{
    const char *name = operate->names[0];
    struct backup_report report = {0};
    int r;

    if (!operate_stream(program, operate, "Backup", write_all, &fd))
        return EXIT_FAILED;
    r = keep_file(fd, draft, name, &report);
    if (r == 0) {
        print_report(&report);
        printf("%" PRIu64 " bytes in %s\n", report.bytes, name);
    } else if (r == BACKUP_BAD) {
        verb_failed(program, "what came is no whole backup (%s): try again", report.problem);
    } else {
        verb_failed(program, "%s: %s", name, strerror(-r));
    }
    backup_report_fini(&report);
    return r == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int make_main(int argc, char **argv)
{
    struct operate operate = {0};
    char *draft;
    int code, fd;

    operate_parse(argc, argv, OPERATE_STALE, "FILE",
                  "Back up the cluster's state to FILE, which may not exist, while everything runs "
                  "on. It has all that was acknowledged before. With `verify FILE`: is one whole.",
                  &operate);
    draft = mem_format("%s.part", operate.names[0]);
    fd = open(draft, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (access(operate.names[0], F_OK) == 0)
        code = verb_failed(argv[0], "%s: it is there already", operate.names[0]);
    else if (fd < 0)
        code = verb_failed(argv[0], "%s: %s", draft, strerror(errno));
    else
        code = fetch_into(argv[0], &operate, fd, draft);
    if (fd >= 0) {
        close(fd);
        unlink(draft);
    }
    free(draft);
    operate_fini(&operate);
    return code;
}

int backup_main(int argc, char **argv)
{
    static char verify_name[] = "cais backup verify";

    if (argc < 2 || strcmp(argv[1], "verify") != 0)
        return make_main(argc, argv);
    argv[1] = verify_name;
    return verify_main(argc - 1, argv + 1);
}

/* ---- back */

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
