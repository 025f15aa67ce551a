/*
 * Verbs: `cais VERB …` and `cais lab VERB …`, with help in one form everywhere.
 *
 * A program is a table of verbs. Each verb's main gets its own arguments, with argv[0] naming
 * the whole way to it ("cais lab up"), so that argp's help and errors name it too.
 *
 * Exit codes of every verb: 0 done, 1 failed, 2 asked wrongly.
 */
#pragma once

#include <stddef.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct verb {
    const char *name;
    const char *args; /* What follows it, for the help; NULL if nothing. */
    const char *what; /* One line of help; NULL hides the verb: it is internal. */
    int (*main)(int argc, char **argv);
};

/* Run the verb that argv[1] names, or print the help. Returns the exit code. */
int verb_run(const char *program, const char *what, const struct verb *verbs, size_t count,
             int argc, char **argv);

/* Say on standard error what failed, after the verb's name. Returns EXIT_FAILED. */
int verb_failed(const char *program, const char *format, ...) __attribute__((format(printf, 2, 3)));
