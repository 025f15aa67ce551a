/* Members that join, vote and leave; leadership handed on; logs that were trimmed. */
#include "tests/unit/raft_world.h"

static struct server *joiner;
static uint64_t changed_at;
static int outcome;
static uint64_t target;

static void add(struct server *server)
{
    outcome = raft_node_add(server->node, &joiner->member, &changed_at);
}

static void promote(struct server *server)
{
    outcome = raft_node_assign(server->node, target, MEMBER_VOTER, &changed_at);
}

static void demote(struct server *server)
{
    outcome = raft_node_assign(server->node, target, MEMBER_STANDBY, &changed_at);
}

static void leave_out(struct server *server)
{
    outcome = raft_node_remove(server->node, target, &changed_at);
}

static void hand_over(struct server *server)
{
    outcome = raft_node_transfer(server->node, target);
}

/* One change, applied everywhere that hears of it. */
static void change(action what, uint64_t id)
{
    target = id;
    turn(leader(), what);
    ck_assert_int_eq(outcome, 0);
    run(200);
}

static void join(void)
{
    joiner = open_one();
    may_refuse = true;
    start(joiner);
    change(add, joiner->id);
}

static enum member_role role_at(const struct server *server, uint64_t id)
{
    size_t count;
    const struct member *members = raft_node_members(server->node, &count, NULL);
    const struct member *found = member_find(members, count, id);

    return found ? found->role : MEMBER_SPARE;
}

START_TEST(one_manager_grows_to_three_and_loses_its_first)
{
    struct server *first;

    open_all(1);
    first = elect(2000);
    write_to(first, "one ");
    for (int i = 0; i < 2; i++) {
        join();
        ck_assert_str_eq(buffer_text(&joiner->applied), "one ");
        ck_assert_int_eq(role_at(joiner, joiner->id), MEMBER_STANDBY);
        ck_assert_uint_eq(raft_node_match(first->node, joiner->id),
                          raft_node_last_index(first->node));
        change(promote, joiner->id);
        ck_assert_int_eq(role_at(joiner, joiner->id), MEMBER_VOTER);
    }
    change(leave_out, first->id);
    ck_assert(!raft_node_leads(first->node)); /* Raft 4.2.2 */
    ck_assert(!raft_node_is_member(first->node));
    write_to(elect(2000), "two ");
    run(200);
    ck_assert_str_eq(buffer_text(&servers[1].applied), "one two ");
    ck_assert_str_eq(buffer_text(&servers[2].applied), "one two ");
    ck_assert_str_eq(buffer_text(&first->applied), "one ");
}
END_TEST

START_TEST(a_joining_manager_waits_and_disturbs_nobody)
{
    open_all(3);
    (void)elect(2000);
    start(open_one());
    run(5000);
    ck_assert_uint_eq(raft_node_term(servers[3].node), 0);
    ck_assert_uint_eq(raft_node_last_index(servers[3].node), 0);
    ck_assert(!raft_node_is_member(servers[3].node));
}
END_TEST

START_TEST(one_change_at_a_time)
{
    struct server *first;

    open_all(3);
    first = elect(2000);
    target = next_of(first)->id;
    turn(first, demote);
    ck_assert_int_eq(outcome, 0);
    target = next_of(next_of(first))->id;
    turn(first, demote);
    ck_assert_int_eq(outcome, RAFT_NODE_BUSY);
    turn(next_of(first), demote);
    ck_assert_int_eq(outcome, RAFT_NODE_NOT_LEADER);
    run(100);
    turn(first, demote);
    ck_assert_int_eq(outcome, 0);
}
END_TEST

static bool lose_all(const Peer__PeerFrame *frame)
{
    (void)frame;
    return false;
}

