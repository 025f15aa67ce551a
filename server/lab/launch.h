/*
 * How a node of the lab is started: the arguments of its real process.
 */
#pragma once

#include <stddef.h>

#include "proto/base/scope.h"
#include "server/lab/layout.h"

/* NULL-terminated, as exec wants it. */
struct launch {
    char **argv;
    size_t count;
};

/* The command line of a node whose files are in DIR/<its name>. Gives. */
struct launch *launch_new(const struct layout *layout, size_t node, const char *binary,
                          const char *dir);
void launch_free(struct launch *launch);

/* DIR/<name of the node>. Gives. */
char *launch_dir(const struct layout *layout, size_t node, const char *dir);

SCOPED(struct launch *, launch_free);
