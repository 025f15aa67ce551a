#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/lab/layout.h"

static struct layout *layout_of(unsigned managers, unsigned zones, unsigned workers)
{
    struct layout_options options;

    layout_options_default(&options);
    options.managers = managers;
    options.zones = zones;
    options.workers = workers;
    return layout_new(&options);
}

static const struct {
    const char *name, *zone, *real, *face;
} dealt[] = {
    {"m1", "us-east-1a", "127.1.1.1", "127.1.101.1"},
    {"m2", "us-east-1b", "127.2.1.1", "127.2.101.1"},
    {"m3", "us-east-1c", "127.3.1.1", "127.3.101.1"},
    {"m4", "us-east-1a", "127.1.1.2", "127.1.101.2"},
    {"m5", "us-east-1b", "127.2.1.2", "127.2.101.2"},
    {"w1", "us-east-1a", "127.1.2.1", "127.1.102.1"},
    {"w2", "us-east-1b", "127.2.2.1", "127.2.102.1"},
    {"w3", "us-east-1c", "127.3.2.1", "127.3.102.1"},
    {"w4", "us-east-1a", "127.1.2.2", "127.1.102.2"},
};

START_TEST(nodes_are_dealt_to_the_zones_in_turn)
{
    scope(layout_free) struct layout *layout = layout_of(5, 3, 4);
    size_t node, same;
    char text[INET_ADDRSTRLEN];

    ck_assert_uint_eq(layout->node_count, sizeof dealt / sizeof *dealt);
    for (size_t i = 0; i < layout->node_count; i++) {
        ck_assert_int_eq(layout_find(layout, dealt[i].name, &node), 0);
        ck_assert_str_eq(layout_zone_of(layout, node), dealt[i].zone);
        inet_ntop(AF_INET, &layout->nodes[node].real, text, sizeof text);
        ck_assert_str_eq(text, dealt[i].real);
        inet_ntop(AF_INET, &layout->nodes[node].face, text, sizeof text);
        ck_assert_str_eq(text, dealt[i].face);
        ck_assert_int_eq(layout_find_address(layout, layout->nodes[node].real, &same), 0);
        ck_assert_uint_eq(same, node);
        ck_assert_int_eq(layout_find_address(layout, layout->nodes[node].face, &same),
                         LAYOUT_UNKNOWN);
    }
}
END_TEST

START_TEST(ports_follow_the_endpoint)
{
    scope(layout_free) struct layout *layout = layout_of(1, 1, 0);

    ck_assert_uint_eq(ntohs(layout_real(layout, 0, 0).sin_port), 4510);
    ck_assert_uint_eq(ntohs(layout_face(layout, 0, 2).sin_port), 4512);
}
END_TEST

static const struct {
    const char *word;
    int outcome;
    const char *members; /* m1 m2 m3 w1 w2 w3 w4, one digit each. */
} words[] = {
    {"m2", 0, "0100000"},
    {"w4", 0, "0000001"},
    {"zone:us-east-1a", 0, "1001001"},
    {"zone:a", 0, "1001001"},
    {"zone:c", 0, "0010010"},
    {"*", 0, "1111111"},
    {"zone:d", LAYOUT_UNKNOWN, "0000000"},
    {"us-east-1a", LAYOUT_UNKNOWN, "0000000"},
    {"m4", LAYOUT_UNKNOWN, "0000000"},
    {"", LAYOUT_UNKNOWN, "0000000"},
};

START_TEST(a_word_selects_nodes)
{
    scope(layout_free) struct layout *layout = layout_of(3, 3, 4);
    bool members[7] = {false};

    ck_assert_int_eq(layout_select(layout, words[_i].word, members), words[_i].outcome);
    for (size_t i = 0; i < 7; i++)
        ck_assert_msg(members[i] == (words[_i].members[i] == '1'), "%s: %s", words[_i].word,
                      layout->nodes[i].name);
}
END_TEST

