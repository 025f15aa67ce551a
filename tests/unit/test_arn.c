#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"

#define ID "0123456789abcdef0123456789abcdef"
#define A  "arn:aws:ecs:us-east-1:000000000000:"

static State__Settings settings = STATE__SETTINGS__INIT;

static void set_up(void)
{
    settings.region = (char *)(uintptr_t) "us-east-1";
    settings.account = (char *)(uintptr_t) "000000000000";
}

static void gives(char *arn, const char *expected)
{
    ck_assert_str_eq(arn, expected);
    free(arn);
}

START_TEST(arns_have_the_long_format)
{
    gives(arn_cluster(&settings, "default"), A "cluster/default");
    gives(arn_task_definition(&settings, "web", 4000000000u), A "task-definition/web:4000000000");
    gives(arn_service(&settings, "c", "web"), A "service/c/web");
    gives(arn_task(&settings, "c", ID), A "task/c/" ID);
    gives(arn_container(&settings, "c", ID, "app"), A "container/c/" ID "/app");
    gives(arn_container_instance(&settings, "c", ID), A "container-instance/c/" ID);
}
END_TEST

static const struct {
    const char *text;
    const char *name; /* NULL: malformed. */
} clusters[] = {
    {NULL, "default"},
    {"blue", "blue"},
    {A "cluster/blue", "blue"},
    {"arn:aws:ecs:eu-west-1:123456789012:cluster/blue", "blue"},
    {"", NULL},
    {"no/slash", NULL},
    {"sp ace", NULL},
    {"dot.ted", NULL},
    {A "cluster/", NULL},
    {A "cluster", NULL},
    {A "service/blue", NULL},
    {A "cluster/a/b", NULL},
    {"arn:aws:s3:us-east-1:000000000000:cluster/blue", NULL},
    {"arn:aws:ecs::000000000000:cluster/blue", NULL},
    {"arn:aws:ecs:us-east-1", NULL},
    {"arn:", NULL},
};

START_TEST(a_cluster_is_a_name_an_arn_or_the_default)
{
    char *name = NULL;
    int r = arn_parse_cluster(clusters[_i].text, &name);

    ck_assert_int_eq(r, clusters[_i].name ? 0 : ARN_MALFORMED);
    ck_assert_pstr_eq(name, clusters[_i].name);
    free(name);
}
END_TEST

static const struct {
    const char *text;
    const char *kind;
    const char *id;
} parts[] = {
    {ID, "task", ID},
    {A "task/blue/" ID, "task", ID},
    {A "task/" ID, "task", ID},
    {"web", "service", "web"},
    {A "service/blue/web", "service", "web"},
    {A "service/web", "service", "web"},
    {A "container-instance/blue/" ID, "container-instance", ID},
    {A "container-instance/blue/" ID, "task", NULL},
    {A "container/blue/" ID, "container-instance", NULL},
    {A "service/blue/web/x", "service", NULL},
    {A "service/blue/", "service", NULL},
    {A "service//web", "service", NULL},
    {A "service/", "service", NULL},
    {"blue/web", "service", NULL},
    {"", "service", NULL},
};

START_TEST(a_member_is_an_id_or_an_arn_of_its_kind)
{
    char *id = NULL;
    int r = arn_parse_member(parts[_i].text, parts[_i].kind, &id);

    ck_assert_int_eq(r, parts[_i].id ? 0 : ARN_MALFORMED);
    ck_assert_pstr_eq(id, parts[_i].id);
    free(id);
}
END_TEST

static const struct {
    const char *text;
    const char *family;
    uint32_t revision;
} definitions[] = {
    {"web", "web", 0},
    {"web:1", "web", 1},
    {"web:4294967295", "web", UINT32_MAX},
    {A "task-definition/web:12", "web", 12},
    {A "task-definition/web", "web", 0},
    {"web:", NULL, 7},
    {"web:0", NULL, 7},
    {"web:01", NULL, 7},
    {"web:-1", NULL, 7},
    {"web:1:2", NULL, 7},
    {"web:latest", NULL, 7},
    {"web:4294967296", NULL, 7},
    {"web:99999999999999999999", NULL, 7},
    {":1", NULL, 7},
    {"", NULL, 7},
    {A "task/web:1", NULL, 7},
};

START_TEST(a_task_definition_is_a_family_with_or_without_a_revision)
{
    char *family = NULL;
    uint32_t revision = 7;
    int r = arn_parse_task_definition(definitions[_i].text, &family, &revision);

    ck_assert_int_eq(r, definitions[_i].family ? 0 : ARN_MALFORMED);
    ck_assert_pstr_eq(family, definitions[_i].family);
    ck_assert_uint_eq(revision, definitions[_i].revision);
    free(family);
}
END_TEST

START_TEST(names_have_letters_digits_and_two_signs)
{
    char longest[257];

    memset(longest, 'a', sizeof longest);
    longest[255] = '\0';
    ck_assert(name_is_valid(longest));
    longest[255] = 'a';
    longest[256] = '\0';
    ck_assert(!name_is_valid(longest));
    ck_assert(name_is_valid("aZ09-_"));
    ck_assert(!name_is_valid(""));
    ck_assert(!name_is_valid("\xc3\xa9"));
}
END_TEST

START_TEST(ids_are_32_lower_case_hex_digits)
{
    ck_assert(id_is_valid(ID));
    ck_assert(!id_is_valid(ID "0"));
    ck_assert(!id_is_valid("0123456789abcdef0123456789abcde"));
    ck_assert(!id_is_valid("0123456789ABCDEF0123456789abcdef"));
    ck_assert(!id_is_valid(""));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proto");
    TCase *tc = tcase_create("arn");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, arns_have_the_long_format);
    tcase_add_loop_test(tc, a_cluster_is_a_name_an_arn_or_the_default, 0,
                        sizeof clusters / sizeof clusters[0]);
    tcase_add_loop_test(tc, a_member_is_an_id_or_an_arn_of_its_kind, 0,
                        sizeof parts / sizeof parts[0]);
    tcase_add_loop_test(tc, a_task_definition_is_a_family_with_or_without_a_revision, 0,
                        sizeof definitions / sizeof definitions[0]);
    tcase_add_test(tc, names_have_letters_digits_and_two_signs);
    tcase_add_test(tc, ids_are_32_lower_case_hex_digits);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
