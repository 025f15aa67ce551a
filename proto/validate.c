#include "proto/validate.h"

#include "proto/operator.pb-c.h"
#include "proto/validate_check.h"

static const struct {
    const ProtobufCMessageDescriptor *type;
    validate_operation *validate;
} operations[] = {
#define OPERATION(name)                                                                            \
    {                                                                                              \
        &ecs__##name##_request__descriptor, validate_##name                                        \
    }
    OPERATION(create_cluster),
    OPERATION(describe_clusters),
    OPERATION(list_clusters),
    OPERATION(delete_cluster),
    OPERATION(register_task_definition),
    OPERATION(describe_task_definition),
    OPERATION(list_task_definitions),
    OPERATION(deregister_task_definition),
    OPERATION(run_task),
    OPERATION(stop_task),
    OPERATION(describe_tasks),
    OPERATION(list_tasks),
    OPERATION(create_service),
    OPERATION(update_service),
    OPERATION(describe_services),
    OPERATION(list_services),
    OPERATION(delete_service),
    OPERATION(list_container_instances),
    OPERATION(describe_container_instances),
#undef OPERATION
#define OPERATION(name)                                                                            \
    {                                                                                              \
        &operator__##name##_request__descriptor, validate_##name                                   \
    }
    OPERATION(list_managers),
    OPERATION(remove_manager),
    OPERATION(transfer_leadership),
    OPERATION(promote_manager),
    OPERATION(demote_manager),
    OPERATION(create_token),
    OPERATION(rotate_token),
    OPERATION(revoke_token),
    OPERATION(list_tokens),
    OPERATION(backup),
#undef OPERATION
};

static validate_operation *operation_of(const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (operations[i].type == type)
            return operations[i].validate;
    return NULL;
}

int validate_request(const ProtobufCMessage *request, Command__Problem **out_problem)
{
    validate_operation *validate = operation_of(request->descriptor);
    struct check check = {0};

    if (validate)
        validate(&check, request);
    else
        check_refuse(&check, COMMAND__ERROR_CODE__ERROR_UNKNOWN_OPERATION,
                     "The requested operation is not recognized by the service.");
    if (!check.problem)
        return 0;
    *out_problem = check.problem;
    return VALIDATE_REFUSED;
}