START_TEST(nothing_changes_before_an_entry_of_the_term_is_committed) /* Rule 2. */
{
    struct server *first = NULL;

    open_all(3);
    while (!first) {
        run(1);
        for (size_t i = 0; i < 3; i++)
            if (raft_node_leads(servers[i].node))
                first = &servers[i];
    }
    filter = lose_all;
    ck_assert(!raft_node_ready(first->node));
    target = next_of(first)->id;
    turn(first, leave_out);
    ck_assert_int_eq(outcome, RAFT_NODE_BUSY);
    ck_assert_int_eq(raft_node_read(first->node, &changed_at, &changed_at), RAFT_NODE_NOT_LEADER);
}
END_TEST

START_TEST(what_makes_no_sense_is_told_apart)
{
    struct server *first;

    open_all(1);
    first = elect(2000);
    join();
    turn(first, add);
    ck_assert_int_eq(outcome, RAFT_NODE_EXISTS);
    target = 77;
    turn(first, promote);
    ck_assert_int_eq(outcome, RAFT_NODE_ABSENT);
    turn(first, leave_out);
    ck_assert_int_eq(outcome, RAFT_NODE_ABSENT);
    target = joiner->id;
    turn(first, demote);
    ck_assert_int_eq(outcome, RAFT_NODE_EXISTS);
    turn(first, hand_over);
    ck_assert_int_eq(outcome, RAFT_NODE_ABSENT); /* It does not vote. */
    target = first->id;
    turn(first, demote);
    ck_assert_int_eq(outcome, RAFT_NODE_LAST_VOTER);
    turn(first, leave_out);
    ck_assert_int_eq(outcome, RAFT_NODE_LAST_VOTER);
}
END_TEST

START_TEST(leadership_is_handed_to_whom_it_is_meant_for)
{
    struct server *first, *other;

    open_all(3);
    first = elect(2000);
    run(100);
    other = next_of(first);
    target = other->id;
    turn(first, hand_over);
    ck_assert_int_eq(outcome, 0);
    ck_assert_uint_eq(raft_node_room(first->node), 0);
    run(30);
    ck_assert_ptr_eq(leader(), other);
}
END_TEST

static uint64_t told;

static void lose_frames_to(uint64_t to)
{
    list_each (link, &network) {
        struct packet *packet = list_entry(link, struct packet, link);

        if (packet->to != to)
            continue;
        list_remove(link);
        free(packet);
    }
}

static bool is_timeout_now(const Peer__PeerFrame *frame)
{
    told += frame->body_case == PEER__PEER_FRAME__BODY_TIMEOUT_NOW;
    return true;
}

START_TEST(a_target_that_is_behind_is_waited_for_and_then_given_up) /* Rule 12. */
{
    struct server *first, *other;

    open_all(3);
    first = elect(2000);
    run(100);
    other = next_of(first);
    other->cut = true;
    write_to(first, "one ");
    run(20);
    target = other->id;
    turn(first, hand_over);
    other->cut = false;
    told = 0;
    filter = is_timeout_now;
    for (int i = 0; i < 250; i++) { /* Nothing reaches it, so it must not be told. */
        lose_frames_to(other->id);
        ck_assert(raft_node_transferring(first->node));
        run(1);
    }
    ck_assert_uint_eq(told, 0);
    for (int i = 0; i < 100; i++) {
        lose_frames_to(other->id);
        run(1);
    }
    ck_assert(!raft_node_transferring(first->node));
    ck_assert_uint_gt(raft_node_room(first->node), 0);
    write_to(first, "two ");
    run(300);
    ck_assert_str_eq(buffer_text(&other->applied), "one two ");
}
END_TEST

START_TEST(a_target_that_catches_up_in_time_leads)
{
    struct server *first, *other;

    open_all(3);
    first = elect(2000);
    run(100);
    other = next_of(first);
    other->cut = true;
    write_to(first, "one ");
    run(20);
    target = other->id;
    turn(first, hand_over);
    other->cut = false;
    run(150);
    ck_assert_ptr_eq(leader(), other);
    ck_assert_str_eq(buffer_text(&other->applied), "one ");
}
END_TEST

