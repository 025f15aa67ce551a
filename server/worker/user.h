/*
 * Whom a container runs as.
 */
#pragma once

#include "proto/supervise.pb-c.h"

/* Look up "user", "uid", or either with ":group" or ":gid", as ECS writes it. Gives *out and
 * returns NULL; or gives a text of what is wrong. */
char *user_find(const char *text, Supervise__User **out);
