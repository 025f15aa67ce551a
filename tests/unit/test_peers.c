/* Links between managers over real sockets on loopback; strangers are streams that say what they
 * like. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/endian.h"
#include "proto/limits.h"
#include "server/manager/peers.h"
#include "server/net/address.h"
#include "server/net/frame.h"
#include "server/net/stream.h"
#include "tests/unit/loop.h"

enum { PEERS = 2, STRANGERS = 40, FRAMES = 200 };

/* One manager's side. */
struct side {
    struct peers *peers;
    uint64_t got[4 * FRAMES]; /* The pings' numbers, as they came. */
    size_t count;
    int lost;
    int closed;
    bool knows_removed; /* What is_removed says. */
    int goodbyes;
};

/* A connection that is not one of ours. */
struct stranger {
    struct stream *stream;
    int ended;
};

static struct sockaddr_storage addresses[PEERS], sources[PEERS];
static struct member members[PEERS];
static struct side sides[PEERS];
static struct stranger strangers[STRANGERS];

static void side_received(void *context, Peer__PeerFrame *frame)
{
    struct side *side = context;

    ck_assert_int_eq(frame->body_case, PEER__PEER_FRAME__BODY_PING);
    ck_assert_uint_lt(side->count, sizeof side->got / sizeof *side->got);
    side->got[side->count++] = frame->ping->seq;
    peer__peer_frame__free_unpacked(frame, NULL);
}

static void side_lost(void *context, uint64_t peer)
{
    ck_assert_uint_eq(peer, context == &sides[0] ? 2 : 1);
    ((struct side *)context)->lost++;
}

static void side_closed(void *context)
{
    ((struct side *)context)->closed++;
}

static bool side_is_removed(void *context, uint64_t id)
{
    ck_assert_uint_ne(id, 1);
    return ((struct side *)context)->knows_removed;
}

static void side_goodbye(void *context, uint64_t from, const char *reason)
{
    ck_assert_uint_eq(from, 1);
    ck_assert_uint_gt(strlen(reason), 0);
    ((struct side *)context)->goodbyes++;
}

/* Without a list of members yet. */
static void side_listen(size_t i)
{
    struct peers_config config = {
        .self = members[i],
        .cluster = "ours",
        .listen = &addresses[i],
        .source = &sources[i],
        .received = side_received,
        .lost = side_lost,
        .is_removed = side_is_removed,
        .goodbye = side_goodbye,
        .context = &sides[i],
    };

    ck_assert_int_eq(peers_open(&loop, &config, &sides[i].peers), 0);
}

static void side_open(size_t i)
{
    side_listen(i);
    peers_set(sides[i].peers, members, PEERS);
}

static void side_close(size_t i)
{
    peers_close(sides[i].peers, side_closed, &sides[i]);
    sides[i].peers = NULL;
    sides[i].closed = 0;
    loop_until(sides[i].closed > 0);
}

static size_t pack_ping(uint64_t from, uint64_t seq, uint8_t out[64])
{
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__Ping ping = PEER__PING__INIT;

    ping.seq = seq;
    frame.from = from;
    frame.body_case = PEER__PEER_FRAME__BODY_PING;
    frame.ping = &ping;
    return peer__peer_frame__pack(&frame, out);
}

static void send_ping(size_t from, uint64_t seq)
{
    uint8_t packed[64];
    size_t len = pack_ping(from + 1, seq, packed);

    peers_send(sides[from].peers, 2 - from, (struct bytes){packed, len});
}

/* Until the other side has heard something new: what is sent before the link stands is lost. */
static bool heard_after_a_ping(size_t from)
{
    size_t to = 1 - from;

    send_ping(from, 0);
    return sides[to].count > 0;
}

static void stranger_received(void *context, struct bytes bytes)
{
    (void)context;
    (void)bytes;
}

static void stranger_ended(void *context, int reason)
{
    struct stranger *stranger = context;

    (void)reason;
    stranger->ended++;
    stream_close(stranger->stream, NULL, NULL);
    stranger->stream = NULL;
}

static void stranger_dial(struct stranger *stranger, struct bytes bytes)
{
    struct stream_connect_config config = {
        .to = &addresses[0],
        .owner = {.received = stranger_received, .ended = stranger_ended, .context = stranger},
    };

    ck_assert_int_eq(stream_connect(&loop, &config, &stranger->stream), 0);
    if (bytes.len > 0)
        ck_assert_int_eq(stream_write(stranger->stream, bytes), 0);
}

static void add_hello(struct buffer *out, uint64_t from, const char *cluster, uint32_t version)
{
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__Hello hello = PEER__HELLO__INIT;

    hello.cluster = (char *)cluster;
    hello.version = version;
    hello.name = "m2";
    frame.from = from;
    frame.body_case = PEER__PEER_FRAME__BODY_HELLO;
    frame.hello = &hello;
    peer__peer_frame__pack(&frame, frame_open(out, peer__peer_frame__get_packed_size(&frame)));
}

static void add_ping(struct buffer *out, uint64_t from, uint64_t seq)
{
    uint8_t packed[64];
    size_t len = pack_ping(from, seq, packed);

    frame_append(out, (struct bytes){packed, len});
}

