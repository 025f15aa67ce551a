#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/net/token.h"

#define CA     "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SECRET "0123456789abcdef0123456789abcdef"

START_TEST(a_token_reads_as_it_was_written)
{
    static const char *const texts[] = {"CAIS1-manager-" CA "-00000001-" SECRET,
                                        "CAIS1-worker-" CA "-89abcdef-" SECRET};
    struct token token;
    char text[TOKEN_TEXT];

    ck_assert_int_eq(token_parse(texts[0], &token), 0);
    ck_assert_int_eq(token.role, TOKEN_MANAGER);
    ck_assert_uint_eq(token.id, 1);
    ck_assert_uint_eq(token.authority[31], 0xff);
    ck_assert_uint_eq(token.secret[0], 0x01);
    ck_assert_str_eq(token_format(&token, text), texts[0]);
    ck_assert_int_eq(token_parse(texts[1], &token), 0);
    ck_assert_int_eq(token.role, TOKEN_WORKER);
    ck_assert_uint_eq(token.id, 0x89abcdef);
    ck_assert_str_eq(token_format(&token, text), texts[1]);
}
END_TEST

START_TEST(what_is_not_exactly_a_token_is_none)
{
    static const char *const texts[] = {
        "",
        "CAIS1",
        "CAIS2-manager-" CA "-00000001-" SECRET,
        "CAIS1-boss-" CA "-00000001-" SECRET,
        "CAIS1-manager" CA "-00000001-" SECRET,
        "CAIS1-manager-" CA "-0000001-" SECRET,
        "CAIS1-manager-" CA "-00000001-" SECRET "0",
        "CAIS1-manager-" CA "-00000001-" SECRET "\n",
        "CAIS1-manager-" CA "-00000001-0123456789ABCDEF0123456789abcdef",
        "CAIS1-manager-" CA "-00000001-0123456789abcdef0123456789abcde",
        " CAIS1-manager-" CA "-00000001-" SECRET,
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct token token = {.id = 7};

        ck_assert_msg(token_parse(texts[i], &token) == TOKEN_MALFORMED, "%s", texts[i]);
        ck_assert_uint_eq(token.id, 7);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("token");
    TCase *tc = tcase_create("token");
    SRunner *sr;
    int failed;

    tcase_add_test(tc, a_token_reads_as_it_was_written);
    tcase_add_test(tc, what_is_not_exactly_a_token_is_none);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
