#include <check.h>
#include <stdbool.h>
#include <string.h>

#include "proto/ecs.pb-c.h"
#include "proto/json.h"
#include "proto/limits.h"
#include "proto/message.h"
#include "proto/problem.h"

static struct bytes text(const char *s)
{
    return (struct bytes){s, strlen(s)};
}

/* Parse, print, compare with what is expected: gives the message for a closer look. */
static ProtobufCMessage *read_as(const ProtobufCMessageDescriptor *type, const char *json)
{
    scope(problem_free) Command__Problem *problem = NULL;
    ProtobufCMessage *message = NULL;

    if (json_parse(type, text(json), &message, &problem) != 0)
        ck_abort_msg("%s: %s", json, problem->text);
    ck_assert_ptr_null(problem);
    return message;
}

static void prints(const ProtobufCMessage *message, const char *expected)
{
    scope(buffer_fini) struct buffer out = {0};

    json_print(message, &out);
    ck_assert_str_eq(buffer_text(&out), expected);
}

static void round_trip(const ProtobufCMessageDescriptor *type, const char *json,
                       const char *expected)
{
    scope(message_free) ProtobufCMessage *message = read_as(type, json);

    prints(message, expected);
}

static const struct {
    const char *why;
    const ProtobufCMessageDescriptor *type;
    const char *json;
    const char *printed;
} echoes[] = {
    {"nothing is an empty object", &ecs__stop_task_request__descriptor, "", "{}"},
    {"an empty object", &ecs__stop_task_request__descriptor, " { } ", "{}"},
    {"an empty string is not absent", &ecs__stop_task_request__descriptor,
     "{\"task\":\"\",\"cluster\":null}", "{\"task\":\"\"}"},
    {"zero and false are not absent", &ecs__container_definition__descriptor,
     "{\"cpu\":0,\"essential\":false}",
     "{\"cpu\":0,\"portMappings\":[],\"essential\":false,\"environment\":[],\"mountPoints\":[],"
     "\"volumesFrom\":[]}"},
    {"unknown members are ignored at any depth", &ecs__update_service_request__descriptor,
     "{\"x\":[{}],\"deploymentConfiguration\":{\"y\":{\"z\":1},\"maximumPercent\":150},"
     "\"loadBalancers\":[{\"what\":null}]}",
     "{\"capacityProviderStrategy\":[],\"deploymentConfiguration\":{\"maximumPercent\":150},"
     "\"placementConstraints\":[],\"placementStrategy\":[],\"loadBalancers\":[{}],"
     "\"serviceRegistries\":[]}"},
    {"the last of two counts", &ecs__stop_task_request__descriptor,
     "{\"task\":\"a\",\"task\":\"b\"}", "{\"task\":\"b\"}"},
    {"a member in snake_case is another member", &ecs__create_cluster_request__descriptor,
     "{\"cluster_name\":\"a\",\"ClusterName\":\"b\"}",
     "{\"tags\":[],\"settings\":[],\"capacityProviders\":[],"
     "\"defaultCapacityProviderStrategy\":[]}"},
    {"bindIP", &ecs__network_binding__descriptor,
     "{\"bindIP\":\"::\",\"bindIp\":\"x\",\"hostPort\":80,\"protocol\":\"udp\"}",
     "{\"bindIP\":\"::\",\"hostPort\":80,\"protocol\":\"udp\"}"},
    {"base", &ecs__capacity_provider_strategy_item__descriptor,
     "{\"base\":1,\"baseCount\":2,\"capacityProvider\":\"p\"}",
     "{\"capacityProvider\":\"p\",\"base\":1}"},
    {"sizeInGiB", &ecs__ephemeral_storage__descriptor, "{\"sizeInGiB\":21,\"sizeInGib\":3}",
     "{\"sizeInGiB\":21}"},
    {"digits inside names", &ecs__network_interface__descriptor,
     "{\"privateIpv4Address\":\"10.0.0.1\",\"ipv6Address\":\"::1\"}",
     "{\"privateIpv4Address\":\"10.0.0.1\",\"ipv6Address\":\"::1\"}"},
    {"maps, in their order; '-' in two values", &ecs__log_configuration__descriptor,
     "{\"logDriver\":\"json-file\",\"options\":{\"z\":\"1\",\"a\":\"\",\"n\":null}}",
     "{\"logDriver\":\"json-file\",\"options\":{\"z\":\"1\",\"a\":\"\"}}"},
    {"lists of enumerations", &ecs__device__descriptor, "{\"permissions\":[\"write\",\"read\"]}",
     "{\"permissions\":[\"write\",\"read\"]}"},
    {"what was given is echoed", &ecs__linux_parameters__descriptor,
     "{\"capabilities\":{\"drop\":[\"ALL\"]},\"tmpfs\":[]}",
     "{\"capabilities\":{\"drop\":[\"ALL\"]}}"},
    {"the lists a task definition always shows", &ecs__task_definition__descriptor,
     "{\"family\":\"web\"}",
     "{\"family\":\"web\",\"volumes\":[],\"placementConstraints\":[],\"compatibilities\":[]}"},
    {"the lists a service always shows", &ecs__describe_services_response__descriptor, "{}",
     "{\"services\":[],\"failures\":[]}"},
    {"characters that need escapes", &ecs__tag__descriptor,
     "{\"key\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f\",\"value\":\"\\u00e9\\ud83d\\ude00\"}",
     "{\"key\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7f\",\"value\":\"\xc3\xa9\xf0\x9f\x98\x80\"}"},
    {"numbers", &ecs__resource__descriptor,
     "{\"doubleValue\":0.1,\"longValue\":-9223372036854775808,\"integerValue\":-2147483648}",
     "{\"doubleValue\":0.1,\"longValue\":-9223372036854775808,\"integerValue\":-2147483648,"
     "\"stringSetValue\":[]}"},
    {"a whole double is still one", &ecs__scale__descriptor, "{\"value\":100}",
     "{\"value\":100.0}"},
    {"a double keeps all its digits", &ecs__scale__descriptor, "{\"value\":0.30000000000000004}",
     "{\"value\":0.30000000000000004}"},
    {"times with a fraction", &ecs__service_event__descriptor, "{\"createdAt\":1700000000.123}",
     "{\"createdAt\":1700000000.123}"},
    {"times as integers", &ecs__service_event__descriptor, "{\"createdAt\":1700000000}",
     "{\"createdAt\":1700000000.000}"},
    {"the last moment", &ecs__service_event__descriptor, "{\"createdAt\":253402300799}",
     "{\"createdAt\":253402300799.000}"},
};

