#include "proto/task_state.h"

#include <stddef.h>

#define TO(state) (1u << STATE__TASK_STATE__TASK_##state)

#define TO_STOPPED        TO(STOPPED)
#define TO_DEPROVISIONING (TO(DEPROVISIONING) | TO_STOPPED)
#define TO_STOPPING       (TO(STOPPING) | TO_DEPROVISIONING)
#define TO_DEACTIVATING   (TO(DEACTIVATING) | TO_STOPPING)
#define TO_RUNNING        (TO(RUNNING) | TO_DEACTIVATING)
#define TO_ACTIVATING     (TO(ACTIVATING) | TO_RUNNING)
#define TO_PENDING        (TO(PENDING) | TO_ACTIVATING)

static const struct {
    const char *name;
    unsigned may_move;
} states[] = {
    [STATE__TASK_STATE__TASK_PROVISIONING] = {"PROVISIONING", TO_PENDING},
    [STATE__TASK_STATE__TASK_PENDING] = {"PENDING", TO_ACTIVATING},
    [STATE__TASK_STATE__TASK_ACTIVATING] = {"ACTIVATING", TO_RUNNING},
    [STATE__TASK_STATE__TASK_RUNNING] = {"RUNNING", TO_DEACTIVATING},
    [STATE__TASK_STATE__TASK_DEACTIVATING] = {"DEACTIVATING", TO_STOPPING},
    [STATE__TASK_STATE__TASK_STOPPING] = {"STOPPING", TO_DEPROVISIONING},
    [STATE__TASK_STATE__TASK_DEPROVISIONING] = {"DEPROVISIONING", TO_STOPPED},
    [STATE__TASK_STATE__TASK_STOPPED] = {"STOPPED", 0},
};

enum { STATE_COUNT = sizeof states / sizeof states[0] };

static const struct {
    const char *name;
    Ecs__TaskStopCode__Value ecs;
} codes[] = {
    [STATE__STOP_CODE__STOP_TASK_FAILED_TO_START] = {"TaskFailedToStart",
                                                     ECS__TASK_STOP_CODE__VALUE__TaskFailedToStart},
    [STATE__STOP_CODE__STOP_ESSENTIAL_CONTAINER_EXITED] =
        {"EssentialContainerExited", ECS__TASK_STOP_CODE__VALUE__EssentialContainerExited},
    [STATE__STOP_CODE__STOP_USER_INITIATED] = {"UserInitiated",
                                               ECS__TASK_STOP_CODE__VALUE__UserInitiated},
    [STATE__STOP_CODE__STOP_SERVICE_SCHEDULER_INITIATED] =
        {"ServiceSchedulerInitiated", ECS__TASK_STOP_CODE__VALUE__ServiceSchedulerInitiated},
    [STATE__STOP_CODE__STOP_SPOT_INTERRUPTION] = {"SpotInterruption",
                                                  ECS__TASK_STOP_CODE__VALUE__SpotInterruption},
    [STATE__STOP_CODE__STOP_TERMINATION_NOTICE] = {"TerminationNotice",
                                                   ECS__TASK_STOP_CODE__VALUE__TerminationNotice},
};

enum { CODE_COUNT = sizeof codes / sizeof codes[0] };

bool task_state_is_known(State__TaskState state)
{
    return (size_t)state < STATE_COUNT;
}

bool task_state_may_move(State__TaskState from, State__TaskState to)
{
    return task_state_is_known(from) && task_state_is_known(to) &&
           (states[from].may_move & 1u << to);
}

const char *task_state_name(State__TaskState state)
{
    return task_state_is_known(state) ? states[state].name : NULL;
}

const char *stop_code_name(State__StopCode code)
{
    return (size_t)code < CODE_COUNT ? codes[code].name : NULL;
}

bool stop_code_to_ecs(State__StopCode code, Ecs__TaskStopCode__Value *out)
{
    if (!stop_code_name(code))
        return false;
    *out = codes[code].ecs;
    return true;
}
