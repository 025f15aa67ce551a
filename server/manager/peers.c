/*
 * Who connects to us, and who the members are. Dialling is in peer_link.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/unpacking.h"
#include "server/manager/peers_internal.h"
#include "server/net/log.h"

enum {
    INCOMING_MAX = 4 * LIMIT_MANAGERS,
    STRANGERS_MAX = LIMIT_MANAGERS, /* Of these, so many have not said who they are. */
};

/* A connection that a peer has dialled. */
struct incoming {
    struct list on_peers;
    struct peers *peers;
    struct stream *stream;
    struct frame_reader reader;
    uint64_t from;  /* 0 until its Hello. */
    uint64_t guest; /* Of a newcomer: the number it is answered by. */
};

/* ---- sending */

void peers_send(struct peers *peers, uint64_t to, struct bytes packed)
{
    struct peer_link *link = peer_link_find(peers, to);

    if (link)
        peer_link_send(link, packed);
}

void peers_push(struct peers *peers)
{
    list_each (at, &peers->links) {
        struct peer_link *link = list_entry(at, struct peer_link, on_peers);

        if (link->open)
            stream_push(link->stream);
    }
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

static void say(struct incoming *incoming, const Peer__PeerFrame *frame)
{
    scope(buffer_fini) struct buffer bytes = {0};

    peer__peer_frame__pack(frame, frame_open(&bytes, peer__peer_frame__get_packed_size(frame)));
    (void)stream_write_buffer(incoming->stream, &bytes); /* It fits: it is the first. */
}

static void say_goodbye(struct incoming *incoming)
{
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__Goodbye goodbye = PEER__GOODBYE__INIT;

    goodbye.reason = (char *)"it is no member any more";
    frame.from = incoming->peers->config.self.id;
    frame.body_case = PEER__PEER_FRAME__BODY_GOODBYE;
    frame.goodbye = &goodbye;
    say(incoming, &frame);
}

/* Nobody has told us yet who the members are: dial back whoever speaks up. */
static void learn(struct peers *peers, const Peer__PeerFrame *frame)
{
    struct member member = {.id = frame->from, .role = MEMBER_VOTER};

    unsigned count = 0;

    list_each (at, &peers->links)
        count++;
    if (count == LIMIT_MANAGERS || peer_link_find(peers, frame->from) ||
        member_parse(frame->hello->record, &member) != 0)
        return;
    peer_link_new(peers, &member);
}

static int admit(struct incoming *incoming, const Peer__PeerFrame *frame)
{
    struct peers *peers = incoming->peers;
    const struct peers_config *config = &peers->config;

    if (peers->member_count == 0) {
        learn(peers, frame);
        return 0;
    }
    if (member_find(peers->members, peers->member_count, frame->from))
        return 0;
    if (config->is_removed(config->context, frame->from))
        say_goodbye(incoming);
    return -EACCES;
}

/* Did it show the certificate of the manager that it says it is? */
static bool is_certified(const struct incoming *incoming, uint64_t id)
{
    const struct identity *identity = stream_identity(incoming->stream);

    if (!incoming->peers->config.identity)
        return true;
    return stream_protocol(incoming->stream) == TLS_PEER && identity && identity->id == id;
}

/* May a newcomer speak here? */
static bool is_for_joining(const struct incoming *incoming)
{
    return !incoming->peers->config.identity || stream_protocol(incoming->stream) == TLS_JOIN;
}

static int greet(struct incoming *incoming, const Peer__PeerFrame *frame)
{
    const struct peers_config *config = &incoming->peers->config;
    int r;

    if (!is_certified(incoming, frame->from)) {
        log_warning("peer.refused peer=%llu name=\"%.64s\" reason=\"its certificate is another's\"",
                    (unsigned long long)frame->from, frame->hello->name);
        return -EACCES;
    }
    if (frame->from == config->self.id || !member_id_is_valid(frame->from))
        return -EACCES;
    if (frame->hello->version != PEERS_VERSION ||
        strcmp(frame->hello->cluster, config->cluster) != 0) {
        log_warning("peer.refused peer=%llu name=\"%.64s\" reason=\"another cluster or version\"",
                    (unsigned long long)frame->from, frame->hello->name);
        return -EACCES;
    }
    r = admit(incoming, frame);
    if (r < 0)
        return r;
    incoming->from = frame->from;
    end_older(incoming);
    return 0;
}

/* The first frame says what the connection is for. Takes the frame. */
static int take_first(struct incoming *incoming, Peer__PeerFrame *frame)
{
    const struct peers_config *config = &incoming->peers->config;
    int r = -EPROTO;

    if (frame->body_case == PEER__PEER_FRAME__BODY_JOIN && incoming->guest == 0 &&
        config->joining && is_for_joining(incoming)) {
        incoming->guest = ++incoming->peers->guests;
        config->joining(config->context, incoming->guest, frame);
        return 0;
    }
    if (frame->body_case == PEER__PEER_FRAME__BODY_HELLO && incoming->guest == 0)
        r = greet(incoming, frame);
    peer__peer_frame__free_unpacked(frame, NULL);
    return r;
}

static int incoming_message(struct incoming *incoming, struct bytes message)
{
    Peer__PeerFrame *frame = peer__peer_frame__unpack(&unpacking, message.len, message.base);

    if (!frame)
        return -EPROTO;
    if (incoming->from == 0)
        return take_first(incoming, frame);
    if (frame->from == incoming->from) {
        incoming->peers->config.received(incoming->peers->config.context, frame);
        return 0;
    }
    peer__peer_frame__free_unpacked(frame, NULL);
    return -EPROTO;
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
    if (r >= 0)
        return;
    if (r != -EACCES)
        log_warning("peer.malformed peer=%llu error=\"%s\"", (unsigned long long)incoming->from,
                    strerror(-r));
    incoming_end(incoming);
}

static void incoming_ended(void *context, int reason)
{
    struct incoming *incoming = context;

    /* That a peer is gone our own link tells. */
    if (reason == -EACCES || (reason == -EPROTO && incoming->from == 0))
        log_warning("peer.refused reason=\"%s\"", stream_error(incoming->stream, reason));
    incoming_end(incoming);
}

void peers_answer(struct peers *peers, uint64_t guest, struct bytes packed)
{
    list_each (at, &peers->incoming) {
        struct incoming *incoming = list_entry(at, struct incoming, on_peers);
        scope(buffer_fini) struct buffer bytes = {0};

        if (incoming->guest != guest)
            continue;
        frame_append(&bytes, packed);
        (void)stream_write_buffer(incoming->stream, &bytes); /* It fits: it is the first. */
        return; /* The newcomer hangs up when it has read it. */
    }
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

/* ---- members */

/* Is it to be dialled where it is dialled now? */
static bool stays(const struct peer_link *link, const struct member *members, size_t count)
{
    const struct member *member = member_find(members, count, link->member.id);

    return member && strcmp(member->host, link->member.host) == 0 &&
           member->peer_port == link->member.peer_port;
}

static void end_removed(struct peers *peers)
{
    list_each (at, &peers->links) {
        struct peer_link *link = list_entry(at, struct peer_link, on_peers);

        if (!stays(link, peers->members, peers->member_count))
            peer_link_end(link);
    }
    list_each (at, &peers->incoming) {
        struct incoming *incoming = list_entry(at, struct incoming, on_peers);

        if (incoming->from != 0 &&
            !member_find(peers->members, peers->member_count, incoming->from))
            incoming_end(incoming); /* It dials again, and is told then. */
    }
}

void peers_set(struct peers *peers, const struct member *members, size_t count)
{
    must(count <= LIMIT_MANAGERS);
    if (count > 0)
        memcpy(peers->members, members, count * sizeof *members);
    peers->member_count = count;
    if (count == 0)
        return; /* Not told yet; what was learnt stays. */
    end_removed(peers);
    for (size_t i = 0; i < count; i++)
        if (members[i].id != peers->config.self.id && !peer_link_find(peers, members[i].id))
            peer_link_new(peers, &members[i]);
}

/* ---- life */

int peers_open(uv_loop_t *loop, const struct peers_config *config, struct peers **out)
{
    struct peers *peers = mem_new(struct peers);
    struct listener_config listening = {.at = config->listen,
                                        .tls = config->identity,
                                        .connections_max = INCOMING_MAX,
                                        .accepted = accepted,
                                        .context = peers};
    int r;

    must(member_is_valid(&config->self));
    peers->config = *config;
    peers->source = *config->source;
    peers->loop = loop;
    list_init(&peers->links);
    list_init(&peers->incoming);
    r = listener_open(loop, &listening, &peers->listener);
    if (r < 0) {
        free(peers);
        return err_up(r);
    }
    peers->open_things = 1;
    *out = peers;
    return 0;
}

void peers_release(struct peers *peers)
{
    must(peers->open_things > 0);
    if (--peers->open_things > 0)
        return;
    if (peers->closed)
        peers->closed(peers->closed_context);
    free(peers);
}

static void listener_closed(void *context)
{
    peers_release(context);
}

void peers_close(struct peers *peers, void (*closed)(void *context), void *context)
{
    peers->closed = closed;
    peers->closed_context = context;
    list_each (at, &peers->links)
        peer_link_end(list_entry(at, struct peer_link, on_peers));
    list_each (at, &peers->incoming)
        incoming_end(list_entry(at, struct incoming, on_peers));
    listener_close(peers->listener, listener_closed, peers);
}
