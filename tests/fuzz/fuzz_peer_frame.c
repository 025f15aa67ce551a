/* Whatever a peer sends, in whatever state: the node takes it or refuses it, and goes on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/must.h"
#include "server/manager/raft_internal.h"
#include "storage/tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    MEMBERS = 3,
    STEPS_MAX = 64,
    ENTRIES_MAX = 4,
    CONFIGURATIONS = 4,
    KEEP_ENTRIES = 4,
};

/* What the bytes choose. */
struct source {
    const uint8_t *at;
    size_t left;
};

struct world {
    struct source source;
    struct raft_node *node;
    struct txn *txn;
    uint64_t now_ms;
    uint64_t committed, term, round; /* The highest seen; the newest read. */
};

static const char *const records[MEMBERS] = {"m1 a h1 3 2 1 -", "m2 b h2 3 2 1 -",
                                             "m3 c h3 3 2 1 -"};
static struct member members[MEMBERS] = {{.id = 1, .role = MEMBER_VOTER},
                                         {.id = 2, .role = MEMBER_VOTER},
                                         {.id = 3, .role = MEMBER_VOTER}};
static struct raft_buffer configurations[CONFIGURATIONS]; /* Any of them may come. */
static struct env *env;

static void encode_configurations(void)
{
    struct member others[MEMBERS];

    memcpy(others, members, sizeof others);
    raft_node_configuration_encode(members, MEMBERS, &configurations[0]);
    raft_node_configuration_encode(members, 1, &configurations[1]);
    raft_node_configuration_encode(members + 1, MEMBERS - 1, &configurations[2]);
    others[0].role = MEMBER_STANDBY;
    raft_node_configuration_encode(others, MEMBERS, &configurations[3]);
}

/* Opened once, with the files unlinked at once: nothing is ever committed. */
static void open_once(void)
{
    char dir[] = "/dev/shm/fuzz-peer-XXXXXX", path[64];

    if (env)
        return;
    for (size_t i = 0; i < MEMBERS; i++)
        worked(member_parse(records[i], &members[i]));
    encode_configurations();
    must(mkdtemp(dir) != NULL);
    must(env_open(dir, (size_t)64 << 20, table_names, TABLE_COUNT, &env) == 0);
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", dir);
    unlink(path);
    rmdir(dir);
}

static uint8_t byte(struct source *source)
{
    if (source->left == 0)
        return 0;
    source->left--;
    return *source->at++;
}

/* A number near one that matters, or an absurd one. */
static uint64_t number(struct source *source, uint64_t near)
{
    uint8_t choice = byte(source);

    if (choice < 0xe0)
        return near + choice % 7 - 3 < UINT64_MAX / 2 ? near + choice % 7 - 3 : 0;
    return choice < 0xf0 ? choice & 0xf : UINT64_MAX - (choice & 0xf);
}

static void sent(void *context, uint64_t to, const Peer__PeerFrame *frame)
{
    (void)context;
    must(to != 1);
    must(peer__peer_frame__get_packed_size(frame) > 0);
}

/* A configuration, or whatever comes. */
static ProtobufCBinaryData configuration(struct source *source)
{
    uint8_t choice = byte(source);
    size_t len = choice < source->left ? choice : source->left;
    ProtobufCBinaryData raw = {len, (uint8_t *)source->at};

    if (choice & 0x80)
        return (ProtobufCBinaryData){configurations[choice % CONFIGURATIONS].len,
                                     configurations[choice % CONFIGURATIONS].base};
    source->at += len;
    source->left -= len;
    return raw;
}

/* ---- frames */

static void receive(struct world *world, Peer__PeerFrame *frame)
{
    int r = raft_node_receive(world->node, frame);

    must(r == 0 || r == RAFT_NODE_REFUSED);
}

static void receive_raw(struct world *world)
{
    size_t len = byte(&world->source);
    Peer__PeerFrame *frame;

    len = len < world->source.left ? len : world->source.left;
    frame = peer__peer_frame__unpack(NULL, len, world->source.at);
    world->source.at += len;
    world->source.left -= len;
    if (!frame)
        return;
    receive(world, frame);
    peer__peer_frame__free_unpacked(frame, NULL);
}

static void receive_vote(struct world *world, Peer__PeerFrame *frame)
{
    Peer__Vote vote = PEER__VOTE__INIT;
    struct source *source = &world->source;

    vote.version = byte(source) % 4;
    vote.term = number(source, raft_node_term(world->node));
    vote.candidate_id = frame->from;
    vote.last_log_index = number(source, raft_node_last_index(world->node));
    vote.last_log_term = number(source, raft_node_term(world->node));
    vote.disrupt_leader = byte(source) & 1;
    vote.pre_vote = byte(source) & 1;
    frame->body_case = PEER__PEER_FRAME__BODY_VOTE;
    frame->vote = &vote;
    receive(world, frame);
}

