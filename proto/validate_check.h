/*
 * The checks that operations share, within proto/validate*.c only.
 *
 * A check keeps the first problem it is told of; later ones change nothing. So a validator is a
 * plain list of checks, and each of them must bear a request that an earlier one has refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/command.pb-c.h"
#include "proto/ecs.pb-c.h"

struct check {
    Command__Problem *problem;
};

/* A user's text is quoted up to here. */
#define QUOTED "%.64s"

void check_refuse(struct check *check, Command__ErrorCode code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ECS's two codes for a bad request: task definitions mostly get the first, the rest the other. */
#define check_client(check, ...)                                                                   \
    check_refuse((check), COMMAND__ERROR_CODE__ERROR_CLIENT, __VA_ARGS__)
#define check_parameter(check, ...)                                                                \
    check_refuse((check), COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER, __VA_ARGS__)

/* Refuse a member by its JSON name if it was asked for. */
void check_unsupported(struct check *check, bool asked, const char *member);

/* Refuse those of the fields that say something: a list with elements, a text, a true, a number,
 * a message. `of` goes before the name: "containerDefinitions[].", or "". */
void check_unsupported_fields(struct check *check, const ProtobufCMessage *message, const char *of,
                              const char *const *fields, size_t count);

void check_range(struct check *check, const char *member, bool has, int64_t value, int64_t low,
                 int64_t high);
void check_length(struct check *check, const char *member, const char *text, size_t most);
void check_count(struct check *check, const char *member, size_t count, size_t most);

/* A name of ours under this member; absent is fine. */
void check_name(struct check *check, const char *member, const char *name);

/* A cluster's name or ARN; absent is the default. */
void check_cluster(struct check *check, const char *cluster);
/* A service's name or ARN; a task's or container instance's id or ARN. */
void check_service(struct check *check, const char *service);
void check_task(struct check *check, const char *task);
void check_container_instance(struct check *check, const char *instance);
/* FAMILY, FAMILY:REVISION or ARN. Required. */
void check_task_definition(struct check *check, const char *definition);

void check_page(struct check *check, bool has_max_results, int32_t max_results);
void check_tags(struct check *check, size_t count, Ecs__Tag *const *tags);
void check_client_token(struct check *check, const char *token, size_t most);
void check_launch_type(struct check *check, bool has, Ecs__LaunchType__Value type);
void check_propagate_tags(struct check *check, bool has, Ecs__PropagateTags__Value value);
void check_platform_version(struct check *check, const char *version);
void check_network(struct check *check, const Ecs__NetworkConfiguration *network);

/* The default placement, spread over zones and then instances, may be asked for; no other. */
void check_placement(struct check *check, size_t count, Ecs__PlacementStrategy *const *strategy);

/* One for each operation; called with the request of that operation. */
typedef void validate_operation(struct check *check, const void *request);

validate_operation validate_create_cluster;
validate_operation validate_describe_clusters;
validate_operation validate_list_clusters;
validate_operation validate_delete_cluster;
validate_operation validate_register_task_definition;
validate_operation validate_describe_task_definition;
validate_operation validate_list_task_definitions;
validate_operation validate_deregister_task_definition;
validate_operation validate_run_task;
validate_operation validate_stop_task;
validate_operation validate_describe_tasks;
validate_operation validate_list_tasks;
validate_operation validate_create_service;
validate_operation validate_update_service;
validate_operation validate_describe_services;
validate_operation validate_list_services;
validate_operation validate_delete_service;
validate_operation validate_list_container_instances;
validate_operation validate_describe_container_instances;

validate_operation validate_list_managers;
validate_operation validate_remove_manager;
validate_operation validate_transfer_leadership;
validate_operation validate_promote_manager;
validate_operation validate_demote_manager;
validate_operation validate_create_token;
validate_operation validate_rotate_token;
validate_operation validate_revoke_token;
validate_operation validate_list_tokens;
validate_operation validate_backup;
