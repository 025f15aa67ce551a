#include "server/manager/peers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/limits.h"
#include "server/net/frame.h"
#include "server/net/log.h"
#include "server/net/stream.h"

enum {
    PROTOCOL_VERSION = 1,
    DIAL_TIMEOUT_MS = 1000,
    REDIAL_FIRST_MS = 20,
    REDIAL_MAX_MS = 500,
    SETTLED_MS = 1000, /* A link that stood this long was one: a relay may accept for the dead. */
    INCOMING_MAX = 4 * LIMIT_MANAGERS,
    STRANGERS_MAX = LIMIT_MANAGERS, /* Of these, so many have not said who they are. */
};

/* Our link to one peer. */
struct link {
    struct peers *peers;
    uint64_t id;
    struct sockaddr_storage to;
    struct stream *stream; /* NULL: waiting to dial again. */
    bool open;
    bool told_lost; /* The log says so already. */
    uint64_t redial_ms;
    uv_timer_t redial;
};

/* A connection that a peer has dialled. */
struct incoming {
    struct list on_peers;
    struct peers *peers;
    struct stream *stream;
    struct frame_reader reader;
    uint64_t from; /* 0 until its Hello. */
};

struct peers {
    struct peers_config config;
    struct sockaddr_storage source;
    uv_loop_t *loop;
    struct listener *listener;
    struct link links[LIMIT_MANAGERS];
    struct list incoming;
    unsigned open_handles; /* What peers_close waits for. */
    bool closing;
    void (*closed)(void *context);
    void *closed_context;
};

/* ---- dialling */

static void send_hello(struct link *link)
{
    scope(buffer_fini) struct buffer bytes = {0};
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__Hello hello = PEER__HELLO__INIT;

    hello.cluster = (char *)link->peers->config.cluster;
    hello.name = (char *)link->peers->config.name;
    hello.version = PROTOCOL_VERSION;
    frame.from = link->peers->config.id;
    frame.body_case = PEER__PEER_FRAME__BODY_HELLO;
    frame.hello = &hello;
    peer__peer_frame__pack(&frame, frame_open(&bytes, peer__peer_frame__get_packed_size(&frame)));
    (void)stream_write(link->stream,
                       (struct bytes){bytes.base, bytes.len}); /* The first bytes fit. */
}

static void link_settled(uv_timer_t *timer)
{
    struct link *link = timer->data;

    link->told_lost = false;
    link->redial_ms = REDIAL_FIRST_MS;
    log_info("peer.connected peer=%llu", (unsigned long long)link->id);
}

static void link_opened(void *context)
{
    struct link *link = context;

    link->open = true;
    uv_timer_start(&link->redial, link_settled, SETTLED_MS, 0);
}

static void dial_later(struct link *link);

static void link_drop(struct link *link)
{
    stream_close(link->stream, NULL, NULL);
    link->stream = NULL;
    link->open = false;
}

static void link_ended(void *context, int reason)
{
    struct link *link = context;

    if (!link->told_lost)
        log_warning("peer.lost peer=%llu error=\"%s\"", (unsigned long long)link->id,
                    uv_strerror(reason));
    link->told_lost = true;
    link_drop(link);
    link->peers->config.lost(link->peers->config.context, link->id);
    dial_later(link);
}

/* A peer has nothing to say here; whoever speaks is not one. */
static void link_received(void *context, struct bytes bytes)
{
    (void)context;
    (void)bytes;
}

static void dial(struct link *link)
{
    struct stream_connect_config config = {
        .to = &link->to,
        .source = &link->peers->source,
        .timeout_ms = DIAL_TIMEOUT_MS,
        .owner = {.opened = link_opened,
                  .received = link_received,
                  .ended = link_ended,
                  .context = link},
    };
    int r = stream_connect(link->peers->loop, &config, &link->stream);

    if (r < 0) {
        link->stream = NULL;
        log_error("peer.dial_failed peer=%llu error=\"%s\"", (unsigned long long)link->id,
                  strerror(-r));
        dial_later(link);
        return;
    }
    send_hello(link);
}

static void redial_due(uv_timer_t *timer)
{
    struct link *link = timer->data;

    if (!link->peers->closing && !link->stream)
        dial(link);
}

static void dial_later(struct link *link)
{
    if (link->peers->closing)
        return;
    uv_timer_start(&link->redial, redial_due, link->redial_ms, 0);
    link->redial_ms = link->redial_ms * 2 < REDIAL_MAX_MS ? link->redial_ms * 2 : REDIAL_MAX_MS;
}

void peers_send(struct peers *peers, uint64_t to, struct bytes packed)
{
    scope(buffer_fini) struct buffer bytes = {0};
    struct link *link;

    if (to == 0 || to > peers->config.member_count || to == peers->config.id)
        return;
    link = &peers->links[to - 1];
    if (!link->open || packed.len > LIMIT_FRAME_BYTES)
        return;
    frame_append(&bytes, packed);
    if (stream_write_buffer(link->stream, &bytes) < 0) {
        log_warning("peer.slow peer=%llu", (unsigned long long)to);
        link_drop(link);
        peers->config.lost(peers->config.context, to);
        dial_later(link);
    }
}

void peers_push(struct peers *peers)
{
    for (size_t i = 0; i < peers->config.member_count; i++)
        if (peers->links[i].open)
            stream_push(peers->links[i].stream);
}

/* ---- being dialled */

static void incoming_end(struct incoming *incoming)
{
    list_remove(&incoming->on_peers);
    stream_close(incoming->stream, NULL, NULL);
    frame_reader_fini(&incoming->reader);
    free(incoming);
}

/* A peer has one connection at a time: what an older one still holds must not be read after
 * the new one's. */
