/*
 * What a user is told when a request is refused: ECS's error code and a text.
 */
#pragma once

#include "proto/base/scope.h"
#include "proto/command.pb-c.h"

/* Gives a problem, printf-like. The text is held to a bounded length, whatever the arguments. */
Command__Problem *problem_new(Command__ErrorCode code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void problem_free(Command__Problem *problem);

/* Name one more resource in a ConflictException. Copies. */
void problem_add_resource(Command__Problem *problem, const char *id);

/* ECS's name of an error: "ClusterNotFoundException". A code we do not know, as a newer manager
 * may send, is a ServerException. */
const char *problem_name(Command__ErrorCode code);

/* HTTP status of the answer: 500 for ServerException, 400 for all others. */
int problem_status(Command__ErrorCode code);

SCOPED(Command__Problem *, problem_free);
