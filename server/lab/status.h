/*
 * What `cais lab status` tells. The JSON's shape is a contract with scripts:
 *
 *     {"endpoint": "http://127.0.0.1:4510", "leader": "m1" or null, "term": 3,
 *      "managers": [{"name", "zone", "pid", "state", "api": "127.1.1.1:4510", "role",
 *                    "member"}],
 *      "workers": [{"name", "zone", "pid", "state", "tasks"}],
 *      "faults": [{"kind", "a", "b", "one_way"}, ...]}
 *
 * state is running, stopped or dead; pid is null for a dead one; role is leader, follower,
 * candidate, or unknown while the manager does not answer; member is voter, standby, none (it
 * has not joined yet) or unknown; tasks counts those that run.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

struct daemon;

/* Gives. */
json_t *status_of(const struct daemon *daemon);

/* Print it for people. Borrows. */
void status_print(const json_t *status, FILE *to);
