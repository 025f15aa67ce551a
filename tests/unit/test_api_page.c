#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/manager/api_page.h"

START_TEST(a_token_leads_back_to_its_position)
{
    static const uint64_t seqs[] = {0, 1, 255, 1u << 20, UINT64_MAX};

    for (size_t i = 0; i < sizeof seqs / sizeof seqs[0]; i++) {
        char *token = page_token_seq("ListTasks", seqs[i]);
        uint64_t seq = 77;

        ck_assert_int_eq(page_seq("ListTasks", token, &seq), 0);
        ck_assert_uint_eq(seq, seqs[i]);
        free(token);
    }
}
END_TEST

START_TEST(positions_of_every_length_survive)
{
    uint8_t position[PAGE_POSITION_MAX], back[PAGE_POSITION_MAX];

    memset(position, 'f', sizeof position);
    for (size_t len = 0; len <= PAGE_POSITION_MAX; len++) {
        char *token = page_token("l", (struct bytes){position, len});
        size_t back_len = 0;

        ck_assert_int_eq(page_position("l", token, back, &back_len), 0);
        ck_assert_uint_eq(back_len, len);
        ck_assert_mem_eq(back, position, len);
        free(token);
    }
}
END_TEST

START_TEST(no_token_is_the_beginning)
{
    uint64_t seq = 77;

    ck_assert_int_eq(page_seq("ListTasks", NULL, &seq), 0);
    ck_assert_uint_eq(seq, 0);
}
END_TEST

START_TEST(a_token_of_another_listing_is_refused)
{
    char *token = page_token_seq("ListTasks", 5);
    uint64_t seq = 77;

    ck_assert_int_eq(page_seq("ListServices", token, &seq), PAGE_BAD_TOKEN);
    ck_assert_uint_eq(seq, 77);
    free(token);
}
END_TEST

START_TEST(a_changed_token_is_refused)
{
    char *token = page_token_seq("ListTasks", 5);
    uint64_t seq;

    for (size_t i = 0; token[i]; i++) {
        char was = token[i];

        token[i] = was == 'Q' ? 'R' : 'Q';
        ck_assert_int_eq(page_seq("ListTasks", token, &seq), PAGE_BAD_TOKEN);
        token[i] = was;
    }
    free(token);
}
END_TEST

START_TEST(what_was_never_a_token_is_refused)
{
    char long_one[2048];
    const char *texts[] = {"", "x", "=", "==", "====", "AAAA", "not base64 at all!", long_one};
    uint64_t seq;

    memset(long_one, 'A', sizeof long_one - 4);
    memset(long_one + sizeof long_one - 4, 0, 4);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        ck_assert_int_eq(page_seq("ListTasks", texts[i], &seq), PAGE_BAD_TOKEN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_page");
    TCase *tc = tcase_create("page");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tc, a_token_leads_back_to_its_position);
    tcase_add_test(tc, positions_of_every_length_survive);
    tcase_add_test(tc, no_token_is_the_beginning);
    tcase_add_test(tc, a_token_of_another_listing_is_refused);
    tcase_add_test(tc, a_changed_token_is_refused);
    tcase_add_test(tc, what_was_never_a_token_is_refused);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
