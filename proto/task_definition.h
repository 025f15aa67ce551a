/*
 * What a task definition comes to: what one task of it takes of a worker, and the defaults that
 * ECS fills in. Pure; used where definitions are stored and where they are run.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/ecs.pb-c.h"
#include "proto/state.pb-c.h"

enum task_definition_outcome {
    TASK_DEFINITION_MALFORMED = 1, /* A size that is no size, or beyond limits.h. */
};

/* A task's size as ECS lets it be written: CPU units ("256") or vCPUs (".25 vCPU"); MiB ("512") or
 * GB ("0.5GB", of 1,024 MiB). Gives units, or MiB; a fraction of one is malformed, as is zero. */
int task_cpu_parse(const char *text, uint32_t *out);
int task_memory_parse(const char *text, uint32_t *out);

/* What one task takes of a worker, in CPU units and MiB: the task's own cpu and memory where
 * given, otherwise the sum over its containers (memoryReservation before memory). */
int task_definition_needs(const Ecs__RegisterTaskDefinitionRequest *spec, uint32_t *out_cpu,
                          uint32_t *out_memory);

/* The host port that a mapping fixes; 0 if it is chosen when the task starts. */
uint32_t task_definition_host_port(const Ecs__RegisterTaskDefinitionRequest *spec,
                                   const Ecs__PortMapping *mapping);

/* All fixed host ports, in the order of the containers. Gives *out, an array of messages that
 * state__task_definition__free_unpacked() would free; NULL if there are none. */
size_t task_definition_host_ports(const Ecs__RegisterTaskDefinitionRequest *spec,
                                  State__Port ***out);

/* Fill in what ECS answers for members that were left out: cpu 0, essential true, protocol tcp,
 * hostPort (0, or the container's port where the network mode fixes it). */
void task_definition_defaults(Ecs__RegisterTaskDefinitionRequest *spec);
