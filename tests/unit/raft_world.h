/*
 * Raft nodes with real logs, a virtual clock and a network in memory. A crash loses what the turn
 * had not committed; a frame leaves only after the commit of the turn that made it. Ids are as
 * large as they may be.
 */
#pragma once

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/list.h"
#include "proto/base/mem.h"
#include "proto/limits.h"
#include "server/manager/raft_node.h"
#include "storage/tables.h"

enum { SERVERS_MAX = 7, DELAY_MS = 1 };

struct packet {
    struct list link;
    uint64_t from, to;
    uint64_t at_ms;
    size_t len;
    uint8_t bytes[];
};

/* What the tables are here: how many entries were applied, and a hash over them. */
struct sums {
    uint64_t count, hash;
};

struct server {
    uint64_t id;
    struct member member;
    char dir[40];
    struct env *env;
    struct raft_node *node;
    struct list held;
    struct buffer applied; /* The commands, one after another, since it was last opened empty. */
    struct txn *txn;       /* Of the turn. */
    bool cut;
};

static struct server servers[SERVERS_MAX];
static size_t server_count;
static struct member first_members[SERVERS_MAX];
static size_t first_count;
static struct list network;
static uint64_t now_ms;
static uint64_t keep_entries;
static bool (*filter)(const Peer__PeerFrame *frame);  /* False: the frame is lost. */
static uint64_t (*delay)(uint64_t from, uint64_t to); /* Of a frame; UINT64_MAX: it is lost. */
static void (*on_apply)(struct server *server, uint64_t index, const struct sums *sums);
static bool may_refuse; /* An answer may come from a server that has been left out since. */

static inline struct server *server_of(uint64_t id)
{
    for (size_t i = 0; i < server_count; i++)
        if (servers[i].id == id)
            return &servers[i];
    return NULL;
}

static inline struct server *next_of(const struct server *server)
{
    return &servers[(size_t)(server - servers + 1) % server_count];
}

static inline void hold(void *context, uint64_t to, const Peer__PeerFrame *frame)
{
    struct server *server = context;
    size_t len = peer__peer_frame__get_packed_size(frame);
    struct packet *packet = mem_zeroed(1, sizeof *packet + len);

    packet->from = server->id;
    packet->to = to;
    packet->len = len;
    peer__peer_frame__pack(frame, packet->bytes);
    list_append(&server->held, &packet->link);
}

static inline void drop_all(struct list *head)
{
    list_each (link, head) {
        list_remove(link);
        free(list_entry(link, struct packet, link));
    }
}

static inline struct sums sums_get(struct txn *txn)
{
    struct sums sums = {0};
    struct bytes stored;

    if (txn_get(txn, TABLE_META, (struct bytes){"sums", 4}, &stored) == 0)
        memcpy(&sums, stored.base, sizeof sums);
    return sums;
}

static inline void sums_put(struct txn *txn, const struct sums *sums)
{
    ck_assert_int_eq(
        txn_put(txn, TABLE_META, (struct bytes){"sums", 4}, (struct bytes){sums, sizeof *sums}), 0);
}

static inline void start(struct server *server)
{
    struct raft_node_config config = {
        .self = server->id,
        .first = first_members,
        .first_count = member_find(first_members, first_count, server->id) ? first_count : 0,
        .election_ms = 300,
        .heartbeat_ms = 50,
        .seed = (uint64_t)(server - servers) + 1,
        .keep_entries = keep_entries,
        .send = hold,
        .context = server,
    };
    scope(txn_abort) struct txn *txn = NULL;

    ck_assert_int_eq(env_write(server->env, &txn), 0);
    ck_assert_int_eq(log_format(txn), 0);
    ck_assert_int_eq(log_owner(txn, server->id), 0);
    ck_assert_int_eq(raft_node_open(&config, txn, now_ms, &server->node), 0);
    ck_assert_int_eq(txn_commit(steal(txn)), 0);
}

static inline void crash(struct server *server)
{
    raft_node_free(server->node);
    server->node = NULL;
    drop_all(&server->held);
}

static inline void apply_committed(struct server *server)
{
    struct log_entry entry;
    uint64_t index;
    int r;

    while ((r = raft_node_next(server->node, &index, &entry)) == 0) {
        struct sums sums = sums_get(server->txn);

        buffer_append(&server->applied, entry.data.base, entry.data.len);
        sums.hash = (sums.hash ^ index ^ entry.term << 32) * 0x100000001b3;
        for (size_t i = 0; i < entry.data.len; i++)
            sums.hash = (sums.hash ^ ((const uint8_t *)entry.data.base)[i]) * 0x100000001b3;
        sums.count++;
        if (on_apply)
            on_apply(server, index, &sums);
        sums_put(server->txn, &sums);
    }
    ck_assert_int_eq(r, RAFT_NODE_NONE);
}