static void receive_vote_result(struct world *world, Peer__PeerFrame *frame)
{
    Peer__VoteResult result = PEER__VOTE_RESULT__INIT;
    struct source *source = &world->source;

    result.version = byte(source) & 1 ? 2 : byte(source) % 4;
    result.term = number(source, raft_node_term(world->node));
    result.vote_granted = byte(source) & 1;
    result.pre_vote = byte(source) & 1;
    frame->body_case = PEER__PEER_FRAME__BODY_VOTE_RESULT;
    frame->vote_result = &result;
    receive(world, frame);
}

static void receive_append(struct world *world, Peer__PeerFrame *frame)
{
    Peer__Append append = PEER__APPEND__INIT;
    Peer__Entry entries[ENTRIES_MAX], *pointers[ENTRIES_MAX];
    struct source *source = &world->source;
    uint64_t term = raft_node_term(world->node);

    append.term = number(source, term);
    append.prev_log_index = number(source, raft_node_last_index(world->node));
    append.prev_log_term = number(source, term);
    append.leader_commit = number(source, raft_node_last_index(world->node));
    append.seq = byte(source);
    append.n_entries = byte(source) % (ENTRIES_MAX + 1);
    append.entries = pointers;
    for (size_t i = 0; i < append.n_entries; i++) {
        pointers[i] = &entries[i];
        peer__entry__init(&entries[i]);
        entries[i].type = byte(source) % 5;
        entries[i].term = number(source, term);
        entries[i].data = configuration(source);
    }
    frame->body_case = PEER__PEER_FRAME__BODY_APPEND;
    frame->append = &append;
    receive(world, frame);
}

static void receive_append_result(struct world *world, Peer__PeerFrame *frame)
{
    Peer__AppendResult result = PEER__APPEND_RESULT__INIT;
    struct source *source = &world->source;

    result.version = 2;
    result.term = number(source, raft_node_term(world->node));
    if (byte(source) & 1)
        result.rejected = number(source, raft_node_last_index(world->node));
    result.last_log_index = number(source, raft_node_last_index(world->node));
    result.hint_term = byte(source) % 4;
    result.echo_seq = byte(source);
    result.stale = byte(source) % 8 == 0;
    frame->body_case = PEER__PEER_FRAME__BODY_APPEND_RESULT;
    frame->append_result = &result;
    receive(world, frame);
}

static void receive_timeout_now(struct world *world, Peer__PeerFrame *frame)
{
    Peer__TimeoutNow now = PEER__TIMEOUT_NOW__INIT;
    struct source *source = &world->source;

    now.term = number(source, raft_node_term(world->node));
    now.last_log_index = number(source, raft_node_last_index(world->node));
    now.last_log_term = number(source, raft_node_term(world->node));
    frame->body_case = PEER__PEER_FRAME__BODY_TIMEOUT_NOW;
    frame->timeout_now = &now;
    receive(world, frame);
}

static void receive_install(struct world *world, Peer__PeerFrame *frame)
{
    Peer__Install install = PEER__INSTALL__INIT;
    struct source *source = &world->source;

    install.version = byte(source) % 4;
    install.term = number(source, raft_node_term(world->node));
    install.last_index = number(source, raft_node_last_index(world->node));
    install.last_term = number(source, raft_node_term(world->node));
    install.configuration_index = number(source, raft_node_applied_index(world->node));
    install.configuration = configuration(source);
    frame->body_case = PEER__PEER_FRAME__BODY_INSTALL;
    frame->install = &install;
    receive(world, frame);
}

static void receive_ping(struct world *world, Peer__PeerFrame *frame)
{
    Peer__Ping ping = PEER__PING__INIT;
    Peer__Pong pong = PEER__PONG__INIT;

    ping.term = pong.term = number(&world->source, raft_node_term(world->node));
    ping.seq = pong.seq = number(&world->source, 0);
    if (byte(&world->source) & 1) {
        frame->body_case = PEER__PEER_FRAME__BODY_PING;
        frame->ping = &ping;
    } else {
        frame->body_case = PEER__PEER_FRAME__BODY_PONG;
        frame->pong = &pong;
    }
    receive(world, frame);
}

/* Kinds that are not Raft's: they are for others. */
static void receive_other(struct world *world, Peer__PeerFrame *frame)
{
    static const Peer__PeerFrame__BodyCase kinds[] = {
        PEER__PEER_FRAME__BODY__NOT_SET,  PEER__PEER_FRAME__BODY_HELLO,
        PEER__PEER_FRAME__BODY_FORWARD,   PEER__PEER_FRAME__BODY_FORWARDED,
        PEER__PEER_FRAME__BODY_IMAGE_GET, PEER__PEER_FRAME__BODY_IMAGE_CHUNK,
        PEER__PEER_FRAME__BODY_JOIN,      PEER__PEER_FRAME__BODY_JOINED,
        PEER__PEER_FRAME__BODY_GOODBYE,
    };

    frame->body_case = kinds[byte(&world->source) % (sizeof kinds / sizeof *kinds)];
    must(raft_node_receive(world->node, frame) == 0); /* Without a look into them. */
}

