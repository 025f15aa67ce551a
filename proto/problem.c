#include "proto/problem.h"

#include <stdarg.h>
#include <stdio.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"

/* Long enough for every text of ours; a user's value in it is cut. */
enum { TEXT_MAX = 1024 };

static const char *const names[] = {
    [COMMAND__ERROR_CODE__ERROR_NONE] = "ServerException",
    [COMMAND__ERROR_CODE__ERROR_ACCESS_DENIED] = "AccessDeniedException",
    [COMMAND__ERROR_CODE__ERROR_CLIENT] = "ClientException",
    [COMMAND__ERROR_CODE__ERROR_CLUSTER_CONTAINS_CONTAINER_INSTANCES] =
        "ClusterContainsContainerInstancesException",
    [COMMAND__ERROR_CODE__ERROR_CLUSTER_CONTAINS_SERVICES] = "ClusterContainsServicesException",
    [COMMAND__ERROR_CODE__ERROR_CLUSTER_CONTAINS_TASKS] = "ClusterContainsTasksException",
    [COMMAND__ERROR_CODE__ERROR_CLUSTER_NOT_FOUND] = "ClusterNotFoundException",
    [COMMAND__ERROR_CODE__ERROR_CONFLICT] = "ConflictException",
    [COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER] = "InvalidParameterException",
    [COMMAND__ERROR_CODE__ERROR_SERVER] = "ServerException",
    [COMMAND__ERROR_CODE__ERROR_SERVICE_NOT_ACTIVE] = "ServiceNotActiveException",
    [COMMAND__ERROR_CODE__ERROR_SERVICE_NOT_FOUND] = "ServiceNotFoundException",
    [COMMAND__ERROR_CODE__ERROR_UNSUPPORTED_FEATURE] = "UnsupportedFeatureException",
    [COMMAND__ERROR_CODE__ERROR_UNKNOWN_OPERATION] = "UnknownOperationException",
    [COMMAND__ERROR_CODE__ERROR_SERIALIZATION] = "SerializationException",
    [COMMAND__ERROR_CODE__ERROR_MISSING_AUTHENTICATION_TOKEN] =
        "MissingAuthenticationTokenException",
    [COMMAND__ERROR_CODE__ERROR_INCOMPLETE_SIGNATURE] = "IncompleteSignatureException",
    [COMMAND__ERROR_CODE__ERROR_LIMIT_EXCEEDED] = "LimitExceededException",
    [COMMAND__ERROR_CODE__ERROR_RESOURCE_IN_USE] = "ResourceInUseException",
    [COMMAND__ERROR_CODE__ERROR_RESOURCE_NOT_FOUND] = "ResourceNotFoundException",
};

Command__Problem *problem_new(Command__ErrorCode code, const char *format, ...)
{
    Command__Problem *problem = mem_new(Command__Problem);
    char text[TEXT_MAX];
    va_list args;
    int len;

    must(code != COMMAND__ERROR_CODE__ERROR_NONE);
    va_start(args, format);
    len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    must(len >= 0);

    command__problem__init(problem);
    problem->code = code;
    problem->text = mem_string(text);
    return problem;
}

void problem_free(Command__Problem *problem)
{
    if (problem)
        command__problem__free_unpacked(problem, NULL);
}

void problem_add_resource(Command__Problem *problem, const char *id)
{
    size_t count = problem->n_resource_ids;

    problem->resource_ids =
        mem_resize(problem->resource_ids, count + 1, sizeof problem->resource_ids[0]);
    problem->resource_ids[count] = mem_string(id);
    problem->n_resource_ids = count + 1;
}

const char *problem_name(Command__ErrorCode code)
{
    size_t row = (size_t)code;

    if (row >= sizeof names / sizeof names[0] || !names[row])
        row = COMMAND__ERROR_CODE__ERROR_SERVER;
    return names[row];
}

int problem_status(Command__ErrorCode code)
{
    return names[COMMAND__ERROR_CODE__ERROR_SERVER] == problem_name(code) ? 500 : 400;
}
