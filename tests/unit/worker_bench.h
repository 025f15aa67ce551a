/*
 * Assignments and task definitions for tests, written as ECS writes them.
 */
#pragma once

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "proto/json.h"
#include "proto/message.h"
#include "proto/worker.pb-c.h"

/* A message from JSON with ' for ". Gives. */
static inline ProtobufCMessage *bench_message(const ProtobufCMessageDescriptor *type,
                                              const char *text)
{
    char *json = mem_string(text);
    ProtobufCMessage *message = NULL;
    Command__Problem *problem = NULL;
    int r;

    for (char *at = json; *at; at++)
        if (*at == '\'')
            *at = '"';
    r = json_parse(type, (struct bytes){json, strlen(json)}, &message, &problem);
    ck_assert_msg(r == 0, "%s: %s", json, problem ? problem->text : "?");
    free(json);
    return message;
}

static inline Ecs__RegisterTaskDefinitionRequest *bench_definition(const char *text)
{
    return (Ecs__RegisterTaskDefinitionRequest *)bench_message(
        &ecs__register_task_definition_request__descriptor, text);
}

/* "0…01", "0…02", ...: gives. */
/* Of this process alone: workers end whatever else carries a task's id. */
static inline char *bench_id(unsigned number)
{
    return mem_format("%016x%016x", (unsigned)getpid(), number);
}

/* The number that an id was made of. */
static inline unsigned long bench_number(const char *id)
{
    return strtoul(id + 16, NULL, 16);
}

/* Gives. */
static inline Worker__Assignment *bench_assignment(const char *task_id)
{
    Worker__Assignment *assignment = mem_new(Worker__Assignment);

    worker__assignment__init(assignment);
    assignment->task_id = mem_string(task_id);
    assignment->task_arn =
        mem_format("arn:aws:ecs:us-east-1:000000000000:task/default/%s", task_id);
    assignment->cluster = mem_string("default");
    assignment->service = mem_string("web");
    assignment->family = mem_string("web");
    assignment->revision = 1;
    return assignment;
}
