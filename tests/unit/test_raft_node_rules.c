/*
 * Each rule of docs/consensus.md that frames and logs made for it can show: without the rule its
 * test fails. Those that a plain run shows are tested beside what they are for.
 */
#include "tests/unit/raft_world.h"

/* ---- frames from nobody, and what leaves */

static const Peer__PeerFrame *given;

static void take(struct server *server)
{
    ck_assert_int_eq(raft_node_receive(server->node, given), 0);
}

static void give(struct server *to, const Peer__PeerFrame *frame)
{
    given = frame;
    turn(to, take);
}

static void give_result(struct server *to, const struct server *from, uint64_t rejected,
                        uint64_t last)
{
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__AppendResult result = PEER__APPEND_RESULT__INIT;

    result.version = 2;
    result.term = raft_node_term(to->node);
    result.rejected = rejected;
    result.last_log_index = last;
    frame.from = from->id;
    frame.body_case = PEER__PEER_FRAME__BODY_APPEND_RESULT;
    frame.append_result = &result;
    give(to, &frame);
}

/* How many of them are under way to a server. */
static size_t under_way(uint64_t to, bool (*counts)(const Peer__PeerFrame *frame))
{
    size_t count = 0;

    list_each (link, &network) {
        struct packet *packet = list_entry(link, struct packet, link);
        Peer__PeerFrame *frame = peer__peer_frame__unpack(NULL, packet->len, packet->bytes);

        ck_assert_ptr_nonnull(frame);
        count += packet->to == to && counts(frame);
        peer__peer_frame__free_unpacked(frame, NULL);
    }
    return count;
}

static bool has_entries(const Peer__PeerFrame *frame)
{
    return frame->body_case == PEER__PEER_FRAME__BODY_APPEND && frame->append->n_entries > 0;
}

static bool is_timeout_now(const Peer__PeerFrame *frame)
{
    return frame->body_case == PEER__PEER_FRAME__BODY_TIMEOUT_NOW;
}

/* ---- pasts */

/* Behind what a server has that is down: so many entries of a term, as if it had lived through it;
 * and its own term. */
static void remember(const struct server *server, uint64_t term, size_t count, uint64_t own_term)
{
    scope(txn_abort) struct txn *txn = NULL;
    struct log_entry entry = {.term = term, .type = 1, .data = {"past", 4}};
    struct log_vote vote = {.term = own_term};
    uint64_t first, last;

    ck_assert_int_eq(env_write(server->env, &txn), 0);
    ck_assert_int_eq(log_bounds(txn, &first, &last), 0);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(log_append(txn, last + 1 + i, &entry), 0);
    ck_assert_int_eq(log_vote_put(txn, &vote), 0);
    ck_assert_int_eq(txn_commit(steal(txn)), 0);
}

/* Three servers that have the first configuration and are down. */
static void open_three_down(void)
{
    open_all(3);
    for (size_t i = 0; i < 3; i++)
        crash(&servers[i]);
}

/* A leader whose followers have a few entries, and know that they are committed. */
static struct server *lead_for_a_while(void)
{
    struct server *first;

    open_all(3);
    first = elect(2000);
    for (int i = 0; i < 10; i++)
        write_to(first, "x");
    run(200);
    ck_assert_ptr_eq(leader(), first);
    return first;
}

/* ---- the rules */

static void hear_of_a_commit_then_vote(struct server *server)
{
    const struct server *first = leader();
    uint64_t last = raft_node_last_index(server->node), term = raft_node_term(server->node);
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__Append append = PEER__APPEND__INIT;
    Peer__Vote vote = PEER__VOTE__INIT;

    append.term = append.prev_log_term = term;
    append.prev_log_index = append.leader_commit = last;
    frame.from = first->id;
    frame.body_case = PEER__PEER_FRAME__BODY_APPEND;
    frame.append = &append;
    ck_assert_uint_lt(raft_node_commit_index(server->node), last);
    ck_assert_int_eq(raft_node_receive(server->node, &frame), 0);
    ck_assert_uint_eq(raft_node_commit_index(server->node), last);
    vote.version = 2;
    vote.term = term + 1;
    vote.candidate_id = frame.from = first == &servers[0] ? servers[1].id : servers[0].id;
    vote.last_log_index = last;
    vote.last_log_term = term;
    vote.disrupt_leader = true;
    frame.body_case = PEER__PEER_FRAME__BODY_VOTE;
    frame.vote = &vote;
    ck_assert_int_eq(raft_node_receive(server->node, &frame), 0);
    ck_assert_uint_eq(raft_node_term(server->node), term + 1); /* The core has begun anew. */
    ck_assert_uint_eq(raft_node_commit_index(server->node), last);
}

