#include "server/manager/rpc_server.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/unpacking.h"
#include "server/net/grpc_server.h"
#include "server/net/log.h"
#include "server/net/queue.h"

struct rpc_server {
    struct core *core;
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t stop;
    struct grpc_server *grpc;
    struct queue *answers;
    uint16_t port;
};

/* One call, on either thread by turns. */
struct pending {
    struct rpc rpc;
    struct rpc_server *server;
    struct grpc_call *call;
};

static const struct {
    const char *path;
    enum rpc_kind kind;
    const ProtobufCMessageDescriptor *request;
} calls[] = {
    {"/worker.Dispatcher/Register", RPC_REGISTER, &worker__register_request__descriptor},
    {"/worker.Dispatcher/Pull", RPC_PULL, &worker__pull_request__descriptor},
    {"/worker.Dispatcher/Report", RPC_REPORT, &worker__report_request__descriptor},
};

/* On the core's thread. */
static void answered(struct rpc *rpc)
{
    struct pending *pending = list_entry(rpc, struct pending, rpc);

    bool taken = queue_push(pending->server->answers, &rpc->link);

    must(taken); /* The queue is unbounded, and closed only after core_stop. */
}

static void finish(struct pending *pending)
{
    scope(buffer_fini) struct buffer packed = {0};
    ProtobufCMessage *response = pending->rpc.response;

    if (response) {
        size_t len = protobuf_c_message_get_packed_size(response);

        protobuf_c_message_pack(response, buffer_extend(&packed, len));
        grpc_reply(pending->call, (struct bytes){packed.base, packed.len});
        protobuf_c_message_free_unpacked(response, NULL);
    } else {
        grpc_fail(pending->call, GRPC_UNAVAILABLE, "this manager is going away");
    }
    protobuf_c_message_free_unpacked(pending->rpc.request, NULL);
    free(pending);
}

static void took_answers(void *context, struct list *items)
{
    (void)context;
    list_each (link, items) {
        list_remove(link);
        finish(list_entry(list_entry(link, struct rpc, link), struct pending, rpc));
    }
}

static void called(void *context, struct grpc_call *call, const char *path, struct bytes message)
{
    struct rpc_server *server = context;
    struct pending *pending;

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (strcmp(calls[i].path, path) != 0)
            continue;
        pending = mem_new(struct pending);
        pending->server = server;
        pending->call = call;
        pending->rpc.kind = calls[i].kind;
        pending->rpc.done = answered;
        pending->rpc.request =
            protobuf_c_message_unpack(calls[i].request, &unpacking, message.len, message.base);
        if (!pending->rpc.request) {
            grpc_fail(call, GRPC_INVALID_ARGUMENT, "the message is not this call's request");
            free(pending);
            return;
        }
        core_rpc(server->core, &pending->rpc);
        return;
    }
    grpc_fail(call, GRPC_UNIMPLEMENTED, "unknown call");
}

static void nothing_left(void *context)
{
    (void)context;
}

static void stop_now(uv_async_t *stop)
{
    struct rpc_server *server = stop->data;

    grpc_server_close(server->grpc, nothing_left, server);
    queue_close(server->answers, nothing_left, server);
    uv_close((uv_handle_t *)stop, NULL);
}

static void run(void *context)
{
    struct rpc_server *server = context;

    uv_run(&server->loop, UV_RUN_DEFAULT);
}

static void release(struct rpc_server *server)
{
    queue_free(server->answers);
    worked(uv_loop_close(&server->loop));
    free(server);
}

int rpc_server_open(struct core *core, const struct sockaddr_storage *listen,
                    struct rpc_server **out)
{
    struct rpc_server *server = mem_new(struct rpc_server);
    struct grpc_server_config grpc = {.listen = listen, .called = called, .context = server};
    struct queue_config answers = {.max = SIZE_MAX, .took = took_answers, .context = server};
    int r;

    server->core = core;
    worked(uv_loop_init(&server->loop));
    r = grpc_server_open(&server->loop, &grpc, &server->grpc);
    if (r < 0) {
        worked(uv_loop_close(&server->loop));
        free(server);
        return err_up(r);
    }
    server->port = grpc_server_port(server->grpc);
    worked(queue_open(&server->loop, &answers, &server->answers));
    worked(uv_async_init(&server->loop, &server->stop, stop_now));
    server->stop.data = server;
    r = uv_thread_create(&server->thread, run, server);
    if (r < 0) {
        stop_now(&server->stop);
        run(server);
        release(server);
        return err_new(r);
    }
    *out = server;
    return 0;
}

void rpc_server_close(struct rpc_server *server)
{
    if (!server)
        return;
    uv_async_send(&server->stop);
    uv_thread_join(&server->thread);
    release(server);
}

uint16_t rpc_server_port(const struct rpc_server *server)
{
    return server->port;
}
