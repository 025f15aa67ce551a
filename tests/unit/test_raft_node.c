#include "tests/unit/raft_world.h"

START_TEST(what_is_submitted_is_applied_everywhere_in_order)
{
    open_all(3);
    write_to(elect(2000), "one ");
    write_to(leader(), "two ");
    run(200);
    for (size_t i = 0; i < server_count; i++)
        ck_assert_str_eq(buffer_text(&servers[i].applied), "one two ");
}
END_TEST

START_TEST(what_was_applied_survives_a_crash_of_all)
{
    open_all(3);
    write_to(elect(2000), "one ");
    run(200);
    for (size_t i = 0; i < server_count; i++)
        crash(&servers[i]);
    run(50);
    for (size_t i = 0; i < server_count; i++)
        start(&servers[i]);
    write_to(elect(2000), "two ");
    run(200);
    for (size_t i = 0; i < server_count; i++) /* Nothing is applied twice. */
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
    for (size_t i = 0; i < server_count; i++)
        ck_assert_str_eq(buffer_text(&servers[i].applied), "kept ");
}
END_TEST

START_TEST(a_server_that_returns_does_not_disturb_the_leader)
{
    struct server *first, *other;
    uint64_t term;

    open_all(3);
    first = elect(2000);
    other = next_of(first);
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
    for (size_t i = 0; i < server_count; i++)
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
        raft_node_peer_lost(next_of(first)->node, first->id);
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
    other = next_of(first);
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

START_TEST(repeated_entries_are_stored_once)
{
    open_all(3);
    write_to(elect(2000), "one ");
    filter = lose_results;
    run(120); /* The leader repeats what nobody has acknowledged. */
    filter = NULL;
    run(500);
    write_to(elect(2000), "two ");
    run(200);
    for (size_t i = 0; i < server_count; i++)
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
    describe(&first_members[2], 9);
    start(&servers[0]);
    found = raft_node_members(servers[0].node, &count, &index);
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(index, 1);
    ck_assert_uint_eq(found[2].id, servers[2].id);
    ck_assert_str_eq(found[2].name, "m3");
    ck_assert_int_eq(found[2].role, MEMBER_VOTER);
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
    other = next_of(first);
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

/* ---- a disk that does not take what it should */

/* A turn up to its commit, which does not come about. What may leave before it, leaves. */
static void turn_without_commit(struct server *server, action also)
{
    turn_begin(server);
    if (also)
        also(server);
    ck_assert_int_eq(raft_node_end(server->node), 0);
    keep_early(server);
    send_held(server);
}

START_TEST(a_leader_whose_disk_hangs_leads_no_longer)
{
    struct server *first, *new;
    struct raft_node *hung;

    open_all(3);
    first = elect(2000);
    write_to(first, "one ");
    run(200);
    submitted = "two ";
    turn_without_commit(first, submit);
    hung = steal(first->node); /* It waits for its disk: no further turn. */
    new = elect(1000);
    ck_assert_ptr_ne(new, first);
    write_to(new, "three ");
    run(200);
    ck_assert_str_eq(buffer_text(&new->applied),
                     "one two three "); /* Both had it from the leader. */
    first->node = hung;
    txn_abort(steal(first->txn)); /* The disk has failed, and the process ends. */
    crash(first);
    start(first);
    run(500);
    ck_assert_ptr_eq(leader(), new);
    for (size_t i = 0; i < server_count; i++)
        ck_assert_str_eq(buffer_text(&servers[i].applied), "one two three ");
}
END_TEST

/* As run(), but nothing that must be committed fits on the disk of one: it opens its node again. */
static void run_with_a_full_disk(struct server *full, uint64_t for_ms)
{
    for (uint64_t end = now_ms + for_ms; now_ms < end; now_ms++) {
        for (size_t i = 0; i < server_count; i++) {
            struct server *server = &servers[i];

            if (!is_due(server))
                continue;
            if (server != full) {
                turn(server, NULL);
                continue;
            }
            turn_without_commit(server, NULL);
            txn_abort(steal(server->txn));
            crash(server);
            start(server);
        }
    }
}

START_TEST(a_leader_whose_disk_is_full_leads_no_longer_and_disturbs_nobody)
{
    struct server *first, *new;
    uint64_t term;

    open_all(3);
    first = elect(2000);
    write_to(first, "one ");
    run(200);
    submitted = "two ";
    turn_without_commit(first, submit);
    txn_abort(steal(first->txn));
    crash(first);
    start(first);
    run_with_a_full_disk(first, 1000);
    new = leader();
    ck_assert_ptr_nonnull(new);
    ck_assert_ptr_ne(new, first);
    term = raft_node_term(new->node);
    for (int i = 0; i < 20; i++) {
        run_with_a_full_disk(first, 300);
        ck_assert_ptr_eq(leader(), new);
    }
    ck_assert_uint_eq(raft_node_term(new->node), term);
    write_to(new, "three ");
    run(500); /* There is room again. */
    for (size_t i = 0; i < server_count; i++)
        ck_assert_str_eq(buffer_text(&servers[i].applied), "one two three ");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("raft_node");
    TCase *tc = tcase_create("raft_node");
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
    tcase_add_test(tc, a_peer_that_does_not_answer_is_sent_little_and_catches_up_in_steps);
    tcase_add_test(tc, a_leader_whose_disk_hangs_leads_no_longer);
    tcase_add_test(tc, a_leader_whose_disk_is_full_leads_no_longer_and_disturbs_nobody);
    suite_add_tcase(s, tc);
    end_suite(srunner_create(s), &failed);
    return failed != 0;
}