START_TEST(what_is_committed_stays_so_when_the_core_begins_anew) /* Rule 6. */
{
    first_count = 3;
    for (size_t i = 0; i < 3; i++)
        describe(&first_members[i], i);
    first_members[2].role = MEMBER_STANDBY;
    for (size_t i = 0; i < 3; i++)
        start(open_one());
    write_to(elect(2000), "one ");
    run(3); /* It has the entry, and no word yet that it is committed. */
    turn(&servers[2], hear_of_a_commit_then_vote);
    ck_assert_str_eq(buffer_text(&servers[2].applied), "one ");
}
END_TEST

/* The first Append of all, which comes again when its entries are kept no more. */
START_TEST(an_append_of_what_is_trimmed_appends_nothing) /* Rule 3. */
{
    struct server *first, *other;
    uint64_t committed, last;
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__Append append = PEER__APPEND__INIT;
    Peer__Entry entry = PEER__ENTRY__INIT, *entries[] = {&entry, &entry, &entry};

    keep_entries = 4;
    first = lead_for_a_while();
    other = next_of(first);
    for (int i = 0; i < 2; i++) {
        write_to(first, "y");
        run(200);
    }
    committed = raft_node_commit_index(other->node);
    last = raft_node_last_index(other->node);
    ck_assert_uint_gt(raft_node_first_index(other->node), 3);
    append.term = entry.term = raft_node_term(first->node);
    append.leader_commit = committed + 1;
    append.entries = entries;
    append.n_entries = 3;
    entry.type = 1;
    frame.from = first->id;
    frame.body_case = PEER__PEER_FRAME__BODY_APPEND;
    frame.append = &append;
    give(other, &frame);
    ck_assert_uint_eq(raft_node_last_index(other->node), last);
    ck_assert_uint_eq(raft_node_commit_index(other->node), committed);
    write_to(first, "z");
    run(200);
    ck_assert_str_eq(buffer_text(&other->applied), "xxxxxxxxxxyyz");
}
END_TEST

static struct server *joiner;
static uint64_t target;
static int outcome;

static void add(struct server *server)
{
    uint64_t index;

    outcome = raft_node_add(server->node, &joiner->member, &index);
}

static void leave_out(struct server *server)
{
    uint64_t index;

    outcome = raft_node_remove(server->node, target, &index);
}

static void hand_over(struct server *server)
{
    outcome = raft_node_transfer(server->node, target);
}

START_TEST(a_change_behind_other_entries_counts_where_it_stands) /* Rule 4. */
{
    struct server *first = lead_for_a_while(), *other = next_of(first);

    joiner = open_one();
    start(joiner);
    other->cut = true;
    write_to(first, "y");
    turn(first, add);
    ck_assert_int_eq(outcome, 0);
    write_to(first, "z");
    run(100);
    other->cut = false; /* All of it comes as one. */
    run(300);
    ck_assert_str_eq(buffer_text(&other->applied), "xxxxxxxxxxyz");
    target = other->id;
    turn(first, hand_over);
    run(100);
    ck_assert_ptr_eq(leader(), other);
    target = joiner->id;
    turn(other, leave_out); /* The change before it is known to be over. */
    ck_assert_int_eq(outcome, 0);
    run(200);
    ck_assert(!raft_node_leads(joiner->node));
    ck_assert_ptr_eq(leader(), other);
}
END_TEST

