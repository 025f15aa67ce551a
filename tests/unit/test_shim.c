#include <errno.h>

#include "tests/unit/shim_bench.h"

static struct bench bench;

static void set_up(void)
{
    bench_open(&bench);
}

static void tear_down(void)
{
    bench_close(&bench);
}

static Supervise__State *ended(void)
{
    Supervise__State *state = bench_await(&bench, STATE__TASK_STATE__TASK_STOPPED);

    ck_assert(bench_is_ended(bench.shim, PATIENCE_MS));
    return state;
}

/* ---- how a container ends */

static const struct {
    const char *why;
    const char *script;
    int exit_code;
} exits[] = {
    {"success", "exit 0", 0},
    {"a failure", "exit 3", 3},
    {"a signal is 128 and its number", "kill -SEGV $$", 139},
    {"killed", "kill -KILL $$", 137},
};

START_TEST(how_an_essential_container_ended_is_recorded)
{
    Supervise__State *state;
    const Command__TaskReport *report;

    bench_run_one(&bench, exits[_i].script, 1000);
    state = ended();
    report = state->report;
    ck_assert_str_eq(report->task_id, TASK_ID);
    ck_assert_int_eq(report->stop_code, STATE__STOP_CODE__STOP_ESSENTIAL_CONTAINER_EXITED);
    ck_assert_str_eq(report->reason, "Essential container in task exited");
    ck_assert_uint_eq(report->n_containers, 1);
    ck_assert_int_eq(report->containers[0]->state, STATE__TASK_STATE__TASK_STOPPED);
    ck_assert_msg(report->containers[0]->has_exit_code, "%s", exits[_i].why);
    ck_assert_int_eq(report->containers[0]->exit_code, exits[_i].exit_code);
    ck_assert_uint_gt(report->started_ms, 0);
    ck_assert_uint_ge(report->stopped_ms, report->started_ms);
    supervise__state__free_unpacked(state, NULL);
}
END_TEST

/* ---- what cannot start */

static void check_failed_start(const char *text)
{
    Supervise__State *state = ended();

    ck_assert_int_eq(state->report->stop_code, STATE__STOP_CODE__STOP_TASK_FAILED_TO_START);
    ck_assert_str_eq(state->report->reason, text);
    ck_assert_str_eq(state->report->containers[0]->reason, text);
    ck_assert(!state->report->containers[0]->has_exit_code);
    ck_assert_uint_eq(state->report->started_ms, 0);
    supervise__state__free_unpacked(state, NULL);
}

START_TEST(a_program_that_does_not_exist_is_named)
{
    Supervise__Container *container = bench_container("main", "", true, 1000);

    free(container->argv[0]);
    container->argv[0] = mem_string("/nope");
    bench_run(&bench, &container, 1);
    check_failed_start("CannotStartContainerError: exec /nope: No such file or directory");
}
END_TEST

START_TEST(a_working_directory_that_does_not_exist_is_named)
{
    Supervise__Container *container = bench_container("main", "exit 0", true, 1000);

    free(container->directory);
    container->directory = mem_string("/no/such/dir");
    bench_run(&bench, &container, 1);
    check_failed_start("CannotStartContainerError: workingDirectory /no/such/dir: No such file or "
                       "directory");
}
END_TEST

START_TEST(a_program_is_found_by_the_path_of_the_container)
{
    Supervise__Container *container = bench_container("main", "exit 4", true, 1000);
    Supervise__State *state;

    free(container->argv[0]);
    container->argv[0] = mem_string("sh");
    bench_run(&bench, &container, 1);
    state = ended();
    ck_assert_int_eq(state->report->containers[0]->exit_code, 4);
    supervise__state__free_unpacked(state, NULL);
}
END_TEST

/* ---- stopping */

START_TEST(a_stop_lets_the_container_finish)
{
    Supervise__State *state;

    bench_run_one(&bench, "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done", 60000);
    free(bench_file(&bench, "main.stdout.log"));
    ck_assert_int_eq(pidfd_send_signal(bench.shim, SIGTERM, NULL, 0), 0);
    state = ended();
    ck_assert_int_eq(state->report->stop_code, STATE__STOP_CODE__STOP_NONE);
    ck_assert_str_eq(state->report->reason, "");
    ck_assert_int_eq(state->report->containers[0]->exit_code, 5);
    ck_assert_uint_gt(state->report->stopping_ms, 0);
    supervise__state__free_unpacked(state, NULL);
}
END_TEST