static const struct {
    unsigned managers, zones, workers;
    const char *runtime;
    unsigned port;
    const char *account;
    const char *problem; /* How it begins; NULL for none. */
} asked[] = {
    {3, 3, 6, "process", 4510, "000000000000", NULL},
    {1, 1, 0, "hollow", 1, "123456789012", NULL},
    {7, 9, 2250, "process", 65533, "000000000000", NULL},
    {0, 3, 6, "process", 4510, "000000000000", "--managers 0"},
    {8, 3, 6, "process", 4510, "000000000000", "--managers 8"},
    {3, 0, 6, "process", 4510, "000000000000", "--zones 0"},
    {3, 10, 6, "process", 4510, "000000000000", "--zones 10"},
    {3, 1, 251, "process", 4510, "000000000000", "--workers 251"},
    {3, 3, 6, "docker", 4510, "000000000000", "--runtime docker"},
    {3, 3, 6, "process", 65534, "000000000000", "--api 127.0.0.1:65534"},
    {3, 3, 6, "process", 4510, "12", "--account 12"},
};

START_TEST(a_problem_names_its_option)
{
    struct layout_options options;
    char *problem;

    layout_options_default(&options);
    options.managers = asked[_i].managers;
    options.zones = asked[_i].zones;
    options.workers = asked[_i].workers;
    options.api_port = asked[_i].port;
    strcpy(options.runtime, asked[_i].runtime);
    strcpy(options.account, asked[_i].account);
    problem = layout_problem(&options);
    if (asked[_i].problem) {
        ck_assert_ptr_nonnull(problem);
        ck_assert_msg(strncmp(problem, asked[_i].problem, strlen(asked[_i].problem)) == 0, "%s",
                      problem);
    } else {
        ck_assert_ptr_null(problem);
    }
    free(problem);
}
END_TEST

static const struct {
    const char *text, *host; /* host NULL: refused. */
    unsigned port;
} endpoints[] = {
    {"127.0.0.1:4510", "127.0.0.1", 4510},
    {"localhost:80", "127.0.0.1", 80},
    {"0.0.0.0:65535", "0.0.0.0", 65535},
    {"127.0.0.1", NULL, 0},
    {":4510", NULL, 0},
    {"127.0.0.1:", NULL, 0},
    {"127.0.0.1:0", NULL, 0},
    {"127.0.0.1:65536", NULL, 0},
    {"127.0.0.1:12x", NULL, 0},
    {"127.0.0.1:-1", NULL, 0},
    {"example.com:4510", NULL, 0},
    {"300.0.0.1:4510", NULL, 0},
    {"", NULL, 0},
    {"127.0.0.1:99999999999999999999", NULL, 0},
};

START_TEST(an_endpoint_is_read_or_refused)
{
    struct layout_options options = {0};

    if (!endpoints[_i].host) {
        ck_assert_int_eq(layout_parse_api(endpoints[_i].text, &options), -EINVAL);
        ck_assert_uint_eq(options.api_port, 0);
        return;
    }
    ck_assert_int_eq(layout_parse_api(endpoints[_i].text, &options), 0);
    ck_assert_str_eq(options.api_host, endpoints[_i].host);
    ck_assert_uint_eq(options.api_port, endpoints[_i].port);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lab");
    TCase *tc = tcase_create("layout");
    SRunner *sr;
    int failed;

    tcase_add_test(tc, nodes_are_dealt_to_the_zones_in_turn);
    tcase_add_test(tc, ports_follow_the_endpoint);
    tcase_add_loop_test(tc, a_word_selects_nodes, 0, sizeof words / sizeof *words);
    tcase_add_loop_test(tc, a_problem_names_its_option, 0, sizeof asked / sizeof *asked);
    tcase_add_loop_test(tc, an_endpoint_is_read_or_refused, 0,
                        sizeof endpoints / sizeof *endpoints);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
