#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/endian.h"
#include "proto/limits.h"
#include "server/net/grpc.h"

static struct bytes text(const char *s)
{
    return (struct bytes){s, strlen(s)};
}

static const struct {
    const char *text;
    bool is_one;
    uint64_t ms;
} timeouts[] = {
    {"1S", true, 1000},
    {"250m", true, 250},
    {"2M", true, 120000},
    {"1H", true, 3600000},
    {"99999999H", true, 99999999ull * 3600000},
    {"1u", true, 1}, /* Rounded up: a call has at least the time it asked for. */
    {"1001u", true, 2},
    {"1000000n", true, 1},
    {"0m", true, 0},
    {"", false, 0},
    {"m", false, 0},
    {"1", false, 0},
    {"-1m", false, 0},
    {"1.5S", false, 0},
    {"100000000m", false, 0}, /* Nine digits. */
    {"1s", false, 0},
};

START_TEST(a_timeout_is_read_or_refused)
{
    uint64_t ms = 0;
    bool is_one = grpc_timeout_parse(text(timeouts[_i].text), &ms);

    ck_assert_msg(is_one == timeouts[_i].is_one, "%s", timeouts[_i].text);
    ck_assert_uint_eq(ms, timeouts[_i].ms);
}
END_TEST

START_TEST(a_timeout_sent_is_never_shorter_than_asked)
{
    const uint64_t asked[] = {1, 999, 1000, 99999999, 100000000, 123456789, 3000000000};
    char sent[GRPC_TIMEOUT_TEXT];
    uint64_t ms;

    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        grpc_timeout_format(asked[i], sent);
        ck_assert(grpc_timeout_parse(text(sent), &ms));
        ck_assert_uint_ge(ms, asked[i]);
        ck_assert_uint_le(ms, asked[i] + 1000);
    }
    grpc_timeout_format(UINT64_MAX, sent);
    ck_assert_str_eq(sent, "99999999S");
}
END_TEST

static const struct {
    const char *plain;
    const char *wire;
} texts[] = {
    {"", ""},
    {"plain, with spaces", "plain, with spaces"},
    {"100%", "100%25"},
    {"two\nlines", "two%0Alines"},
    {"caf\xc3\xa9", "caf%C3%A9"},
};

START_TEST(a_text_survives_the_wire)
{
    scope(buffer_fini) struct buffer wire = {0}, plain = {0};

    grpc_text_encode(&wire, texts[_i].plain);
    ck_assert_str_eq(buffer_text(&wire), texts[_i].wire);
    grpc_text_decode(&plain, text(texts[_i].wire));
    ck_assert_str_eq(buffer_text(&plain), texts[_i].plain);
}
END_TEST

START_TEST(a_broken_text_is_taken_as_it_is_and_cut)
{
    scope(buffer_fini) struct buffer plain = {0}, large = {0};
    static char wire[3 * GRPC_TEXT_MAX];

    grpc_text_decode(&plain, text("%zz %4 % a%00b %e9"));
    ck_assert_str_eq(buffer_text(&plain), "%zz %4 % a?b \xe9");
    memset(wire, 'x', sizeof wire);
    grpc_text_decode(&large, (struct bytes){wire, sizeof wire});
    ck_assert_uint_eq(large.len, GRPC_TEXT_MAX);
}
END_TEST

START_TEST(content_types)
{
    ck_assert(grpc_content_type_is_ours(text("application/grpc")));
    ck_assert(grpc_content_type_is_ours(text("application/grpc+proto")));
    ck_assert(grpc_content_type_is_ours(text("application/grpc;x=y")));
    ck_assert(!grpc_content_type_is_ours(text("application/grpc+json")));
    ck_assert(!grpc_content_type_is_ours(text("application/grpc-web")));
    ck_assert(!grpc_content_type_is_ours(text("application/json")));
    ck_assert(!grpc_content_type_is_ours(text("")));
}
END_TEST

START_TEST(statuses)
{
    ck_assert_str_eq(grpc_status_name(GRPC_UNAVAILABLE), "UNAVAILABLE");
    ck_assert_str_eq(grpc_status_name(99), "UNKNOWN");
    ck_assert_int_eq(grpc_status_parse(text("0")), GRPC_OK);
    ck_assert_int_eq(grpc_status_parse(text("16")), GRPC_UNAUTHENTICATED);
    ck_assert_int_eq(grpc_status_parse(text("17")), GRPC_UNKNOWN);
    ck_assert_int_eq(grpc_status_parse(text("")), GRPC_UNKNOWN);
    ck_assert_int_eq(grpc_status_parse(text("0x")), GRPC_UNKNOWN);
    ck_assert_int_eq(grpc_status_from_http(503), GRPC_UNAVAILABLE);
    ck_assert_int_eq(grpc_status_from_http(404), GRPC_UNIMPLEMENTED);
    ck_assert_int_eq(grpc_status_from_http(0), GRPC_UNKNOWN);
}
END_TEST

START_TEST(a_message_may_be_cut_anywhere)
{
    scope(buffer_fini) struct buffer sent = {0};

    grpc_message_append(&sent, text("hello"));
    for (size_t cut = 0; cut <= sent.len; cut++) {
        scope(grpc_message_fini) struct grpc_message message = {0};
        struct bytes got;

        ck_assert_int_eq(grpc_message_feed(&message, (struct bytes){sent.base, cut}), 0);
        ck_assert(grpc_message_is_whole(&message, &got) == (cut == sent.len));
        ck_assert_int_eq(
            grpc_message_feed(&message, (struct bytes){sent.base + cut, sent.len - cut}), 0);
        ck_assert(grpc_message_is_whole(&message, &got));
        ck_assert_uint_eq(got.len, 5);
        ck_assert_mem_eq(got.base, "hello", 5);
    }
}
END_TEST

START_TEST(what_is_no_single_plain_message_is_told_apart)
{
    scope(grpc_message_fini) struct grpc_message compressed = {0}, large = {0}, twice = {0};
    uint8_t head[GRPC_HEAD] = {0};
    struct bytes got;

    ck_assert_int_eq(grpc_message_feed(&compressed, text("\1")), GRPC_MESSAGE_COMPRESSED);
    be32_put(head + 1, LIMIT_RPC_BYTES + 1);
    ck_assert_int_eq(grpc_message_feed(&large, (struct bytes){head, sizeof head}),
                     GRPC_MESSAGE_TOO_LARGE);
    be32_put(head + 1, 0);
    ck_assert_int_eq(grpc_message_feed(&twice, (struct bytes){head, sizeof head}), 0);
    ck_assert(grpc_message_is_whole(&twice, &got));
    ck_assert_int_eq(grpc_message_feed(&twice, (struct bytes){head, 1}), GRPC_MESSAGE_SECOND);
    ck_assert(!grpc_message_is_whole(&twice, &got));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("net");
    TCase *tc = tcase_create("grpc");
    SRunner *sr;
    int failed;

    tcase_add_loop_test(tc, a_timeout_is_read_or_refused, 0,
                        (int)(sizeof timeouts / sizeof *timeouts));
    tcase_add_test(tc, a_timeout_sent_is_never_shorter_than_asked);
    tcase_add_loop_test(tc, a_text_survives_the_wire, 0, (int)(sizeof texts / sizeof *texts));
    tcase_add_test(tc, a_broken_text_is_taken_as_it_is_and_cut);
    tcase_add_test(tc, content_types);
    tcase_add_test(tc, statuses);
    tcase_add_test(tc, a_message_may_be_cut_anywhere);
    tcase_add_test(tc, what_is_no_single_plain_message_is_told_apart);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