static void step_back(struct server *server)
{
    uint64_t index;

    outcome = raft_node_assign(server->node, server->id, MEMBER_STANDBY, &index);
}

START_TEST(whoever_votes_alone_leads_no_term_of_another_when_told_to) /* Rule 5. */
{
    struct server *first, *other;
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__TimeoutNow now = PEER__TIMEOUT_NOW__INIT;

    open_all(2);
    first = elect(2000);
    other = next_of(first);
    run(100);
    turn(first, step_back);
    ck_assert_int_eq(outcome, 0);
    run(2); /* The other has the entry, and is the only voter. */
    first->cut = true;
    now.term = now.last_log_term = raft_node_term(other->node);
    now.last_log_index = raft_node_last_index(other->node);
    frame.from = first->id;
    frame.body_case = PEER__PEER_FRAME__BODY_TIMEOUT_NOW;
    frame.timeout_now = &now;
    give(other, &frame);
    ck_assert(!raft_node_leads(other->node));
    run(1500);
    ck_assert(raft_node_leads(other->node));
    ck_assert_uint_gt(raft_node_term(other->node), now.term);
}
END_TEST

/* A rejection that a follower sent while it lacked what it has acknowledged since. It knows nothing
 * of that to be committed: else rule 3 would make good for it. */
START_TEST(a_rejection_that_comes_late_lowers_nothing) /* Rule 8. */
{
    struct server *first = lead_for_a_while(), *other = next_of(first);
    uint64_t match;

    write_to(first, "y");
    run(3);
    match = raft_node_match(first->node, other->id);
    ck_assert_uint_eq(match, raft_node_last_index(first->node));
    ck_assert_uint_lt(raft_node_commit_index(other->node), match);
    other->cut = true;
    run(1500); /* Out of contact: whatever comes of it now says where to go on. */
    other->cut = false;
    give_result(first, other, match, 2);
    write_to(first, "z");
    run(2000);
    ck_assert_ptr_eq(leader(), first);
    ck_assert_str_eq(buffer_text(&other->applied), "xxxxxxxxxxyz");
}
END_TEST

START_TEST(the_newest_log_leads_though_others_have_seen_later_terms) /* Rule 9. */
{
    open_three_down();
    remember(&servers[0], 3, 1, 3);
    remember(&servers[1], 1, 0, 5);
    start(&servers[0]);
    start(&servers[1]);
    ck_assert_ptr_eq(elect(5000), &servers[0]);
    run(200);
    ck_assert_str_eq(buffer_text(&servers[1].applied), "past");
}
END_TEST

static size_t rejections;

static bool count_rejections(const Peer__PeerFrame *frame)
{
    rejections += frame->body_case == PEER__PEER_FRAME__BODY_APPEND_RESULT &&
                  frame->append_result->rejected != 0;
    return true;
}

static void is_whole_after_few_rejections(struct server *server)
{
    uint64_t end = now_ms + 10000;

    rejections = 0;
    filter = count_rejections;
    start(server);
    while (now_ms < end &&
           raft_node_commit_index(server->node) < raft_node_last_index(leader()->node))
        run(1);
    ck_assert_uint_lt(now_ms, end);
    ck_assert_uint_ge(rejections, 1);
    ck_assert_uint_le(rejections, 3);
}

/* Where it has entries of an old term, the leader has those of a later one. */
START_TEST(stray_entries_of_an_old_term_cost_one_round_trip) /* Rule 11, the leader's half. */
{
    open_three_down();
    remember(&servers[0], 2, 200, 2);
    remember(&servers[1], 3, 200, 3);
    remember(&servers[2], 3, 200, 3);
    start(&servers[1]);
    start(&servers[2]);
    (void)elect(2000);
    is_whole_after_few_rejections(&servers[0]);
}
END_TEST

