/*
 * What peers.c and peer_link.c share; for them only.
 */
#pragma once

#include "proto/base/list.h"
#include "server/manager/peers.h"
#include "server/net/frame.h"
#include "server/net/stream.h"

/* Our link to one peer. */
struct peer_link {
    struct list on_peers;
    struct peers *peers;
    struct member member;
    struct stream *stream; /* NULL: waiting to dial again, or for an address. */
    struct frame_reader reader;
    bool open;
    bool told_lost; /* The log says so already. */
    bool ended;     /* It is being closed. */
    bool resolving;
    bool timer_closed;
    uint64_t redial_ms;
    uv_timer_t redial;
    uv_getaddrinfo_t resolve;
};

struct peers {
    struct peers_config config;
    struct sockaddr_storage source;
    uv_loop_t *loop;
    struct listener *listener;
    struct list links;
    struct list incoming;
    struct member members[LIMIT_MANAGERS];
    size_t member_count;
    uint64_t guests;      /* Counted, to number them. */
    unsigned open_things; /* What peers_close waits for. */
    void (*closed)(void *context);
    void *closed_context;
};

/* Dial a peer, again and again until it is ended. */
void peer_link_new(struct peers *peers, const struct member *member);
void peer_link_end(struct peer_link *link);
void peer_link_send(struct peer_link *link, struct bytes packed);
struct peer_link *peer_link_find(struct peers *peers, uint64_t id);

/* One of open_things is gone. */
void peers_release(struct peers *peers);