static void end_older(struct incoming *newest)
{
    list_each (at, &newest->peers->incoming) {
        struct incoming *other = list_entry(at, struct incoming, on_peers);

        if (other != newest && other->from == newest->from)
            incoming_end(other);
    }
}

static int greet(struct incoming *incoming, const Peer__PeerFrame *frame)
{
    const struct peers_config *config = &incoming->peers->config;

    if (frame->body_case != PEER__PEER_FRAME__BODY_HELLO)
        return -EPROTO;
    if (frame->from == 0 || frame->from > config->member_count || frame->from == config->id)
        return -EACCES;
    if (frame->hello->version != PROTOCOL_VERSION ||
        strcmp(frame->hello->cluster, config->cluster) != 0) {
        log_warning(
            "peer.refused peer=%llu name=\"%.64s\" reason=\"another installation or version\"",
            (unsigned long long)frame->from, frame->hello->name);
        return -EACCES;
    }
    incoming->from = frame->from;
    end_older(incoming);
    return 0;
}

static int incoming_message(struct incoming *incoming, struct bytes message)
{
    Peer__PeerFrame *frame = peer__peer_frame__unpack(NULL, message.len, message.base);
    int r = 0;

    if (!frame)
        return -EPROTO;
    if (incoming->from == 0)
        r = greet(incoming, frame);
    else if (frame->from == incoming->from)
        incoming->peers->config.received(incoming->peers->config.context, steal(frame));
    else
        r = -EPROTO;
    if (frame)
        peer__peer_frame__free_unpacked(frame, NULL);
    return r;
}

static void incoming_received(void *context, struct bytes bytes)
{
    struct incoming *incoming = context;
    struct bytes message;
    int r;

    frame_feed(&incoming->reader, bytes);
    while ((r = frame_next(&incoming->reader, &message)) == 0) {
        r = incoming_message(incoming, message);
        if (r < 0)
            break;
    }
    if (r < 0) {
        log_warning("peer.malformed peer=%llu error=\"%s\"", (unsigned long long)incoming->from,
                    strerror(-r));
        incoming_end(incoming);
    }
}

static void incoming_ended(void *context, int reason)
{
    (void)reason; /* Our own link tells when a peer is gone. */
    incoming_end(context);
}

/* Whoever connects and says nothing must not keep managers out: the oldest such makes room. */
static void end_a_stranger(struct peers *peers)
{
    struct incoming *oldest = NULL;
    unsigned strangers = 0;

    list_each (at, &peers->incoming) {
        struct incoming *other = list_entry(at, struct incoming, on_peers);

        if (other->from != 0)
            continue;
        strangers++;
        oldest = oldest ? oldest : other;
    }
    if (strangers >= STRANGERS_MAX)
        incoming_end(oldest);
}

static void accepted(void *context, struct stream *stream)
{
    struct peers *peers = context;
    struct incoming *incoming = mem_new(struct incoming);
    struct stream_owner owner = {
        .received = incoming_received, .ended = incoming_ended, .context = incoming};

    end_a_stranger(peers);
    incoming->peers = peers;
    incoming->stream = stream;
    list_append(&peers->incoming, &incoming->on_peers);
    stream_own(stream, &owner);
}

/* ---- life */

static void start_links(struct peers *peers, const struct sockaddr_storage *addresses)
{
    for (size_t i = 0; i < peers->config.member_count; i++) {
        struct link *link = &peers->links[i];

        link->peers = peers;
        link->id = i + 1;
        link->to = addresses[i];
        link->redial_ms = REDIAL_FIRST_MS;
        link->told_lost = true; /* It was not there yet. */
        if (link->id == peers->config.id)
            continue;
        worked(uv_timer_init(peers->loop, &link->redial));
        link->redial.data = link;
        dial(link);
    }
}

int peers_open(uv_loop_t *loop, const struct peers_config *config, struct peers **out)
{
    struct peers *peers = mem_new(struct peers);
    struct listener_config listening = {.at = config->listen,
                                        .connections_max = INCOMING_MAX,
                                        .accepted = accepted,
                                        .context = peers};
    int r;

    must(config->member_count <= LIMIT_MANAGERS);
    peers->config = *config;
    peers->source = *config->source;
    peers->loop = loop;
    list_init(&peers->incoming);
    r = listener_open(loop, &listening, &peers->listener);
    if (r < 0) {
        free(peers);
        return err_up(r);
    }
    start_links(peers, config->addresses);
    *out = peers;
    return 0;
}

static void one_closed(struct peers *peers)
{
    if (--peers->open_handles > 0)
        return;
    if (peers->closed)
        peers->closed(peers->closed_context);
    free(peers);
}

static void timer_closed(uv_handle_t *handle)
{
    struct link *link = handle->data;

    one_closed(link->peers);
}

static void stream_closed(void *context)
{
    one_closed(context);
}

void peers_close(struct peers *peers, void (*closed)(void *context), void *context)
{
    peers->closing = true;
    peers->closed = closed;
    peers->closed_context = context;
    peers->open_handles = 1; /* The listener's. */
    for (size_t i = 0; i < peers->config.member_count; i++) {
        struct link *link = &peers->links[i];

        if (link->id == peers->config.id)
            continue;
        if (link->stream) {
            peers->open_handles++;
            stream_close(link->stream, stream_closed, peers);
            link->stream = NULL;
        }
        peers->open_handles++;
        uv_close((uv_handle_t *)&link->redial, timer_closed);
    }
    list_each (at, &peers->incoming)
        incoming_end(list_entry(at, struct incoming, on_peers));
    listener_close(peers->listener, stream_closed, peers);
}
