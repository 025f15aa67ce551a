#include "server/net/http2_link.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"

/*
 * Silence is counted in ticks of half a keep-alive time, not measured: a process that was itself
 * stopped or busy for long finds one tick due, not many, and reads what has arrived meanwhile
 * before the next. So it never takes its own absence for the peer's.
 */

enum {
    PUMP_BYTES = 256 << 10, /* Made ahead of what the kernel takes. */
    TICKS_TO_PING = 2,
    TICKS_TO_DEATH = 4,
    HANDLES = 2,
};

struct http2_link {
    struct http2 *session;
    struct http2_link_owner owner;
    struct stream *stream;
    uint64_t keepalive_ms;
    uv_timer_t tick;
    uv_timer_t wake;
    uint64_t wake_at; /* 0: not asked for. */
    unsigned silent_ticks;
    bool is_ended;
    bool is_closing;
    unsigned open; /* Handles and the stream, not yet closed. */
    void (*closed)(void *context);
    void *closed_context;
};

static void link_end(struct http2_link *link, int reason)
{
    if (link->is_ended || link->is_closing)
        return;
    link->is_ended = true;
    uv_timer_stop(&link->tick);
    if (reason == STREAM_EOF && http2_is_goaway(link->session))
        reason = -ESHUTDOWN;
    link->owner.ended(link->owner.context, reason);
}

/* Make bytes until the session has no more or enough are waiting. */
static int pump(struct http2_link *link)
{
    struct bytes bytes;
    int r = 0;

    while (r == 0 && stream_queued(link->stream) < PUMP_BYTES) {
        if (!http2_next(link->session, &bytes))
            return 0;
        r = stream_write(link->stream, bytes);
    }
    if (r == 0)
        stream_ask(link->stream); /* There may be more when these are gone. */
    return err_up(r);
}

/* After the session did something: what does that mean for the connection and the owner? */
static void settle(struct http2_link *link, int r)
{
    link->owner.moved(link->owner.context);
    if (link->is_closing || link->is_ended)
        return;
    if (r == 0 && http2_is_over(link->session))
        r = http2_is_goaway(link->session) ? -ESHUTDOWN : -EPROTO;
    if (r < 0)
        link_end(link, r);
}

static void link_received(void *context, struct bytes bytes)
{
    struct http2_link *link = context;

    if (link->is_ended)
        return;
    link->silent_ticks = 0;
    settle(link, http2_receive(link->session, bytes));
    if (!link->is_closing && !link->is_ended && http2_has_next(link->session))
        stream_ask(link->stream);
}

static void link_writable(void *context)
{
    struct http2_link *link = context;

    if (!link->is_ended)
        settle(link, pump(link));
}

static void link_stream_ended(void *context, int reason)
{
    link_end(context, reason);
}

static void link_ticked(uv_timer_t *timer)
{
    struct http2_link *link = timer->data;

    link->silent_ticks++;
    if (link->silent_ticks >= TICKS_TO_DEATH) {
        link_end(link, -ETIMEDOUT);
    } else if (link->silent_ticks == TICKS_TO_PING) {
        http2_ping(link->session);
        stream_ask(link->stream);
    }
}

static void link_opened(void *context)
{
    struct http2_link *link = context;
    uint64_t tick_ms = link->keepalive_ms / TICKS_TO_PING;

    uv_timer_start(&link->tick, link_ticked, tick_ms, tick_ms > 0 ? tick_ms : 1);
    stream_ask(link->stream); /* The first settings. */
}

static void link_woken(uv_timer_t *timer)
{
    struct http2_link *link = timer->data;

    link->wake_at = 0;
    link->owner.moved(link->owner.context);
}

static struct http2_link *link_new(uv_loop_t *loop, const struct http2_link_config *config)
{
    struct http2_link *link = mem_new(struct http2_link);

    must(config->keepalive_ms > 0);
    link->session = config->session;
    link->owner = config->owner;
    link->keepalive_ms = config->keepalive_ms;
    must(uv_timer_init(loop, &link->tick) == 0);
    must(uv_timer_init(loop, &link->wake) == 0);
    link->tick.data = link->wake.data = link;
    link->open = HANDLES;
    return link;
}

static struct stream_owner stream_owner_of(struct http2_link *link)
{
    return (struct stream_owner){.opened = link_opened,
                                 .received = link_received,
                                 .writable = link_writable,
                                 .ended = link_stream_ended,
                                 .context = link};
}

int http2_link_connect(uv_loop_t *loop, const struct http2_link_config *config,
                       const struct sockaddr_storage *to, const struct sockaddr_storage *source,
                       uint64_t timeout_ms, struct http2_link **out)
{
    struct http2_link *link = link_new(loop, config);
    struct stream_connect_config connect = {
        .to = to, .source = source, .timeout_ms = timeout_ms, .owner = stream_owner_of(link)};
    int r = stream_connect(loop, &connect, &link->stream);

    if (r < 0) {
        http2_link_close(link, NULL, NULL);
        return err_up(r);
    }
    link->open++;
    *out = link;
    return 0;
}

struct http2_link *http2_link_accept(uv_loop_t *loop, const struct http2_link_config *config,
                                     struct stream *stream)
{
    struct http2_link *link = link_new(loop, config);
    struct stream_owner owner = stream_owner_of(link);

    link->stream = stream;
    link->open++;
    stream_own(stream, &owner);
    link_opened(link);
    return link;
}

void http2_link_send(struct http2_link *link)
{
    must(!link->is_closing);
    if (!link->is_ended)
        stream_ask(link->stream);
}

void http2_link_wake(struct http2_link *link, uint64_t at_ms)
{
    uint64_t now_ms = uv_now(link->wake.loop);

    must(!link->is_closing);
    if (link->wake_at > 0 && link->wake_at <= at_ms)
        return;
    link->wake_at = at_ms > 0 ? at_ms : 1;
    uv_timer_start(&link->wake, link_woken, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static void part_closed(void *context)
{
    struct http2_link *link = context;
    void (*closed)(void *context) = link->closed;
    void *closed_context = link->closed_context;

    if (--link->open > 0)
        return;
    free(link);
    if (closed)
        closed(closed_context);
}

static void handle_closed(uv_handle_t *handle)
{
    part_closed(handle->data);
}

void http2_link_close(struct http2_link *link, void (*closed)(void *context), void *context)
{
    must(!link->is_closing);
    if (link->stream && !link->is_ended && pump(link) < 0)
        link->is_ended = true; /* It would have been; the owner has heard enough. */
    link->is_closing = true;
    link->closed = closed;
    link->closed_context = context;
    uv_close((uv_handle_t *)&link->tick, handle_closed);
    uv_close((uv_handle_t *)&link->wake, handle_closed);
    if (link->stream)
        stream_close(link->stream, part_closed, link);
}