/* Addresses of this process alone, so that a port may be a fixed one. */
static void set_up(void)
{
    unsigned pid = (unsigned)getpid();

    memset(sides, 0, sizeof sides);
    memset(strangers, 0, sizeof strangers);
    memset(members, 0, sizeof members);
    loop_set_up();
    for (unsigned i = 0; i < PEERS; i++) {
        char text[64];

        snprintf(text, sizeof text, "127.%u.%u.%u:14512", 100 + pid % 100, pid / 100 % 250, i + 1);
        ck_assert_int_eq(address_parse(text, &addresses[i], NULL), 0);
        members[i] = (struct member){.id = i + 1,
                                     .role = MEMBER_VOTER,
                                     .zone = "z",
                                     .peer_port = 14512,
                                     .rpc_port = 1,
                                     .api_port = 1};
        snprintf(members[i].name, sizeof members[i].name, "m%u", i + 1);
        address_host(&addresses[i], members[i].host);
        sources[i] = addresses[i];
        address_set_port(&sources[i], 0);
    }
    side_open(0);
}

static void tear_down(void)
{
    for (size_t i = 0; i < STRANGERS; i++)
        if (strangers[i].stream)
            stream_close(strangers[i].stream, NULL, NULL);
    for (size_t i = 0; i < PEERS; i++)
        if (sides[i].peers)
            side_close(i);
    loop_tear_down();
}

START_TEST(frames_arrive_in_order_both_ways)
{
    side_open(1);
    loop_until(heard_after_a_ping(0));
    loop_until(heard_after_a_ping(1));
    for (uint64_t seq = 1; seq <= FRAMES; seq++) {
        send_ping(0, seq);
        send_ping(1, seq);
    }
    for (size_t i = 0; i < PEERS; i++) {
        loop_until(sides[i].got[sides[i].count - 1] == FRAMES);
        for (size_t at = 1; at < sides[i].count; at++)
            ck_assert(sides[i].got[at] == 0 || sides[i].got[at] == sides[i].got[at - 1] + 1);
    }
}
END_TEST

START_TEST(whoever_does_not_greet_as_one_of_us_is_cut_off)
{
    static const struct {
        const char *why;
        uint64_t from;
        const char *cluster;
        uint32_t version;
    } cases[] = {
        {"another cluster", 2, "theirs", PEERS_VERSION},
        {"another version", 2, "ours", PEERS_VERSION + 1},
        {"nobody", 0, "ours", PEERS_VERSION},
        {"myself", 1, "ours", PEERS_VERSION},
        {"not a member", 3, "ours", PEERS_VERSION},
        {"no possible member", UINT64_MAX, "ours", PEERS_VERSION},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scope(buffer_fini) struct buffer bytes = {0};

        add_hello(&bytes, cases[i].from, cases[i].cluster, cases[i].version);
        add_ping(&bytes, cases[i].from, 7);
        stranger_dial(&strangers[i], (struct bytes){bytes.base, bytes.len});
        loop_until(strangers[i].ended == 1);
        ck_assert_uint_eq(sides[0].count, 0);
    }
}
END_TEST

START_TEST(a_frame_before_the_greeting_or_in_anothers_name_ends_the_connection)
{
    scope(buffer_fini) struct buffer early = {0};
    scope(buffer_fini) struct buffer other = {0};

    add_ping(&early, 2, 7);
    stranger_dial(&strangers[0], (struct bytes){early.base, early.len});
    loop_until(strangers[0].ended == 1);
    add_hello(&other, 2, "ours", PEERS_VERSION);
    add_ping(&other, 1, 7);
    stranger_dial(&strangers[1], (struct bytes){other.base, other.len});
    loop_until(strangers[1].ended == 1);
    ck_assert_uint_eq(sides[0].count, 0);
}
END_TEST

START_TEST(garbage_and_oversized_frames_end_the_connection)
{
    static const uint8_t garbage[] = {0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff};
    uint8_t oversized[4];

    be32_put(oversized, LIMIT_FRAME_BYTES + 1);
    stranger_dial(&strangers[0], (struct bytes){garbage, sizeof garbage});
    loop_until(strangers[0].ended == 1);
    stranger_dial(&strangers[1], (struct bytes){oversized, sizeof oversized});
    loop_until(strangers[1].ended == 1);
}
END_TEST

START_TEST(a_newer_connection_replaces_the_older)
{
    scope(buffer_fini) struct buffer first = {0};
    scope(buffer_fini) struct buffer second = {0};

    add_hello(&first, 2, "ours", PEERS_VERSION);
    add_ping(&first, 2, 1);
    stranger_dial(&strangers[0], (struct bytes){first.base, first.len});
    loop_until(sides[0].count == 1);
    add_hello(&second, 2, "ours", PEERS_VERSION);
    add_ping(&second, 2, 2);
    stranger_dial(&strangers[1], (struct bytes){second.base, second.len});
    loop_until(sides[0].count == 2 && strangers[0].ended == 1);
    ck_assert_int_eq(strangers[1].ended, 0);
}
END_TEST

