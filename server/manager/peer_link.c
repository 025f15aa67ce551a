/*
 * Dialling one peer: a name is looked up anew each time, without holding up the loop.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/unpacking.h"
#include "server/manager/peers_internal.h"
#include "server/net/address.h"
#include "server/net/log.h"

enum {
    DIAL_TIMEOUT_MS = 1000,
    REDIAL_FIRST_MS = 20,
    REDIAL_MAX_MS = 500,
    SETTLED_MS = 1000, /* A link that stood this long was one: a relay may accept for the dead. */
};

static void send_hello(struct peer_link *link)
{
    scope(buffer_fini) struct buffer bytes = {0};
    const struct peers_config *config = &link->peers->config;
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__Hello hello = PEER__HELLO__INIT;
    char record[MEMBER_TEXT];

    hello.cluster = (char *)config->cluster;
    hello.name = (char *)config->self.name;
    hello.version = PEERS_VERSION;
    hello.record = (char *)member_format(&config->self, record);
    frame.from = config->self.id;
    frame.body_case = PEER__PEER_FRAME__BODY_HELLO;
    frame.hello = &hello;
    peer__peer_frame__pack(&frame, frame_open(&bytes, peer__peer_frame__get_packed_size(&frame)));
    (void)stream_write(link->stream,
                       (struct bytes){bytes.base, bytes.len}); /* The first bytes fit. */
}

static void link_settled(uv_timer_t *timer)
{
    struct peer_link *link = timer->data;

    link->told_lost = false;
    link->redial_ms = REDIAL_FIRST_MS;
    log_info("peer.connected peer=%llu name=%s", (unsigned long long)link->member.id,
             link->member.name);
}

static void link_opened(void *context)
{
    struct peer_link *link = context;

    link->open = true;
    uv_timer_start(&link->redial, link_settled, SETTLED_MS, 0);
}

static void link_drop(struct peer_link *link)
{
    if (link->stream)
        stream_close(link->stream, NULL, NULL);
    frame_reader_fini(&link->reader);
    link->reader = (struct frame_reader){0};
    link->stream = NULL;
    link->open = false;
}

static void redial_due(uv_timer_t *timer);

static void dial_later(struct peer_link *link)
{
    uv_timer_start(&link->redial, redial_due, link->redial_ms, 0);
    link->redial_ms = link->redial_ms * 2 < REDIAL_MAX_MS ? link->redial_ms * 2 : REDIAL_MAX_MS;
}

static void link_lost(struct peer_link *link, const char *why)
{
    if (!link->told_lost)
        log_warning("peer.lost peer=%llu name=%s error=\"%s\"", (unsigned long long)link->member.id,
                    link->member.name, why);
    link->told_lost = true;
    link_drop(link);
    dial_later(link);
    link->peers->config.lost(link->peers->config.context, link->member.id);
}

static void link_ended(void *context, int reason)
{
    struct peer_link *link = context;
    char why[TLS_REASON];

    snprintf(why, sizeof why, "%s", stream_error(link->stream, reason));
    link_lost(link, why);
}

/* A peer has one thing to say here: that we are no member any more. */
static void link_received(void *context, struct bytes bytes)
{
    struct peer_link *link = context;
    const struct peers_config *config = &link->peers->config;
    Peer__PeerFrame *frame;
    struct bytes message;
    int r;

    frame_feed(&link->reader, bytes);
    r = frame_next(&link->reader, &message);
    if (r == FRAME_PARTIAL)
        return;
    frame = r == 0 ? peer__peer_frame__unpack(&unpacking, message.len, message.base) : NULL;
    if (frame && frame->from == link->member.id &&
        frame->body_case == PEER__PEER_FRAME__BODY_GOODBYE)
        config->goodbye(config->context, frame->from, frame->goodbye->reason);
    if (frame)
        peer__peer_frame__free_unpacked(frame, NULL);
    link_lost(link, "it does not take us for a peer");
}

