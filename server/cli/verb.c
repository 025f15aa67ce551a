#include "server/cli/verb.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"

static void print_help(FILE *to, const char *program, const char *what, const struct verb *verbs,
                       size_t count)
{
    fprintf(to, "Usage: %s VERB [OPTION...]\n%s\n\n", program, what);
    for (size_t i = 0; i < count; i++) {
        int used;

        if (!verbs[i].what)
            continue;
        used = fprintf(to, "  %s %s", verbs[i].name, verbs[i].args ? verbs[i].args : "");
        fprintf(to, "%*s%s\n", used < 32 ? 32 - used : 2, "", verbs[i].what);
    }
    fprintf(to, "\n`%s VERB --help` tells about one verb.\n", program);
}

static const struct verb *find(const struct verb *verbs, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

static int run(const struct verb *verb, const char *program, int argc, char **argv)
{
    char *name = mem_format("%s %s", program, verb->name);
    int code;

    argv[1] = name;
    code = verb->main(argc - 1, argv + 1);
    free(name);
    return code;
}

int verb_run(const char *program, const char *what, const struct verb *verbs, size_t count,
             int argc, char **argv)
{
    const struct verb *verb;

    if (argc < 2) {
        print_help(stderr, program, what, verbs, count);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0 ||
        strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout, program, what, verbs, count);
        return EXIT_DONE;
    }
    verb = find(verbs, count, argv[1]);
    if (!verb) {
        fprintf(stderr, "%s: unknown verb: %s\nTry `%s --help`.\n", program, argv[1], program);
        return EXIT_USAGE;
    }
    return run(verb, program, argc, argv);
}

int verb_failed(const char *program, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "%s: ", program);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return EXIT_FAILED;
}
