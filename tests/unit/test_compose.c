#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "server/worker/compose.h"
#include "tests/unit/worker_bench.h"

static Worker__Assignment *assignment;
static Ecs__RegisterTaskDefinitionRequest *definition;
static Supervise__Spec *spec;
static char *problem;
static uint32_t next_port;

static void set_up(void)
{
    char *id = mem_string("00000000000000000000000000000001");

    assignment = bench_assignment(id);
    free(id);
    definition = NULL;
    spec = NULL;
    problem = NULL;
    next_port = 61000;
}

static void tear_down(void)
{
    worker__assignment__free_unpacked(assignment, NULL);
    message_free(&definition->base);
    if (spec)
        supervise__spec__free_unpacked(spec, NULL);
    free(problem);
}

static uint32_t choose_port(void *context, bool udp)
{
    (void)context, (void)udp;
    return next_port ? next_port++ : 0;
}

static struct compose input(void)
{
    return (struct compose){
        .assignment = assignment,
        .definition = definition,
        .task_path = "/d/tasks/1",
        .address = "10.0.0.7",
        .zone = "us-east-1a",
        .choose_port = choose_port,
    };
}

static void compose(const char *text)
{
    struct compose in;

    definition = bench_definition(text);
    in = input();
    ck_assert_msg(compose_spec(&in, &spec, &problem) == 0, "%s", problem);
}

static void override(const char *text)
{
    assignment->overrides =
        (Ecs__TaskOverride *)bench_message(&ecs__task_override__descriptor, text);
}

static const char *variable(size_t container, const char *name)
{
    const Supervise__Container *in = spec->containers[container];
    size_t len = strlen(name);

    for (size_t i = 0; i < in->n_environment; i++)
        if (!strncmp(in->environment[i], name, len) && in->environment[i][len] == '=')
            return in->environment[i] + len + 1;
    return "(unset)";
}

