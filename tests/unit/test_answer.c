#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/cli/answer.h"

static const struct {
    const char *why;
    const char *bytes;
    int result; /* 0, ANSWER_PARTIAL or -EPROTO, once all bytes were taken. */
    int status;
    bool keeps_alive;
} cases[] = {
    {"whole", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 0, 200, true},
    {"any case, any blanks", "HTTP/1.1 400 Bad\r\ncontent-length:  2\r\n\r\n{}", 0, 400, true},
    {"says close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", 0, 200,
     false},
    {"old", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", 0, 200, false},
    {"body not there yet", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", ANSWER_PARTIAL, 200,
     true},
    {"head not there yet", "HTTP/1.1 200 OK\r\nContent-Le", ANSWER_PARTIAL, 0, false},
    {"no length", "HTTP/1.1 200 OK\r\n\r\n{}", ANSWER_PARTIAL, 200, false},
    {"more than its length", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}", -EPROTO, 200, true},
    {"not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", -EPROTO, 0, false},
    {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", -EPROTO, 200, false},
    {"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", -EPROTO, 200, true},
    {"huge length", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", -EPROTO, 200,
     true},
    {"no number", "HTTP/1.1 abc OK\r\n\r\n", -EPROTO, 0, false},
    {"an interim answer", "HTTP/1.1 100 Continue\r\n\r\n", -EPROTO, 100, false},
};

START_TEST(an_answer_is_read_or_refused)
{
    scope(answer_fini) struct answer answer = {0};
    const char *bytes = cases[_i].bytes;

    ck_assert_msg(answer_take(&answer, bytes, strlen(bytes)) == cases[_i].result, "%s",
                  cases[_i].why);
    if (cases[_i].result == 0) {
        ck_assert_int_eq(answer.status, cases[_i].status);
        ck_assert_msg(answer.keeps_alive == cases[_i].keeps_alive, "%s", cases[_i].why);
    }
}
END_TEST

START_TEST(it_does_not_matter_how_the_bytes_are_cut)
{
    scope(answer_fini) struct answer answer = {0};
    const char *bytes = cases[0].bytes;
    json_t *body;

    for (size_t i = 0; i < strlen(bytes); i++)
        ck_assert_int_eq(answer_take(&answer, bytes + i, 1),
                         i + 1 < strlen(bytes) ? ANSWER_PARTIAL : 0);
    ck_assert_int_eq(answer_json(&answer, &body), 0);
    ck_assert(json_is_object(body));
    json_decref(body);
}
END_TEST

START_TEST(the_end_completes_what_has_no_length_only)
{
    scope(answer_fini) struct answer open = {0};
    scope(answer_fini) struct answer counted = {0};
    scope(answer_fini) struct answer nothing = {0};
    json_t *body;

    answer_take(&open, cases[6].bytes, strlen(cases[6].bytes));
    ck_assert_int_eq(answer_end(&open), 0);
    ck_assert_int_eq(answer_json(&open, &body), 0);
    json_decref(body);
    answer_take(&counted, cases[4].bytes, strlen(cases[4].bytes));
    ck_assert_int_eq(answer_end(&counted), -EPROTO);
    ck_assert_int_eq(answer_end(&nothing), -EPROTO);
}
END_TEST

START_TEST(an_endless_head_is_refused)
{
    scope(answer_fini) struct answer answer = {0};
    int r = ANSWER_PARTIAL;
    size_t taken = 0;

    for (; r == ANSWER_PARTIAL && taken < 2 * ANSWER_HEAD_MAX; taken += 10)
        r = answer_take(&answer, "X-Y: abcd\n", 10);
    ck_assert_int_eq(r, -EPROTO);
    ck_assert_uint_le(taken, ANSWER_HEAD_MAX + 10);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli");
    TCase *tc = tcase_create("answer");
    SRunner *sr;
    int failed;

    tcase_add_loop_test(tc, an_answer_is_read_or_refused, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tc, it_does_not_matter_how_the_bytes_are_cut);
    tcase_add_test(tc, the_end_completes_what_has_no_length_only);
    tcase_add_test(tc, an_endless_head_is_refused);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
