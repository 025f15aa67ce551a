#include "server/manager/members.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/rng.h"

enum { LOST_MS = 10000, MANY = 100000 };

static const struct members_wish wish = {.voters = 3, .lost_ms = LOST_MS};
static struct member members[LIMIT_MANAGERS];
static struct members_state states[LIMIT_MANAGERS];
static size_t count;

/* Members from words: L the leader, V a voter, v a lost one, S a stand-by that has caught up, s a
 * lost one, n one that is new; each with its zone. */
static void parse(const char *words)
{
    const char *at = words;

    count = 0;
    while (*at) {
        struct member *member = &members[count];

        *member = (struct member){.id = count + 1};
        member->role = strchr("LVv", at[0]) ? MEMBER_VOTER : MEMBER_STANDBY;
        member->zone[0] = at[1];
        states[count] = (struct members_state){.member = member,
                                               .silent_ms = strchr("vs", at[0]) ? LOST_MS + 1 : 100,
                                               .match_lag = at[0] == 'n' ? MANY : 0,
                                               .is_leader = at[0] == 'L'};
        count++;
        at += 2;
        at += *at == ' ';
    }
}

static const struct {
    const char *why, *members;
    enum members_change change;
    uint64_t id;
} cases[] = {
    {"alone", "La", MEMBERS_NOTHING, 0},
    {"a new one has not caught up", "La na", MEMBERS_NOTHING, 0},
    {"a new one has caught up", "La Sa", MEMBERS_PROMOTE, 2},
    {"the third too", "La Vb Sc", MEMBERS_PROMOTE, 3},
    {"a zone without voters first", "La Sa Sb", MEMBERS_PROMOTE, 3},
    {"three are enough", "La Vb Vc Sa Sb", MEMBERS_NOTHING, 0},
    {"a lost voter is replaced", "La Vb vc Sc", MEMBERS_PROMOTE, 4},
    {"and then demoted", "La Vb vc Vc", MEMBERS_DEMOTE, 3},
    {"in a healthy zone rather than beside another", "La Vb vc Sa Sc", MEMBERS_PROMOTE, 5},
    {"nobody is there to replace it", "La Vb vc", MEMBERS_NOTHING, 0},
    {"nor is a lost stand-by", "La Vb vc sc", MEMBERS_NOTHING, 0},
    {"nor one that is behind", "La Vb vc nc", MEMBERS_NOTHING, 0},
    {"without a majority nothing can be done", "La vb vc Sa", MEMBERS_NOTHING, 0},
    {"two in a zone, another zone has none", "La Va Vb Sc", MEMBERS_PROMOTE, 4},
    {"and then one of the two goes, not the leader", "La Va Vb Vc", MEMBERS_DEMOTE, 2},
    {"two zones only: one has two", "La Va Vb Sb", MEMBERS_NOTHING, 0},
    {"all in one zone", "La Va Va Sb", MEMBERS_PROMOTE, 4},
    {"too many, the last one goes", "La Vb Vc Va", MEMBERS_DEMOTE, 4},
    {"too many, and none to spare", "La Vb vc vd", MEMBERS_DEMOTE, 3},
};

START_TEST(advice_is_as_the_table_says)
{
    struct members_advice advice;

    parse(cases[_i].members);
    advice = members_advise(states, count, &wish);
    ck_assert_msg(advice.change == cases[_i].change && advice.id == cases[_i].id,
                  "%s: change %d of %d", cases[_i].why, (int)advice.change, (int)advice.id);
}
END_TEST

static const struct {
    const char *why, *members;
    uint64_t id;
    bool may;
} losses[] = {
    {"not a member", "La Vb Vc", 9, false},
    {"the last voter", "La", 1, false},
    {"one of two", "La Vb", 2, true},
    {"one of three", "La Vb Vc", 3, true},
    {"the leader", "La Vb Vc", 1, true},
    {"a lost one", "La Vb vc", 3, true},
    {"a second one", "La Vb vc", 2, false},
    {"a stand-by", "La Sb", 2, true},
    {"the last but a lost one", "La vb", 1, false},
};

