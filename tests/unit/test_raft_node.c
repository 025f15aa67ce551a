/*
 * Three nodes with real logs, a virtual clock and a network in memory. A crash loses what the
 * turn had not committed; a frame leaves only after the commit of the turn that made it.
 */
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

enum { NODES = 3, DELAY_MS = 1 };

struct packet {
    struct list link;
    uint64_t to;
    uint64_t at_ms;
    size_t len;
    uint8_t bytes[];
};

struct server {
    uint64_t id;
    char dir[40];
    struct env *env;
    struct raft_node *node;
    struct list held;
    struct buffer applied; /* The commands, one after another. */
    bool cut;
};

static struct member members[NODES];
static struct server servers[NODES];
static struct list network;
static uint64_t now_ms;
static size_t member_count;
static bool (*filter)(const Peer__PeerFrame *frame); /* False: the frame is lost. */

static void hold(void *context, uint64_t to, const Peer__PeerFrame *frame)
{
    struct server *server = context;
    size_t len = peer__peer_frame__get_packed_size(frame);
    struct packet *packet = mem_zeroed(1, sizeof *packet + len);

    packet->to = to;
    packet->len = len;
    peer__peer_frame__pack(frame, packet->bytes);
    list_append(&server->held, &packet->link);
}

static void drop_all(struct list *head)
{
    list_each (link, head) {
        list_remove(link);
        free(list_entry(link, struct packet, link));
    }
}

static void start(struct server *server)
{
    struct raft_node_config config = {
        .self = server->id,
        .first = members,
        .first_count = member_count,
        .election_ms = 300,
        .heartbeat_ms = 50,
        .seed = server->id,
        .send = hold,
        .context = server,
    };
    scope(txn_abort) struct txn *txn = NULL;

    ck_assert_int_eq(env_write(server->env, &txn), 0);
    ck_assert_int_eq(raft_node_open(&config, txn, now_ms, &server->node), 0);
    ck_assert_int_eq(txn_commit(steal(txn)), 0);
}

static void crash(struct server *server)
{
    raft_node_free(server->node);
    server->node = NULL;
    drop_all(&server->held);
}

static void apply_committed(struct server *server)
{
    struct log_entry entry;
    uint64_t index;
    int r;

    while ((r = raft_node_next(server->node, &index, &entry)) == 0)
        buffer_append(&server->applied, entry.data.base, entry.data.len);
    ck_assert_int_eq(r, RAFT_NODE_NONE);
}

typedef void (*action)(struct server *server);

/* One turn: what is due on the network and the clock, then `also`, then one commit. */
static void turn(struct server *server, action also)
{
    scope(txn_abort) struct txn *txn = NULL;

    ck_assert_int_eq(env_write(server->env, &txn), 0);
    ck_assert_int_eq(raft_node_begin(server->node, txn, now_ms), 0);
    list_each (link, &network) {
        struct packet *packet = list_entry(link, struct packet, link);
        Peer__PeerFrame *frame;

        if (packet->to != server->id || packet->at_ms > now_ms)
            continue;
        list_remove(link);
        frame = peer__peer_frame__unpack(NULL, packet->len, packet->bytes);
        ck_assert_ptr_nonnull(frame);
        if (!server->cut && !servers[frame->from - 1].cut && (!filter || filter(frame)))
            ck_assert_int_eq(raft_node_receive(server->node, frame), 0);
        peer__peer_frame__free_unpacked(frame, NULL);
        free(packet);
    }
    ck_assert_int_eq(raft_node_tick(server->node), 0);
    if (also)
        also(server);
    apply_committed(server);
    ck_assert_int_eq(raft_node_end(server->node), 0);
    ck_assert_int_eq(txn_commit(steal(txn)), 0);
    list_each (link, &server->held)
        list_entry(link, struct packet, link)->at_ms = now_ms + DELAY_MS;
    list_splice(&network, &server->held);
    if (raft_node_owes(server->node))
        turn(server, NULL);
}

