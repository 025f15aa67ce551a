#include "server/net/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"

enum { LINE_BYTES = 4096 };

struct arguments {
    char **items;
    int count;
};

static void add(struct arguments *arguments, char *text)
{
    arguments->items = mem_resize(arguments->items, (size_t)arguments->count + 2, sizeof(char *));
    arguments->items[arguments->count++] = text;
    arguments->items[arguments->count] = NULL;
}

static bool ends(const struct argp_option *option)
{
    return !option->name && !option->key && !option->doc && !option->group;
}

static const struct argp_option *find(const struct argp_option *options, const char *name)
{
    for (const struct argp_option *at = options; !ends(at); at++)
        if (at->name && strcmp(at->name, name) == 0)
            return at;
    return NULL;
}

static void add_setting(struct arguments *arguments, const struct argp_option *option,
                        const char *value)
{
    if (option->arg)
        add(arguments, mem_format("--%s=%s", option->name, value));
    else if (strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
        add(arguments, mem_format("--%s", option->name));
}

static char *trim(char *text)
{
    size_t len;

    while (isspace((unsigned char)*text))
        text++;
    len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        text[--len] = '\0';
    return text;
}

/* One file serves every verb: a name that another verb knows is passed over, so only the form is
 * checked. */
static int add_line(struct arguments *arguments, const struct argp_option *options, char *line)
{
    const struct argp_option *option;
    char *name = trim(line);
    char *equals = strchr(name, '=');

    if (*name == '\0' || *name == '#')
        return 0;
    if (!equals)
        return -EINVAL;
    *equals = '\0';
    option = find(options, trim(name));
    if (option)
        add_setting(arguments, option, trim(equals + 1));
    return 0;
}

static int add_file(struct arguments *arguments, const struct argp_option *options,
                    const char *file)
{
    char line[LINE_BYTES];
    FILE *in = fopen(file, "re");
    int r = 0;

    if (!in && errno == ENOENT)
        return 0;
    if (!in) {
        r = -errno;
        fprintf(stderr, "%s: %s\n", file, strerror(errno));
        return err_new(r);
    }
    for (int number = 1; r == 0 && fgets(line, sizeof line, in); number++) {
        r = add_line(arguments, options, line);
        if (r < 0)
            fprintf(stderr, "%s:%d: not of the form `name = value`\n", file, number);
    }
    fclose(in);
    return err_new(r);
}

static void add_environment(struct arguments *arguments, const struct argp_option *options)
{
    for (const struct argp_option *at = options; !ends(at); at++) {
        char *name, *value;

        if (!at->name)
            continue;
        name = mem_format("CAIS_%s", at->name);
        for (char *c = name; *c; c++)
            *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        value = getenv(name);
        free(name);
        if (value)
            add_setting(arguments, at, value);
    }
}

void settings_free(char **argv)
{
    for (char **at = argv; at && *at; at++)
        free(*at);
    free(argv);
}

int settings_arguments(const struct argp_option *options, const char *file, int argc, char **argv,
                       int *out_argc, char ***out_argv)
{
    struct arguments arguments = {0};
    int r;

    add(&arguments, mem_string(argv[0]));
    r = add_file(&arguments, options, file);
    if (r < 0) {
        settings_free(arguments.items);
        return err_up(r);
    }
    add_environment(&arguments, options);
    for (int i = 1; i < argc; i++)
        add(&arguments, mem_string(argv[i]));
    *out_argc = arguments.count;
    *out_argv = arguments.items;
    return 0;
}

unsigned settings_number(const struct argp_state *state, const char *flag, const char *text,
                         unsigned least, unsigned most)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || !isdigit((unsigned char)*text) || value < least ||
        value > most)
        argp_error(state, "--%s: \"%s\" is not a number from %u to %u", flag, text, least, most);
    return (unsigned)value;
}
