#include <check.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/rng.h"
#include "server/manager/member.h"

#define KEY "0123456789abcdef0123456789abcdef"

START_TEST(a_record_reads_back_as_it_was_written)
{
    static const char *const records[] = {
        ("m1 us-east-1a 127.1.0.1 4512 4511 4510 " KEY),
        "a b c 1 1 1 -",
        "m_2 z-9 host.example.com 65535 65535 65535 -",
        "m1 z fd00::1 4512 4511 4510 -",
    };

    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        struct member member = {.id = 7, .role = MEMBER_VOTER};
        char text[MEMBER_TEXT];

        ck_assert_int_eq(member_parse(records[i], &member), 0);
        ck_assert_str_eq(member_format(&member, text), records[i]);
        ck_assert_uint_eq(member.id, 7);
        ck_assert_int_eq(member.role, MEMBER_VOTER);
    }
}
END_TEST

START_TEST(the_fields_are_what_they_say)
{
    struct member member = {0};

    ck_assert_int_eq(member_parse("m1 zone-a 10.0.0.1 1 2 3 " KEY, &member), 0);
    ck_assert_str_eq(member.name, "m1");
    ck_assert_str_eq(member.zone, "zone-a");
    ck_assert_str_eq(member.host, "10.0.0.1");
    ck_assert_uint_eq(member.peer_port, 1);
    ck_assert_uint_eq(member.rpc_port, 2);
    ck_assert_uint_eq(member.api_port, 3);
    ck_assert_str_eq(member.key, KEY);
    ck_assert_int_eq(member_parse("m1 zone-a 10.0.0.1 1 2 3 -", &member), 0);
    ck_assert_str_eq(member.key, "");
}
END_TEST

static const struct {
    const char *why, *text;
} refused[] = {
    {"nothing", ""},
    {"a field is missing", "m1 z h 1 2 3"},
    {"no key after its space", "m1 z h 1 2 3 "},
    {"a field too many", "m1 z h 1 2 3 - x"},
    {"a space before", " m1 z h 1 2 3 -"},
    {"a space behind", "m1 z h 1 2 3 - "},
    {"two spaces", "m1  z h 1 2 3 -"},
    {"another blank", "m1\tz h 1 2 3 -"},
    {"a name with a dot", "m.1 z h 1 2 3 -"},
    {"a zone with a slash", "m1 z/ h 1 2 3 -"},
    {"a host with a slash", "m1 z h/ 1 2 3 -"},
    {"brackets", "m1 z [::1] 1 2 3 -"},
    {"port 0", "m1 z h 0 2 3 -"},
    {"a port with a zero before", "m1 z h 01 2 3 -"},
    {"a port with a sign", "m1 z h +1 2 3 -"},
    {"a negative port", "m1 z h -1 2 3 -"},
    {"a port above all", "m1 z h 65536 2 3 -"},
    {"a port too long", "m1 z h 100000 2 3 -"},
    {"hexadecimal", "m1 z h 1 0x2 3 -"},
    {"a port that is none", "m1 z h 1 2 x -"},
    {"a key cut short", "m1 z h 1 2 3 0123456789abcdef"},
    {"a key too long", "m1 z h 1 2 3 " KEY "0"},
    {"capitals in the key", "m1 z h 1 2 3 0123456789ABCDEF0123456789abcdef"},
    {"something after no key", "m1 z h 1 2 3 --"},
};

START_TEST(what_is_not_exactly_a_record_is_refused)
{
    struct member member = {.id = 9, .name = "kept"};

    ck_assert_msg(member_parse(refused[_i].text, &member) == MEMBER_MALFORMED, "%s",
                  refused[_i].why);
    ck_assert_str_eq(member.name, "kept");
}
END_TEST

static void fill(char *out, size_t len)
{
    memset(out, 'x', len);
    out[len] = '\0';
}

START_TEST(fields_have_limits)
{
    struct member member = {.peer_port = 65535, .rpc_port = 65535, .api_port = 65535, .key = KEY};
    struct member back = {0};
    char text[MEMBER_TEXT], longer[MEMBER_TEXT + 8];

    fill(member.name, LIMIT_NAME_CHARS);
    fill(member.zone, LIMIT_NAME_CHARS);
    fill(member.host, MEMBER_HOST_CHARS);
    ck_assert_uint_eq(strlen(member_format(&member, text)), MEMBER_TEXT - 1);
    ck_assert_int_eq(member_parse(text, &back), 0);
    snprintf(longer, sizeof longer, "x%s", text);
    ck_assert_int_eq(member_parse(longer, &back), MEMBER_MALFORMED);
    snprintf(longer, sizeof longer, "m z x%s 1 2 3 -", member.host);
    ck_assert_int_eq(member_parse(longer, &back), MEMBER_MALFORMED);
}
END_TEST

START_TEST(whatever_parses_is_written_the_same) /* Any bytes near a record. */
{
    static const char alphabet[] = "m1 z-h.:0123456789abcdef  -\x01\xff";
    struct rng rng;
    size_t parsed = 0;

    rng_seed(&rng, 1);
    for (int i = 0; i < 200000; i++) {
        char text[64] = "m1 z h 1 2 3 -", again[MEMBER_TEXT];
        struct member member = {0};

        for (uint64_t changes = rng_below(&rng, 3); changes-- > 0;)
            text[rng_below(&rng, 20)] = alphabet[rng_below(&rng, sizeof alphabet)];
        if (member_parse(text, &member) != 0)
            continue;
        parsed++;
        ck_assert_str_eq(member_format(&member, again), text);
    }
    ck_assert_uint_gt(parsed, 1000);
}
END_TEST

START_TEST(an_address_is_what_can_be_dialled)
{
    char out[MEMBER_ADDRESS];
    struct member member = {.host = "127.1.0.1"};

    ck_assert_str_eq(member_address(&member, 4511, out), "127.1.0.1:4511");
    strcpy(member.host, "fd00::1");
    ck_assert_str_eq(member_address(&member, 65535, out), "[fd00::1]:65535");
}
END_TEST

START_TEST(ids_have_63_bits_and_are_not_zero)
{
    ck_assert(!member_id_is_valid(0));
    ck_assert(member_id_is_valid(1));
    ck_assert(member_id_is_valid(INT64_MAX));
    ck_assert(!member_id_is_valid((uint64_t)INT64_MAX + 1));
}
END_TEST

START_TEST(a_member_is_found_by_its_id)
{
    static const struct member members[] = {{.id = 5}, {.id = INT64_MAX}};

    ck_assert_ptr_eq(member_find(members, 2, INT64_MAX), &members[1]);
    ck_assert_ptr_null(member_find(members, 2, 6));
    ck_assert_ptr_null(member_find(NULL, 0, 5));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("member");
    TCase *tc = tcase_create("member");
    SRunner *sr;
    int failed;

    tcase_add_test(tc, a_record_reads_back_as_it_was_written);
    tcase_add_test(tc, the_fields_are_what_they_say);
    tcase_add_loop_test(tc, what_is_not_exactly_a_record_is_refused, 0,
                        (int)(sizeof refused / sizeof *refused));
    tcase_add_test(tc, fields_have_limits);
    tcase_add_test(tc, whatever_parses_is_written_the_same);
    tcase_add_test(tc, an_address_is_what_can_be_dialled);
    tcase_add_test(tc, ids_have_63_bits_and_are_not_zero);
    tcase_add_test(tc, a_member_is_found_by_its_id);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