START_TEST(who_does_not_finish_in_time_is_killed)
{
    uint64_t asked_ms;
    Supervise__State *state;

    bench_run_one(&bench, "trap '' TERM; echo ready; while :; do sleep 0.05; done", 300);
    free(bench_file(&bench, "main.stdout.log"));
    asked_ms = clock_steady_ms();
    ck_assert_int_eq(pidfd_send_signal(bench.shim, SIGTERM, NULL, 0), 0);
    state = ended();
    ck_assert_int_eq(state->report->containers[0]->exit_code, 137);
    ck_assert_uint_ge(clock_steady_ms() - asked_ms, 300);
    supervise__state__free_unpacked(state, NULL);
}
END_TEST

START_TEST(a_stop_before_the_supervisor_listens_is_not_lost)
{
    Supervise__State *state;

    bench_run_one(&bench, "sleep 60", 60000);
    ck_assert_int_eq(pidfd_send_signal(bench.shim, SIGTERM, NULL, 0), 0);
    state = ended();
    ck_assert_int_eq(state->report->stop_code, STATE__STOP_CODE__STOP_NONE);
    supervise__state__free_unpacked(state, NULL);
}
END_TEST

START_TEST(descendants_in_sessions_of_their_own_are_killed_too)
{
    pid_t left;

    bench_run_one(&bench,
                  "setsid sh -c 'trap \"\" TERM HUP; echo $$ >left; while :; do sleep "
                  "0.05; done' & while [ ! -s left ]; do sleep 0.01; done; exit 0",
                  1000);
    supervise__state__free_unpacked(ended(), NULL);
    left = bench_pid(&bench, "work/left");
    ck_assert_int_eq(kill(left, 0), -1);
    ck_assert_int_eq(errno, ESRCH);
}
END_TEST

/* ---- more than one container */

START_TEST(an_essential_container_takes_the_others_with_it)
{
    Supervise__Container *containers[] = {
        bench_container("web", "sleep 60", true, 60000),
        bench_container("brief", "exit 7", true, 60000),
    };
    Supervise__State *state;

    bench_run(&bench, containers, 2);
    state = ended();
    ck_assert_int_eq(state->report->stop_code, STATE__STOP_CODE__STOP_ESSENTIAL_CONTAINER_EXITED);
    ck_assert_int_eq(state->report->containers[0]->exit_code, 143);
    ck_assert_int_eq(state->report->containers[1]->exit_code, 7);
    supervise__state__free_unpacked(state, NULL);
}
END_TEST

START_TEST(a_container_that_is_not_essential_may_end_alone)
{
    Supervise__Container *containers[] = {
        bench_container("side", "exit 7", false, 1000),
        bench_container("web", "while [ ! -e go ]; do sleep 0.01; done; exit 0", true, 1000),
    };
    Supervise__State *state;

    bench_run(&bench, containers, 2);
    for (bool over = false; !over;) {
        char byte[64];

        ck_assert_int_gt(recv(bench.agent, byte, sizeof byte, 0), 0);
        ck_assert_int_eq(task_dir_read_state(bench.task, &state), 0);
        over = state->report->containers[0]->state == STATE__TASK_STATE__TASK_STOPPED;
        if (over)
            ck_assert_int_eq(state->report->state, STATE__TASK_STATE__TASK_RUNNING);
        supervise__state__free_unpacked(state, NULL);
    }
    {
        char path[256];
        FILE *go;

        snprintf(path, sizeof path, "%s/work/go", bench.task);
        go = fopen(path, "we");
        ck_assert_ptr_nonnull(go);
        fclose(go);
    }
    state = ended();
    ck_assert_int_eq(state->report->containers[1]->exit_code, 0);
    supervise__state__free_unpacked(state, NULL);
}
END_TEST