START_TEST(the_majority_may_not_be_lost)
{
    parse(losses[_i].members);
    ck_assert_msg(members_may_lose(states, count, LOST_MS, losses[_i].id) == losses[_i].may, "%s",
                  losses[_i].why);
}
END_TEST

/* ---- whatever the members are */

struct tally {
    size_t voters, able, lost_voters, in_fullest_zone, ready;
    size_t ready_in[4];
};

static struct tally tally(void)
{
    struct tally sum = {0};
    size_t in_zone[4] = {0};

    for (size_t i = 0; i < count; i++) {
        bool alive = states[i].silent_ms <= LOST_MS;
        size_t zone = (size_t)(members[i].zone[0] - 'a');

        if (members[i].role == MEMBER_VOTER) {
            sum.voters++;
            sum.able += alive;
            sum.lost_voters += !alive;
            in_zone[zone]++;
        }
        if (alive && states[i].match_lag == 0) {
            sum.ready++;
            sum.ready_in[zone]++;
        }
    }
    for (size_t i = 0; i < 4; i++)
        sum.in_fullest_zone = in_zone[i] > sum.in_fullest_zone ? in_zone[i] : sum.in_fullest_zone;
    return sum;
}

/* The fewest in the fullest zone, when so many of those that are ready vote. */
static size_t best_spread(const struct tally *sum, size_t voters)
{
    for (size_t most = 1;; most++) {
        size_t places = 0;

        for (size_t i = 0; i < 4; i++)
            places += sum->ready_in[i] < most ? sum->ready_in[i] : most;
        if (places >= voters)
            return most;
    }
}

static void random_members(struct rng *rng)
{
    static const char kinds[] = "VVVvSSsn";
    char words[3 * LIMIT_MANAGERS + 1] = "";
    size_t n = 1 + (size_t)rng_below(rng, LIMIT_MANAGERS);

    for (size_t i = 0; i < n; i++) {
        words[3 * i] = i == 0 ? 'L' : kinds[rng_below(rng, sizeof kinds - 1)];
        words[3 * i + 1] = (char)('a' + rng_below(rng, 4));
        words[3 * i + 2] = ' ';
    }
    words[3 * n - 1] = '\0';
    parse(words);
}

static void follow(struct members_advice advice)
{
    for (size_t i = 0; i < count; i++)
        if (members[i].id == advice.id)
            members[i].role = advice.change == MEMBERS_PROMOTE ? MEMBER_VOTER : MEMBER_STANDBY;
}

START_TEST(advice_taken_again_and_again_ends_well)
{
    struct rng rng;

    rng_seed(&rng, (uint64_t)_i + 1);
    for (int i = 0; i < 5000; i++) {
        struct tally before, after;
        bool could_commit;

        random_members(&rng);
        before = tally();
        could_commit = before.able > before.voters / 2;
        for (int step = 0;; step++) {
            struct members_advice advice = members_advise(states, count, &wish);

            ck_assert_int_lt(step, 2 * LIMIT_MANAGERS);
            if (advice.change == MEMBERS_NOTHING)
                break;
            follow(advice);
            after = tally();
            ck_assert(!could_commit || after.able > after.voters / 2);
        }
        after = tally();
        if (!could_commit)
            continue;
        if (after.ready < wish.voters || before.voters > after.ready)
            continue; /* There are not enough to choose from. */
        ck_assert_uint_eq(after.voters, wish.voters);
        ck_assert_uint_eq(after.lost_voters, 0);
        ck_assert_uint_le(after.in_fullest_zone, best_spread(&after, wish.voters));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("members");
    TCase *tc = tcase_create("members");
    SRunner *sr;
    int failed;

    tcase_add_loop_test(tc, advice_is_as_the_table_says, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_loop_test(tc, the_majority_may_not_be_lost, 0, (int)(sizeof losses / sizeof *losses));
    tcase_add_loop_test(tc, advice_taken_again_and_again_ends_well, 0, 4);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
