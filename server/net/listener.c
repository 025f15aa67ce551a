#include <stdlib.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/net/address.h"
#include "server/net/log.h"
#include "server/net/stream.h"

enum { BACKLOG = 512 };

struct listener {
    struct listener_config config;
    uv_tcp_t tcp;
    unsigned accepted; /* Streams whose memory is not yet returned: they point here. */
    bool is_closed;
    bool is_full; /* Somebody was turned away, and the log was told. */
    void (*closed)(void *context);
    void *closed_context;
};

static void listener_release(struct listener *listener)
{
    if (listener->is_closed && listener->accepted == 0)
        free(listener);
}

static void stream_gone(void *context)
{
    struct listener *listener = context;

    must(listener->accepted > 0);
    listener->accepted--;
    if (listener->accepted < listener->config.connections_max)
        listener->is_full = false;
    listener_release(listener);
}

static void turn_away(struct listener *listener, struct stream *stream)
{
    char peer[ADDRESS_TEXT];

    if (!listener->is_full)
        log_warning("net.full port=%u connections=%u peer=%s", listener_port(listener),
                    listener->config.connections_max, address_format(stream_peer(stream), peer));
    listener->is_full = true;
    stream_close(stream, NULL, NULL);
}

static int accept_from(struct listener *listener, struct stream **out)
{
    const struct listener_config *config = &listener->config;
    uint64_t handshake_ms = config->handshake_ms ? config->handshake_ms : TLS_HANDSHAKE_MS;

    return stream_accept(&listener->tcp, config->tls, handshake_ms, stream_gone, listener, out);
}

static void listener_ready(uv_stream_t *tcp, int status)
{
    struct listener *listener = tcp->data;
    struct stream *stream = NULL;
    int r = status < 0 ? status : accept_from(listener, &stream);

    if (r < 0) {
        log_warning("net.accept_failed port=%u error=\"%s\"", listener_port(listener),
                    uv_strerror(r));
        return;
    }
    if (listener->accepted++ >= listener->config.connections_max)
        turn_away(listener, stream);
    else
        listener->config.accepted(listener->config.context, stream);
}

static void listener_gone(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    void (*closed)(void *context) = listener->closed;
    void *context = listener->closed_context;

    listener->is_closed = true;
    listener_release(listener);
    if (closed)
        closed(context);
}

int listener_open(uv_loop_t *loop, const struct listener_config *config, struct listener **out)
{
    struct listener *listener = mem_new(struct listener);
    int r = uv_tcp_init(loop, &listener->tcp);

    must(config->accepted);
    must(config->connections_max > 0);
    if (r < 0) {
        free(listener);
        return err_new(r);
    }
    listener->config = *config;
    listener->config.at = NULL; /* Borrowed for this call only. */
    listener->tcp.data = listener;
    r = uv_tcp_bind(&listener->tcp, (const struct sockaddr *)config->at, 0);
    if (r == 0)
        r = uv_listen((uv_stream_t *)&listener->tcp, BACKLOG, listener_ready);
    if (r < 0) {
        listener_close(listener, NULL, NULL);
        return err_new(r);
    }
    *out = listener;
    return 0;
}

void listener_close(struct listener *listener, void (*closed)(void *context), void *context)
{
    listener->closed = closed;
    listener->closed_context = context;
    uv_close((uv_handle_t *)&listener->tcp, listener_gone);
}

uint16_t listener_port(const struct listener *listener)
{
    struct sockaddr_storage bound;
    int len = sizeof bound;

    must(uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&bound, &len) == 0);
    return address_port(&bound);
}