START_TEST(a_server_that_does_not_know_that_it_votes_does_so) /* Rule 10. */
{
    struct server *first;

    open_all(1);
    first = elect(2000);
    write_to(first, "one ");
    join();
    target = joiner->id;
    joiner->cut = true; /* The change does not reach it. */
    turn(first, promote);
    crash(first);
    run(1000);
    start(first);
    joiner->cut = false;
    write_to(elect(3000), "two ");
    run(200);
    ck_assert_int_eq(role_at(joiner, joiner->id), MEMBER_VOTER);
    ck_assert_str_eq(buffer_text(&joiner->applied), "one two ");
}
END_TEST

START_TEST(whoever_is_left_the_only_voter_leads_a_new_term) /* Rule 5, told a restart. */
{
    struct server *first, *other;
    uint64_t term;

    open_all(2);
    first = elect(2000);
    run(100);
    other = next_of(first);
    term = raft_node_term(first->node);
    target = first->id;
    turn(first, demote); /* Itself: the other votes alone, as soon as it has the entry. */
    run(2);
    first->cut = true;
    run(1500);
    ck_assert(raft_node_leads(other->node));
    ck_assert_uint_gt(raft_node_term(other->node), term);
}
END_TEST

/* It was cut off when it was removed, and thinks that it still votes. */
START_TEST(a_removed_manager_disturbs_nobody)
{
    struct server *first, *other;
    uint64_t term;

    open_all(4);
    may_refuse = true;
    first = elect(2000);
    run(100);
    other = next_of(first);
    other->cut = true;
    change(leave_out, other->id);
    other->cut = false;
    term = raft_node_term(first->node);
    run(5000);
    ck_assert(raft_node_is_member(other->node)); /* As far as it knows. */
    ck_assert_ptr_eq(leader(), first);
    ck_assert_uint_eq(raft_node_term(first->node), term);
    crash(first); /* Nor is it followed when there is no leader. */
    write_to(elect(2000), "one ");
    ck_assert_ptr_ne(leader(), other);
    run(2000);
    ck_assert_ptr_ne(leader(), other);
    ck_assert_str_eq(buffer_text(&leader()->applied), "one ");
}
END_TEST

/* ---- trimmed logs */

static void write_many(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        write_to(leader(), "x");
        run(2);
    }
}

START_TEST(the_log_keeps_a_trail)
{
    keep_entries = 16;
    open_all(3);
    (void)elect(2000);
    write_many(100);
    run(200);
    for (size_t i = 0; i < 3; i++) {
        uint64_t kept =
            raft_node_applied_index(servers[i].node) + 1 - raft_node_first_index(servers[i].node);

        ck_assert_uint_ge(kept, 16);
        ck_assert_uint_le(kept, 16 + 16 / 8 + 8);
    }
    for (size_t i = 0; i < 3; i++)
        crash(&servers[i]);
    for (size_t i = 0; i < 3; i++)
        start(&servers[i]);
    (void)elect(2000);
    write_many(50);
    run(200);
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(servers[i].applied.len, 150);
}
END_TEST

START_TEST(what_is_held_is_not_trimmed)
{
    uint64_t held;

    keep_entries = 16;
    open_all(1);
    (void)elect(2000);
    write_many(50);
    held = raft_node_applied_index(servers[0].node);
    raft_node_hold(servers[0].node, held);
    write_many(100);
    ck_assert_uint_le(raft_node_first_index(servers[0].node), held + 1);
    raft_node_hold(servers[0].node, UINT64_MAX);
    write_many(20);
    ck_assert_uint_gt(raft_node_first_index(servers[0].node), held + 1);
}
END_TEST

