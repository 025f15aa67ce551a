/*
 * The API between a real client's socket and real tables: only the core is a stand-in, one thread
 * that builds the command a call asks for and applies it at once.
 */
#pragma once

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "server/manager/api.h"
#include "server/manager/command_build.h"
#include "storage/apply.h"
#include "storage/tables.h"

enum { PATIENCE_S = 20, WORLD_WORKERS = 3, NO_OUTCOME = -1 };

#define HEX32 "0123456789abcdef0123456789abcdef"
#define AUTHORIZATION                                                                              \
    "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20260801/us-east-1/ecs/aws4_request, "        \
    "SignedHeaders=host;x-amz-date, Signature=" HEX32 HEX32 "\r\nX-Amz-Date: 20260801T000000Z\r\n"
#define TARGET(action) "X-Amz-Target: AmazonEC2ContainerServiceV20141113." action "\r\n"
#define JSON_TYPE      "Content-Type: application/x-amz-json-1.1\r\n"

struct world {
    char dir[32];
    struct env *env;
    struct api *api;
    struct rng rng;
    uint64_t index; /* Of the last command applied. */
    uint64_t time_ms;

    pthread_t thread;
    pthread_mutex_t lock; /* Guards what follows. */
    pthread_cond_t changed;
    struct list queue;
    bool holding; /* Calls pile up. */
    bool stopping;
    int outcome; /* Forced, or NO_OUTCOME. */
    int submitted;
    int finished;
    int stale; /* Calls that asked for it. */
};

static struct world world;

/* ---- commands */

static Command__CommandResult *world_apply(Command__Command *command)
{
    scope(txn_abort) struct txn *txn = NULL;
    Command__CommandResult *result = NULL;
    struct changes changes = {0};
    struct bytes packed;
    uint8_t *base;

    command->time_ms = world.time_ms++;
    packed.len = command__command__get_packed_size(command);
    packed.base = base = mem_zeroed(1, packed.len + 1);
    command__command__pack(command, base);
    ck_assert_int_eq(env_write(world.env, &txn), 0);
    ck_assert_int_eq(apply(txn, ++world.index, packed, &changes, &result), 0);
    ck_assert_int_eq(txn_commit(steal(txn)), 0);
    changes_fini(&changes);
    free(base);
    return result;
}

/* The same, where nobody asks what came of it but that it was not refused. */
static inline void world_do(Command__Command *command)
{
    Command__CommandResult *result = world_apply(command);

    ck_assert_msg(!result->problem, "%s", result->problem ? result->problem->text : "");
    command__command_result__free_unpacked(result, NULL);
}

static inline void world_bootstrap(void)
{
    State__Settings settings = STATE__SETTINGS__INIT;
    Command__Bootstrap body = COMMAND__BOOTSTRAP__INIT;
    Command__Command command = COMMAND__COMMAND__INIT;

    settings.region = (char *)"us-east-1";
    settings.account = (char *)"000000000000";
    body.settings = &settings;
    command.body_case = COMMAND__COMMAND__BODY_BOOTSTRAP;
    command.bootstrap = &body;
    world_do(&command);
}

/* RunTask as the leader would: the tasks go round the workers, whose seqs are 1, 2 and 3. */
static void place_all(Command__RunTask *run)
{
    int32_t count = run->request->has_count ? run->request->count : 1;

    for (int32_t i = 0; i < count; i++) {
        Command__Placement *placement = mem_new(Command__Placement);
        char id[33];

        command__placement__init(placement);
        rng_id(&world.rng, id);
        placement->task_id = mem_string(id);
        placement->worker_seq = (uint64_t)(i % WORLD_WORKERS) + 1;
        run->placements =
            mem_resize(run->placements, run->n_placements + 1, sizeof run->placements[0]);
        run->placements[run->n_placements++] = placement;
    }
}

static Command__Command *run_task_command(const ProtobufCMessage *request)
{
    Command__Command *command = mem_new(Command__Command);
    Command__RunTask *run = mem_new(Command__RunTask);
    size_t len = protobuf_c_message_get_packed_size(request);
    uint8_t *packed = mem_zeroed(1, len + 1);

    command__command__init(command);
    command__run_task__init(run);
    protobuf_c_message_pack(request, packed);
    run->request = ecs__run_task_request__unpack(NULL, len, packed);
    free(packed);
    command_digest(request, &run->digest);
    run->family = mem_string(run->request->task_definition);
    run->family[strcspn(run->family, ":")] = '\0';
    run->revision = 1;
    place_all(run);
    command->body_case = COMMAND__COMMAND__BODY_RUN_TASK;
    command->run_task = run;
    return command;
}