typedef void (*action)(struct server *server);

static inline void receive_packet(struct server *server, struct packet *packet)
{
    Peer__PeerFrame *frame = peer__peer_frame__unpack(NULL, packet->len, packet->bytes);
    const struct server *from = server_of(packet->from);
    int r;

    ck_assert_ptr_nonnull(frame);
    if (!server->cut && !(from && from->cut) && (!filter || filter(frame))) {
        r = raft_node_receive(server->node, frame);
        ck_assert(r == 0 || (r == RAFT_NODE_REFUSED && may_refuse));
    }
    peer__peer_frame__free_unpacked(frame, NULL);
}

static inline void turn_begin(struct server *server)
{
    ck_assert_int_eq(env_write(server->env, &server->txn), 0);
    ck_assert_int_eq(raft_node_begin(server->node, server->txn, now_ms), 0);
    list_each (link, &network) {
        struct packet *packet = list_entry(link, struct packet, link);

        if (packet->to != server->id || packet->at_ms > now_ms)
            continue;
        list_remove(link);
        receive_packet(server, packet);
        free(packet);
    }
    ck_assert_int_eq(raft_node_tick(server->node), 0);
}

static inline void send_held(struct server *server)
{
    list_each (link, &server->held) {
        struct packet *packet = list_entry(link, struct packet, link);
        uint64_t takes = delay ? delay(packet->from, packet->to) : DELAY_MS;

        if (takes == UINT64_MAX) {
            list_remove(link);
            free(packet);
        } else {
            packet->at_ms = now_ms + takes;
        }
    }
    list_splice(&network, &server->held);
}

/* Before the commit: only what may leave by then. */
static inline void keep_early(struct server *server)
{
    list_each (link, &server->held) {
        struct packet *packet = list_entry(link, struct packet, link);
        Peer__PeerFrame *frame = peer__peer_frame__unpack(NULL, packet->len, packet->bytes);
        bool leaves = raft_node_may_send_early(server->node) &&
                      frame->body_case == PEER__PEER_FRAME__BODY_APPEND;

        peer__peer_frame__free_unpacked(frame, NULL);
        if (leaves)
            continue;
        list_remove(link);
        free(packet);
    }
}

static inline void turn_end(struct server *server)
{
    apply_committed(server);
    ck_assert_int_eq(raft_node_end(server->node), 0);
    ck_assert_int_eq(txn_commit(steal(server->txn)), 0);
    send_held(server);
}

/* One turn: what is due on the network and the clock, then `also`, then one commit. */
static inline void turn(struct server *server, action also)
{
    turn_begin(server);
    if (also)
        also(server);
    turn_end(server);
    if (raft_node_owes(server->node))
        turn(server, NULL);
}

static inline bool is_due(const struct server *server)
{
    if (raft_node_deadline(server->node) <= now_ms)
        return true;
    list_each (link, &network) {
        const struct packet *packet = list_entry(link, struct packet, link);

        if (packet->to == server->id && packet->at_ms <= now_ms)
            return true;
    }
    return false;
}

static inline void run(uint64_t for_ms)
{
    for (uint64_t end = now_ms + for_ms; now_ms < end; now_ms++)
        for (size_t i = 0; i < server_count; i++)
            if (servers[i].node && is_due(&servers[i]))
                turn(&servers[i], NULL);
}

static inline struct server *leader(void)
{
    struct server *found = NULL;

    for (size_t i = 0; i < server_count; i++) {
        if (!servers[i].node || servers[i].cut || !raft_node_ready(servers[i].node))
            continue;
        if (!found || raft_node_term(servers[i].node) > raft_node_term(found->node))
            found = &servers[i];
    }
    return found;
}

static inline struct server *elect(uint64_t bound_ms)
{
    for (uint64_t end = now_ms + bound_ms; now_ms < end;) {
        run(1);
        if (leader())
            return leader();
    }
    ck_abort_msg("no leader within %llu ms", (unsigned long long)bound_ms);
    return NULL;
}

static const char *submitted;

