#include "scheduler/say.h"

#include "proto/base/mem.h"

/* What is wrong with the closest worker. */
static const char *shortcoming(enum place_reason reason)
{
    switch (reason) {
    case PLACE_CPU:
        return "has insufficient CPU units available";
    case PLACE_MEMORY:
        return "has insufficient memory available";
    case PLACE_PORTS:
        return "is already using a port required by your task";
    default:
        return "encountered error \"AGENT\"";
    }
}

char *say_unplaced(const char *service, const struct place_result *result)
{
    static const char head[] = "was unable to place a task because no container instance met all "
                               "of its requirements. Reason:";
    static const char tail[] = "For more information, see the Troubleshooting section of the "
                               "Amazon ECS Developer Guide.";

    if (result->reason == PLACE_NO_WORKERS || result->reason == PLACE_INACTIVE)
        return mem_format("(service %s) %s No Container Instances were found in your cluster. %s",
                          service, head, tail);
    return mem_format("(service %s) %s The closest matching (container-instance %s) %s. %s",
                      service, head, result->closest_id, shortcoming(result->reason), tail);
}

char *say_stuck(const char *service)
{
    return mem_format("(service %s) was unable to stop or start tasks during a deployment because "
                      "of the service deployment configuration. Update the minimumHealthyPercent "
                      "or maximumPercent value and try again.",
                      service);
}

char *say_completed(const char *service, const char *deployment_id)
{
    return mem_format("(service %s) (deployment %s) deployment completed.", service, deployment_id);
}

char *say_steady(const char *service)
{
    return mem_format("(service %s) has reached a steady state.", service);
}

char *say_scaling(const char *deployment_id)
{
    return mem_format("Scaling activity initiated by (deployment %s)", deployment_id);
}
