/* What no manager sends: nothing of it is taken in. */
#include "tests/unit/raft_world.h"

static struct bytes stale_frame;

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
    for (size_t i = 0; i < server_count; i++)
        ck_assert_str_eq(buffer_text(&servers[i].applied), "before after ");
}

static struct server *follower_after_a_write(void)
{
    open_all(3);
    write_to(elect(2000), "before ");
    run(200);
    return next_of(leader());
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

static void receive_taken(struct server *server)
{
    Peer__PeerFrame *frame = peer__peer_frame__unpack(NULL, stale_frame.len, stale_frame.base);

    ck_assert_int_eq(raft_node_receive(server->node, frame), 0);
    peer__peer_frame__free_unpacked(frame, NULL);
}

static void give(struct server *to, Peer__PeerFrame *frame)
{
    uint8_t bytes[1024];

    stale_frame = (struct bytes){bytes, peer__peer_frame__pack(frame, bytes)};
    turn(to, receive_taken);
}

/* From a leader to come, as it can be when the old one hears of its followers' answers late. */
static void give_ticket(struct server *to, uint64_t from, uint64_t term, uint64_t index)
{
    scope(txn_abort) struct txn *txn = NULL;
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__Install install = PEER__INSTALL__INIT;
    struct bytes configuration;

    ck_assert_int_eq(env_read(to->env, &txn), 0);
    ck_assert_int_eq(log_configuration_get(txn, &configuration), 0);
    install.term = install.last_term = term;
    install.last_index = index;
    install.configuration_index = 1;
    install.configuration = (ProtobufCBinaryData){configuration.len, (uint8_t *)configuration.base};
    frame.from = from;
    frame.body_case = PEER__PEER_FRAME__BODY_INSTALL;
    frame.install = &install;
    give(to, &frame);
}

START_TEST(a_ticket_for_what_has_been_committed_since_is_not_used)
{
    struct server *other = follower_after_a_write(), *first = leader();
    uint64_t term = raft_node_term(first->node) + 1, from, index, last;
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__Append append = PEER__APPEND__INIT;

    write_to(first, "late ");
    last = raft_node_last_index(first->node);
    give_ticket(first, other->id, term, last);
    run(5);
    ck_assert_uint_eq(raft_node_commit_index(first->node), last);
    append.term = append.prev_log_term = term;
    append.prev_log_index = last + 3;
    frame.from = other->id;
    frame.body_case = PEER__PEER_FRAME__BODY_APPEND;
    frame.append = &append;
    give(first, &frame);
    ck_assert_uint_eq(raft_node_leader(first->node), other->id);
    ck_assert(!raft_node_snapshot_wanted(first->node, &from, &index));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("raft_node_refuse");
    TCase *tc = tcase_create("raft_node_refuse");
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, an_append_of_a_second_leader_of_the_term_is_refused);
    tcase_add_test(tc, an_append_that_contradicts_what_is_committed_is_refused);
    tcase_add_test(tc, an_append_that_makes_no_sense_is_refused);
    tcase_add_test(tc, an_answer_about_entries_that_never_were_is_refused);
    tcase_add_test(tc, a_vote_that_nobody_asked_for_is_refused);
    tcase_add_test(tc, a_ticket_for_what_has_been_committed_since_is_not_used);
    suite_add_tcase(s, tc);
    end_suite(srunner_create(s), &failed);
    return failed != 0;
}
