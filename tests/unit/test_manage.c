/* What the operator may do to managers: never what costs the cluster its majority unawares. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/operator.pb-c.h"
#include "server/manager/manage.h"

static const struct {
    const char *why;
    const char *members; /* One letter each: V voter, v silent voter, S stand-by, s silent one. */
    size_t target;
    enum manage_change change;
    const char *said; /* NULL: nothing against it. */
} cases[] = {
    {"all there", "VVV", 1, MANAGE_REMOVE, NULL},
    {"the silent one goes", "VVv", 2, MANAGE_REMOVE, NULL},
    {"one of the last two that answer", "VVv", 1, MANAGE_REMOVE,
     "removing m2 would leave 1 of 2 voters reachable, fewer than a majority: bring another back, "
     "or use --force"},
    {"a stand-by costs nothing", "VvvS", 3, MANAGE_REMOVE, NULL},
    {"the only voter", "VS", 0, MANAGE_REMOVE, "removing m1 would leave nobody to vote"},
    {"demoting is removing a vote", "VVv", 0, MANAGE_DEMOTE,
     "demoting m1 would leave 1 of 2 voters reachable, fewer than a majority: bring another back, "
     "or use --force"},
    {"demoting of three", "VVV", 0, MANAGE_DEMOTE, NULL},
    {"promoting", "VVVS", 3, MANAGE_PROMOTE, NULL},
    {"promoting a silent one", "VVvs", 3, MANAGE_PROMOTE,
     "promoting m4 would leave 2 of 4 voters reachable, fewer than a majority: bring another back"},
    {"promoting a voter changes nothing", "VV", 0, MANAGE_PROMOTE, NULL},
};

START_TEST(a_majority_must_answer_afterwards)
{
    struct member members[LIMIT_MANAGERS] = {0};
    bool answers[LIMIT_MANAGERS];
    struct manage_view view = {members, answers, strlen(cases[_i].members)};
    char *said;

    for (size_t i = 0; i < view.count; i++) {
        char letter = cases[_i].members[i];

        snprintf(members[i].name, sizeof members[i].name, "m%zu", i + 1);
        members[i].role = letter == 'V' || letter == 'v' ? MEMBER_VOTER : MEMBER_STANDBY;
        answers[i] = letter == 'V' || letter == 'S';
    }
    said = manage_objection(&view, cases[_i].target, cases[_i].change);
    ck_assert_msg(!said == !cases[_i].said, "%s: %s", cases[_i].why, said ? said : "no objection");
    if (said)
        ck_assert_str_eq(said, cases[_i].said);
    free(said);
}
END_TEST

START_TEST(names_are_told_as_people_do)
{
    static const char *const told[] = {"", "m1", "m1 and m2", "m1, m2 and m3"};
    struct member members[3] = {0};

    for (size_t i = 0; i < 3; i++)
        snprintf(members[i].name, sizeof members[i].name, "m%zu", i + 1);
    for (size_t count = 0; count <= 3; count++) {
        char *names = manage_names(members, count);

        ck_assert_str_eq(names, told[count]);
        free(names);
    }
}
END_TEST

START_TEST(only_its_own_actions_are_known)
{
    ck_assert_ptr_eq(manage_request("RemoveManager"),
                     &operator__remove_manager_request__descriptor);
    ck_assert_ptr_null(manage_request("RunTask"));
    ck_assert_ptr_null(manage_request(""));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("manager");
    TCase *tc = tcase_create("manage");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(tc, a_majority_must_answer_afterwards, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tc, names_are_told_as_people_do);
    tcase_add_test(tc, only_its_own_actions_are_known);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
