/*
 * The life of a task: states in their order, what ECS calls them, and why a task stopped.
 *
 * A state only moves right in the order of the enumeration; it may skip, and any state may go to
 * STOPPED, which is the last. Numbers come off the wire and off the disk, so every function here
 * takes any number.
 */
#pragma once

#include <stdbool.h>

#include "proto/ecs.pb-c.h"
#include "proto/state.pb-c.h"

bool task_state_is_known(State__TaskState state);

/* May a task in `from` become `to`? False for a state it is in already, and for unknown ones. */
bool task_state_may_move(State__TaskState from, State__TaskState to);

/* ECS's name: "RUNNING". NULL for an unknown state. */
const char *task_state_name(State__TaskState state);

/* ECS's name of a stop code: "EssentialContainerExited". NULL for STOP_NONE and unknown ones. */
const char *stop_code_name(State__StopCode code);

/* The same as a member of ecs.Task. False, and *out untouched, where there is no name. */
bool stop_code_to_ecs(State__StopCode code, Ecs__TaskStopCode__Value *out);
