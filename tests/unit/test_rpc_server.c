/* The worker RPC over a real connection, into a core of one manager. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "server/manager/rpc_server.h"
#include "server/net/address.h"
#include "server/net/grpc_client.h"
#include "storage/tables.h"
#include "tests/unit/loop.h"

#define ID "0123456789abcdef0123456789abcdef"

enum { SESSION = 7, TIMEOUT_MS = 8000 };

/* A call and its end. */
struct asked {
    int done;
    enum grpc_status status;
    struct buffer reply;
};

static char dir[40];
static struct env *env;
static struct core *core;
static struct rpc_server *server;
static struct grpc_client *client;
static uv_async_t wake;
static struct asked asked, pull;

static uint64_t now(clockid_t clock)
{
    struct timespec at;

    clock_gettime(clock, &at);
    return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

static void send_nowhere(void *context, uint64_t to, struct bytes frame)
{
    (void)context;
    (void)to;
    (void)frame;
    ck_abort_msg("there is no other manager");
}

static void push(void *context)
{
    (void)context;
}

static void wake_core(void *context)
{
    (void)context;
    uv_async_send(&wake);
}

static void woken(uv_async_t *handle)
{
    (void)handle; /* The loop goes round: that is all. */
}

static bool turn_and(bool condition)
{
    if (core)
        ck_assert_int_eq(core_turn(core, now(CLOCK_MONOTONIC), now(CLOCK_REALTIME)), 0);
    return condition;
}

static bool is_ready(void)
{
    struct core_status status;

    core_status(core, &status);
    return status.ready;
}

static void core_up(void)
{
    static const struct member self = {
        .id = 1,
        .role = MEMBER_VOTER,
        .name = "m1",
        .zone = "a",
        .host = "127.0.0.1",
        .peer_port = 4512,
        .rpc_port = 4511,
        .api_port = 4510,
    };
    struct core_config config = {
        .id = 1,
        .first = &self,
        .first_count = 1,
        .region = "us-east-1",
        .account = "000000000000",
        .env = env,
        .election_ms = 50,
        .raft_heartbeat_ms = 10,
        .worker_heartbeat_ms = 60000, /* A Pull without news outlasts every test. */
        .worker_lost_ms = 120000,
        .seed = 1,
        .send = send_nowhere,
        .push = push,
        .wake = wake_core,
    };

    ck_assert_int_eq(core_open(&config, now(CLOCK_MONOTONIC), now(CLOCK_REALTIME), &core), 0);
}

static void set_up(void)
{
    struct grpc_client_config to = {.connect_timeout_ms = 5000};

    memset(&asked, 0, sizeof asked);
    memset(&pull, 0, sizeof pull);
    loop_set_up();
    ck_assert_int_eq(uv_async_init(&loop, &wake, woken), 0);
    strcpy(dir, "/dev/shm/rpc-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(env_open(dir, 16 << 20, table_names, TABLE_COUNT, &env), 0);
    core_up();
    ck_assert_int_eq(address_parse("127.0.0.1:0", &to.to, NULL), 0);
    ck_assert_int_eq(rpc_server_open(core, &to.to, &server), 0);
    address_set_port(&to.to, rpc_server_port(server));
    ck_assert_int_eq(grpc_client_open(&loop, &to, &client), 0);
    loop_until(turn_and(is_ready()));
}

static void shut_down(void)
{
    core_stop(core);
    rpc_server_close(server);
    server = NULL;
    core_free(core);
    core = NULL;
}

static void tear_down(void)
{
    char path[64];

    if (core)
        shut_down();
    grpc_client_close(client);
    uv_close((uv_handle_t *)&wake, NULL);
    loop_tear_down();
    buffer_fini(&asked.reply);
    buffer_fini(&pull.reply);
    env_free(env);
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", dir);
    unlink(path);
    rmdir(dir);
}

static void called(void *context, enum grpc_status status, const char *text, struct bytes reply)
{
    struct asked *call = context;

    (void)text;
    call->done++;
    call->status = status;
    buffer_append(&call->reply, reply.base, reply.len);
}

static void call(struct asked *out, const char *path, struct bytes message)
{
    buffer_fini(&out->reply);
    *out = (struct asked){0};
    grpc_client_call(client, path, message, TIMEOUT_MS, called, out);
}

static void call_with(struct asked *out, const char *path, const void *message)
{
    scope(buffer_fini) struct buffer packed = {0};
    size_t len = protobuf_c_message_get_packed_size(message);

    protobuf_c_message_pack(message, buffer_extend(&packed, len));
    call(out, path, (struct bytes){packed.base, packed.len});
}

static Worker__Outcome register_worker(void)
{
    Worker__RegisterRequest request = WORKER__REGISTER_REQUEST__INIT;
    Worker__RegisterResponse *response;
    Worker__Outcome outcome;

    request.worker_id = ID;
    request.session = SESSION;
    request.cluster = "default";
    request.zone = "z";
    request.cpu = request.memory = 1024;
    call_with(&asked, "/worker.Dispatcher/Register", &request);
    loop_until(turn_and(asked.done));
    ck_assert_int_eq(asked.status, GRPC_OK);
    response = worker__register_response__unpack(NULL, asked.reply.len, asked.reply.base);
    ck_assert_ptr_nonnull(response);
    ck_assert_ptr_nonnull(strstr(response->container_instance_arn, ID));
    outcome = response->outcome;
    worker__register_response__free_unpacked(response, NULL);
    return outcome;
}

static void say_pull(uint64_t version)
{
    Worker__PullRequest request = WORKER__PULL_REQUEST__INIT;

    request.worker_id = ID;
    request.session = SESSION;
    request.version = version;
    call_with(&pull, "/worker.Dispatcher/Pull", &request);
}

/* The version of the answer to a Pull that asked for everything. */
static uint64_t pull_all(void)
{
    Worker__PullResponse *response;
    uint64_t version;

    say_pull(0);
    loop_until(turn_and(pull.done));
    response = worker__pull_response__unpack(NULL, pull.reply.len, pull.reply.base);
    ck_assert_ptr_nonnull(response);
    ck_assert_int_eq(response->outcome, WORKER__OUTCOME__OK);
    ck_assert(response->complete);
    ck_assert_uint_gt(response->term, 0);
    version = response->version;
    worker__pull_response__free_unpacked(response, NULL);
    return version;
}

static Worker__Outcome report(uint64_t session)
{
    Worker__ReportRequest request = WORKER__REPORT_REQUEST__INIT;
    Worker__ReportResponse *response;
    Worker__Outcome outcome;

    request.worker_id = ID;
    request.session = session;
    call_with(&asked, "/worker.Dispatcher/Report", &request);
    loop_until(turn_and(asked.done));
    ck_assert_int_eq(asked.status, GRPC_OK);
    response = worker__report_response__unpack(NULL, asked.reply.len, asked.reply.base);
    ck_assert_ptr_nonnull(response);
    outcome = response->outcome;
    worker__report_response__free_unpacked(response, NULL);
    return outcome;
}

START_TEST(a_worker_registers_pulls_and_reports)
{
    ck_assert_int_eq(report(SESSION), WORKER__OUTCOME__REGISTER); /* Not known yet. */
    ck_assert_int_eq(register_worker(), WORKER__OUTCOME__OK);
    ck_assert_uint_gt(pull_all(), 0);
    ck_assert_int_eq(report(SESSION), WORKER__OUTCOME__OK);
    ck_assert_int_eq(report(SESSION + 1), WORKER__OUTCOME__REGISTER);
}
END_TEST

START_TEST(a_malformed_message_is_an_invalid_argument)
{
    static const char *const paths[] = {"/worker.Dispatcher/Register", "/worker.Dispatcher/Pull",
                                        "/worker.Dispatcher/Report"};

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        call(&asked, paths[i], (struct bytes){"\xff\xff\xff", 3});
        loop_until(turn_and(asked.done));
        ck_assert_int_eq(asked.status, GRPC_INVALID_ARGUMENT);
    }
}
END_TEST

START_TEST(an_unknown_call_is_unimplemented)
{
    call(&asked, "/worker.Dispatcher/Nothing", (struct bytes){"", 0});
    loop_until(turn_and(asked.done));
    ck_assert_int_eq(asked.status, GRPC_UNIMPLEMENTED);
}
END_TEST

START_TEST(a_second_pull_answers_the_first)
{
    uint64_t version;
    struct asked first = {0};
    Worker__PullRequest request = WORKER__PULL_REQUEST__INIT;

    register_worker();
    version = pull_all();
    request.worker_id = ID;
    request.session = SESSION;
    request.version = version;
    call_with(&first, "/worker.Dispatcher/Pull", &request);
    say_pull(version);
    loop_until(turn_and(first.done));
    ck_assert_int_eq(first.status, GRPC_OK);
    ck_assert_int_eq(pull.done, 0);
    buffer_fini(&first.reply);
}
END_TEST

START_TEST(shutting_down_answers_a_pull_that_waits)
{
    register_worker();
    say_pull(pull_all());
    ck_assert_int_eq(report(SESSION), WORKER__OUTCOME__OK); /* The Pull has arrived before. */
    ck_assert_int_eq(pull.done, 0);
    shut_down();
    loop_until(turn_and(pull.done));
    ck_assert_int_eq(pull.done, 1);
}
END_TEST

START_TEST(a_lone_leader_with_nothing_to_do_sleeps)
{
    uint64_t at = now(CLOCK_MONOTONIC);

    ck_assert_int_eq(core_turn(core, at, now(CLOCK_REALTIME)), 0);
    ck_assert_int_eq(core_turn(core, at, now(CLOCK_REALTIME)), 0);
    ck_assert_uint_gt(core_deadline(core), at);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rpc_server");
    TCase *tc = tcase_create("rpc_server");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_worker_registers_pulls_and_reports);
    tcase_add_test(tc, a_malformed_message_is_an_invalid_argument);
    tcase_add_test(tc, an_unknown_call_is_unimplemented);
    tcase_add_test(tc, a_second_pull_answers_the_first);
    tcase_add_test(tc, shutting_down_answers_a_pull_that_waits);
    tcase_add_test(tc, a_lone_leader_with_nothing_to_do_sleeps);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