static void run(uint64_t for_ms)
{
    for (uint64_t end = now_ms + for_ms; now_ms < end; now_ms++)
        for (size_t i = 0; i < member_count; i++)
            if (servers[i].node)
                turn(&servers[i], NULL);
}

static struct server *leader(void)
{
    struct server *found = NULL;

    for (size_t i = 0; i < member_count; i++) {
        if (!servers[i].node || servers[i].cut || !raft_node_ready(servers[i].node))
            continue;
        if (!found || raft_node_term(servers[i].node) > raft_node_term(found->node))
            found = &servers[i];
    }
    return found;
}

static struct server *elect(uint64_t bound_ms)
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

static void submit(struct server *server)
{
    struct bytes command = {submitted, strlen(submitted)};
    uint64_t index;

    ck_assert_int_eq(raft_node_submit(server->node, &command, 1, &index), 0);
}

static void write_to(struct server *server, const char *text)
{
    submitted = text;
    turn(server, submit);
}

static void describe(struct member *out, uint64_t id)
{
    *out = (struct member){.id = id,
                           .role = MEMBER_VOTER,
                           .zone = "a",
                           .host = "127.0.0.1",
                           .peer_port = 4512,
                           .rpc_port = 4511,
                           .api_port = 4510};
    snprintf(out->name, sizeof out->name, "m%d", (int)id);
}

