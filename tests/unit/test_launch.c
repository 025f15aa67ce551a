#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/lab/launch.h"

static struct layout *small_layout(void)
{
    struct layout_options options;

    layout_options_default(&options);
    options.api_port = 5000;
    options.workers = 2;
    return layout_new(&options);
}

static void expect(size_t node, const char *const *words)
{
    scope(layout_free) struct layout *layout = small_layout();
    scope(launch_free) struct launch *launch = launch_new(layout, node, "/bin/cais", "/lab");
    size_t i;

    for (i = 0; words[i]; i++) {
        ck_assert_ptr_nonnull(launch->argv[i]);
        ck_assert_str_eq(launch->argv[i], words[i]);
    }
    ck_assert_uint_eq(launch->count, i);
    ck_assert_ptr_null(launch->argv[i]);
}

START_TEST(a_manager_listens_at_home_and_knows_the_others_by_their_faces)
{
    static const char *const words[] = {
        "/bin/cais",    "manager",
        "--dir",        "/lab/m2",
        "--name",       "m2",
        "--zone",       "us-east-1b",
        "--bind",       "127.2.1.1",
        "--api-port",   "5000",
        "--rpc-port",   "5001",
        "--peer-port",  "5002",
        "--advertise",  "127.2.101.1",
        "--join",       "127.1.101.1:5002",
        "--token-file", "/lab/m1/manager.token",
        NULL,
    };

    expect(1, words);
}
END_TEST

START_TEST(the_first_manager_begins_the_cluster)
{
    static const char *const words[] = {
        "/bin/cais",   "manager",    "--dir",       "/lab/m1",   "--name",       "m1",
        "--zone",      "us-east-1a", "--bind",      "127.1.1.1", "--api-port",   "5000",
        "--rpc-port",  "5001",       "--peer-port", "5002",      "--advertise",  "127.1.101.1",
        "--bootstrap", "--region",   "us-east-1",   "--account", "000000000000", NULL,
    };

    expect(0, words);
}
END_TEST

START_TEST(a_worker_leaves_from_its_address_for_the_managers_faces)
{
    static const char *const words[] = {
        "/bin/cais", "worker",     "--dir",
        "/lab/w1",   "--name",     "w1",
        "--zone",    "us-east-1a", "--address",
        "127.1.2.1", "--managers", "127.1.101.1:5001,127.2.101.1:5001,127.3.101.1:5001",
        "--cluster", "default",    "--cpu",
        "4096",      "--memory",   "8192",
        "--runtime", "process",    NULL,
    };

    expect(3, words);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lab");
    TCase *tc = tcase_create("launch");
    SRunner *sr;
    int failed;

    tcase_add_test(tc, a_manager_listens_at_home_and_knows_the_others_by_their_faces);
    tcase_add_test(tc, the_first_manager_begins_the_cluster);
    tcase_add_test(tc, a_worker_leaves_from_its_address_for_the_managers_faces);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