static Supervise__Container *waiting_for_first(Supervise__Container *container,
                                               Supervise__Until until)
{
    container->waits = mem_new_array(Supervise__Wait *, 1);
    container->n_waits = 1;
    container->waits[0] = mem_new(Supervise__Wait);
    supervise__wait__init(container->waits[0]);
    container->waits[0]->until = until;
    return container;
}

START_TEST(a_container_waits_for_the_success_of_another)
{
    Supervise__Container *containers[] = {
        bench_container("init", "sleep 0.1; echo made >made", false, 1000),
        waiting_for_first(bench_container("web", "cat made; exit 9", true, 1000),
                          SUPERVISE__UNTIL__SUCCESS),
    };
    Supervise__State *state;
    char *log;

    bench_run(&bench, containers, 2);
    state = ended();
    ck_assert_int_eq(state->report->containers[1]->exit_code, 9);
    log = bench_file(&bench, "web.stdout.log");
    ck_assert_str_eq(log, "made\n");
    free(log);
    supervise__state__free_unpacked(state, NULL);
}
END_TEST

START_TEST(a_container_is_not_started_when_what_it_needs_failed)
{
    Supervise__Container *containers[] = {
        bench_container("init", "exit 1", false, 1000),
        waiting_for_first(bench_container("web", "exit 0", true, 1000), SUPERVISE__UNTIL__SUCCESS),
    };
    Supervise__State *state;

    bench_run(&bench, containers, 2);
    state = ended();
    ck_assert_int_eq(state->report->stop_code, STATE__STOP_CODE__STOP_TASK_FAILED_TO_START);
    ck_assert_str_eq(state->report->reason, "CannotStartContainerError: dependsOn: container init "
                                            "did not get that far");
    ck_assert(!state->report->containers[1]->has_exit_code);
    supervise__state__free_unpacked(state, NULL);
}
END_TEST

/* ---- the supervisor itself */

START_TEST(output_goes_to_a_file_for_each_stream)
{
    char *out, *err;

    bench_run_one(&bench, "echo to out; echo to err >&2", 1000);
    supervise__state__free_unpacked(ended(), NULL);
    out = bench_file(&bench, "main.stdout.log");
    err = bench_file(&bench, "main.stderr.log");
    ck_assert_str_eq(out, "to out\n");
    ck_assert_str_eq(err, "to err\n");
    free(out);
    free(err);
}
END_TEST

START_TEST(a_container_gets_what_its_spec_says_and_nothing_else)
{
    char *log;
    char expected[160];

    ck_assert_int_eq(setenv("AGENT_SECRET", "x", 1), 0);
    bench_run_one(
        &bench, "env | grep -v -e ^PWD -e ^OLDPWD -e ^SHLVL -e ^_ | sort; ls /proc/self/fd | wc -l",
        1000);
    supervise__state__free_unpacked(ended(), NULL);
    log = bench_file(&bench, "main.stdout.log");
    snprintf(expected, sizeof expected, "%s\nPATH=/usr/bin:/bin\n4\n", bench_mark);
    ck_assert_str_eq(log, expected); /* The fourth is ls's own, for the folder. */
    free(log);
}
END_TEST

START_TEST(a_second_supervisor_of_a_task_does_nothing)
{
    Supervise__State *state;
    int second;
    pid_t holder;

    bench_run_one(&bench, "sleep 60", 60000);
    state = bench_await(&bench, STATE__TASK_STATE__TASK_RUNNING);
    holder = task_dir_holder(bench.task);
    ck_assert_int_eq(holder, (pid_t)state->pid);
    ck_assert_int_eq(shim_spawn(bench.task, &second), 0);
    ck_assert(bench_is_ended(second, PATIENCE_MS));
    close(second);
    ck_assert_int_eq(task_dir_holder(bench.task), holder);
    supervise__state__free_unpacked(state, NULL);
}
END_TEST

START_TEST(a_task_that_is_over_is_not_run_again)
{
    char *log;
    int second;

    bench_run_one(&bench, "echo once", 1000);
    supervise__state__free_unpacked(ended(), NULL);
    ck_assert_int_eq(shim_spawn(bench.task, &second), 0);
    ck_assert(bench_is_ended(second, PATIENCE_MS));
    close(second);
    log = bench_file(&bench, "main.stdout.log");
    ck_assert_str_eq(log, "once\n");
    free(log);
}
END_TEST

