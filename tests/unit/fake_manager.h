/*
 * Managers for the tests of workers: real gRPC servers on loopback that say what they are told to
 * and write down what they hear, as "m1 register, m1 report 2, m1 pull 0, ".
 */
#pragma once

#include <arpa/inet.h>
#include <stdlib.h>

#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "proto/worker.pb-c.h"
#include "server/net/address.h"
#include "server/net/grpc_server.h"
#include "tests/unit/loop.h"
#include "tests/unit/worker_bench.h"

enum { FAKES = 3, FAKE_HEARTBEAT_MS = 300 };

enum fake_role { FAKE_FOLLOWS, FAKE_LEADS };

struct fake {
    char name[8];
    struct grpc_server *server;
    char address[ADDRESS_TEXT];
    enum fake_role role;
    char leader[ADDRESS_TEXT]; /* Its hint. */
    uint64_t term;
    uint64_t version;
    uint64_t session;       /* Of the last Register. */
    bool mute_reports;      /* Does not answer them. */
    bool register_again;    /* Answers the next Pull so. */
    struct grpc_call *pull; /* Waiting. */
    struct grpc_call *muted[8];
    size_t muted_count;
    uv_timer_t heartbeat;
    struct buffer reported; /* "2:RUNNING " by task number and state number. */
};

static struct fake fakes[FAKES];
static struct buffer heard;

static void fake_answer(struct grpc_call *call, const ProtobufCMessage *message)
{
    struct buffer packed = {0};
    size_t len = protobuf_c_message_get_packed_size(message);

    protobuf_c_message_pack(message, buffer_extend(&packed, len));
    grpc_reply(call, (struct bytes){packed.base, len});
    buffer_fini(&packed);
}

static Worker__Outcome fake_outcome(const struct fake *fake)
{
    return fake->role == FAKE_LEADS ? WORKER__OUTCOME__OK : WORKER__OUTCOME__NOT_LEADER;
}

static void fake_register(struct fake *fake, struct grpc_call *call, struct bytes message)
{
    Worker__RegisterRequest *request =
        worker__register_request__unpack(NULL, message.len, message.base);
    Worker__RegisterResponse response = WORKER__REGISTER_RESPONSE__INIT;

    ck_assert_ptr_nonnull(request);
    buffer_append_format(&heard, "%s register, ", fake->name);
    fake->session = request->session;
    response.outcome = fake_outcome(fake);
    response.leader = fake->leader;
    response.term = fake->term;
    response.heartbeat_ms = FAKE_HEARTBEAT_MS;
    fake_answer(call, &response.base);
    worker__register_request__free_unpacked(request, NULL);
}

static void fake_report(struct fake *fake, struct grpc_call *call, struct bytes message)
{
    Worker__ReportRequest *request =
        worker__report_request__unpack(NULL, message.len, message.base);
    Worker__ReportResponse response = WORKER__REPORT_RESPONSE__INIT;

    ck_assert_ptr_nonnull(request);
    buffer_append_format(&heard, "%s report %zu, ", fake->name, request->n_reports);
    for (size_t i = 0; i < request->n_reports; i++)
        buffer_append_format(&fake->reported, "%lu:%d ", bench_number(request->reports[i]->task_id),
                             (int)request->reports[i]->state);
    worker__report_request__free_unpacked(request, NULL);
    response.outcome = fake_outcome(fake);
    response.leader = fake->leader;
    response.term = fake->term;
    if (fake->mute_reports && fake->muted_count < 8)
        fake->muted[fake->muted_count++] = call;
    else
        fake_answer(call, &response.base);
}