static void open_all(size_t count)
{
    member_count = count;
    for (size_t i = 0; i < count; i++)
        describe(&members[i], i + 1);
    for (size_t i = 0; i < count; i++) {
        struct server *server = &servers[i];

        server->id = i + 1;
        list_init(&server->held);
        strcpy(server->dir, "/dev/shm/raft-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(server->dir));
        ck_assert_int_eq(env_open(server->dir, 64 << 20, table_names, TABLE_COUNT, &server->env),
                         0);
        start(server);
    }
}

static void set_up(void)
{
    list_init(&network);
    now_ms = 1000;
}

static void tear_down(void)
{
    for (size_t i = 0; i < member_count; i++) {
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
    drop_all(&network);
}

START_TEST(what_is_submitted_is_applied_everywhere_in_order)
{
    open_all(3);
    write_to(elect(2000), "one ");
    write_to(leader(), "two ");
    run(200);
    for (size_t i = 0; i < NODES; i++)
        ck_assert_str_eq(buffer_text(&servers[i].applied), "one two ");
}
END_TEST

START_TEST(what_was_applied_survives_a_crash_of_all)
{
    open_all(3);
    write_to(elect(2000), "one ");
    run(200);
    for (size_t i = 0; i < NODES; i++)
        crash(&servers[i]);
    run(50);
    for (size_t i = 0; i < NODES; i++)
        start(&servers[i]);
    write_to(elect(2000), "two ");
    run(200);
    for (size_t i = 0; i < NODES; i++) /* Nothing is applied twice. */
        ck_assert_str_eq(buffer_text(&servers[i].applied), "one two ");
}
END_TEST

START_TEST(a_cut_leader_commits_nothing_and_its_entries_give_way)
{
    struct server *old, *new;

    open_all(3);
    old = elect(2000);
    old->cut = true;
    write_to(old, "lost ");
    new = elect(3000);
    ck_assert_ptr_ne(old, new);
    write_to(new, "kept ");
    run(300);
    ck_assert_str_eq(buffer_text(&old->applied), "");
    ck_assert(!raft_node_leads(old->node)); /* It has stepped down by itself. */
    old->cut = false;
    run(1500);
    for (size_t i = 0; i < NODES; i++)
        ck_assert_str_eq(buffer_text(&servers[i].applied), "kept ");
}
END_TEST

START_TEST(a_server_that_returns_does_not_disturb_the_leader)
{
    struct server *first, *other;
    uint64_t term;

    open_all(3);
    first = elect(2000);
    other = &servers[first->id % NODES];
    other->cut = true;
    run(3000);
    term = raft_node_term(first->node);
    other->cut = false;
    run(3000);
    ck_assert_ptr_eq(leader(), first); /* Pre-vote, Raft 9.6. */
    ck_assert_uint_eq(raft_node_term(first->node), term);
}
END_TEST

static uint64_t read_round, read_index;

static void begin_read(struct server *server)
{
    ck_assert_int_eq(raft_node_read(server->node, &read_round, &read_index), 0);
}

START_TEST(a_read_needs_a_majority)
{
    struct server *first;

    open_all(3);
    first = elect(2000);
    turn(first, begin_read);
    ck_assert(!raft_node_read_confirmed(first->node, read_round));
    run(10);
    ck_assert(raft_node_read_confirmed(first->node, read_round));
    first->cut = true;
    turn(first, begin_read);
    run(1000);
    ck_assert(!raft_node_read_confirmed(first->node, read_round));
}
END_TEST

START_TEST(a_lost_connection_to_the_leader_brings_an_early_election)
{
    struct server *old;

    open_all(3);
    old = elect(2000);
    run(200);
    crash(old);
    for (size_t i = 0; i < NODES; i++)
        if (servers[i].node)
            raft_node_peer_lost(servers[i].node, old->id);
    (void)elect(100);
    ck_assert_ptr_ne(leader(), old);
}
END_TEST

/* Nobody reports a broken connection: the power is gone, or a switch swallows what is sent. */
START_TEST(a_leader_that_falls_silent_is_followed_after_one_election_timeout)
{
    open_all(3);
    for (int i = 0; i < 20; i++) {
        struct server *old = elect(2000);
        uint64_t began;

        run(200 + (uint64_t)i);
        old->cut = true;
        began = now_ms;
        (void)elect(340); /* 300, two ranks, a round trip each for pre-vote, vote and barrier. */
        ck_assert_ptr_ne(leader(), old);
        ck_assert_uint_ge(now_ms - began, 250); /* Since the last heartbeat, not before. */
        old->cut = false;
    }
}
END_TEST

START_TEST(a_flapping_connection_deposes_nobody)
{
    struct server *first;
    uint64_t term;

    open_all(3);
    first = elect(2000);
    run(200);
    term = raft_node_term(first->node);
    for (int i = 0; i < 20; i++) {
        raft_node_peer_lost(servers[first->id % NODES].node, first->id);
        run(97);
    }
    ck_assert_ptr_eq(leader(), first);
    ck_assert_uint_eq(raft_node_term(first->node), term);
}
END_TEST

START_TEST(a_sole_voter_never_leads_one_term_twice) /* Rule 5. */
{
    uint64_t term;

    open_all(1);
    write_to(elect(2000), "one ");
    run(10);
    term = raft_node_term(servers[0].node);
    crash(&servers[0]);
    start(&servers[0]);
    (void)elect(2000);
    ck_assert_uint_gt(raft_node_term(servers[0].node), term);
    ck_assert_str_eq(buffer_text(&servers[0].applied), "one ");
}
END_TEST

static struct bytes stale_frame;

static void receive_stale(struct server *server)
{
    Peer__PeerFrame *frame = peer__peer_frame__unpack(NULL, stale_frame.len, stale_frame.base);

    ck_assert_int_eq(raft_node_receive(server->node, frame), 0);
    peer__peer_frame__free_unpacked(frame, NULL);
}

static void give_stale_append(struct server *to, uint64_t from, uint64_t term, uint64_t prev)
{
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__Append append = PEER__APPEND__INIT;
    uint8_t bytes[256];

    append.term = term;
    append.prev_log_index = prev;
    frame.from = from;
    frame.body_case = PEER__PEER_FRAME__BODY_APPEND;
    frame.append = &append;
    stale_frame = (struct bytes){bytes, peer__peer_frame__pack(&frame, bytes)};
    turn(to, receive_stale);
}

START_TEST(an_append_of_an_older_term_gets_an_answer_that_acknowledges_nothing) /* Rule 1. */
{
    struct server *first, *other;
    bool answered = false;

    open_all(3);
    first = elect(2000);
    run(100);
    other = &servers[first->id % NODES];
    give_stale_append(other, first->id, raft_node_term(first->node) - 1, 0);
    list_each (link, &network) {
        struct packet *packet = list_entry(link, struct packet, link);
        Peer__PeerFrame *frame = peer__peer_frame__unpack(NULL, packet->len, packet->bytes);

        if (frame->from == other->id && frame->body_case == PEER__PEER_FRAME__BODY_APPEND_RESULT)
            answered = frame->append_result->stale && frame->append_result->rejected != 0;
        peer__peer_frame__free_unpacked(frame, NULL);
    }
    ck_assert(answered);
}
END_TEST

static bool lose_results(const Peer__PeerFrame *frame)
{
    return frame->body_case != PEER__PEER_FRAME__BODY_APPEND_RESULT;
}

START_TEST(repeated_entries_are_stored_once) /* Rule 3. */
{
    open_all(3);
    write_to(elect(2000), "one ");
    filter = lose_results;
    run(120); /* The leader repeats what nobody has acknowledged. */
    filter = NULL;
    run(500);
    write_to(elect(2000), "two ");
    run(200);
    for (size_t i = 0; i < NODES; i++)
        ck_assert_str_eq(buffer_text(&servers[i].applied), "one two ");
}
END_TEST

START_TEST(the_first_configuration_is_for_an_empty_log_only)
{
    const struct member *found;
    uint64_t index;
    size_t count;

    open_all(3);
    write_to(elect(2000), "one ");
    run(100);
    crash(&servers[0]);
    describe(&members[2], 9);
    start(&servers[0]);
    found = raft_node_members(servers[0].node, &count, &index);
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(index, 1);
    ck_assert_uint_eq(found[2].id, 3);
    ck_assert_str_eq(found[2].name, "m3");
    ck_assert_int_eq(found[2].role, MEMBER_VOTER);
}
END_TEST

/* ---- what no manager sends */

static void receive_refused(struct server *server)
{
    Peer__PeerFrame *frame = peer__peer_frame__unpack(NULL, stale_frame.len, stale_frame.base);

    ck_assert_int_eq(raft_node_receive(server->node, frame), RAFT_NODE_REFUSED);
    peer__peer_frame__free_unpacked(frame, NULL);
}

static void refuses(struct server *to, uint64_t from, Peer__PeerFrame *frame)
{
    uint8_t bytes[512];

    frame->from = from;
    stale_frame = (struct bytes){bytes, peer__peer_frame__pack(frame, bytes)};
    turn(to, receive_refused);
}

static void refuses_append(struct server *to, uint64_t from, Peer__Append *append)
{
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;

    frame.body_case = PEER__PEER_FRAME__BODY_APPEND;
    frame.append = append;
    refuses(to, from, &frame);
}

static void refuses_result(struct server *to, uint64_t from, uint64_t rejected, uint64_t last)
{
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__AppendResult result = PEER__APPEND_RESULT__INIT;

    result.version = 2;
    result.term = raft_node_term(to->node);
    result.rejected = rejected;
    result.last_log_index = last;
    frame.body_case = PEER__PEER_FRAME__BODY_APPEND_RESULT;
    frame.append_result = &result;
    refuses(to, from, &frame);
}

/* Nothing of it has been taken in: the three go on as if it had never been. */
static void all_is_well(void)
{
    struct server *first = elect(2000);
    uint64_t term = raft_node_term(first->node);

    write_to(first, "after ");
    run(500);
    ck_assert_ptr_eq(leader(), first);
    ck_assert_uint_eq(raft_node_term(first->node), term);
    for (size_t i = 0; i < NODES; i++)
        ck_assert_str_eq(buffer_text(&servers[i].applied), "before after ");
}

static struct server *follower_after_a_write(void)
{
    open_all(3);
    write_to(elect(2000), "before ");
    run(200);
    return &servers[leader()->id % NODES];
}

START_TEST(an_append_of_a_second_leader_of_the_term_is_refused)
{
    struct server *other = follower_after_a_write();
    Peer__Append append = PEER__APPEND__INIT;

    append.term = raft_node_term(other->node);
    refuses_append(leader(), other->id, &append);
    all_is_well();
}
END_TEST

START_TEST(an_append_that_contradicts_what_is_committed_is_refused)
{
    struct server *other = follower_after_a_write();
    Peer__Append append = PEER__APPEND__INIT;
    Peer__Entry entry = PEER__ENTRY__INIT, *entries[] = {&entry};

    append.term = raft_node_term(other->node);
    append.prev_log_index = raft_node_commit_index(other->node);
    append.prev_log_term = append.term - 1 ? append.term - 1 : append.term + 1;
    refuses_append(other, leader()->id, &append); /* Exactly at the commit index. */
    append.prev_log_index--;
    append.prev_log_term = 1;
    entry.type = 1;
    entry.term = append.term + 1;
    append.term += 2;
    append.n_entries = 1;
    append.entries = entries;
    refuses_append(other, leader()->id, &append); /* Within it. */
    all_is_well();
}
END_TEST

START_TEST(an_append_that_makes_no_sense_is_refused)
{
    static const uint8_t short_configuration[] = {1, 3, 0, 0, 0, 0, 0, 0, 0, 1};
    static const struct {
        const char *why;
        uint32_t version, type;
        uint64_t term, prev_log_index, prev_log_term, entry_term;
    } cases[] = {
        {"a library to come", 3, 1, 2, 9, 1, 1},
        {"a term that the next election would wrap", 0, 1, UINT64_MAX, 9, 1, 1},
        {"an index that the entries would wrap", 0, 1, 99, UINT64_MAX, 1, 1},
        {"before the first entry, and yet of a term", 0, 1, 99, 0, 1, 1},
        {"behind an entry of no term", 0, 1, 99, 9, 0, 1},
        {"an entry of no term", 0, 1, 99, 0, 0, 0},
        {"terms that fall", 0, 1, 99, 9, 7, 6},
        {"an entry newer than its leader", 0, 1, 99, 9, 7, 100},
        {"behind an entry newer than its leader", 0, 1, 99, 9, 100, 100},
        {"a kind unknown", 0, 4, 99, 9, 7, 7},
        {"a configuration cut short", 0, 3, 99, 9, 7, 7},
    };
    struct server *other = follower_after_a_write();

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Peer__Append append = PEER__APPEND__INIT;
        Peer__Entry entry = PEER__ENTRY__INIT, *entries[] = {&entry};

        append.version = cases[i].version;
        append.term = cases[i].term;
        append.prev_log_index = cases[i].prev_log_index;
        append.prev_log_term = cases[i].prev_log_term;
        append.n_entries = 1;
        append.entries = entries;
        entry.type = cases[i].type;
        entry.term = cases[i].entry_term;
        entry.data =
            (ProtobufCBinaryData){sizeof short_configuration, (uint8_t *)short_configuration};
        refuses_append(other, leader()->id, &append);
    }
    all_is_well();
}
END_TEST

START_TEST(an_answer_about_entries_that_never_were_is_refused)
{
    struct server *other = follower_after_a_write();
    uint64_t last = raft_node_last_index(leader()->node);

    refuses_result(leader(), other->id, 0, last + 1);
    refuses_result(leader(), other->id, 0, UINT64_MAX);
    refuses_result(leader(), other->id, last + 1, last);
    refuses_result(leader(), other->id, last, last);
    refuses_result(leader(), other->id, last, UINT64_MAX);
    all_is_well();
}
END_TEST

START_TEST(a_vote_that_nobody_asked_for_is_refused)
{
    struct server *other = follower_after_a_write();
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__VoteResult result = PEER__VOTE_RESULT__INIT;

    frame.body_case = PEER__PEER_FRAME__BODY_VOTE_RESULT;
    frame.vote_result = &result;
    result.vote_granted = true;
    result.term = raft_node_term(other->node);
    result.version = 1; /* There a pre-vote would pass for a vote. */
    refuses(other, leader()->id, &frame);
    result.version = 2;
    result.term += 2;
    refuses(other, leader()->id, &frame);
    all_is_well();
}
END_TEST

/* ---- a peer that does not answer */

enum { LARGE_BYTES = 10000 };

static size_t sent_to, sent_bytes, sent_most;

static void submit_large(struct server *server)
{
    static uint8_t large[LARGE_BYTES];
    struct bytes commands[20];
    uint64_t index;

    for (size_t i = 0; i < 20; i++)
        commands[i] = (struct bytes){large, sizeof large};
    ck_assert_int_eq(raft_node_submit(server->node, commands, 20, &index), 0);
}

/* What the leader has put on the way to one server in this millisecond. */
static void watch(uint64_t for_ms)
{
    sent_bytes = sent_most = 0;
    for (uint64_t end = now_ms + for_ms; now_ms < end;) {
        size_t bytes = 0;

        run(1);
        list_each (link, &network) {
            struct packet *packet = list_entry(link, struct packet, link);

            if (packet->to == sent_to && packet->at_ms == now_ms - 1 + DELAY_MS)
                bytes += packet->len;
        }
        sent_bytes += bytes;
        sent_most = bytes > sent_most ? bytes : sent_most;
    }
}

START_TEST(a_peer_that_does_not_answer_is_sent_little_and_catches_up_in_steps)
{
    struct server *first, *other;

    open_all(3);
    first = elect(2000);
    run(200);
    other = &servers[first->id % NODES];
    sent_to = other->id;
    crash(other);
    for (int i = 0; i < 45; i++) { /* 9 MB. */
        turn(first, submit_large);
        run(5);
    }
    run(400);
    drop_all(&network);
    watch(1000);
    ck_assert_uint_lt(sent_bytes, 3000000); /* A heartbeat each 50 ms. */
    start(other);
    watch(1500);
    ck_assert_uint_lt(sent_most, LIMIT_APPENDS_BYTES + LIMIT_APPEND_BYTES);
    ck_assert_uint_eq(raft_node_last_index(other->node), raft_node_last_index(first->node));
    ck_assert_uint_eq(raft_node_applied_index(other->node), raft_node_applied_index(first->node));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("raft_node");
    TCase *tc = tcase_create("raft_node");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_is_submitted_is_applied_everywhere_in_order);
    tcase_add_test(tc, what_was_applied_survives_a_crash_of_all);
    tcase_add_test(tc, a_cut_leader_commits_nothing_and_its_entries_give_way);
    tcase_add_test(tc, a_server_that_returns_does_not_disturb_the_leader);
    tcase_add_test(tc, a_read_needs_a_majority);
    tcase_add_test(tc, a_lost_connection_to_the_leader_brings_an_early_election);
    tcase_add_test(tc, a_leader_that_falls_silent_is_followed_after_one_election_timeout);
    tcase_add_test(tc, a_flapping_connection_deposes_nobody);
    tcase_add_test(tc, a_sole_voter_never_leads_one_term_twice);
    tcase_add_test(tc, an_append_of_an_older_term_gets_an_answer_that_acknowledges_nothing);
    tcase_add_test(tc, repeated_entries_are_stored_once);
    tcase_add_test(tc, the_first_configuration_is_for_an_empty_log_only);
    tcase_add_test(tc, an_append_of_a_second_leader_of_the_term_is_refused);
    tcase_add_test(tc, an_append_that_contradicts_what_is_committed_is_refused);
    tcase_add_test(tc, an_append_that_makes_no_sense_is_refused);
    tcase_add_test(tc, an_answer_about_entries_that_never_were_is_refused);
    tcase_add_test(tc, a_vote_that_nobody_asked_for_is_refused);
    tcase_add_test(tc, a_peer_that_does_not_answer_is_sent_little_and_catches_up_in_steps);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