START_TEST(what_is_read_is_printed)
{
    round_trip(echoes[_i].type, echoes[_i].json, echoes[_i].printed);
}
END_TEST

#define SERIALIZATION COMMAND__ERROR_CODE__ERROR_SERIALIZATION
#define PARAMETER     COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER

static const struct {
    const ProtobufCMessageDescriptor *type;
    const char *json;
    Command__ErrorCode code;
    const char *problem; /* The text begins with it. */
} refusals[] = {
    {&ecs__register_task_definition_request__descriptor,
     "{\"containerDefinitions\":[{\"cpu\":\"1\"}]}", SERIALIZATION,
     "Expected integer at containerDefinitions[0].cpu"},
    {&ecs__register_task_definition_request__descriptor,
     "{\"containerDefinitions\":[{},{\"command\":[\"a\",1]}]}", SERIALIZATION,
     "Expected string at containerDefinitions[1].command[1]"},
    {&ecs__register_task_definition_request__descriptor,
     "{\"containerDefinitions\":[{\"dockerLabels\":{\"a\":1}}]}", SERIALIZATION,
     "Expected string at containerDefinitions[0].dockerLabels.a"},
    {&ecs__register_task_definition_request__descriptor,
     "{\"containerDefinitions\":[{\"dockerLabels\":[]}]}", SERIALIZATION,
     "Expected object at containerDefinitions[0].dockerLabels"},
    {&ecs__register_task_definition_request__descriptor, "{\"containerDefinitions\":{}}",
     SERIALIZATION, "Expected list at containerDefinitions"},
    {&ecs__register_task_definition_request__descriptor, "{\"containerDefinitions\":[null]}",
     SERIALIZATION, "Expected object at containerDefinitions[0]"},
    {&ecs__register_task_definition_request__descriptor, "{\"family\":5}", SERIALIZATION,
     "Expected string at family"},
    {&ecs__run_task_request__descriptor, "{\"count\":2.0}", SERIALIZATION,
     "Expected integer at count"},
    {&ecs__run_task_request__descriptor, "{\"count\":2147483648}", SERIALIZATION,
     "Integer out of range at count"},
    {&ecs__run_task_request__descriptor, "{\"count\":-2147483649}", SERIALIZATION,
     "Integer out of range at count"},
    {&ecs__run_task_request__descriptor, "{\"count\":99999999999999999999}", SERIALIZATION,
     "Malformed JSON"},
    {&ecs__run_task_request__descriptor, "{\"enableExecuteCommand\":\"true\"}", SERIALIZATION,
     "Expected boolean at enableExecuteCommand"},
    {&ecs__run_task_request__descriptor, "{\"launchType\":\"EC3\"}", PARAMETER,
     "Value 'EC3' at 'launchType' failed to satisfy constraint: Member must satisfy enum value "
     "set: [EC2, FARGATE, EXTERNAL]"},
    {&ecs__run_task_request__descriptor, "{\"launchType\":1}", SERIALIZATION,
     "Expected string at launchType"},
    {&ecs__attribute__descriptor, "{\"targetType\":\"container_instance\"}", PARAMETER,
     "Value 'container_instance' at 'targetType' failed to satisfy constraint: Member must "
     "satisfy enum value set: [container-instance]"},
    {&ecs__scale__descriptor, "{\"value\":\"NaN\"}", SERIALIZATION, "Expected number at value"},
    {&ecs__service_event__descriptor, "{\"createdAt\":\"now\"}", SERIALIZATION,
     "Expected timestamp in seconds at createdAt"},
    {&ecs__service_event__descriptor, "{\"createdAt\":253402300800}", SERIALIZATION,
     "Timestamp out of range at createdAt"},
    {&ecs__service_event__descriptor, "{\"createdAt\":1e300}", SERIALIZATION,
     "Timestamp out of range at createdAt"},
    {&ecs__service_event__descriptor, "{\"createdAt\":-1}", SERIALIZATION,
     "Timestamp out of range at createdAt"},
    {&ecs__tag__descriptor, "[]", SERIALIZATION, "Expected object at the start"},
    {&ecs__tag__descriptor, "\"text\"", SERIALIZATION, "Malformed JSON"},
    {&ecs__tag__descriptor, "{} x", SERIALIZATION, "Malformed JSON at byte"},
    {&ecs__tag__descriptor, "{\"key\":", SERIALIZATION, "Malformed JSON at byte"},
    {&ecs__tag__descriptor, "{\"key\":\"\\", SERIALIZATION, "Malformed JSON at byte"},
    {&ecs__tag__descriptor, "]", SERIALIZATION, "Malformed JSON at byte"},
    {&ecs__tag__descriptor, "{\"key\":\"\xff\"}", SERIALIZATION, "Malformed JSON at byte"},
    {&ecs__tag__descriptor, "{\"key\":\"\xed\xa0\x80\"}", SERIALIZATION, "Malformed JSON at byte"},
    {&ecs__tag__descriptor, "{\"key\":\"\\u0000\"}", SERIALIZATION, "Malformed JSON at byte"},
};

