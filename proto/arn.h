/*
 * Amazon resource names, the ids they hold, and the short forms that ECS accepts in their place.
 *
 * Long format only (ECS since 2021): arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID and so on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/state.pb-c.h"

enum { ARN_ID_CHARS = 32 }; /* A task's or container instance's id: lower-case hex digits. */

enum arn_outcome {
    ARN_MALFORMED = 1,
};

/* Each gives a string of its own. */
char *arn_cluster(const State__Settings *settings, const char *cluster);
char *arn_task_definition(const State__Settings *settings, const char *family, uint32_t revision);
char *arn_service(const State__Settings *settings, const char *cluster, const char *service);
char *arn_task(const State__Settings *settings, const char *cluster, const char *task_id);
char *arn_container(const State__Settings *settings, const char *cluster, const char *task_id,
                    const char *container);
char *arn_container_instance(const State__Settings *settings, const char *cluster,
                             const char *worker_id);

/* What a user wrote for a cluster: nothing (gives "default"), its name, or its ARN. */
int arn_parse_cluster(const char *text, char **out_name);

/* A service, task or container instance: its name or id, or an ARN, long (kind/CLUSTER/ID) or
 * short (kind/ID). kind is "service", "task" or "container-instance". */
int arn_parse_member(const char *text, const char *kind, char **out_id);

/* FAMILY, FAMILY:REVISION, or an ARN. *out_revision is 0 when none was given. */
int arn_parse_task_definition(const char *text, char **out_family, uint32_t *out_revision);

/* 1..255 of letters, digits, - and _: clusters, families, services, containers. */
bool name_is_valid(const char *name);
/* 32 lower-case hex digits. */
bool id_is_valid(const char *id);
