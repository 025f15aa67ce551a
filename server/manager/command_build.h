/*
 * From a validated request to the command that asks for it: where time, ids and chance enter, once,
 * on the leader.
 *
 * Runs on the core's thread, within the turn's write transaction (reads of it see everything
 * applied so far).
 */
#pragma once

#include "proto/base/rng.h"
#include "proto/command.pb-c.h"
#include "storage/env.h"

struct stamp {
    uint64_t time_ms;
    struct rng *rng;
};

/* Build the command for an ECS write operation other than RunTask (lead.c places that one).
 * Copies what it needs of the request. Gives *out. Returns 0, or -EINVAL for an action it does not
 * know, or a request that is not that action's. */
int command_build(const char *action, const ProtobufCMessage *request, const struct stamp *stamp,
                  Command__Command **out);

/* The request of an ECS write operation, RunTask among them, or of one of the operator's about
 * tokens, by its name; NULL for any other: what a forwarded call is unpacked as. */
const ProtobufCMessageDescriptor *command_request(const char *action);

/* A message of its own with the same content. Gives. */
ProtobufCMessage *command_copy(const ProtobufCMessage *message);

/* SHA-256 of a request without its clientToken: what makes a repeated token the same call. Gives
 * out->data. */
void command_digest(const ProtobufCMessage *request, ProtobufCBinaryData *out);
