#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/manager/api_sigv4.h"

#define HEX   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SCOPE "AKIDEXAMPLE/20260801/us-east-1/ecs/aws4_request"
#define GOOD                                                                                       \
    "AWS4-HMAC-SHA256 Credential=" SCOPE                                                           \
    ", SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=" HEX

static void check_part(struct bytes part, const char *text)
{
    ck_assert_uint_eq(part.len, strlen(text));
    ck_assert_mem_eq(part.base, text, part.len);
}

START_TEST(a_header_of_the_sdk_comes_apart)
{
    char why[SIGV4_WHY_CHARS];
    struct sigv4 parts;

    ck_assert_int_eq(sigv4_parse(GOOD, "20260801T000000Z", &parts, why), 0);
    check_part(parts.access_key, "AKIDEXAMPLE");
    check_part(parts.date, "20260801");
    check_part(parts.region, "us-east-1");
    check_part(parts.service, "ecs");
    check_part(parts.signed_headers, "content-type;host;x-amz-date;x-amz-target");
    check_part(parts.signature, HEX);
}
END_TEST

START_TEST(no_header_is_told_apart_from_a_bad_one)
{
    char why[SIGV4_WHY_CHARS];
    struct sigv4 parts;

    ck_assert_int_eq(sigv4_parse(NULL, "20260801T000000Z", &parts, why), SIGV4_MISSING);
    ck_assert_int_eq(sigv4_parse("", "20260801T000000Z", &parts, why), SIGV4_INCOMPLETE);
}
END_TEST

/* What is wrong with each, and a piece of what the user is told. */
static const struct {
    const char *header;
    const char *date;
    const char *why;
} bad[] = {
    {"Basic dXNlcjpwYXNz", "d", "Unsupported AWS 'algorithm': 'Basic'"},
    {"AWS4-HMAC-SHA256", "d", "requires 'Credential' parameter"},
    {"AWS4-HMAC-SHA256 Credential=" SCOPE, "d", "requires 'Signature' parameter"},
    {"AWS4-HMAC-SHA256 Credential=" SCOPE ",Signature=" HEX, "d", "requires 'SignedHeaders'"},
    {"AWS4-HMAC-SHA256 ,,=,==,Credential", "d", "requires 'Credential' parameter"},
    {GOOD, NULL, "either a 'X-Amz-Date' or a 'Date' header"},
    {"AWS4-HMAC-SHA256 Credential=AKID, SignedHeaders=host, Signature=" HEX, "d", "got 'AKID'"},
    {"AWS4-HMAC-SHA256 Credential=a/20260801/r/ecs/aws4_request/x, SignedHeaders=h, Signature=" HEX,
     "d", "exactly 5"},
    {"AWS4-HMAC-SHA256 Credential=a/2026/r/ecs/aws4_request, SignedHeaders=h, Signature=" HEX, "d",
     "exactly 5"},
    {"AWS4-HMAC-SHA256 Credential=a//r/ecs/aws4_request, SignedHeaders=h, Signature=" HEX, "d",
     "exactly 5"},
    {"AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=h, Signature=abc", "d",
     "64 hexadecimal digits"},
};

START_TEST(what_is_not_whole_is_refused_with_the_reason)
{
    char why[SIGV4_WHY_CHARS] = "";
    struct sigv4 parts;

    ck_assert_int_eq(sigv4_parse(bad[_i].header, bad[_i].date, &parts, why), SIGV4_INCOMPLETE);
    ck_assert_msg(strstr(why, bad[_i].why) != NULL, "'%s' lacks '%s'", why, bad[_i].why);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_sigv4");
    TCase *tc = tcase_create("sigv4");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tc, a_header_of_the_sdk_comes_apart);
    tcase_add_test(tc, no_header_is_told_apart_from_a_bad_one);
    tcase_add_loop_test(tc, what_is_not_whole_is_refused_with_the_reason, 0,
                        (int)(sizeof bad / sizeof bad[0]));
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