static void is_refused(const ProtobufCMessageDescriptor *type, struct bytes json,
                       Command__ErrorCode code, const char *begins)
{
    scope(problem_free) Command__Problem *problem = NULL;
    ProtobufCMessage *message = NULL;

    ck_assert_int_eq(json_parse(type, json, &message, &problem), JSON_REFUSED);
    ck_assert_ptr_null(message);
    ck_assert_int_eq(problem->code, code);
    ck_assert_msg(strncmp(problem->text, begins, strlen(begins)) == 0, "%s", problem->text);
}

START_TEST(what_does_not_fit_is_refused_and_named)
{
    is_refused(refusals[_i].type, text(refusals[_i].json), refusals[_i].code, refusals[_i].problem);
}
END_TEST

/* An unknown member with lists within lists. */
static void nest(struct buffer *json, size_t depth)
{
    buffer_append_text(json, "{\"x\":");
    memset(buffer_extend(json, depth), '[', depth);
    memset(buffer_extend(json, depth), ']', depth);
    buffer_append_text(json, "}");
}

START_TEST(depth_is_bounded_even_where_it_is_ignored)
{
    scope(buffer_fini) struct buffer fits = {0}, deep = {0};

    nest(&fits, LIMIT_JSON_DEPTH - 1);
    nest(&deep, LIMIT_JSON_DEPTH);
    round_trip(&ecs__tag__descriptor, buffer_text(&fits), "{}");
    is_refused(&ecs__tag__descriptor, text(buffer_text(&deep)), SERIALIZATION,
               "Request body holds more than");
}
END_TEST

START_TEST(the_number_of_values_is_bounded)
{
    scope(buffer_fini) struct buffer json = {0};

    buffer_append_text(&json, "{\"x\":[0");
    for (unsigned i = 0; i < LIMIT_JSON_NODES; i++)
        buffer_append_text(&json, ",0");
    buffer_append_text(&json, "]}");
    is_refused(&ecs__tag__descriptor, text(buffer_text(&json)), SERIALIZATION,
               "Request body holds more than");
}
END_TEST