/* And the other way round: a leader that was deposed before anybody had its entries. */
START_TEST(stray_entries_of_a_later_term_cost_one_round_trip) /* Rule 11, the follower's half. */
{
    open_three_down();
    remember(&servers[0], 2, 200, 3);
    remember(&servers[1], 1, 0, 3);
    remember(&servers[2], 3, 200, 3);
    start(&servers[0]);
    start(&servers[1]);
    ck_assert_ptr_eq(elect(2000), &servers[0]);
    is_whole_after_few_rejections(&servers[2]);
}
END_TEST

START_TEST(a_target_that_has_acknowledged_a_part_is_not_told_yet) /* Rule 12. */
{
    struct server *first = lead_for_a_while(), *other = next_of(first);
    uint64_t match = raft_node_match(first->node, other->id);

    other->cut = true;
    for (int i = 0; i < 5; i++)
        write_to(first, "y");
    run(10);
    target = other->id;
    turn(first, hand_over);
    ck_assert_int_eq(outcome, 0);
    ck_assert_uint_eq(under_way(other->id, is_timeout_now), 0);
    give_result(first, other, 0, match + 2);
    ck_assert_uint_eq(under_way(other->id, is_timeout_now), 0);
    give_result(first, other, 0, match + 5);
    ck_assert_uint_eq(under_way(other->id, is_timeout_now), 1);
}
END_TEST

START_TEST(a_leader_that_wakes_early_goes_on_sending_to_all) /* Rule 13. */
{
    struct server *first = lead_for_a_while();

    run(150);
    for (int i = 0; i < 4; i++) {
        turn(first, NULL);
        run(1);
    }
    write_to(first, "y");
    for (size_t i = 0; i < 3; i++)
        if (&servers[i] != first)
            ck_assert_uint_eq(under_way(servers[i].id, has_entries), 1);
}
END_TEST

/* Were it taken in, its term would be. */
static void is_not_moved_by_a_vote(struct server *server, const struct server *from)
{
    uint64_t term = raft_node_term(server->node);
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__VoteResult result = PEER__VOTE_RESULT__INIT;

    result.version = 2;
    result.term = term + 1;
    result.vote_granted = true;
    result.pre_vote = true;
    frame.from = from->id;
    frame.body_case = PEER__PEER_FRAME__BODY_VOTE_RESULT;
    frame.vote_result = &result;
    give(server, &frame);
    ck_assert_uint_eq(raft_node_term(server->node), term);
}

START_TEST(a_vote_that_comes_late_moves_no_leader) /* Rule 14. */
{
    struct server *first = lead_for_a_while();

    is_not_moved_by_a_vote(first, next_of(first));
    ck_assert_ptr_eq(leader(), first);
}
END_TEST

START_TEST(a_vote_that_comes_late_moves_no_follower) /* Rule 14. */
{
    open_all(3);
    is_not_moved_by_a_vote(&servers[0], &servers[1]); /* It knows no leader yet. */
    run(1000);
    is_not_moved_by_a_vote(next_of(leader()), next_of(next_of(leader())));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("raft_node_rules");
    TCase *tc = tcase_create("raft_node_rules");
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_is_committed_stays_so_when_the_core_begins_anew);
    tcase_add_test(tc, an_append_of_what_is_trimmed_appends_nothing);
    tcase_add_test(tc, a_change_behind_other_entries_counts_where_it_stands);
    tcase_add_test(tc, whoever_votes_alone_leads_no_term_of_another_when_told_to);
    tcase_add_test(tc, a_rejection_that_comes_late_lowers_nothing);
    tcase_add_test(tc, the_newest_log_leads_though_others_have_seen_later_terms);
    tcase_add_test(tc, stray_entries_of_an_old_term_cost_one_round_trip);
    tcase_add_test(tc, stray_entries_of_a_later_term_cost_one_round_trip);
    tcase_add_test(tc, a_target_that_has_acknowledged_a_part_is_not_told_yet);
    tcase_add_test(tc, a_leader_that_wakes_early_goes_on_sending_to_all);
    tcase_add_test(tc, a_vote_that_comes_late_moves_no_leader);
    tcase_add_test(tc, a_vote_that_comes_late_moves_no_follower);
    suite_add_tcase(s, tc);
    end_suite(srunner_create(s), &failed);
    return failed != 0;
}