static Command__CommandResult *world_write(const struct call *call)
{
    struct stamp stamp = {.time_ms = world.time_ms, .rng = &world.rng};
    Command__CommandResult *result;
    Command__Command *command = NULL;

    if (strcmp(call->action, "RunTask") == 0)
        command = run_task_command(call->request);
    else
        ck_assert_int_eq(command_build(call->action, call->request, &stamp, &command), 0);
    result = world_apply(command);
    command__command__free_unpacked(command, NULL);
    return result;
}

/* ---- the stand-in for the core */

static void world_finish(struct call *call, int outcome)
{
    call->outcome = call->stale ? CALL_STALE : CALL_DONE;
    if (outcome != NO_OUTCOME)
        call->outcome = (enum call_outcome)outcome;
    else if (call->write)
        call->result = world_write(call);
    if (call->result && !call->result->problem) {
        scope(txn_abort) struct txn *txn = NULL;

        ck_assert_int_eq(env_read(world.env, &txn), 0);
        call->collect(call, call->result, txn);
    }
    call->done(call);
}

static void *world_run(void *context)
{
    (void)context;
    pthread_mutex_lock(&world.lock);
    while (!world.stopping) {
        struct call *call;
        int outcome = world.outcome;

        if (world.holding || list_is_empty(&world.queue)) {
            pthread_cond_wait(&world.changed, &world.lock);
            continue;
        }
        call = list_entry(world.queue.next, struct call, link);
        list_remove(&call->link);
        pthread_mutex_unlock(&world.lock);
        world_finish(call, outcome);
        pthread_mutex_lock(&world.lock);
        world.finished++;
        pthread_cond_broadcast(&world.changed);
    }
    pthread_mutex_unlock(&world.lock);
    return NULL;
}

static void world_submit(struct core *core, struct call *call)
{
    (void)core;
    pthread_mutex_lock(&world.lock);
    world.submitted++;
    world.stale += call->stale;
    list_append(&world.queue, &call->link);
    pthread_cond_broadcast(&world.changed);
    pthread_mutex_unlock(&world.lock);
}

static void world_status(struct core *core, struct core_status *out)
{
    (void)core;
    *out = (struct core_status){.id = 2,
                                .leader = 1,
                                .term = 7,
                                .last_index = 42,
                                .commit_index = 41,
                                .applied_index = 40,
                                .ready = false,
                                .role = MEMBER_STANDBY,
                                .leader_name = "m1"};
}

static inline void world_hold(bool holding)
{
    pthread_mutex_lock(&world.lock);
    world.holding = holding;
    pthread_cond_broadcast(&world.changed);
    pthread_mutex_unlock(&world.lock);
}

static inline void world_force(int outcome)
{
    pthread_mutex_lock(&world.lock);
    world.outcome = outcome;
    pthread_mutex_unlock(&world.lock);
}

/* Wait until a counter has got to a value, with a bound. */
static inline void world_await(const int *counter, int least)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&world.lock);
    while (*counter < least)
        ck_assert_int_eq(pthread_cond_timedwait(&world.changed, &world.lock, &until), 0);
    pthread_mutex_unlock(&world.lock);
}

/* ---- open and close */

static inline void world_open_with(void (*submit)(struct core *, struct call *))
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct api_config config = {.door = {.submit = submit, .status = world_status},
                                .listen = (const struct sockaddr *)&address,
                                .name = "m2",
                                .zone = "us-east-1b"};

    world = (struct world){.outcome = NO_OUTCOME, .time_ms = 1700000000000};
    strcpy(world.dir, "/tmp/api-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(world.dir));
    ck_assert_int_eq(env_open(world.dir, 16 << 20, table_names, TABLE_COUNT, &world.env), 0);
    rng_seed(&world.rng, 1);
    list_init(&world.queue);
    pthread_mutex_init(&world.lock, NULL);
    pthread_cond_init(&world.changed, NULL);
    ck_assert_int_eq(pthread_create(&world.thread, NULL, world_run, NULL), 0);
    config.env = world.env;
    ck_assert_int_eq(api_open(&config, &world.api), 0);
}

static inline void world_open(void)
{
    world_open_with(world_submit);
    world_bootstrap();
}

static inline void world_stop_core(void)
{
    pthread_mutex_lock(&world.lock);
    world.stopping = true;
    pthread_cond_broadcast(&world.changed);
    pthread_mutex_unlock(&world.lock);
    pthread_join(world.thread, NULL);
}

static inline void world_remove(const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "%s/%s", world.dir, name);
    unlink(path);
}

static inline void world_close(void)
{
    api_close(world.api);
    world_stop_core();
    env_free(world.env);
    world_remove("data.mdb");
    world_remove("lock.mdb");
    rmdir(world.dir);
    pthread_cond_destroy(&world.changed);
    pthread_mutex_destroy(&world.lock);
}

/* ---- a client */

struct reply {
    int status; /* 0: the connection ended before an answer. */
    char head[2048];
    char *body; /* NUL-terminated; free it. */
};

