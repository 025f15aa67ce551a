/*
 * What only a ready leader does: turn the scheduler's plans into commands, place the tasks of
 * RunTask, keep house. Time, chance and ids are stamped here, once, before propose.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/problem.h"
#include "scheduler/place.h"
#include "scheduler/schedule.h"
#include "server/manager/command_build.h"
#include "server/manager/core_internal.h"
#include "storage/tables.h"

enum {
    SCHEDULE_BUDGET = 4096,
    RETRY_REFUSED_MS =
        100, /* A plan that apply refused, in part or whole, is made anew after this. */
    EXPIRE_EVERY_MS = 60000,
    EXPIRE_TASKS = 1000,
    FIRST_TOKEN_MS = 24 * 60 * 60 * 1000,
};

/* ---- ids */

static char *new_id(struct core *core)
{
    char id[33];

    rng_id(&core->rng, id);
    return mem_string(id);
}

static char *new_uuid(struct core *core)
{
    char uuid[37];

    rng_uuid(&core->rng, uuid);
    return mem_string(uuid);
}

static Command__Placement **placements_of(struct core *core, const uint64_t *worker_seqs,
                                          size_t count)
{
    Command__Placement **placements = mem_new_array(Command__Placement *, count);

    for (size_t i = 0; i < count; i++) {
        placements[i] = mem_new(Command__Placement);
        command__placement__init(placements[i]);
        placements[i]->task_id = new_id(core);
        placements[i]->worker_seq = worker_seqs[i];
    }
    return placements;
}

/* ---- plans */

static Command__Command *start_command(struct core *core, const struct plan_item *item)
{
    Command__Command *command = command_new(core);
    Command__PlaceTasks *body = mem_new(Command__PlaceTasks);

    command__place_tasks__init(body);
    body->service_seq = item->service_seq;
    body->deployment_seq = item->deployment_seq;
    body->n_placements = item->count;
    body->placements = placements_of(core, item->seqs, item->count);
    body->event_id = new_uuid(core);
    command->body_case = COMMAND__COMMAND__BODY_PLACE_TASKS;
    command->place_tasks = body;
    return command;
}

static Command__Command *stop_command(struct core *core, const struct plan_item *item)
{
    Command__Command *command = command_new(core);
    Command__StopTasks *body = mem_new(Command__StopTasks);

    command__stop_tasks__init(body);
    body->service_seq = item->service_seq;
    body->n_task_seqs = item->count;
    body->task_seqs = mem_copy(item->seqs, item->count * sizeof *item->seqs);
    body->reason = mem_string(item->reason);
    body->event_id = new_uuid(core);
    command->body_case = COMMAND__COMMAND__BODY_STOP_TASKS;
    command->stop_tasks = body;
    return command;
}

static Command__Command *note_command(struct core *core, const struct plan_item *item)
{
    Command__Command *command = command_new(core);
    Command__NoteService *body = mem_new(Command__NoteService);

    command__note_service__init(body);
    body->service_seq = item->service_seq;
    body->n_events = item->event_count;
    body->events = mem_new_array(State__ServiceEvent *, item->event_count);
    for (size_t i = 0; i < item->event_count; i++) {
        body->events[i] = mem_new(State__ServiceEvent);
        state__service_event__init(body->events[i]);
        body->events[i]->id = new_uuid(core);
        body->events[i]->message = mem_string(item->events[i]);
    }
    body->completed_deployment_seq = item->deployment_seq;
    body->steady = item->steady;
    body->gone = item->gone;
    command->body_case = COMMAND__COMMAND__BODY_NOTE_SERVICE;
    command->note_service = body;
    return command;
}

/* Refused, lost, or done in part only: look again, but not at once. */
static void plan_applied(struct core *core, struct proposal *proposal,
                         const Command__CommandResult *result)
{
    bool whole = result && !result->problem && result->n_task_ids >= proposal->task_count;

    view_release(core->view, proposal->token, whole ? 0 : core->wall_ms + RETRY_REFUSED_MS);
    core->view_changed = true;
}

static void propose_item(struct core *core, const struct plan_item *item)
{
    struct proposal *proposal;

    switch (item->kind) {
    case PLAN_START:
        proposal = propose(core, start_command(core, item), plan_applied);
        proposal->task_count = item->count;
        break;
    case PLAN_STOP:
        proposal = propose(core, stop_command(core, item), plan_applied);
        break;
    case PLAN_NOTE:
    default:
        proposal = propose(core, note_command(core, item), plan_applied);
        break;
    }
    proposal->token = item->token;
}

