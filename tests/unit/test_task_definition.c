#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json.h"
#include "proto/limits.h"
#include "proto/message.h"
#include "proto/problem.h"
#include "proto/task_definition.h"

/* A definition as a user writes it. Gives. */
static Ecs__RegisterTaskDefinitionRequest *spec_of(const char *json)
{
    scope(problem_free) Command__Problem *problem = NULL;
    ProtobufCMessage *message = NULL;

    if (json_parse(&ecs__register_task_definition_request__descriptor,
                   (struct bytes){json, strlen(json)}, &message, &problem) != 0)
        ck_abort_msg("%s: %s", json, problem->text);
    return (Ecs__RegisterTaskDefinitionRequest *)message;
}

static void spec_free(Ecs__RegisterTaskDefinitionRequest *spec)
{
    ecs__register_task_definition_request__free_unpacked(spec, NULL);
}

SCOPED(Ecs__RegisterTaskDefinitionRequest *, spec_free);

enum { BAD = -1 };

static const struct {
    const char *text;
    int64_t cpu;
    int64_t memory;
} sizes[] = {
    {"256", 256, 256},
    {"1", 1, 1},
    {"0.25 vCPU", 256, BAD},
    {".5 vCPU", 512, BAD},
    {".5 vcpu", 512, BAD},
    {"2vCPU", 2048, BAD},
    {"10 VCPU", 10240, BAD},
    {"1 GB", BAD, 1024},
    {"1GB", BAD, 1024},
    {"0.5gb", BAD, 512},
    {"30 GB", BAD, 30720},
    {"196608", 196608, 196608},
    {"196609", BAD, 196609},
    {"25165825", BAD, BAD},
    {"192 vCPU", 196608, BAD},
    {"193 vCPU", BAD, BAD},
    {"24577 GB", BAD, BAD},
    {"0", BAD, BAD},
    {"0 vCPU", BAD, BAD},
    {".0001 vCPU", BAD, BAD}, /* Not a whole unit. */
    {"-1", BAD, BAD},
    {"+1", BAD, BAD},
    {"", BAD, BAD},
    {" 256", BAD, BAD},
    {"256 ", BAD, BAD},
    {"1.5", BAD, BAD},
    {".", BAD, BAD},
    {"vCPU", BAD, BAD},
    {"GB", BAD, BAD},
    {". GB", BAD, BAD},
    {"abc", BAD, BAD},
    {"1e3", BAD, BAD},
    {"0x10", BAD, BAD},
    {"9999999999999999999999", BAD, BAD},
    {"999999999 GB", BAD, BAD},
};

START_TEST(sizes_are_units_or_words)
{
    uint32_t cpu = 7, memory = 7;

    ck_assert_int_eq(task_cpu_parse(sizes[_i].text, &cpu),
                     sizes[_i].cpu == BAD ? TASK_DEFINITION_MALFORMED : 0);
    ck_assert_int_eq(cpu, sizes[_i].cpu == BAD ? 7 : sizes[_i].cpu);
    ck_assert_int_eq(task_memory_parse(sizes[_i].text, &memory),
                     sizes[_i].memory == BAD ? TASK_DEFINITION_MALFORMED : 0);
    ck_assert_int_eq(memory, sizes[_i].memory == BAD ? 7 : sizes[_i].memory);
}
END_TEST

static const struct {
    const char *why;
    const char *spec;
    uint32_t cpu;
    uint32_t memory;
} needs[] = {
    {"nothing", "{}", 0, 0},
    {"the sum of the containers",
     "{\"containerDefinitions\":[{\"cpu\":10,\"memory\":128},{\"cpu\":20,\"memory\":64}]}", 30,
     192},
    {"the reservation goes before the limit",
     "{\"containerDefinitions\":[{\"memory\":128,\"memoryReservation\":32},{\"memory\":64}]}", 0,
     96},
    {"the task's own size wins",
     "{\"cpu\":\".25 vCPU\",\"memory\":\"1 GB\","
     "\"containerDefinitions\":[{\"cpu\":10,\"memory\":128}]}",
     256, 1024},
    {"each for itself", "{\"cpu\":\"512\",\"containerDefinitions\":[{\"cpu\":10,\"memory\":128}]}",
     512, 128},
    {"negative is nothing", "{\"containerDefinitions\":[{\"cpu\":-5,\"memory\":-1}]}", 0, 0},
    {"sums do not wrap",
     "{\"containerDefinitions\":[{\"cpu\":2147483647},{\"cpu\":2147483647},{\"cpu\":2147483647}]}",
     UINT32_MAX, 0},
};

START_TEST(a_task_takes_what_its_definition_says)
{
    scope(spec_free) Ecs__RegisterTaskDefinitionRequest *spec = spec_of(needs[_i].spec);
    uint32_t cpu = 7, memory = 7;

    ck_assert_int_eq(task_definition_needs(spec, &cpu, &memory), 0);
    ck_assert_uint_eq(cpu, needs[_i].cpu);
    ck_assert_uint_eq(memory, needs[_i].memory);
}
END_TEST

START_TEST(a_size_that_is_none_leaves_the_outputs_alone)
{
    scope(spec_free) Ecs__RegisterTaskDefinitionRequest *cpu_bad = spec_of("{\"cpu\":\"abc\"}");
    scope(spec_free) Ecs__RegisterTaskDefinitionRequest *memory_bad = spec_of("{\"memory\":\"\"}");
    uint32_t cpu = 7, memory = 7;

    ck_assert_int_eq(task_definition_needs(cpu_bad, &cpu, &memory), TASK_DEFINITION_MALFORMED);
    ck_assert_int_eq(task_definition_needs(memory_bad, &cpu, &memory), TASK_DEFINITION_MALFORMED);
    ck_assert_uint_eq(cpu, 7);
    ck_assert_uint_eq(memory, 7);
}
END_TEST