static inline void submit(struct server *server)
{
    struct bytes command = {submitted, strlen(submitted)};
    uint64_t index;

    ck_assert_int_eq(raft_node_submit(server->node, &command, 1, &index), 0);
}

static inline void write_to(struct server *server, const char *text)
{
    submitted = text;
    turn(server, submit);
}

/* A record for the server in this place; a random-looking id of 63 bits. */
static inline void describe(struct member *out, size_t place)
{
    static const char *const zones[] = {"a", "b", "c"};

    *out = (struct member){.id = INT64_MAX - (place * 0x1234567890abcdef >> 2),
                           .role = MEMBER_VOTER,
                           .host = "127.0.0.1",
                           .peer_port = 4512,
                           .rpc_port = 4511,
                           .api_port = 4510};
    snprintf(out->name, sizeof out->name, "m%zu", place + 1);
    snprintf(out->zone, sizeof out->zone, "%s", zones[place % 3]);
}

/* One more server, which has nothing yet. */
static inline struct server *open_one(void)
{
    struct server *server = &servers[server_count++];

    ck_assert_uint_le(server_count, SERVERS_MAX);
    *server = (struct server){0};
    describe(&server->member, server_count - 1);
    server->id = server->member.id;
    list_init(&server->held);
    strcpy(server->dir, "/dev/shm/raft-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(server->dir));
    ck_assert_int_eq(env_open(server->dir, 64 << 20, table_names, TABLE_COUNT, &server->env), 0);
    return server;
}

static inline void open_all(size_t count)
{
    first_count = count;
    for (size_t i = 0; i < count; i++)
        describe(&first_members[i], i);
    for (size_t i = 0; i < count; i++)
        start(open_one());
}

static inline void set_up(void)
{
    list_init(&network);
    now_ms = 1000;
    server_count = first_count = 0;
    keep_entries = 0;
    filter = NULL;
    delay = NULL;
    on_apply = NULL;
    may_refuse = false;
}

static inline void tear_down(void)
{
    for (size_t i = 0; i < server_count; i++) {
        char path[64];

        if (servers[i].node)
            crash(&servers[i]);
        buffer_fini(&servers[i].applied);
        env_free(servers[i].env);
        snprintf(path, sizeof path, "%s/data.mdb", servers[i].dir);
        unlink(path);
        snprintf(path, sizeof path, "%s/lock.mdb", servers[i].dir);
        unlink(path);
        rmdir(servers[i].dir);
    }
    server_count = 0;
    drop_all(&network);
}

/* ---- images: what travels beside the frames */

/* Replace the state of one server by the tables of another, as they were committed. False: it has
 * no use for them. */
static inline bool install_image(struct server *to, const struct server *from)
{
    scope(txn_abort) struct txn *read = NULL;
    scope(txn_abort) struct txn *write = NULL;
    struct log_head head = {.owner = to->id};
    struct sums sums;
    bool installs;

    ck_assert_int_eq(env_read(from->env, &read), 0);
    ck_assert_int_eq(log_applied_get(read, &head.applied), 0);
    ck_assert_int_eq(log_configuration_get(read, &head.configuration), 0);
    sums = sums_get(read);
    ck_assert_int_eq(env_write(to->env, &write), 0);
    ck_assert_int_eq(raft_node_begin(to->node, write, now_ms), 0);
    ck_assert_int_eq(raft_node_installs(to->node, head.applied.index, head.applied.term, &installs),
                     0);
    if (!installs) {
        txn_abort(steal(write));
        crash(to);
        start(to);
        return false;
    }
    ck_assert_int_eq(log_vote_get(write, &head.vote), 0);
    ck_assert_int_eq(log_truncate(write, 0), 0);
    ck_assert_int_eq(log_install(write, &head), 0);
    sums_put(write, &sums);
    ck_assert_int_eq(txn_commit(steal(write)), 0);
    crash(to);
    start(to);
    return true;
}

/* Do what the owner of a node does about a ticket. */
static inline void fetch_images(void)
{
    for (size_t i = 0; i < server_count; i++) {
        uint64_t from, index;

        if (!servers[i].node || !raft_node_snapshot_wanted(servers[i].node, &from, &index))
            continue;
        if (server_of(from) && server_of(from)->node && !server_of(from)->cut && !servers[i].cut)
            install_image(&servers[i], server_of(from));
    }
}

static inline void end_suite(SRunner *sr, int *failed)
{
    srunner_run_all(sr, CK_ENV);
    *failed = srunner_ntests_failed(sr);
    srunner_free(sr);
}
