#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/lab/faults.h"

/* Three managers and three workers, one of each in zones a, b, c. */
static struct layout *layout;
static struct faults *faults;

static void set_up(void)
{
    struct layout_options options;

    layout_options_default(&options);
    options.workers = 3;
    layout = layout_new(&options);
    faults = faults_new(layout);
}

static void tear_down(void)
{
    faults_free(faults);
    layout_free(layout);
}

static struct line line_of(const char *from, const char *to)
{
    size_t a, b;

    ck_assert_int_eq(layout_find(layout, from, &a), 0);
    ck_assert_int_eq(layout_find(layout, to, &b), 0);
    return faults_line(faults, a, b);
}

static struct faults_between both(const char *a, const char *b)
{
    return (struct faults_between){a, b, false};
}

static size_t described(void)
{
    json_t *all = faults_describe(faults);
    size_t count = json_array_size(all);

    json_decref(all);
    return count;
}

static const struct {
    const char *a, *b;
    bool one_way;
    int outcome;
    const char *cut; /* m1>m2 m2>m1 m1>m3 m2>m3 m1>w2 w2>m1 w1>m1 */
} cuts[] = {
    {"m1", "m2", false, 0, "1100000"},
    {"m1", "m2", true, 0, "1000000"},
    {"m2", "m1", true, 0, "0100000"},
    {"m1", "*", false, 0, "1110111"},
    {"*", "*", false, 0, "1111111"},
    {"zone:us-east-1a", "zone:us-east-1b", false, 0, "1100110"},
    {"zone:a", "zone:a", false, 0, "0000001"},
    {"w2", "m1", true, 0, "0000010"},
    {"w1", "w2", false, FAULTS_NO_LINK, "0000000"},
    {"m1", "m1", false, FAULTS_NO_LINK, "0000000"},
    {"m9", "m1", false, FAULTS_UNKNOWN_A, "0000000"},
    {"m1", "zone:x", false, FAULTS_UNKNOWN_B, "0000000"},
};

START_TEST(a_cut_falls_on_the_links_between)
{
    static const char *const pairs[][2] = {
        {"m1", "m2"}, {"m2", "m1"}, {"m1", "m3"}, {"m2", "m3"},
        {"m1", "w2"}, {"w2", "m1"}, {"w1", "m1"},
    };
    struct faults_between between = {cuts[_i].a, cuts[_i].b, cuts[_i].one_way};

    ck_assert_int_eq(faults_cut(faults, between), cuts[_i].outcome);
    for (size_t i = 0; i < 7; i++)
        ck_assert_msg(line_of(pairs[i][0], pairs[i][1]).cut == (cuts[_i].cut[i] == '1'), "%s > %s",
                      pairs[i][0], pairs[i][1]);
}
END_TEST

START_TEST(the_last_word_on_a_pair_decides)
{
    ck_assert_int_eq(faults_cut(faults, both("m1", "*")), 0);
    ck_assert_int_eq(faults_heal(faults, both("m1", "m2")), 0);
    ck_assert(!line_of("m1", "m2").cut);
    ck_assert(!line_of("m2", "m1").cut);
    ck_assert(line_of("m1", "m3").cut);
    ck_assert_int_eq(faults_cut(faults, both("m2", "m1")), 0);
    ck_assert(line_of("m1", "m2").cut);
}
END_TEST

START_TEST(a_delay_and_a_cut_do_not_hide_each_other)
{
    ck_assert_int_eq(faults_delay(faults, both("m1", "m2"), 30, 5), 0);
    ck_assert_int_eq(faults_cut(faults, both("m1", "m2")), 0);
    ck_assert_uint_eq(line_of("m1", "m2").delay_ms, 30);
    ck_assert_uint_eq(line_of("m2", "m1").jitter_ms, 5);
    ck_assert(line_of("m1", "m2").cut);
    ck_assert_uint_eq(described(), 2);
}
END_TEST

START_TEST(what_is_healed_is_forgotten)
{
    ck_assert_int_eq(faults_cut(faults, both("m1", "m2")), 0);
    ck_assert_int_eq(faults_delay(faults, both("m1", "m3"), 30, 0), 0);
    ck_assert_uint_eq(described(), 2);
    ck_assert_int_eq(faults_heal(faults, both("m1", "*")), 0);
    ck_assert_uint_eq(described(), 0);
    ck_assert_uint_eq(line_of("m1", "m3").delay_ms, 0);
}
END_TEST

START_TEST(a_rule_said_again_replaces_itself)
{
    for (unsigned i = 0; i < 3 * FAULTS_MAX; i++)
        ck_assert_int_eq(faults_delay(faults, both("m1", "m2"), i, 0), 0);
    ck_assert_uint_eq(described(), 1);
    ck_assert_uint_eq(line_of("m1", "m2").delay_ms, 3 * FAULTS_MAX - 1);
}
END_TEST

START_TEST(a_dark_zone_has_no_lines_and_no_heal_lights_it)
{
    json_t *all;

    faults_set_dark(faults, 1, true);
    faults_heal_all(faults);
    ck_assert(line_of("m1", "m2").cut);
    ck_assert(line_of("w2", "m1").cut);
    ck_assert(line_of("w2", "m2").cut);
    ck_assert(!line_of("m1", "m3").cut);
    all = faults_describe(faults);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(all, 0), "zone")),
                     "us-east-1b");
    json_decref(all);
    faults_set_dark(faults, 1, false);
    ck_assert(!line_of("m1", "m2").cut);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lab");
    TCase *tc = tcase_create("faults");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, a_cut_falls_on_the_links_between, 0, sizeof cuts / sizeof *cuts);
    tcase_add_test(tc, the_last_word_on_a_pair_decides);
    tcase_add_test(tc, a_delay_and_a_cut_do_not_hide_each_other);
    tcase_add_test(tc, what_is_healed_is_forgotten);
    tcase_add_test(tc, a_rule_said_again_replaces_itself);
    tcase_add_test(tc, a_dark_zone_has_no_lines_and_no_heal_lights_it);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