START_TEST(a_peer_that_is_gone_is_told_and_found_again_when_it_returns)
{
    side_open(1);
    loop_until(heard_after_a_ping(0));
    sides[0].lost = 0;
    side_close(1);
    loop_until(sides[0].lost > 0);
    sides[1].count = 0;
    side_open(1);
    loop_until(heard_after_a_ping(0));
}
END_TEST

START_TEST(those_who_connect_and_say_nothing_keep_no_peer_out)
{
    for (size_t i = 0; i < STRANGERS; i++)
        stranger_dial(&strangers[i], (struct bytes){0});
    loop_until(strangers[0].ended == 1); /* The oldest has made room. */
    side_open(1);
    loop_until(heard_after_a_ping(1));
}
END_TEST

START_TEST(who_is_set_is_dialled_and_who_is_not_is_no_longer_heard)
{
    side_open(1);
    loop_until(heard_after_a_ping(0));
    loop_until(heard_after_a_ping(1));
    peers_set(sides[0].peers, members, 1);
    sides[1].lost = 0;
    loop_until(sides[1].lost > 3); /* It dials again and again, and is turned away. */
    sides[0].count = sides[1].count = 0;
    send_ping(0, 1);
    send_ping(1, 1);
    peers_set(sides[0].peers, members, PEERS);
    loop_until(heard_after_a_ping(1));
    ck_assert_uint_eq(sides[0].got[0], 0);
    loop_until(heard_after_a_ping(0));
    ck_assert_uint_eq(sides[1].got[0], 0);
    ck_assert_int_eq(sides[1].goodbyes, 0); /* Nobody was certain. */
}
END_TEST

START_TEST(who_was_removed_for_certain_is_told)
{
    side_open(1);
    loop_until(heard_after_a_ping(1));
    sides[0].knows_removed = true;
    peers_set(sides[0].peers, members, 1);
    loop_until(sides[1].goodbyes > 0);
}
END_TEST

START_TEST(a_member_that_moved_is_dialled_where_it_is_now)
{
    struct member moved[PEERS];

    side_open(1);
    memcpy(moved, members, sizeof moved);
    moved[1].peer_port = 1;
    peers_set(sides[0].peers, moved, PEERS);
    loop_until(sides[0].lost > 0);
    ck_assert_uint_eq(sides[1].count, 0);
    peers_set(sides[0].peers, members, PEERS);
    loop_until(heard_after_a_ping(0));
}
END_TEST

START_TEST(a_member_may_have_a_name_for_an_address)
{
    strcpy(members[1].host, "localhost");
    members[1].peer_port = 1;
    peers_set(sides[0].peers, members, PEERS);
    loop_until(sides[0].lost > 0);
    strcpy(members[1].host, "no-such-host.invalid");
    peers_set(sides[0].peers, members, PEERS);
    peers_set(sides[0].peers, members, 1); /* While it is being looked up, maybe. */
}
END_TEST

START_TEST(who_knows_nobody_hears_whoever_greets_well_and_dials_back)
{
    side_close(0);
    side_listen(0);
    side_open(1);
    loop_until(heard_after_a_ping(1));
    loop_until(heard_after_a_ping(0)); /* Where it was told. */
    peers_set(sides[0].peers, members, PEERS);
    loop_until(heard_after_a_ping(0));
}
END_TEST

START_TEST(a_record_that_is_none_is_not_dialled)
{
    scope(buffer_fini) struct buffer bytes = {0};

    side_close(0);
    side_listen(0);
    add_hello(&bytes, 2, "ours", PEERS_VERSION); /* Without a record. */
    add_ping(&bytes, 2, 7);
    stranger_dial(&strangers[0], (struct bytes){bytes.base, bytes.len});
    loop_until(sides[0].count == 1);
    ck_assert_int_eq(sides[0].lost, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("peers");
    TCase *tc = tcase_create("peers");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, frames_arrive_in_order_both_ways);
    tcase_add_test(tc, whoever_does_not_greet_as_one_of_us_is_cut_off);
    tcase_add_test(tc, a_frame_before_the_greeting_or_in_anothers_name_ends_the_connection);
    tcase_add_test(tc, garbage_and_oversized_frames_end_the_connection);
    tcase_add_test(tc, a_newer_connection_replaces_the_older);
    tcase_add_test(tc, a_peer_that_is_gone_is_told_and_found_again_when_it_returns);
    tcase_add_test(tc, who_is_set_is_dialled_and_who_is_not_is_no_longer_heard);
    tcase_add_test(tc, who_was_removed_for_certain_is_told);
    tcase_add_test(tc, a_member_that_moved_is_dialled_where_it_is_now);
    tcase_add_test(tc, a_member_may_have_a_name_for_an_address);
    tcase_add_test(tc, who_knows_nobody_hears_whoever_greets_well_and_dials_back);
    tcase_add_test(tc, a_record_that_is_none_is_not_dialled);
    tcase_add_test(tc, those_who_connect_and_say_nothing_keep_no_peer_out);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
