#include "proto/base/must.h"
#include "server/worker/cgroup.h"
#include "server/worker/report.h"
#include "server/worker/runtime.h"
#include "server/worker/supervised.h"
#include "tests/unit/loop.h"
#include "tests/unit/shim_bench.h"
#include "tests/unit/worker_bench.h"

static struct bench bench;
static struct runtime *runtime;
static char *id;
static bool cgroups;
static uv_timer_t beat; /* A turn of the loop ends even if all it did was done by a timer. */

static void beat_once(uv_timer_t *timer)
{
    (void)timer;
}

static void open_runtime(void)
{
    struct runtime_config config = {.dir = bench.dir,
                                    .address = "127.0.0.1",
                                    .zone = "z1",
                                    .cgroups = cgroups,
                                    .seed = (uint64_t)getpid()};

    ck_assert_int_eq(runtime_process_open(&loop, &config, &runtime), 0);
}

static void set_up(void)
{
    loop_set_up();
    uv_timer_init(&loop, &beat);
    uv_timer_start(&beat, beat_once, 5, 5);
    bench_open(&bench);
    close(bench.agent);
    bench.agent = -1;
    bench_remove(bench.task);
    id = bench_id(1);
    free(bench.task);
    bench.task = task_dir_path(bench.dir, id);
    cgroups = false;
    open_runtime();
}

static void tear_down(void)
{
    runtime->ops->close(runtime);
    uv_close((uv_handle_t *)&beat, NULL);
    loop_tear_down();
    bench_close(&bench);
    free(id);
}

static Ecs__RegisterTaskDefinitionRequest *shell(const char *more, const char *script)
{
    char *text = mem_format("{'family':'web','containerDefinitions':[{'name':'web','image':'x',"
                            "'stopTimeout':20,'environment':[{'name':'BENCH','value':'%s'}],"
                            "%s'command':['/bin/sh','-c','%s']}]}",
                            bench_mark_value(), more, script);
    Ecs__RegisterTaskDefinitionRequest *definition = bench_definition(text);

    free(text);
    return definition;
}

static void start(const char *more, const char *script)
{
    Worker__Assignment *assignment = bench_assignment(id);
    Ecs__RegisterTaskDefinitionRequest *definition = shell(more, script);

    runtime->ops->start(runtime, assignment, definition);
    worker__assignment__free_unpacked(assignment, NULL);
    ecs__register_task_definition_request__free_unpacked(definition, NULL);
}

static bool comes(State__TaskState state, Command__TaskReport **out)
{
    Command__TaskReport *report;

    while (!*out && (report = runtime->ops->next(runtime))) {
        if (report->state >= state)
            *out = report;
        else
            report_free(report);
    }
    return *out != NULL;
}

/* The next event that is this far along. Gives. */
static Command__TaskReport *await(State__TaskState state)
{
    Command__TaskReport *report = NULL;

    loop_until(comes(state, &report));
    return report;
}

static void stop_and_await(void)
{
    Command__TaskReport *report;

    runtime->ops->stop(runtime, id);
    report = await(STATE__TASK_STATE__TASK_STOPPED);
    ck_assert_int_eq(report->stop_code, STATE__STOP_CODE__STOP_NONE);
    report_free(report);
}

static bool exists(const char *folder, const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s/%s/%s", bench.dir, folder, id, name);
    return access(path, F_OK) == 0;
}

START_TEST(a_task_runs_is_stopped_and_forgotten_but_for_its_logs)
{
    Command__TaskReport *report;

    start("", "echo hello; exec sleep 60");
    report = await(STATE__TASK_STATE__TASK_RUNNING);
    ck_assert_str_eq(report->task_id, id);
    ck_assert_uint_gt(report->started_ms, 0);
    ck_assert_str_eq(report->containers[0]->name, "web");
    report_free(report);
    free(bench_file(&bench, "web.stdout.log"));
    stop_and_await();
    runtime->ops->forget(runtime, id);
    ck_assert(!exists("tasks", ""));
    ck_assert(exists("ended", "web.stdout.log"));
    ck_assert(!exists("ended", "spec"));
    ck_assert(!exists("ended", "work"));
}
END_TEST

START_TEST(what_cannot_run_is_stopped_with_the_reason)
{
    Command__TaskReport *report;

    start("'workingDirectory':'/no/such',", "exit 0");
    report = await(STATE__TASK_STATE__TASK_STOPPED);
    ck_assert_int_eq(report->stop_code, STATE__STOP_CODE__STOP_TASK_FAILED_TO_START);
    ck_assert_str_eq(report->reason, "CannotStartContainerError: workingDirectory /no/such: No "
                                     "such file or directory");
    report_free(report);
}
END_TEST

