/*
 * Where settings come from: /etc/cais/cais.conf, then CAIS_* variables, then flags; later wins.
 *
 * All three have the same names: flag --api-port, variable CAIS_API_PORT, line `api-port = 4510`.
 * The first two are put in front of the flags as if they had been typed, so one parser, one
 * set of checks and one form of error serve all.
 */
#pragma once

#include <argp.h>

/* The arguments of a verb with its settings in front, for argp_parse. Only long options listed in
 * `options` are looked for; one without an argument is given when its value is "true" or "1".
 * Gives *out_argv, an array of *out_argc strings and a NULL; argp hands out pointers into it, so
 * free it when what was parsed is not used any more. -EINVAL: a line of the file is not
 * `name = value`; other errors: it is there and cannot be read. Either is told on standard error.
 */
int settings_arguments(const struct argp_option *options, const char *file, int argc, char **argv,
                       int *out_argc, char ***out_argv);
void settings_free(char **argv); /* NULL is fine. */

/* For an argp parser: the number that a flag's argument is, or argp_error() with the flag's name.
 */
unsigned settings_number(const struct argp_state *state, const char *flag, const char *text,
                         unsigned least, unsigned most);

#ifdef __clang_analyzer__ /* It exits: none of our verbs asks for ARGP_NO_EXIT. */
void argp_error(const struct argp_state *restrict state, const char *restrict format, ...)
    __attribute__((analyzer_noreturn));
#endif

#define SETTINGS_FILE "/etc/cais/cais.conf"
