#include "server/net/grpc_server.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/base/err.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/limits.h"
#include "server/net/address.h"
#include "server/net/grpc_session.h"
#include "server/net/http2_link.h"
#include "server/net/log.h"

struct grpc_server {
    struct grpc_server_config config;
    uv_loop_t *loop;
    struct listener *listener;
    struct list connections;
    unsigned open; /* The listener and the connections, not yet closed. */
    bool is_closing;
    void (*closed)(void *context);
    void *closed_context;
};

struct connection {
    struct list link;
    struct grpc_server *server;
    struct grpc_session *session;
    struct http2_link *io;
    struct sockaddr_storage peer;
    bool is_closing;
};

static void part_closed(struct grpc_server *server)
{
    void (*closed)(void *context) = server->closed;
    void *context = server->closed_context;

    if (--server->open > 0)
        return;
    must(server->is_closing);
    free(server);
    if (closed)
        closed(context);
}

static void connection_closed(void *context)
{
    struct connection *connection = context;
    struct grpc_server *server = connection->server;

    list_remove(&connection->link);
    grpc_session_free(connection->session);
    free(connection);
    part_closed(server);
}

static void connection_close(struct connection *connection)
{
    if (connection->is_closing)
        return;
    connection->is_closing = true;
    grpc_session_stop(connection->session);
    http2_link_close(connection->io, connection_closed, connection);
}

static void connection_called(void *context, struct grpc_call *call, const char *path,
                              struct bytes message)
{
    struct connection *connection = context;
    const struct grpc_server_config *config = &connection->server->config;

    config->called(config->context, call, path, message);
}

static void connection_answered(void *context)
{
    struct connection *connection = context;

    if (!connection->is_closing)
        http2_link_send(connection->io);
}

static void connection_moved(void *context)
{
    struct connection *connection = context;
    uint64_t next_ms = grpc_session_move(connection->session, uv_now(connection->server->loop));

    if (connection->is_closing)
        return;
    if (http2_has_next(grpc_session_http2(connection->session)))
        http2_link_send(connection->io);
    if (next_ms != UINT64_MAX)
        http2_link_wake(connection->io, next_ms);
}

static void connection_ended(void *context, int reason)
{
    struct connection *connection = context;
    char peer[ADDRESS_TEXT];

    log_event(reason == -EPROTO ? LOG_WARNING : LOG_DEBUG, "rpc.ended peer=%s error=\"%s\"",
              address_format(&connection->peer, peer), uv_strerror(reason));
    connection_close(connection);
}

static void server_accepted(void *context, struct stream *stream)
{
    struct grpc_server *server = context;
    struct connection *connection = mem_new(struct connection);
    const struct grpc_session_owner session_owner = {
        .called = connection_called, .answered = connection_answered, .context = connection};
    struct http2_link_config config = {
        .keepalive_ms = server->config.keepalive_ms,
        .owner = {.moved = connection_moved, .ended = connection_ended, .context = connection}};

    connection->server = server;
    connection->peer = *stream_peer(stream);
    connection->session = grpc_session_new(&session_owner);
    config.session = grpc_session_http2(connection->session);
    list_append(&server->connections, &connection->link);
    server->open++;
    connection->io = http2_link_accept(server->loop, &config, stream);
}

int grpc_server_open(uv_loop_t *loop, const struct grpc_server_config *config,
                     struct grpc_server **out)
{
    struct grpc_server *server = mem_new(struct grpc_server);
    struct listener_config listen = {.at = config->listen,
                                     .connections_max = config->connections_max,
                                     .accepted = server_accepted,
                                     .context = server};
    int r;

    must(config->called);
    server->config = *config;
    server->config.listen = NULL; /* Borrowed for this call only. */
    if (config->keepalive_ms == 0)
        server->config.keepalive_ms = GRPC_SERVER_KEEPALIVE_MS;
    if (config->connections_max == 0)
        listen.connections_max = LIMIT_RPC_CONNECTIONS;
    server->loop = loop;
    list_init(&server->connections);
    r = listener_open(loop, &listen, &server->listener);
    if (r < 0) {
        free(server);
        return err_up(r);
    }
    server->open = 1;
    *out = server;
    return 0;
}

static void server_deaf(void *context)
{
    part_closed(context);
}

void grpc_server_close(struct grpc_server *server, void (*closed)(void *context), void *context)
{
    must(!server->is_closing);
    server->is_closing = true;
    server->closed = closed;
    server->closed_context = context;
    listener_close(server->listener, server_deaf, server);
    list_each (link, &server->connections) {
        struct connection *connection = list_entry(link, struct connection, link);

        if (!connection->is_closing)
            http2_goodbye(grpc_session_http2(connection->session));
        connection_close(connection);
    }
}

uint16_t grpc_server_port(const struct grpc_server *server)
{
    return listener_port(server->listener);
}