static void dial_address(struct peer_link *link, const struct sockaddr_storage *to)
{
    const struct tls_dial tls = {
        .protocol = TLS_PEER,
        .identity = link->peers->config.identity,
        .id = link->member.id,
    };
    struct stream_connect_config config = {
        .to = to,
        .source = &link->peers->source,
        .timeout_ms = DIAL_TIMEOUT_MS,
        .tls = tls.identity ? &tls : NULL,
        .owner = {.opened = link_opened,
                  .received = link_received,
                  .ended = link_ended,
                  .context = link},
    };
    int r = stream_connect(link->peers->loop, &config, &link->stream);

    if (r == 0) {
        send_hello(link);
        return;
    }
    link->stream = NULL;
    link_lost(link, strerror(-r));
}

static void link_free(struct peer_link *link)
{
    struct peers *peers = link->peers;

    free(link);
    peers_release(peers);
}

static void resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *found)
{
    struct peer_link *link = resolve->data;
    struct sockaddr_storage to = {0};

    link->resolving = false;
    if (status == 0) {
        must(found->ai_addrlen <= sizeof to);
        memcpy(&to, found->ai_addr, found->ai_addrlen);
    }
    uv_freeaddrinfo(found);
    if (link->ended) {
        if (link->timer_closed)
            link_free(link);
        return;
    }
    if (status == 0)
        dial_address(link, &to);
    else
        link_lost(link, uv_strerror(status));
}

static bool is_numeric(const char *host)
{
    uint8_t address[16];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

static void dial(struct peer_link *link)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct sockaddr_storage to;
    char text[MEMBER_ADDRESS], port[6];
    int r;

    if (is_numeric(link->member.host)) {
        member_address(&link->member, link->member.peer_port, text);
        worked(address_parse(text, &to, NULL));
        dial_address(link, &to);
        return;
    }
    hints.ai_family = link->peers->source.ss_family;
    snprintf(port, sizeof port, "%u", link->member.peer_port);
    r = uv_getaddrinfo(link->peers->loop, &link->resolve, resolved, link->member.host, port,
                       &hints);
    if (r < 0)
        link_lost(link, uv_strerror(r));
    else
        link->resolving = true;
}

static void redial_due(uv_timer_t *timer)
{
    struct peer_link *link = timer->data;

    if (!link->stream && !link->resolving)
        dial(link);
}

void peer_link_new(struct peers *peers, const struct member *member)
{
    struct peer_link *link = mem_new(struct peer_link);

    link->peers = peers;
    link->member = *member;
    link->redial_ms = REDIAL_FIRST_MS;
    link->told_lost = true; /* It was not there yet. */
    worked(uv_timer_init(peers->loop, &link->redial));
    link->redial.data = link;
    link->resolve.data = link;
    list_append(&peers->links, &link->on_peers);
    peers->open_things++;
    uv_timer_start(&link->redial, redial_due, 0, 0); /* Nobody is called back from in here. */
}

static void timer_closed(uv_handle_t *handle)
{
    struct peer_link *link = handle->data;

    link->timer_closed = true;
    if (!link->resolving) /* Else its callback comes yet. */
        link_free(link);
}

void peer_link_end(struct peer_link *link)
{
    list_remove(&link->on_peers);
    link->ended = true;
    link_drop(link);
    if (link->resolving)
        uv_cancel((uv_req_t *)&link->resolve);
    uv_close((uv_handle_t *)&link->redial, timer_closed);
}

void peer_link_send(struct peer_link *link, struct bytes packed)
{
    scope(buffer_fini) struct buffer bytes = {0};

    if (!link->open || packed.len > LIMIT_FRAME_BYTES)
        return;
    frame_append(&bytes, packed);
    if (stream_write_buffer(link->stream, &bytes) == 0)
        return;
    log_warning("peer.slow peer=%llu name=%s", (unsigned long long)link->member.id,
                link->member.name);
    link->told_lost = true;
    link_lost(link, "it does not read");
}

struct peer_link *peer_link_find(struct peers *peers, uint64_t id)
{
    list_each (at, &peers->links) {
        struct peer_link *link = list_entry(at, struct peer_link, on_peers);

        if (link->member.id == id)
            return link;
    }
    return NULL;
}