START_TEST(a_container_is_told_who_and_where_it_is)
{
    static const struct {
        const char *name, *value;
    } expected[] = {
        {"HOST", "10.0.0.7"},
        {"PORT", "61000"},
        {"PORT_80", "61000"},
        {"PORT_443", "8443"},
        {"CAIS_TASK_ID", "00000000000000000000000000000001"},
        {"CAIS_TASK_ARN",
         "arn:aws:ecs:us-east-1:000000000000:task/default/00000000000000000000000000000001"},
        {"CAIS_CLUSTER", "default"},
        {"CAIS_SERVICE", "web"},
        {"CAIS_CONTAINER", "a"},
        {"CAIS_ZONE", "us-east-1a"},
        {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        {"AGENT_SECRET", "(unset)"},
    };

    ck_assert_int_eq(setenv("AGENT_SECRET", "x", 1), 0);
    compose("{'family':'x','containerDefinitions':[{'name':'a','image':'i','command':['true'],"
            "'portMappings':[{'containerPort':80},{'containerPort':443,'hostPort':8443}]}]}");
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        ck_assert_str_eq(variable(0, expected[i].name), expected[i].value);
}
END_TEST

START_TEST(the_definition_wins_over_us_and_overrides_win_over_it)
{
    override("{'containerOverrides':[{'name':'a','environment':[{'name':'B','value':'3'},"
             "{'name':'C','value':'3'},{'name':'CAIS_TASK_ID','value':'me'}]}]}");
    compose("{'family':'x','containerDefinitions':[{'name':'a','image':'i','environment':["
            "{'name':'PATH','value':'/p'},{'name':'A','value':'2'},{'name':'B','value':'2'}]}]}");
    ck_assert_str_eq(variable(0, "PATH"), "/p");
    ck_assert_str_eq(variable(0, "A"), "2");
    ck_assert_str_eq(variable(0, "B"), "3");
    ck_assert_str_eq(variable(0, "C"), "3");
    ck_assert_str_eq(variable(0, "CAIS_TASK_ID"), "00000000000000000000000000000001");
}
END_TEST

static void check_argv(size_t container, const char *expected)
{
    const Supervise__Container *in = spec->containers[container];
    struct buffer text = {0};

    for (size_t i = 0; i < in->n_argv; i++)
        buffer_append_format(&text, "%s%s", i ? " " : "", in->argv[i]);
    ck_assert_str_eq(buffer_text(&text), expected);
    buffer_fini(&text);
}

START_TEST(arguments_are_the_entry_point_and_the_command)
{
    override("{'containerOverrides':[{'name':'b','command':['new']}]}");
    compose("{'family':'x','containerDefinitions':["
            "{'name':'a','image':'i','entryPoint':['sh','-c'],'command':['one','two']},"
            "{'name':'b','image':'i','entryPoint':['run'],'command':['old','er']}]}");
    check_argv(0, "sh -c one two");
    check_argv(1, "run new");
}
END_TEST

START_TEST(what_is_left_out_has_ecs_s_defaults)
{
    compose("{'family':'x','containerDefinitions':[{'name':'a','image':'i'},{'name':'b','image':"
            "'i','essential':false,'stopTimeout':2,'workingDirectory':'/srv'}]}");
    ck_assert(spec->containers[0]->essential);
    ck_assert_uint_eq(spec->containers[0]->stop_timeout_ms, 30000);
    ck_assert_str_eq(spec->containers[0]->directory, "/d/tasks/1/work");
    ck_assert_ptr_null(spec->containers[0]->user);
    ck_assert(!spec->containers[1]->essential);
    ck_assert_uint_eq(spec->containers[1]->stop_timeout_ms, 2000);
    ck_assert_str_eq(spec->containers[1]->directory, "/srv");
}
END_TEST

START_TEST(bindings_say_what_was_given)
{
    compose("{'family':'x','containerDefinitions':[{'name':'a','image':'i','portMappings':["
            "{'containerPort':53,'hostPort':0,'protocol':'udp'},"
            "{'containerPort':80,'hostPort':8080}]}]}");
    ck_assert_uint_eq(spec->containers[0]->n_bindings, 2);
    ck_assert(spec->containers[0]->bindings[0]->udp);
    ck_assert_uint_eq(spec->containers[0]->bindings[0]->host_port, 61000);
    ck_assert_uint_eq(spec->containers[0]->bindings[0]->container_port, 53);
    ck_assert_str_eq(spec->containers[0]->bindings[1]->address, "10.0.0.7");
    ck_assert_uint_eq(spec->containers[0]->bindings[1]->host_port, 8080);
}
END_TEST

START_TEST(what_another_depends_on_is_started_before_it)
{
    compose("{'family':'x','containerDefinitions':["
            "{'name':'a','image':'i','dependsOn':[{'containerName':'c','condition':'SUCCESS'}]},"
            "{'name':'b','image':'i'},{'name':'c','image':'i','essential':false}]}");
    ck_assert_str_eq(spec->containers[0]->name, "b");
    ck_assert_str_eq(spec->containers[1]->name, "c");
    ck_assert_str_eq(spec->containers[2]->name, "a");
    ck_assert_uint_eq(spec->containers[2]->n_waits, 1);
    ck_assert_uint_eq(spec->containers[2]->waits[0]->container, 1);
    ck_assert_int_eq(spec->containers[2]->waits[0]->until, SUPERVISE__UNTIL__SUCCESS);
}
END_TEST

START_TEST(resource_limits_are_passed_on)
{
    compose("{'family':'x','containerDefinitions':[{'name':'a','image':'i','ulimits':["
            "{'name':'nofile','softLimit':100,'hardLimit':200},"
            "{'name':'core','softLimit':0,'hardLimit':-1}]}]}");
    ck_assert_uint_eq(spec->containers[0]->n_limits, 2);
    ck_assert_uint_eq(spec->containers[0]->limits[0]->resource, RLIMIT_NOFILE);
    ck_assert_uint_eq(spec->containers[0]->limits[0]->soft, 100);
    ck_assert_uint_eq(spec->containers[0]->limits[0]->hard, 200);
    ck_assert_uint_eq(spec->containers[0]->limits[1]->hard, RLIM_INFINITY);
}
END_TEST

/* ---- refusals */

static const struct {
    const char *why;
    const char *definition;
    const char *text;
} refusals[] = {
    {"health is not known here",
     "{'family':'x','containerDefinitions':[{'name':'a','image':'i','dependsOn':[{'containerName':"
     "'b','condition':'HEALTHY'}]},{'name':'b','image':'i'}]}",
     "HEALTHY is not supported"},
    {"a dependency that is not there",
     "{'family':'x','containerDefinitions':[{'name':'a','image':'i','dependsOn':[{'containerName':"
     "'b','condition':'START'}]}]}",
     "there is no container b"},
    {"a circle",
     "{'family':'x','containerDefinitions':[{'name':'a','image':'i','dependsOn':[{'containerName':"
     "'b','condition':'START'}]},{'name':'b','image':'i','dependsOn':[{'containerName':'a',"
     "'condition':'START'}]}]}",
     "wait for each other"},
    {"the same name twice",
     "{'family':'x','containerDefinitions':[{'name':'a','image':'i'},{'name':'a','image':'i'}]}",
     "two have one name"},
    {"a name that would leave the directory",
     "{'family':'x','containerDefinitions':[{'name':'../a','image':'i'}]}", "valid name"},
    {"nothing to run", "{'family':'x','containerDefinitions':[]}", "0 containers"},
    {"an unknown user",
     "{'family':'x','containerDefinitions':[{'name':'a','image':'i','user':'nobody-like-that'}]}",
     "there is no such user"},
    {"no port left",
     "{'family':'x','containerDefinitions':[{'name':'a','image':'i','portMappings':["
     "{'containerPort':80}]}]}",
     "no dynamic host port is free"},
};

START_TEST(what_cannot_be_done_is_refused_in_words)
{
    struct compose in;

    next_port = 0;
    definition = bench_definition(refusals[_i].definition);
    in = input();
    ck_assert_msg(compose_spec(&in, &spec, &problem) == COMPOSE_REFUSED, "%s", refusals[_i].why);
    ck_assert_ptr_null(spec);
    ck_assert_msg(strstr(problem, refusals[_i].text) != NULL, "%s: %s", refusals[_i].why, problem);
}
END_TEST

/* ---- limits of the task */

static const struct {
    const char *why;
    const char *definition;
    const char *override;
    struct cgroup_limits limits;
} limits[] = {
    {"nothing is said",
     "{'family':'x','containerDefinitions':[{'name':'a','image':'i'}]}",
     NULL,
     {0, 0, 0}},
    {"the containers' cpu is a share, their memory adds up",
     "{'family':'x','containerDefinitions':[{'name':'a','image':'i','cpu':100,'memory':8},"
     "{'name':'b','image':'i','cpu':28,'memory':4}]}",
     NULL,
     {0, 128, 12 << 20}},
    {"one container without a limit leaves the task without",
     "{'family':'x','containerDefinitions':[{'name':'a','image':'i','memory':8},"
     "{'name':'b','image':'i','memoryReservation':4}]}",
     NULL,
     {0, 0, 0}},
    {"the task's own are hard",
     "{'family':'x','cpu':'512','memory':'64','containerDefinitions':[{'name':'a','image':'i',"
     "'cpu':100,'memory':8}]}",
     NULL,
     {512, 512, 64 << 20}},
    {"overrides of the task",
     "{'family':'x','cpu':'512','memory':'64','containerDefinitions':[{'name':'a','image':'i'}]}",
     "{'cpu':'256','memory':'32'}",
     {256, 256, 32 << 20}},
    {"overrides of a container",
     "{'family':'x','containerDefinitions':[{'name':'a','image':'i','cpu':100,'memory':8}]}",
     "{'containerOverrides':[{'name':'a','cpu':7,'memory':9}]}",
     {0, 7, 9 << 20}},
};

START_TEST(the_task_is_limited_as_a_whole)
{
    struct cgroup_limits got;
    struct compose in;

    if (limits[_i].override)
        override(limits[_i].override);
    definition = bench_definition(limits[_i].definition);
    in = input();
    compose_limits(&in, &got);
    ck_assert_msg(got.cpu == limits[_i].limits.cpu, "%s: cpu %u", limits[_i].why, got.cpu);
    ck_assert_msg(got.cpu_weight == limits[_i].limits.cpu_weight, "%s: weight %u", limits[_i].why,
                  got.cpu_weight);
    ck_assert_msg(got.memory_bytes == limits[_i].limits.memory_bytes, "%s: memory %lu",
                  limits[_i].why, got.memory_bytes);
}
END_TEST

START_TEST(without_control_groups_memory_is_limited_for_each_process)
{
    struct compose in;

    definition = bench_definition("{'family':'x','memory':'64','containerDefinitions':["
                                  "{'name':'a','image':'i','memory':8},{'name':'b','image':'i'}]}");
    in = input();
    in.memory_by_rlimit = true;
    ck_assert_int_eq(compose_spec(&in, &spec, &problem), 0);
    ck_assert_uint_eq(spec->containers[0]->limits[0]->resource, RLIMIT_DATA);
    ck_assert_uint_eq(spec->containers[0]->limits[0]->hard, 8 << 20);
    ck_assert_uint_eq(spec->containers[1]->limits[0]->hard, 64 << 20);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("worker");
    TCase *tc = tcase_create("compose");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_container_is_told_who_and_where_it_is);
    tcase_add_test(tc, the_definition_wins_over_us_and_overrides_win_over_it);
    tcase_add_test(tc, arguments_are_the_entry_point_and_the_command);
    tcase_add_test(tc, what_is_left_out_has_ecs_s_defaults);
    tcase_add_test(tc, bindings_say_what_was_given);
    tcase_add_test(tc, what_another_depends_on_is_started_before_it);
    tcase_add_test(tc, resource_limits_are_passed_on);
    tcase_add_loop_test(tc, what_cannot_be_done_is_refused_in_words, 0,
                        sizeof refusals / sizeof *refusals);
    tcase_add_loop_test(tc, the_task_is_limited_as_a_whole, 0, sizeof limits / sizeof *limits);
    tcase_add_test(tc, without_control_groups_memory_is_limited_for_each_process);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
