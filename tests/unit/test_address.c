#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/net/address.h"

static const struct {
    const char *text;
    int r;
    const char *shown; /* Formatted again, or a part of the problem. */
} cases[] = {
    {"127.0.0.1:4511", 0, "127.0.0.1:4511"},
    {"[::1]:4511", 0, "[::1]:4511"},
    {"[2001:db8:0:0::7]:1", 0, "[2001:db8::7]:1"},
    {"localhost:0", 0, "127.0.0.1:0"},
    {"0.0.0.0:65535", 0, "0.0.0.0:65535"},
    {"127.0.0.1", -EINVAL, "address \"127.0.0.1\" has no port"},
    {"", -EINVAL, "address \"\" has no port"},
    {":4511", -EINVAL, "has no host"},
    {"host:", -EINVAL, "0 to 65535"},
    {"127.0.0.1:65536", -EINVAL, "address \"127.0.0.1:65536\" has no port from 0 to 65535"},
    {"127.0.0.1:123456", -EINVAL, "0 to 65535"},
    {"127.0.0.1:-1", -EINVAL, "0 to 65535"},
    {"127.0.0.1:80 ", -EINVAL, "0 to 65535"},
    {"::1:4511", -EINVAL, "brackets"},
    {"[::1]4511", -EINVAL, "[host]:port"},
    {"[]:4511", -EINVAL, "[host]:port"},
    {"[:4511", -EINVAL, "[host]:port"},
    {"[127.0.0.1]:4511", -EINVAL, "no IPv6 address"},
    {"a host:4511", -ENXIO, "address \"a host:4511\" names a host that has no address"},
};

START_TEST(an_address_is_read_or_refused_by_name)
{
    char problem[ADDRESS_PROBLEM] = "", shown[ADDRESS_TEXT];
    struct sockaddr_storage address = {0};
    int r = address_parse(cases[_i].text, &address, problem);

    ck_assert_msg(r == cases[_i].r, "%s: %d %s", cases[_i].text, r, problem);
    if (r == 0) {
        ck_assert_str_eq(address_format(&address, shown), cases[_i].shown);
    } else {
        ck_assert_ptr_nonnull(strstr(problem, cases[_i].shown));
        ck_assert_int_eq(address.ss_family, 0);
    }
}
END_TEST

START_TEST(a_long_host_is_refused_and_quoted_in_part)
{
    char text[4096], problem[ADDRESS_PROBLEM];
    struct sockaddr_storage address;

    memset(text, 'x', sizeof text);
    strcpy(text + sizeof text - 4, ":80");
    ck_assert_int_eq(address_parse(text, &address, problem), -EINVAL);
    ck_assert_ptr_nonnull(strstr(problem, "too long a host"));
}
END_TEST

START_TEST(addresses_compare_by_host_and_port)
{
    struct sockaddr_storage a, b, six;

    ck_assert_int_eq(address_parse("127.0.0.1:1", &a, NULL), 0);
    ck_assert_int_eq(address_parse("127.0.0.1:2", &b, NULL), 0);
    ck_assert_int_eq(address_parse("[::1]:1", &six, NULL), 0);
    ck_assert(!address_is(&a, &b));
    ck_assert(!address_is(&a, &six));
    ck_assert(address_is(&six, &six));
    address_set_port(&b, 1);
    ck_assert(address_is(&a, &b));
    ck_assert_uint_eq(address_port(&b), 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("net");
    TCase *tc = tcase_create("address");
    SRunner *sr;
    int failed;

    tcase_add_loop_test(tc, an_address_is_read_or_refused_by_name, 0,
                        (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tc, a_long_host_is_refused_and_quoted_in_part);
    tcase_add_test(tc, addresses_compare_by_host_and_port);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