/* Answer the waiting Pull: with this assignment (NULL: nothing new), all there is or a change. */
static void fake_push(struct fake *fake, const Worker__Assignment *assignment,
                      const Ecs__RegisterTaskDefinitionRequest *spec, bool complete)
{
    Worker__PullResponse response = WORKER__PULL_RESPONSE__INIT;
    Worker__Definition definition = WORKER__DEFINITION__INIT;
    Worker__Assignment *assignments[] = {(Worker__Assignment *)assignment};
    Worker__Definition *definitions[] = {&definition};

    ck_assert_ptr_nonnull(fake->pull);
    uv_timer_stop(&fake->heartbeat);
    response.outcome = fake_outcome(fake);
    response.leader = fake->leader;
    response.term = fake->term;
    response.version = fake->version;
    response.complete = complete;
    if (assignment) {
        response.assignments = assignments;
        response.n_assignments = 1;
    }
    if (spec) {
        definition.family = "web";
        definition.revision = 1;
        definition.spec = (Ecs__RegisterTaskDefinitionRequest *)spec;
        response.definitions = definitions;
        response.n_definitions = 1;
    }
    fake_answer(fake->pull, &response.base);
    fake->pull = NULL;
}

static void fake_heartbeat(uv_timer_t *timer)
{
    fake_push(timer->data, NULL, NULL, false);
}

static void fake_pull(struct fake *fake, struct grpc_call *call, struct bytes message)
{
    Worker__PullRequest *request = worker__pull_request__unpack(NULL, message.len, message.base);

    ck_assert_ptr_nonnull(request);
    buffer_append_format(&heard, "%s pull %lu, ", fake->name, request->version);
    if (fake->register_again) {
        Worker__PullResponse response = WORKER__PULL_RESPONSE__INIT;

        fake->register_again = false;
        response.outcome = WORKER__OUTCOME__REGISTER;
        response.term = fake->term;
        fake_answer(call, &response.base);
    } else {
        if (fake->pull) /* Of a connection that is gone. */
            fake_push(fake, NULL, NULL, false);
        fake->pull = call;
        if (fake->role == FAKE_LEADS)
            uv_timer_start(&fake->heartbeat, fake_heartbeat, FAKE_HEARTBEAT_MS, 0);
        else
            fake_push(fake, NULL, NULL, false);
    }
    worker__pull_request__free_unpacked(request, NULL);
}

static void fake_called(void *context, struct grpc_call *call, const char *path,
                        struct bytes message)
{
    if (strcmp(path, "/worker.Dispatcher/Register") == 0)
        fake_register(context, call, message);
    else if (strcmp(path, "/worker.Dispatcher/Report") == 0)
        fake_report(context, call, message);
    else if (strcmp(path, "/worker.Dispatcher/Pull") == 0)
        fake_pull(context, call, message);
    else
        grpc_fail(call, GRPC_UNIMPLEMENTED, path);
}

static void fake_open(size_t index)
{
    struct fake *fake = &fakes[index];
    struct sockaddr_storage at;
    struct grpc_server_config config = {.listen = &at, .called = fake_called, .context = fake};

    *fake = (struct fake){.term = 1, .version = 1};
    snprintf(fake->name, sizeof fake->name, "m%zu", index + 1);
    ck_assert_int_eq(address_parse("127.0.0.1:0", &at, NULL), 0);
    ck_assert_int_eq(grpc_server_open(&loop, &config, &fake->server), 0);
    address_set_port(&at, grpc_server_port(fake->server));
    address_format(&at, fake->address);
    ck_assert_int_eq(uv_timer_init(&loop, &fake->heartbeat), 0);
    fake->heartbeat.data = fake;
}

/* It dies: its connections break. */
static void fake_close(struct fake *fake)
{
    if (!fake->server)
        return;
    if (fake->pull)
        grpc_fail(fake->pull, GRPC_UNAVAILABLE, "closing");
    for (size_t i = 0; i < fake->muted_count; i++)
        grpc_fail(fake->muted[i], GRPC_UNAVAILABLE, "closing");
    fake->muted_count = 0;
    fake->pull = NULL;
    uv_close((uv_handle_t *)&fake->heartbeat, NULL);
    grpc_server_close(fake->server, NULL, NULL);
    fake->server = NULL;
    buffer_fini(&fake->reported);
}

static void fake_lead(struct fake *fake, uint64_t term)
{
    fake->role = FAKE_LEADS;
    fake->term = term;
    for (size_t i = 0; i < FAKES; i++)
        snprintf(fakes[i].leader, sizeof fakes[i].leader, "%s", fake->address);
}

static bool fake_heard(const char *text)
{
    return strstr(buffer_text(&heard), text) != NULL;
}
