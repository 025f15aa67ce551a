/*
 * `cais logs`: reads the files in which a worker keeps what a task's containers wrote.
 *
 * A file is opened once and read on: when the task is over the worker moves the files, and an
 * open one stays what it is.
 */
#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "proto/limits.h"
#include "server/cli/cmd.h"
#include "server/cli/task_files.h"
#include "server/cli/verb.h"

enum { FOLLOW_MS = 200, READ_BYTES = 16 << 10, LINE_BYTES = 64 << 10 };

struct options {
    const char *task;
    const char *dir;
    const char *container;
    bool follow;
    bool errors;
};

/* One container's file, and the line it has not ended yet. */
struct source {
    char *container;
    int fd;
    struct buffer line;
};

struct sources {
    struct source list[LIMIT_CONTAINERS];
    size_t count;
};

static const struct argp_option flags[] = {
    {"dir", 'd', "DIR", 0,
     "The directory of the lab or of a worker (default $CAIS_LAB_DIR, "
     "$XDG_STATE_HOME/cais/lab or ~/.local/state/cais/lab)",
     0},
    {"follow", 'f', NULL, 0, "Go on until the task is over", 0},
    {"container", 'c', "NAME", 0, "Of this container only", 0},
    {"stderr", 'e', NULL, 0, "Standard error instead of standard output", 0},
    {0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case 'd':
        options->dir = text;
        return 0;
    case 'f':
        options->follow = true;
        return 0;
    case 'c':
        options->container = text;
        return 0;
    case 'e':
        options->errors = true;
        return 0;
    case ARGP_KEY_ARG:
        if (options->task)
            argp_error(state, "unexpected argument: %s", text);
        options->task = text;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which task?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool is_known(const struct sources *sources, const char *name, size_t len)
{
    for (size_t i = 0; i < sources->count; i++) {
        if (strlen(sources->list[i].container) == len &&
            memcmp(sources->list[i].container, name, len) == 0)
            return true;
    }
    return false;
}

static void consider(struct sources *sources, const struct options *options, const char *path,
                     const char *name)
{
    const char *ending = options->errors ? ".stderr.log" : ".stdout.log";
    size_t len = strlen(name) > strlen(ending) ? strlen(name) - strlen(ending) : 0;
    char *file;
    int fd;

    if (len == 0 || strcmp(name + len, ending) != 0 || sources->count == LIMIT_CONTAINERS)
        return;
    if (is_known(sources, name, len))
        return;
    if (options->container &&
        (strlen(options->container) != len || memcmp(options->container, name, len) != 0))
        return;
    file = mem_format("%s/%s", path, name);
    fd = open(file, O_RDONLY | O_CLOEXEC);
    free(file);
    if (fd < 0)
        return;
    sources->list[sources->count++] =
        (struct source){.container = mem_format("%.*s", (int)len, name), .fd = fd};
}

/* Find the files that are there by now; containers may start one after the other. */
static void look(struct sources *sources, const struct options *options, const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;

    if (!folder)
        return;
    while ((entry = readdir(folder)))
        consider(sources, options, path, entry->d_name);
    closedir(folder);
}

static void print_line(const struct sources *sources, const struct source *source, size_t len)
{
    if (sources->count > 1)
        printf("%s | ", source->container);
    fwrite(source->line.base, 1, len, stdout);
}

/* Print what has come: whole lines, so that those of several containers do not mix. */
static void print_lines(const struct sources *sources, struct source *source)
{
    for (;;) {
        struct buffer *line = &source->line;
        uint8_t *end = line->len ? memchr(line->base, '\n', line->len) : NULL;
        size_t len = end ? (size_t)(end - line->base) + 1 : 0;

        if (!end && line->len < LINE_BYTES)
            return;
        if (!end)
            len = line->len;
        print_line(sources, source, len);
        buffer_consume(line, len);
    }
}

static void drain(const struct sources *sources, struct source *source)
{
    for (;;) {
        ssize_t n = read(source->fd, buffer_extend(&source->line, READ_BYTES), READ_BYTES);

        source->line.len -= READ_BYTES - (n > 0 ? (size_t)n : 0);
        print_lines(sources, source);
        if (n <= 0)
            return;
    }
}

static void drain_all(struct sources *sources)
{
    for (size_t i = 0; i < sources->count; i++)
        drain(sources, &sources->list[i]);
    fflush(stdout);
}

static void print_rest(struct sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        struct source *source = &sources->list[i];

        if (source->line.len > 0)
            print_line(sources, source, source->line.len);
        buffer_fini(&source->line);
        free(source->container);
        close(source->fd);
    }
    fflush(stdout);
}

static void follow(struct sources *sources, const struct options *options, const char *path)
{
    const struct timespec pause = {.tv_nsec = FOLLOW_MS * 1000000L};

    while (task_files_supervisor(path) > 0 && !ferror(stdout)) {
        nanosleep(&pause, NULL);
        look(sources, options, path);
        drain_all(sources);
    }
}

static int print_logs(const char *program, const struct options *options,
                      const struct task_files *files)
{
    struct sources sources = {0};

    look(&sources, options, files->path);
    if (sources.count == 0 && options->container)
        return verb_failed(program, "task %s has no log of a container %s", files->id,
                           options->container);
    drain_all(&sources);
    if (options->follow && !files->ended)
        follow(&sources, options, files->path);
    drain_all(&sources);
    print_rest(&sources);
    return ferror(stdout) ? EXIT_FAILED : EXIT_DONE;
}

static int logs_in(const char *program, const char *dir, const struct options *options)
{
    scope(task_files_fini) struct task_files files = {0};

    switch (task_files_find(dir, options->task, &files)) {
    case TASK_FILES_ABSENT:
        if (access(dir, R_OK | X_OK) < 0)
            return verb_failed(program, "%s: %s", dir, strerror(errno));
        return verb_failed(program, "no task %s in %s", options->task, dir);
    case TASK_FILES_AMBIGUOUS:
        return verb_failed(program, "several tasks in %s begin with %s", dir, options->task);
    default:
        return print_logs(program, options, &files);
    }
}

int logs_main(int argc, char **argv)
{
    static const struct argp argp = {flags,
                                     parse,
                                     "TASK",
                                     "Print what a task's containers wrote. TASK is the task's "
                                     "id, the beginning of it, or its ARN.",
                                     NULL,
                                     NULL,
                                     NULL};
    struct options options = {0};
    char *dir;
    int code;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    dir = options.dir ? mem_string(options.dir) : task_files_lab_dir();
    if (!dir)
        return verb_failed(argv[0], "HOME is not set: say --dir");
    code = logs_in(argv[0], dir, &options);
    free(dir);
    return code;
}