static void plan_and_propose(struct core *core)
{
    scope(plan_fini) struct plan plan = {0};

    core->view_changed = false;
    schedule(core->view, core->wall_ms, SCHEDULE_BUDGET, &plan);
    for (size_t i = 0; i < plan.count; i++)
        propose_item(core, &plan.items[i]);
    core->schedule_at_ms = plan.next_wakeup_ms;
}

/* ---- RunTask */

/* The revision that a RunTask names; *out stays NULL when there is none: apply will say so. */
static int find_definition(struct core *core, const char *text, State__TaskDefinition **out)
{
    char *family = NULL;
    uint32_t revision = 0;
    int r;

    if (!text || arn_parse_task_definition(text, &family, &revision) != 0)
        return 0;
    r = revision ? table_task_definition(core->txn, family, revision, out)
                 : table_task_definition_newest(core->txn, family, out);
    free(family);
    return r == TABLE_ABSENT ? 0 : err_up(r);
}

static int find_cluster(struct core *core, const char *text, State__Cluster **out)
{
    char *name = NULL;
    int r;

    if (arn_parse_cluster(text, &name) != 0)
        return 0;
    r = table_cluster_by_name(core->txn, name, out);
    free(name);
    return r == TABLE_ABSENT ? 0 : err_up(r);
}

static int add_failures(struct core *core, const State__Cluster *cluster,
                        const struct place_result *placed, Command__RunTask *body)
{
    State__Settings *settings = NULL;
    int r = placed->unplaced > 0 ? table_settings(core->txn, &settings) : TABLE_ABSENT;

    if (r < 0)
        return err_up(r);
    body->failures = mem_new_array(Ecs__Failure *, placed->unplaced);
    for (size_t i = 0; i < placed->unplaced; i++) {
        Ecs__Failure *failure = mem_new(Ecs__Failure);

        ecs__failure__init(failure);
        failure->reason = mem_string(place_reason_name(placed->reason));
        if (settings && placed->closest_seq != 0)
            failure->arn = arn_container_instance(settings, cluster->name, placed->closest_id);
        body->failures[body->n_failures++] = failure;
    }
    if (settings)
        state__settings__free_unpacked(settings, NULL);
    return 0;
}

static int place_run_task(struct core *core, const Ecs__RunTaskRequest *request,
                          const State__Cluster *cluster, const State__TaskDefinition *definition,
                          Command__RunTask *body, uint64_t *out_token,
                          Command__Problem **out_problem)
{
    scope(place_result_fini) struct place_result placed = {0};
    struct view_port *ports = mem_new_array(struct view_port, definition->n_host_ports);
    struct place_request wanted = {
        .cluster_seq = cluster->seq,
        .cpu = definition->cpu,
        .memory = definition->memory,
        .ports = ports,
        .port_count = definition->n_host_ports,
        .count = request->has_count ? (size_t)request->count : 1,
    };

    for (size_t i = 0; i < definition->n_host_ports; i++)
        ports[i] = (struct view_port){(uint16_t)definition->host_ports[i]->number,
                                      definition->host_ports[i]->udp};
    place(core->view, &wanted, &placed);
    free(ports);
    *out_token = placed.token;
    if (placed.reason == PLACE_NO_WORKERS && !request->client_token) {
        *out_problem = problem_new(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                                   "No Container Instances were found in your cluster.");
        return 0;
    }
    body->family = mem_string(definition->family);
    body->revision = definition->revision;
    body->n_placements = placed.placed;
    body->placements = placements_of(core, placed.workers, placed.placed);
    return err_up(add_failures(core, cluster, &placed, body));
}

int lead_run_task(struct core *core, const Ecs__RunTaskRequest *request, Command__Command *command,
                  uint64_t *out_token, Command__Problem **out_problem)
{
    Command__RunTask *body = mem_new(Command__RunTask);
    State__TaskDefinition *definition = NULL;
    State__Cluster *cluster = NULL;
    int r;

    command__run_task__init(body);
    command->body_case = COMMAND__COMMAND__BODY_RUN_TASK;
    command->run_task = body;
    body->request = (Ecs__RunTaskRequest *)command_copy(&request->base);
    command_digest(&request->base, &body->digest);
    r = find_cluster(core, request->cluster, &cluster);
    if (r == 0)
        r = find_definition(core, request->task_definition, &definition);
    if (r == 0 && cluster && definition && definition->active &&
        cluster->status == STATE__CLUSTER_STATUS__CLUSTER_ACTIVE)
        r = place_run_task(core, request, cluster, definition, body, out_token, out_problem);
    if (definition)
        state__task_definition__free_unpacked(definition, NULL);
    if (cluster)
        state__cluster__free_unpacked(cluster, NULL);
    return err_up(r);
}

/* ---- housekeeping */

static void housekeeping_applied(struct core *core, struct proposal *proposal,
                                 const Command__CommandResult *result)
{
    (void)core;
    (void)proposal;
    (void)result;
}

