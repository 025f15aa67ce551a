#include <check.h>
#include <stdbool.h>
#include <string.h>

#include "proto/problem.h"

START_TEST(every_code_but_none_has_ecs_s_name_and_status)
{
    const ProtobufCEnumDescriptor *codes = &command__error_code__descriptor;

    for (unsigned i = 1; i < codes->n_values; i++) {
        Command__ErrorCode code = (Command__ErrorCode)codes->values[i].value;
        bool server = code == COMMAND__ERROR_CODE__ERROR_SERVER;

        ck_assert_ptr_nonnull(strstr(problem_name(code), "Exception"));
        ck_assert_int_eq(problem_status(code), server ? 500 : 400);
        ck_assert_int_eq(strcmp(problem_name(code), "ServerException") == 0, server);
    }
    ck_assert_str_eq(problem_name(COMMAND__ERROR_CODE__ERROR_CLUSTER_NOT_FOUND),
                     "ClusterNotFoundException");
}
END_TEST

START_TEST(an_unknown_code_is_a_server_exception)
{
    ck_assert_str_eq(problem_name((Command__ErrorCode)4711), "ServerException");
    ck_assert_str_eq(problem_name((Command__ErrorCode)-1), "ServerException");
    ck_assert_int_eq(problem_status((Command__ErrorCode)4711), 500);
}
END_TEST

START_TEST(a_problem_holds_its_text_and_resources)
{
    scope(problem_free) Command__Problem *problem =
        problem_new(COMMAND__ERROR_CODE__ERROR_CONFLICT, "%s was %d", "it", 7);

    problem_add_resource(problem, "one");
    problem_add_resource(problem, "two");
    ck_assert_str_eq(problem->text, "it was 7");
    ck_assert_int_eq(problem->code, COMMAND__ERROR_CODE__ERROR_CONFLICT);
    ck_assert_uint_eq(problem->n_resource_ids, 2);
    ck_assert_str_eq(problem->resource_ids[1], "two");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proto");
    TCase *tc = tcase_create("problem");
    SRunner *sr;
    int failed;

    tcase_add_test(tc, every_code_but_none_has_ecs_s_name_and_status);
    tcase_add_test(tc, an_unknown_code_is_a_server_exception);
    tcase_add_test(tc, a_problem_holds_its_text_and_resources);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