START_TEST(brackets_and_commas_in_strings_are_not_counted)
{
    scope(message_free) ProtobufCMessage *message = NULL;
    scope(buffer_fini) struct buffer json = {0};

    buffer_append_text(&json, "{\"key\":\"\\\"");
    for (unsigned i = 0; i < LIMIT_JSON_NODES; i++)
        buffer_append_text(&json, "[,");
    buffer_append_text(&json, "\"}");
    message = read_as(&ecs__tag__descriptor, buffer_text(&json));
    ck_assert_uint_eq(strlen(((Ecs__Tag *)message)->key), 2 * LIMIT_JSON_NODES + 1);
}
END_TEST

START_TEST(a_body_may_be_as_large_as_the_limit_and_no_larger)
{
    static char body[LIMIT_BODY_BYTES + 1];

    memset(body, ' ', sizeof body);
    body[0] = '{';
    body[1] = '}';
    is_refused(&ecs__tag__descriptor, (struct bytes){body, sizeof body}, SERIALIZATION,
               "Request body exceeds");
    body[LIMIT_BODY_BYTES] = '\0';
    round_trip(&ecs__tag__descriptor, body, "{}");
}
END_TEST

START_TEST(a_user_s_text_in_a_problem_is_cut)
{
    scope(buffer_fini) struct buffer json = {0};
    scope(problem_free) Command__Problem *problem = NULL;
    ProtobufCMessage *message = NULL;

    buffer_append_text(&json, "{\"launchType\":\"");
    memset(buffer_extend(&json, 5000), 'x', 5000);
    buffer_append_text(&json, "\"}");
    ck_assert_int_eq(json_parse(&ecs__run_task_request__descriptor, text(buffer_text(&json)),
                                &message, &problem),
                     JSON_REFUSED);
    ck_assert_uint_lt(strlen(problem->text), 300);
    ck_assert_ptr_nonnull(strstr(problem->text, "EXTERNAL"));
}
END_TEST

static const struct {
    const char *raw;
    const char *printed;
} bad_bytes[] = {
    {"a\xff"
     "b",
     "\"a\xef\xbf\xbd"
     "b\""},
    {"\xc3", "\"\xef\xbf\xbd\""},                                 /* Cut short. */
    {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* Overlong NUL. */
    {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* A surrogate. */
    {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* Too high. */
    {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},
};

START_TEST(what_is_printed_is_always_utf8)
{
    scope(buffer_fini) struct buffer out = {0};

    json_print_text(bad_bytes[_i].raw, &out);
    ck_assert_str_eq(buffer_text(&out), bad_bytes[_i].printed);
}
END_TEST

START_TEST(printing_appends)
{
    scope(buffer_fini) struct buffer out = {0};
    Ecs__Tag tag = ECS__TAG__INIT;

    buffer_append_text(&out, "data: ");
    json_print(&tag.base, &out);
    ck_assert_str_eq(buffer_text(&out), "data: {}");
}
END_TEST

START_TEST(values_from_a_newer_release_do_not_break_the_answer)
{
    Ecs__Task task = ECS__TASK__INIT;
    scope(buffer_fini) struct buffer out = {0};

    task.has_launch_type = true;
    task.launch_type = (Ecs__LaunchType__Value)99;
    json_print(&task.base, &out);
    ck_assert_ptr_nonnull(strstr(buffer_text(&out), "\"launchType\":null"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proto");
    TCase *tc = tcase_create("json");
    SRunner *sr;
    int failed;

    tcase_add_loop_test(tc, what_is_read_is_printed, 0, sizeof echoes / sizeof echoes[0]);
    tcase_add_loop_test(tc, what_does_not_fit_is_refused_and_named, 0,
                        sizeof refusals / sizeof refusals[0]);
    tcase_add_test(tc, depth_is_bounded_even_where_it_is_ignored);
    tcase_add_test(tc, the_number_of_values_is_bounded);
    tcase_add_test(tc, brackets_and_commas_in_strings_are_not_counted);
    tcase_add_test(tc, a_body_may_be_as_large_as_the_limit_and_no_larger);
    tcase_add_test(tc, a_user_s_text_in_a_problem_is_cut);
    tcase_add_loop_test(tc, what_is_printed_is_always_utf8, 0,
                        sizeof bad_bytes / sizeof bad_bytes[0]);
    tcase_add_test(tc, printing_appends);
    tcase_add_test(tc, values_from_a_newer_release_do_not_break_the_answer);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