static void token_applied(struct core *core, struct proposal *proposal,
                          const Command__CommandResult *result)
{
    (void)proposal;
    if (!result || result->problem)
        return; /* The operator makes another. */
    core->config.token_id = 0;
    core->config.token_made(core->config.context);
}

/* With this the managers that make the new cluster whole get in. */
static void make_token(struct core *core)
{
    Command__Command *command = command_new(core);
    Command__CreateToken *body = mem_new(Command__CreateToken);

    command__create_token__init(body);
    body->id = core->config.token_id;
    body->role = STATE__TOKEN_ROLE__TOKEN_MANAGER;
    body->secret_digest.len = sizeof core->config.token_digest;
    body->secret_digest.data =
        mem_copy(core->config.token_digest, sizeof core->config.token_digest);
    body->ttl_ms = FIRST_TOKEN_MS;
    command->body_case = COMMAND__COMMAND__BODY_CREATE_TOKEN;
    command->create_token = body;
    propose(core, command, token_applied);
}

static void settings_applied(struct core *core, struct proposal *proposal,
                             const Command__CommandResult *result)
{
    (void)proposal;
    if (!result)
        core->settings_proposed = false;
}

static void put_bytes(ProtobufCBinaryData *out, struct bytes bytes)
{
    out->len = bytes.len;
    out->data = bytes.len > 0 ? mem_copy(bytes.base, bytes.len) : NULL;
}

static void propose_settings(struct core *core)
{
    Command__Command *command = command_new(core);
    State__Settings *settings = mem_new(State__Settings);

    command->body_case = COMMAND__COMMAND__BODY_BOOTSTRAP;
    command->bootstrap = mem_new(Command__Bootstrap);
    command__bootstrap__init(command->bootstrap);
    state__settings__init(settings);
    settings->region = mem_string(core->config.region);
    settings->account = mem_string(core->config.account);
    settings->cluster = mem_string(core->config.cluster);
    put_bytes(&settings->ca_certificate, core->config.authority);
    put_bytes(&settings->ca_key, core->config.authority_key);
    command->bootstrap->settings = settings;
    propose(core, command, settings_applied);
}

/* What a cluster begins with; one that goes on from a backup lacks the token alone. */
static int settle(struct core *core)
{
    State__Settings *settings = NULL;
    int r;

    if (core->settings_proposed)
        return 0;
    core->settings_proposed = true;
    r = table_settings(core->txn, &settings);
    if (r < 0)
        return err_up(r);
    if (r == 0)
        state__settings__free_unpacked(settings, NULL);
    else
        propose_settings(core);
    if (core->config.token_id != 0)
        make_token(core);
    return 0;
}

/* So long ago; a clock that was never set says a time near 0. */
static uint64_t ago(const struct core *core, uint64_t ms)
{
    return core->wall_ms > ms ? core->wall_ms - ms : 0;
}

static void expire(struct core *core)
{
    Command__Command *command;
    Command__Expire *body;

    if (core->now_ms < core->expire_at_ms)
        return;
    core->expire_at_ms = core->now_ms + EXPIRE_EVERY_MS;
    command = command_new(core);
    body = mem_new(Command__Expire);
    command__expire__init(body);
    body->stopped_before_ms = ago(core, LIMIT_TASK_KEPT_MS);
    body->tokens_before_ms = ago(core, LIMIT_TOKEN_KEPT_MS);
    body->limit = EXPIRE_TASKS;
    command->body_case = COMMAND__COMMAND__BODY_EXPIRE;
    command->expire = body;
    propose(core, command, housekeeping_applied);
}

int lead_turn(struct core *core)
{
    int r;

    if (!core->ready)
        return 0;
    r = settle(core);
    if (r < 0)
        return err_up(r);
    r = lead_members_turn(core);
    if (r < 0)
        return err_up(r);
    expire(core);
    if (core->view_changed || core->wall_ms >= core->schedule_at_ms)
        plan_and_propose(core);
    return 0;
}

void lead_lose(struct core *core)
{
    view_release_all(core->view);
    core->view_changed = true;
    core->settings_proposed = false;
}

uint64_t lead_deadline(const struct core *core)
{
    uint64_t at;

    if (!core->ready)
        return UINT64_MAX;
    if (core->view_changed)
        return core->now_ms;
    at = core->expire_at_ms;
    if (core->schedule_at_ms != PLAN_NEVER) {
        uint64_t in_ms =
            core->schedule_at_ms > core->wall_ms ? core->schedule_at_ms - core->wall_ms : 0;

        if (core->now_ms + in_ms < at)
            at = core->now_ms + in_ms;
    }
    return at;
}