START_TEST(whoever_is_too_far_behind_gets_a_ticket) /* Rule 15. */
{
    struct server *first, *other;
    uint64_t from, index;

    keep_entries = 16;
    open_all(3);
    first = elect(2000);
    other = next_of(first);
    other->cut = true;
    write_many(100);
    other->cut = false;
    run(500);
    first = elect(2000);
    ck_assert(raft_node_snapshot_wanted(other->node, &from, &index));
    ck_assert_uint_eq(from, first->id);
    ck_assert_uint_ge(index, 100);
    turn(first, NULL);
    ck_assert(install_image(other, first));
    run(500);
    ck_assert(!raft_node_snapshot_wanted(other->node, &from, &index));
    write_to(leader(), "after");
    run(200);
    ck_assert_str_eq(buffer_text(&other->applied), "after");
    ck_assert(!install_image(other, leader())); /* It has nothing new. */
}
END_TEST

START_TEST(a_newcomer_to_a_trimmed_log_gets_a_ticket_too)
{
    uint64_t from, index;

    keep_entries = 16;
    open_all(1);
    (void)elect(2000);
    write_many(100);
    join();
    run(500);
    ck_assert(raft_node_snapshot_wanted(joiner->node, &from, &index));
    fetch_images();
    run(500);
    ck_assert_int_eq(role_at(joiner, joiner->id), MEMBER_STANDBY);
    change(promote, joiner->id);
    write_to(leader(), "after");
    run(200);
    ck_assert_str_eq(buffer_text(&joiner->applied), "after");
}
END_TEST

START_TEST(one_that_has_lost_the_others_goes_on_alone)
{
    struct server *one;
    uint64_t term, index;
    struct txn *txn;

    open_all(3);
    write_to(elect(2000), "one ");
    run(200);
    one = next_of(leader());
    term = raft_node_term(one->node);
    for (size_t i = 0; i < 3; i++)
        crash(&servers[i]);
    ck_assert_int_eq(env_write(one->env, &txn), 0);
    ck_assert_int_eq(raft_node_recover(txn, &one->member, &index), 0);
    ck_assert_int_eq(txn_commit(txn), 0);
    start(one);
    write_to(elect(2000), "two ");
    run(100);
    ck_assert_str_eq(buffer_text(&one->applied), "one two ");
    ck_assert_uint_gt(raft_node_term(one->node), term + (1 << 20));
    joiner = open_one();
    start(joiner);
    change(add, joiner->id);
    ck_assert_str_eq(buffer_text(&joiner->applied), "one two ");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("raft_node_members");
    TCase *tc = tcase_create("raft_node_members");
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, one_manager_grows_to_three_and_loses_its_first);
    tcase_add_test(tc, a_joining_manager_waits_and_disturbs_nobody);
    tcase_add_test(tc, one_change_at_a_time);
    tcase_add_test(tc, nothing_changes_before_an_entry_of_the_term_is_committed);
    tcase_add_test(tc, what_makes_no_sense_is_told_apart);
    tcase_add_test(tc, leadership_is_handed_to_whom_it_is_meant_for);
    tcase_add_test(tc, a_target_that_is_behind_is_waited_for_and_then_given_up);
    tcase_add_test(tc, a_target_that_catches_up_in_time_leads);
    tcase_add_test(tc, a_server_that_does_not_know_that_it_votes_does_so);
    tcase_add_test(tc, whoever_is_left_the_only_voter_leads_a_new_term);
    tcase_add_test(tc, a_removed_manager_disturbs_nobody);
    tcase_add_test(tc, the_log_keeps_a_trail);
    tcase_add_test(tc, what_is_held_is_not_trimmed);
    tcase_add_test(tc, whoever_is_too_far_behind_gets_a_ticket);
    tcase_add_test(tc, a_newcomer_to_a_trimmed_log_gets_a_ticket_too);
    tcase_add_test(tc, one_that_has_lost_the_others_goes_on_alone);
    suite_add_tcase(s, tc);
    end_suite(srunner_create(s), &failed);
    return failed != 0;
}
