/* Who a manager is: said once, stored, and not to be contradicted. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "server/manager/join.h"
#include "server/manager/self.h"
#include "storage/tables.h"

static const struct manager_options GOOD = {
    .name = "m1", .zone = "z", .bind = "10.0.0.1", .api_port = 1, .rpc_port = 2, .peer_port = 3};

static const struct {
    const char *why;
    struct manager_options options;
    const char *says;
} lacking[] = {
    {"no name", {.zone = "z"}, "--name is missing"},
    {"no zone", {.name = "m"}, "--zone is missing"},
    {"everywhere", {.name = "m", .zone = "z", .bind = "0.0.0.0"}, "--advertise is missing"},
    {"everywhere of IPv6", {.name = "m", .zone = "z", .bind = "::"}, "--advertise is missing"},
    {"no host", {.name = "m", .zone = "z", .advertise = "a b"}, "\"a b\" is not a host"},
};

START_TEST(what_is_lacking_is_named)
{
    struct member member;
    char *problem = self_describe(&lacking[_i].options, &member);

    ck_assert_msg(problem && strstr(problem, lacking[_i].says), "%s: %s", lacking[_i].why, problem);
    free(problem);
}
END_TEST

START_TEST(ports_and_hosts_have_defaults)
{
    struct manager_options options = {.name = "m1", .zone = "z"};
    struct member member;

    ck_assert_ptr_null(self_describe(&options, &member));
    ck_assert_str_eq(member.host, "127.0.0.1");
    ck_assert_uint_eq(member.api_port, 4510);
    ck_assert_uint_eq(member.rpc_port, 4511);
    ck_assert_uint_eq(member.peer_port, 4512);
    options.bind = "0.0.0.0";
    options.advertise = "manager-1.example";
    ck_assert_ptr_null(self_describe(&options, &member));
    ck_assert_str_eq(member.host, "manager-1.example");
}
END_TEST

START_TEST(flags_may_repeat_what_is_stored_but_not_change_it)
{
    const struct {
        struct manager_options options;
        const char *says; /* NULL: nothing is wrong. */
    } cases[] = {
        {{.dir = "/d"}, NULL},
        {GOOD, NULL},
        {{.bind = "0.0.0.0"}, NULL},
        {{.name = "m2"}, "--name says \"m2\""},
        {{.zone = "y"}, "--zone says \"y\""},
        {{.advertise = "10.0.0.2"}, "--advertise says \"10.0.0.2\""},
        {{.api_port = 9}, "--api-port says \"9\""},
        {{.rpc_port = 9}, "--rpc-port says \"9\""},
        {{.peer_port = 9}, "--peer-port says \"9\""},
    };
    struct self self = {0};

    ck_assert_ptr_null(self_describe(&GOOD, &self.member));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *problem = self_contradiction(&cases[i].options, &self);

        ck_assert_int_eq(problem == NULL, cases[i].says == NULL);
        ck_assert(!problem || strstr(problem, cases[i].says));
        free(problem);
    }
}
END_TEST

START_TEST(who_was_stored_is_found_again)
{
    char dir[] = "/tmp/self-XXXXXX";
    struct self self, found;
    struct member described;
    struct env *env;
    char *path;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(env_open(dir, 16 << 20, table_names, TABLE_COUNT, &env), 0);
    ck_assert_int_eq(self_load(env, &found), SELF_NOBODY);
    ck_assert_ptr_null(self_describe(&GOOD, &described));
    ck_assert_int_eq(self_begin(&described, &self), 0);
    ck_assert(member_id_is_valid(self.member.id));
    ck_assert_uint_eq(strlen(self.cluster), 32);
    ck_assert_int_eq(self_save(env, &self), 0);
    ck_assert_int_eq(self_load(env, &found), 0);
    ck_assert_uint_eq(found.member.id, self.member.id);
    ck_assert_str_eq(found.member.host, "10.0.0.1");
    ck_assert_str_eq(found.cluster, self.cluster);
    env_free(env);
    path = mem_format("%s/data.mdb", dir);
    unlink(path);
    free(path);
    path = mem_format("%s/lock.mdb", dir);
    unlink(path);
    free(path);
    rmdir(dir);
}
END_TEST

START_TEST(the_port_to_join_by_may_be_left_out)
{
    static const char *const cases[][2] = {
        {"h", "h:4512"}, {"h:1", "h:1"}, {"[::1]", "[::1]:4512"}, {"[::1]:7", "[::1]:7"}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *address = join_address(cases[i][0]);

        ck_assert_str_eq(address, cases[i][1]);
        free(address);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("self");
    TCase *tc = tcase_create("self");
    SRunner *sr;
    int failed;

    tcase_add_loop_test(tc, what_is_lacking_is_named, 0, sizeof lacking / sizeof *lacking);
    tcase_add_test(tc, ports_and_hosts_have_defaults);
    tcase_add_test(tc, flags_may_repeat_what_is_stored_but_not_change_it);
    tcase_add_test(tc, who_was_stored_is_found_again);
    tcase_add_test(tc, the_port_to_join_by_may_be_left_out);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
