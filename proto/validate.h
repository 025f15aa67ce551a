/*
 * Is this request well formed? Form only: what the tables hold is looked at by apply.
 *
 * Also refuses by name whatever ECS knows and this release does not honour, so that nothing a
 * user asks for is ignored in silence.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "proto/command.pb-c.h"

enum validate_outcome {
    VALIDATE_REFUSED = 1,
};

/* Check the request of an ECS operation, or of the operator's, told by its type. Returns
 * VALIDATE_REFUSED and gives *out_problem, the first one found, with ECS's code and manner. */
int validate_request(const ProtobufCMessage *request, Command__Problem **out_problem);
