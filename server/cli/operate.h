/*
 * What the operator's verbs share: one action, asked of this machine's manager.
 */
#pragma once

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/base/bytes.h"

/* A verb that asks for one action. */
struct operate {
    const char *dir;      /* Of the manager: --dir, or the settings. */
    bool json;            /* --json */
    bool force;           /* --force */
    bool stale;           /* --stale */
    const char *ttl;      /* --ttl */
    const char *names[1]; /* What the verb is about. */
    size_t name_count;
    size_t least, most; /* How many names it takes. */
    char **arguments;   /* What the texts point into. */
};

enum operate_flag {
    OPERATE_JSON = 1,
    OPERATE_FORCE = 2,
    OPERATE_TTL = 4,
    OPERATE_STALE = 8,
};

/* Parse a verb's arguments; what is wrong ends the process with 2. flags: of enum operate_flag,
 * those that the verb has besides --dir; args and doc as argp's. */
void operate_parse(int argc, char **argv, unsigned flags, const char *args, const char *doc,
                   struct operate *out);
void operate_fini(struct operate *operate);

/* Ask. Returns the answer (gives), or NULL after saying on standard error why there is none. Takes
 * the request. */
json_t *operate_ask(const char *program, const struct operate *operate, const char *action,
                    json_t *request);

/* Ask for an answer that is no JSON (server/cli/client.h). False, after saying why, if there is
 * none, or not all of it. */
bool operate_stream(const char *program, const struct operate *operate, const char *action,
                    int (*take)(void *context, struct bytes bytes), void *context);