/* ---- the turn */

/* Outcomes are fine, whichever; failures are not. */
static void manage(struct world *world)
{
    uint8_t what = byte(&world->source);
    uint64_t id = 1 + what / 8 % MEMBERS, index, leader;
    bool installs;

    switch (what % 8) {
    case 0:
        must(raft_node_add(world->node, &members[id - 1], &index) >= 0);
        return;
    case 1:
        must(raft_node_assign(world->node, id, MEMBER_VOTER, &index) >= 0);
        return;
    case 2:
        must(raft_node_assign(world->node, id, MEMBER_STANDBY, &index) >= 0);
        return;
    case 3:
        must(raft_node_remove(world->node, id, &index) >= 0);
        return;
    case 4:
        must(raft_node_transfer(world->node, what & 0x80 ? 0 : id) >= 0);
        return;
    case 5:
        raft_node_hold(world->node,
                       what & 0x80 ? UINT64_MAX : raft_node_applied_index(world->node));
        return;
    case 6:
        index = number(&world->source, raft_node_last_index(world->node));
        must(raft_node_installs(world->node, index, 1, &installs) == 0);
        return;
    default:
        if (raft_node_snapshot_wanted(world->node, &leader, &index))
            must(leader != 1 && index > raft_node_commit_index(world->node));
        return;
    }
}

static void submit(struct world *world)
{
    struct bytes command = {"command", 7};
    uint64_t index;

    must(raft_node_submit(world->node, &command, 1, &index) >= 0);
    must(raft_node_read(world->node, &world->round, &index) >= 0);
    raft_node_tell_commit(world->node, 2, raft_node_commit_index(world->node));
}

static void act(struct world *world)
{
    static void (*const acts[])(struct world * world, Peer__PeerFrame * frame) = {
        receive_vote,          receive_vote_result, receive_append,  receive_append, receive_append,
        receive_append_result, receive_timeout_now, receive_install, receive_ping,   receive_other,
    };
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    uint8_t what = byte(&world->source);
    size_t which = (what & 0x3f) % (sizeof acts / sizeof *acts + 4);

    frame.from = what & 0x80 ? 2 : 3;
    if (which < sizeof acts / sizeof *acts)
        acts[which](world, &frame);
    else if (which == sizeof acts / sizeof *acts)
        receive_raw(world);
    else if (which == sizeof acts / sizeof *acts + 1)
        manage(world);
    else
        submit(world);
}

static void apply(struct world *world)
{
    struct log_entry entry;
    uint64_t index;
    int r;

    while ((r = raft_node_next(world->node, &index, &entry)) == 0)
        must(index <= raft_node_last_index(world->node));
    must(r == RAFT_NODE_NONE);
}

/* What holds whatever has come. */
static void look(struct world *world)
{
    const struct raft_node *node = world->node;
    uint64_t index;
    size_t count;

    raft_node_members(node, &count, &index);
    must(count > 0 && count <= LIMIT_MANAGERS);
    must(index <= raft_node_last_index(node));
    must(raft_node_first_index(node) <= raft_node_applied_index(node) + 1);
    must(raft_node_applied_index(node) <= raft_node_last_index(node));
    must(raft_node_commit_index(node) >= world->committed);
    must(raft_node_term(node) >= world->term);
    must(!raft_node_read_confirmed(node, world->round) || raft_node_ready(node));
    must(raft_node_deadline(node) > 0);
    world->committed = raft_node_commit_index(node);
    world->term = raft_node_term(node);
}

static void turn(struct world *world)
{
    uint8_t what = byte(&world->source);

    world->now_ms += what & 0x80 ? (what & 0x7fu) * 10 : 0;
    must(raft_node_begin(world->node, world->txn, world->now_ms) == 0);
    for (int i = 0; i < what % 4; i++)
        act(world);
    if (byte(&world->source) % 32 == 0)
        raft_node_peer_lost(world->node, 2);
    must(raft_node_tick(world->node) == 0);
    apply(world);
    must(raft_node_end(world->node) == 0);
    look(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scope(txn_abort) struct txn *txn = NULL;
    struct world world = {.source = {data, size}, .now_ms = 1000};
    struct raft_node_config config = {
        .self = 1,
        .first = members,
        .first_count = MEMBERS,
        .election_ms = 300,
        .heartbeat_ms = 50,
        .seed = 1,
        .keep_entries = KEEP_ENTRIES,
        .send = sent,
    };

    open_once();
    must(env_write(env, &txn) == 0);
    must(raft_node_open(&config, txn, world.now_ms, &world.node) == 0);
    world.txn = txn;
    for (int i = 0; i < STEPS_MAX && world.source.left > 0; i++)
        turn(&world);
    raft_node_free(world.node);
    return 0;
}