#define PORTS                                                                                      \
    "\"containerDefinitions\":[{\"portMappings\":[{\"containerPort\":80},"                         \
    "{\"containerPort\":81,\"hostPort\":0}]},"                                                     \
    "{\"portMappings\":[{\"containerPort\":53,\"hostPort\":5353,\"protocol\":\"udp\"}]}]"

static void port_is(const State__Port *port, uint32_t number, bool udp)
{
    ck_assert_uint_eq(port->number, number);
    ck_assert_int_eq(port->udp, udp);
}

static void ports_free(State__Port **ports, size_t count)
{
    for (size_t i = 0; i < count; i++)
        state__port__free_unpacked(ports[i], NULL);
    free(ports);
}

START_TEST(on_a_bridge_only_a_given_host_port_is_fixed)
{
    scope(spec_free) Ecs__RegisterTaskDefinitionRequest *absent = spec_of("{" PORTS "}");
    scope(spec_free) Ecs__RegisterTaskDefinitionRequest *bridge =
        spec_of("{\"networkMode\":\"bridge\"," PORTS "}");
    State__Port **ports = NULL;
    size_t count = task_definition_host_ports(absent, &ports);

    ck_assert_uint_eq(count, 1);
    port_is(ports[0], 5353, true);
    ports_free(ports, count);

    count = task_definition_host_ports(bridge, &ports);
    ck_assert_uint_eq(count, 1);
    ports_free(ports, count);
}
END_TEST

START_TEST(on_the_host_s_network_every_port_is_fixed)
{
    scope(spec_free) Ecs__RegisterTaskDefinitionRequest *spec =
        spec_of("{\"networkMode\":\"host\"," PORTS "}");
    State__Port **ports = NULL;
    size_t count = task_definition_host_ports(spec, &ports);

    ck_assert_uint_eq(count, 3);
    port_is(ports[0], 80, false);
    port_is(ports[1], 81, false);
    port_is(ports[2], 5353, true);
    ports_free(ports, count);
}
END_TEST

START_TEST(ports_that_are_none_are_not_fixed)
{
    scope(spec_free) Ecs__RegisterTaskDefinitionRequest *spec =
        spec_of("{\"networkMode\":\"host\",\"containerDefinitions\":[{\"portMappings\":[{},"
                "{\"hostPort\":-1},{\"hostPort\":65536},{\"containerPort\":70000}]}]}");
    State__Port **ports = NULL;

    ck_assert_uint_eq(task_definition_host_ports(spec, &ports), 0);
    ck_assert_ptr_null(ports);
}
END_TEST

static const struct {
    const char *spec;
    const char *filled;
} defaults[] = {
    {"{\"containerDefinitions\":[{\"name\":\"a\",\"portMappings\":[{\"containerPort\":80}]}]}",
     "{\"containerDefinitions\":[{\"name\":\"a\",\"cpu\":0,\"portMappings\":[{\"containerPort\":80,"
     "\"hostPort\":0,\"protocol\":\"tcp\"}],\"essential\":true,\"environment\":[],"
     "\"mountPoints\":[],\"volumesFrom\":[]}],"},
    {"{\"networkMode\":\"host\",\"containerDefinitions\":[{\"cpu\":5,\"essential\":false,"
     "\"portMappings\":[{\"containerPort\":53,\"protocol\":\"udp\"}]}]}",
     "{\"networkMode\":\"host\",\"containerDefinitions\":[{\"cpu\":5,"
     "\"portMappings\":[{\"containerPort\":53,\"hostPort\":53,\"protocol\":\"udp\"}],"
     "\"essential\":false,"},
};

START_TEST(what_was_left_out_is_filled_in_and_nothing_else)
{
    scope(spec_free) Ecs__RegisterTaskDefinitionRequest *spec = spec_of(defaults[_i].spec);
    scope(buffer_fini) struct buffer once = {0}, twice = {0};
    const char *expected = defaults[_i].filled;

    task_definition_defaults(spec);
    json_print(&spec->base, &once);
    ck_assert_msg(strncmp(buffer_text(&once), expected, strlen(expected)) == 0, "%s",
                  buffer_text(&once));
    task_definition_defaults(spec);
    json_print(&spec->base, &twice);
    ck_assert_str_eq(buffer_text(&once), buffer_text(&twice));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proto");
    TCase *tc = tcase_create("task_definition");
    SRunner *sr;
    int failed;

    tcase_add_loop_test(tc, sizes_are_units_or_words, 0, sizeof sizes / sizeof sizes[0]);
    tcase_add_loop_test(tc, a_task_takes_what_its_definition_says, 0,
                        sizeof needs / sizeof needs[0]);
    tcase_add_test(tc, a_size_that_is_none_leaves_the_outputs_alone);
    tcase_add_test(tc, on_a_bridge_only_a_given_host_port_is_fixed);
    tcase_add_test(tc, on_the_host_s_network_every_port_is_fixed);
    tcase_add_test(tc, ports_that_are_none_are_not_fixed);
    tcase_add_loop_test(tc, what_was_left_out_is_filled_in_and_nothing_else, 0,
                        sizeof defaults / sizeof defaults[0]);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