START_TEST(a_killed_supervisor_takes_its_containers_with_it)
{
    Supervise__State *state;
    pid_t container;

    bench_run_one(&bench, "echo $$ >pid; while :; do sleep 0.05; done", 60000);
    state = bench_await(&bench, STATE__TASK_STATE__TASK_RUNNING);
    container = bench_pid(&bench, "work/pid");
    ck_assert_int_eq(strtol(state->report->containers[0]->runtime_id, NULL, 10), container);
    ck_assert_int_eq(pidfd_send_signal(bench.shim, SIGKILL, NULL, 0), 0);
    bench_await_gone(container);
    ck_assert_int_eq(task_dir_holder(bench.task), 0);
    supervise__state__free_unpacked(state, NULL);
}
END_TEST

START_TEST(a_mark_in_the_environment_finds_what_a_killed_supervisor_left)
{
    pid_t left;

    bench_run_one(&bench,
                  "setsid sh -c 'echo $$ >left; while :; do sleep 0.05; done' & while :; "
                  "do sleep 1; done",
                  1000);
    left = bench_pid(&bench, "work/left");
    ck_assert_int_eq(pidfd_send_signal(bench.shim, SIGKILL, NULL, 0), 0);
    ck_assert(bench_is_ended(bench.shim, PATIENCE_MS));
    ck_assert_uint_ge(process_kill_marked(bench_mark), 1);
    bench_await_gone(left);
    ck_assert_uint_eq(process_kill_marked("BENCH=no such task"), 0);
}
END_TEST

START_TEST(a_shim_without_a_spec_says_so_and_fails)
{
    char path[256];

    ck_assert_int_eq(shim_spawn(bench.task, &bench.shim), 0);
    ck_assert(bench_is_ended(bench.shim, PATIENCE_MS));
    snprintf(path, sizeof path, "%s/state", bench.task);
    ck_assert_int_eq(access(path, F_OK), -1);
    {
        char *log = bench_file(&bench, "shim.log");

        ck_assert_ptr_nonnull(strstr(log, "Invalid argument"));
        free(log);
    }
}
END_TEST

int main(int argc, char **argv)
{
    Suite *s = suite_create("worker");
    TCase *tc = tcase_create("shim");
    SRunner *sr;
    int failed;

    if (argc > 1 && !strcmp(argv[1], "shim"))
        return shim_main(argc - 1, argv + 1);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, how_an_essential_container_ended_is_recorded, 0,
                        sizeof exits / sizeof *exits);
    tcase_add_test(tc, a_program_that_does_not_exist_is_named);
    tcase_add_test(tc, a_working_directory_that_does_not_exist_is_named);
    tcase_add_test(tc, a_program_is_found_by_the_path_of_the_container);
    tcase_add_test(tc, a_stop_lets_the_container_finish);
    tcase_add_test(tc, who_does_not_finish_in_time_is_killed);
    tcase_add_test(tc, a_stop_before_the_supervisor_listens_is_not_lost);
    tcase_add_test(tc, descendants_in_sessions_of_their_own_are_killed_too);
    tcase_add_test(tc, an_essential_container_takes_the_others_with_it);
    tcase_add_test(tc, a_container_that_is_not_essential_may_end_alone);
    tcase_add_test(tc, a_container_waits_for_the_success_of_another);
    tcase_add_test(tc, a_container_is_not_started_when_what_it_needs_failed);
    tcase_add_test(tc, output_goes_to_a_file_for_each_stream);
    tcase_add_test(tc, a_container_gets_what_its_spec_says_and_nothing_else);
    tcase_add_test(tc, a_second_supervisor_of_a_task_does_nothing);
    tcase_add_test(tc, a_task_that_is_over_is_not_run_again);
    tcase_add_test(tc, a_killed_supervisor_takes_its_containers_with_it);
    tcase_add_test(tc, a_mark_in_the_environment_finds_what_a_killed_supervisor_left);
    tcase_add_test(tc, a_shim_without_a_spec_says_so_and_fails);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