START_TEST(what_cannot_be_composed_is_stopped_with_the_reason)
{
    Command__TaskReport *report;

    start("'user':'no-such-user-here',", "exit 0");
    report = await(STATE__TASK_STATE__TASK_STOPPED);
    ck_assert_int_eq(report->stop_code, STATE__STOP_CODE__STOP_TASK_FAILED_TO_START);
    ck_assert_ptr_nonnull(strstr(report->reason, "no-such-user-here"));
    report_free(report);
}
END_TEST

static const char serve[] = "while [ ! -e go ]; do sleep 0.02; done; exec busybox httpd -f -h . "
                            "-p $HOST:$PORT";

START_TEST(running_waits_until_the_port_is_listened_on)
{
    Command__TaskReport *report;
    char path[256];
    uint64_t deadline;
    FILE *go;

    start("'portMappings':[{'containerPort':80}],", serve);
    loop_until(access((snprintf(path, sizeof path, "%s/web.stdout.log", bench.task), path), F_OK) ==
               0);
    deadline = clock_steady_ms() + 200;
    while (clock_steady_ms() < deadline) {
        uv_run(&loop, UV_RUN_NOWAIT);
        ck_assert_ptr_null(runtime->ops->next(runtime));
    }
    snprintf(path, sizeof path, "%s/work/go", bench.task);
    go = fopen(path, "we");
    ck_assert_ptr_nonnull(go);
    fclose(go);
    report = await(STATE__TASK_STATE__TASK_RUNNING);
    ck_assert_int_eq(report->state, STATE__TASK_STATE__TASK_RUNNING);
    ck_assert_uint_eq(report->containers[0]->n_bindings, 1);
    ck_assert_uint_eq(report->containers[0]->bindings[0]->container_port, 80);
    ck_assert_uint_ge(report->containers[0]->bindings[0]->host_port, PORT_DYNAMIC_FIRST);
    ck_assert_str_eq(report->containers[0]->bindings[0]->address, "127.0.0.1");
    report_free(report);
    stop_and_await();
}
END_TEST

START_TEST(a_task_that_does_not_listen_is_running_after_a_while)
{
    Command__TaskReport *report;
    uint64_t began = clock_steady_ms();

    start("'portMappings':[{'containerPort':80}],", "exec sleep 60");
    report = await(STATE__TASK_STATE__TASK_RUNNING);
    ck_assert_uint_ge(clock_steady_ms() - began, PORTS_PATIENCE_MS);
    report_free(report);
    stop_and_await();
}
END_TEST

static void restart_agent(void)
{
    runtime->ops->close(runtime);
    uv_run(&loop, UV_RUN_NOWAIT);
    open_runtime();
}

START_TEST(another_agent_adopts_a_running_task)
{
    Command__TaskReport *before, *after;

    start("", "exec sleep 60");
    before = await(STATE__TASK_STATE__TASK_RUNNING);
    restart_agent();
    ck_assert_int_eq(runtime->ops->adopt(runtime, id, before), 0);
    runtime->ops->sweep(runtime);
    after = await(STATE__TASK_STATE__TASK_RUNNING);
    ck_assert_int_eq(after->state, STATE__TASK_STATE__TASK_RUNNING);
    ck_assert_str_eq(after->containers[0]->runtime_id, before->containers[0]->runtime_id);
    ck_assert_int_eq(kill((pid_t)strtol(after->containers[0]->runtime_id, NULL, 10), 0), 0);
    ck_assert_uint_eq(after->started_ms, before->started_ms);
    report_free(before);
    report_free(after);
    stop_and_await();
}
END_TEST

START_TEST(what_ended_while_there_was_no_agent_is_told_by_the_next)
{
    Command__TaskReport *report;
    pid_t shim;

    start("", "while [ ! -e go ]; do sleep 0.02; done; exit 6");
    report = await(STATE__TASK_STATE__TASK_RUNNING);
    shim = task_dir_holder(bench.task);
    runtime->ops->close(runtime);
    uv_run(&loop, UV_RUN_NOWAIT);
    {
        char path[256];
        FILE *go;

        snprintf(path, sizeof path, "%s/work/go", bench.task);
        go = fopen(path, "we");
        ck_assert_ptr_nonnull(go);
        fclose(go);
    }
    bench_await_gone(shim);
    open_runtime();
    ck_assert_int_eq(runtime->ops->adopt(runtime, id, report), 0);
    report_free(report);
    report = await(STATE__TASK_STATE__TASK_STOPPED);
    ck_assert_int_eq(report->containers[0]->exit_code, 6);
    report_free(report);
}
END_TEST

START_TEST(what_was_never_started_is_unknown)
{
    ck_assert_int_eq(runtime->ops->adopt(runtime, id, NULL), RUNTIME_UNKNOWN);
}
END_TEST