static int dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(api_port(world.api))};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void send_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return; /* Refused on the way: the answer tells. */
        text += sent;
        len -= (size_t)sent;
    }
}

/* `head` is the request line and headers, each with its CRLF, but not the empty line. */
static void send_request(int fd, const char *head, const char *body, size_t len)
{
    char *text = mem_format("%sHost: localhost\r\nContent-Length: %zu\r\n\r\n", head, len);

    send_all(fd, text, strlen(text));
    send_all(fd, body, len);
    free(text);
}

static size_t read_head(int fd, struct reply *reply)
{
    size_t len = 0;

    while (len < sizeof reply->head - 1 && !strstr(reply->head, "\r\n\r\n")) {
        if (recv(fd, reply->head + len, 1, 0) != 1)
            return 0;
        reply->head[++len] = '\0';
    }
    return len;
}

static struct reply read_reply(int fd)
{
    struct reply reply = {0};
    const char *length;
    size_t len = 0;
    size_t got = 0;

    if (read_head(fd, &reply) == 0)
        return (struct reply){0};
    ck_assert_int_eq(sscanf(reply.head, "HTTP/1.1 %d", &reply.status), 1);
    length = strcasestr(reply.head, "\r\nContent-Length:");
    ck_assert_ptr_nonnull(length);
    ck_assert_int_eq(sscanf(length + 17, "%zu", &len), 1);
    reply.body = mem_zeroed(1, len + 1);
    while (got < len) {
        ssize_t n = recv(fd, reply.body + got, len - got, 0);

        ck_assert_int_gt(n, 0);
        got += (size_t)n;
    }
    return reply;
}

static inline struct reply ask(const char *head, const char *body)
{
    int fd = dial();
    struct reply reply;

    send_request(fd, head, body, strlen(body));
    reply = read_reply(fd);
    close(fd);
    return reply;
}

static char *head_of(const char *action, const char *more)
{
    return mem_format("POST / HTTP/1.1\r\n" JSON_TYPE AUTHORIZATION
                      "X-Amz-Target: AmazonEC2ContainerServiceV20141113.%s\r\n%s",
                      action, more);
}

static inline struct reply ecs(const char *action, const char *body)
{
    char *head = head_of(action, "");
    struct reply reply = ask(head, body);

    free(head);
    return reply;
}

/* The answer, which must be 200. json_decref() it. */
static inline json_t *ecs_ok(const char *action, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static inline json_t *ecs_ok(const char *action, const char *format, ...)
{
    char body[4096];
    struct reply reply;
    json_t *json;
    va_list args;

    va_start(args, format);
    vsnprintf(body, sizeof body, format, args);
    va_end(args);
    reply = ecs(action, body);
    ck_assert_msg(reply.status == 200, "%s %s: %d %s", action, body, reply.status, reply.body);
    json = json_loads(reply.body, 0, NULL);
    ck_assert_ptr_nonnull(json);
    free(reply.body);
    return json;
}

static inline void ck_assert_refused(const struct reply *reply, int status, const char *type,
                                     const char *piece)
{
    json_t *json = json_loads(reply->body ? reply->body : "", 0, NULL);

    ck_assert_msg(reply->status == status, "%d %s", reply->status, reply->body);
    ck_assert_str_eq(json_string_value(json_object_get(json, "__type")), type);
    ck_assert_msg(strstr(json_string_value(json_object_get(json, "message")), piece) != NULL,
                  "%s lacks '%s'", reply->body, piece);
    json_decref(json);
}

/* The call must be refused so. */
static inline void ck_assert_ecs_refused(const char *action, const char *body, const char *type,
                                         const char *piece)
{
    struct reply reply = ecs(action, body);

    ck_assert_refused(&reply, 400, type, piece);
    free(reply.body);
}

/* "services.0.status" of a JSON value; NULL if there is no such member. */
static inline json_t *at(json_t *json, const char *path)
{
    char part[64];

    while (json && *path) {
        size_t len = strcspn(path, ".");

        snprintf(part, sizeof part, "%.*s", (int)len, path);
        json = json_is_array(json) ? json_array_get(json, (size_t)strtoul(part, NULL, 10))
                                   : json_object_get(json, part);
        path += len + (path[len] == '.');
    }
    return json;
}

static inline const char *text_at(json_t *json, const char *path)
{
    const char *text = json_string_value(at(json, path));

    return text ? text : "(absent)";
}

static inline int number_at(json_t *json, const char *path)
{
    json_t *value = at(json, path);

    ck_assert_msg(json_is_integer(value), "%s is no integer", path);
    return (int)json_integer_value(value);
}

static inline size_t count_at(json_t *json, const char *path)
{
    json_t *value = at(json, path);

    ck_assert_msg(json_is_array(value), "%s is no list", path);
    return json_array_size(value);
}
