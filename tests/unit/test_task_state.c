#include <check.h>
#include <stdlib.h>

#include "proto/task_state.h"

enum { STOPPED = STATE__TASK_STATE__TASK_STOPPED };

START_TEST(a_state_only_moves_right_and_may_skip)
{
    for (int from = 0; from <= STOPPED; from++)
        for (int to = 0; to <= STOPPED; to++)
            ck_assert_int_eq(task_state_may_move((State__TaskState)from, (State__TaskState)to),
                             to > from);
}
END_TEST

START_TEST(unknown_states_move_nowhere_and_have_no_name)
{
    static const int unknown[] = {-1, STOPPED + 1, 31, 32, 4711};

    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        State__TaskState state = (State__TaskState)unknown[i];

        ck_assert(!task_state_is_known(state));
        ck_assert(!task_state_may_move(state, STATE__TASK_STATE__TASK_STOPPED));
        ck_assert(!task_state_may_move(STATE__TASK_STATE__TASK_PENDING, state));
        ck_assert_ptr_null(task_state_name(state));
    }
}
END_TEST

START_TEST(names_are_those_of_the_schema)
{
    const ProtobufCEnumDescriptor *type = &state__task_state__descriptor;

    ck_assert_uint_eq(type->n_values, STOPPED + 1);
    for (unsigned i = 0; i < type->n_values; i++)
        ck_assert_str_eq(task_state_name((State__TaskState)type->values[i].value),
                         type->values[i].name + sizeof "TASK_" - 1);
}
END_TEST

START_TEST(stop_codes_are_called_alike_in_both_enumerations)
{
    const ProtobufCEnumDescriptor *ecs = &ecs__task_stop_code__value__descriptor;

    for (int code = 1; code <= STATE__STOP_CODE__STOP_TERMINATION_NOTICE; code++) {
        Ecs__TaskStopCode__Value value;

        ck_assert(stop_code_to_ecs((State__StopCode)code, &value));
        ck_assert_str_eq(stop_code_name((State__StopCode)code),
                         protobuf_c_enum_descriptor_get_value(ecs, (int)value)->name);
    }
}
END_TEST

START_TEST(no_stop_code_is_no_value)
{
    Ecs__TaskStopCode__Value value = ECS__TASK_STOP_CODE__VALUE__UserInitiated;

    ck_assert(!stop_code_to_ecs(STATE__STOP_CODE__STOP_NONE, &value));
    ck_assert(!stop_code_to_ecs((State__StopCode)99, &value));
    ck_assert(!stop_code_to_ecs((State__StopCode)-1, &value));
    ck_assert_int_eq(value, ECS__TASK_STOP_CODE__VALUE__UserInitiated);
    ck_assert_ptr_null(stop_code_name(STATE__STOP_CODE__STOP_NONE));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proto");
    TCase *tc = tcase_create("task_state");
    SRunner *sr;
    int failed;

    tcase_add_test(tc, a_state_only_moves_right_and_may_skip);
    tcase_add_test(tc, unknown_states_move_nowhere_and_have_no_name);
    tcase_add_test(tc, names_are_those_of_the_schema);
    tcase_add_test(tc, stop_codes_are_called_alike_in_both_enumerations);
    tcase_add_test(tc, no_stop_code_is_no_value);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