static void check_killed(Command__TaskReport *report)
{
    ck_assert_int_eq(report->stop_code, STATE__STOP_CODE__STOP_ESSENTIAL_CONTAINER_EXITED);
    ck_assert_str_eq(report->reason, "The task's supervisor was killed");
    ck_assert_int_eq(report->containers[0]->state, STATE__TASK_STATE__TASK_STOPPED);
    report_free(report);
}

START_TEST(a_killed_supervisor_is_noticed_and_cleared_away)
{
    Command__TaskReport *report;
    pid_t left;

    start("", "setsid sleep 60 & echo $! >left; exec sleep 60");
    report_free(await(STATE__TASK_STATE__TASK_RUNNING));
    left = bench_pid(&bench, "work/left");
    ck_assert_int_eq(kill(task_dir_holder(bench.task), SIGKILL), 0);
    report = await(STATE__TASK_STATE__TASK_STOPPED);
    check_killed(report);
    bench_await_gone(left);
}
END_TEST

START_TEST(a_supervisor_killed_while_there_was_no_agent_is_noticed_too)
{
    Command__TaskReport *report;
    pid_t shim;

    start("", "exec sleep 60");
    report = await(STATE__TASK_STATE__TASK_RUNNING);
    shim = task_dir_holder(bench.task);
    runtime->ops->close(runtime);
    uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert_int_eq(kill(shim, SIGKILL), 0);
    bench_await_gone(shim);
    open_runtime();
    ck_assert_int_eq(runtime->ops->adopt(runtime, id, report), 0);
    report_free(report);
    check_killed(await(STATE__TASK_STATE__TASK_STOPPED));
}
END_TEST

START_TEST(a_task_nobody_knows_is_stopped_and_removed)
{
    pid_t shim;

    start("", "exec sleep 60");
    report_free(await(STATE__TASK_STATE__TASK_RUNNING));
    shim = task_dir_holder(bench.task);
    restart_agent();
    runtime->ops->sweep(runtime);
    loop_until(!exists("tasks", ""));
    bench_await_gone(shim);
    ck_assert_ptr_null(runtime->ops->next(runtime));
}
END_TEST

START_TEST(the_memory_of_a_task_in_a_control_group_is_limited)
{
    struct cgroup_base base;
    Command__TaskReport *report;
    char *dir;

    if (cgroup_base_find(&base) < 0) {
        printf("skipped: no control groups can be made here\n");
        ck_assert(base.dir_count == 0);
        return;
    }
    dir = mem_format("%s/cais-%s", base.dirs[base.dir_count - 1], id);
    cgroups = true;
    restart_agent();
    start("'memory':16,", "x=x; while :; do x=$x$x; done");
    report = await(STATE__TASK_STATE__TASK_STOPPED);
    ck_assert_int_eq(report->containers[0]->exit_code, 137);
    ck_assert_str_eq(report->containers[0]->reason,
                     "OutOfMemoryError: Container killed due to memory usage");
    ck_assert_int_eq(access(dir, F_OK), -1);
    report_free(report);
    free(dir);
    cgroup_base_fini(&base);
}
END_TEST

START_TEST(without_control_groups_the_memory_of_a_container_is_limited)
{
    Command__TaskReport *report;

    start("'memory':16,", "x=x; while :; do x=$x$x; done");
    report = await(STATE__TASK_STATE__TASK_STOPPED);
    ck_assert_int_ne(report->containers[0]->exit_code, 0); /* The shell gives up. */
    report_free(report);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *s = suite_create("worker");
    TCase *tc = tcase_create("runtime_process");
    SRunner *sr;
    int failed;

    if (argc > 1 && !strcmp(argv[1], "shim"))
        return shim_main(argc - 1, argv + 1);
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_task_runs_is_stopped_and_forgotten_but_for_its_logs);
    tcase_add_test(tc, what_cannot_run_is_stopped_with_the_reason);
    tcase_add_test(tc, what_cannot_be_composed_is_stopped_with_the_reason);
    tcase_add_test(tc, running_waits_until_the_port_is_listened_on);
    tcase_add_test(tc, a_task_that_does_not_listen_is_running_after_a_while);
    tcase_add_test(tc, another_agent_adopts_a_running_task);
    tcase_add_test(tc, what_ended_while_there_was_no_agent_is_told_by_the_next);
    tcase_add_test(tc, what_was_never_started_is_unknown);
    tcase_add_test(tc, a_killed_supervisor_is_noticed_and_cleared_away);
    tcase_add_test(tc, a_supervisor_killed_while_there_was_no_agent_is_noticed_too);
    tcase_add_test(tc, a_task_nobody_knows_is_stopped_and_removed);
    tcase_add_test(tc, the_memory_of_a_task_in_a_control_group_is_limited);
    tcase_add_test(tc, without_control_groups_the_memory_of_a_container_is_limited);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
