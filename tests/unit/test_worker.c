#include "server/worker/report.h"
#include "server/worker/worker.h"
#include "server/worker/worker_store.h"
#include "tests/unit/fake_manager.h"
#include "tests/unit/shim_bench.h"
#include "tests/unit/worker_bench.h"

static struct bench bench;
static struct worker *worker;
static char *id;
static int (*open_runtime)(uv_loop_t *, const struct runtime_config *, struct runtime **);
static struct fake *leader;

static void open_worker(void)
{
    struct sockaddr_storage addresses[FAKES];
    const char *managers[FAKES];
    struct worker_config config = {
        .dir = bench.dir,
        .cluster = "default",
        .name = "w1",
        .zone = "us-east-1a",
        .address = "127.0.0.1",
        .cpu = 1024,
        .memory = 512,
        .managers = managers,
        .addresses = addresses,
        .manager_count = FAKES,
        .open_runtime = open_runtime,
        .cgroups = false,
        .seed = 9,
    };

    for (size_t i = 0; i < FAKES; i++) {
        managers[i] = fakes[i].address;
        ck_assert_int_eq(address_parse(managers[i], &addresses[i], NULL), 0);
    }
    ck_assert_int_eq(worker_open(&loop, &config, &worker), 0);
}

static void close_worker(void)
{
    worker_close(worker);
    worker = NULL;
    uv_run(&loop, UV_RUN_NOWAIT);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void set_up(void)
{
    loop_set_up();
    bench_open(&bench);
    close(bench.agent);
    bench.agent = -1;
    bench_remove(bench.task);
    free(bench.task);
    id = bench_id(1);
    bench.task = task_dir_path(bench.dir, id);
    for (size_t i = 0; i < FAKES; i++)
        fake_open(i);
    leader = &fakes[0];
    fake_lead(leader, 1);
    open_runtime = runtime_process_open;
    worker = NULL;
}

static void tear_down(void)
{
    if (worker)
        worker_close(worker);
    for (size_t i = 0; i < FAKES; i++)
        fake_close(&fakes[i]);
    loop_tear_down();
    bench_close(&bench);
    buffer_fini(&heard);
    free(id);
}

static void assign(bool stop, const char *script)
{
    Worker__Assignment *assignment = bench_assignment(id);
    char *text = mem_format("{'family':'web','containerDefinitions':[{'name':'web','image':'x',"
                            "'environment':[{'name':'BENCH','value':'%s'}],"
                            "'command':['/bin/sh','-c','%s']}]}",
                            bench_mark_value(), script);
    Ecs__RegisterTaskDefinitionRequest *definition = bench_definition(text);

    loop_until(leader->pull && !grpc_call_is_gone(leader->pull));
    leader->version++;
    assignment->stop = stop;
    fake_push(leader, assignment, stop ? NULL : definition, false);
    ecs__register_task_definition_request__free_unpacked(definition, NULL);
    worker__assignment__free_unpacked(assignment, NULL);
    free(text);
}

static bool reported(const char *text)
{
    return strstr(buffer_text(&leader->reported), text) != NULL;
}

static bool has_task_dir(void)
{
    return access(bench.task, F_OK) == 0;
}

START_TEST(a_task_is_run_stopped_and_forgotten)
{
    open_worker();
    assign(false, "exec sleep 60");
    loop_until(reported("1:3 "));
    ck_assert(has_task_dir());
    assign(true, "");
    loop_until(reported("1:7 "));
    loop_until(!has_task_dir());
}
END_TEST

START_TEST(a_task_that_ends_is_reported_and_not_run_again)
{
    open_worker();
    assign(false, "echo once; exit 3");
    loop_until(reported("1:7 "));
    loop_until(!has_task_dir());
    close_worker();
    open_worker();
    loop_until(leader->pull);
    ck_assert(!has_task_dir());
}
END_TEST

START_TEST(a_restarted_worker_adopts_says_so_and_then_asks)
{
    pid_t before;

    open_worker();
    assign(false, "exec sleep 60");
    loop_until(reported("1:3 "));
    before = task_dir_holder(bench.task);
    close_worker();
    buffer_clear(&heard);
    buffer_clear(&leader->reported);
    open_worker();
    loop_until(leader->pull && fake_heard("pull 0"));
    ck_assert(fake_heard("m1 register, m1 report 1, m1 pull 0"));
    ck_assert_str_eq(buffer_text(&leader->reported), "1:3 ");
    ck_assert_int_eq(task_dir_holder(bench.task), before);
    assign(true, "");
    loop_until(reported("1:7 "));
}
END_TEST

START_TEST(what_a_complete_answer_does_not_list_is_stopped)
{
    pid_t shim;

    open_worker();
    assign(false, "exec sleep 60");
    loop_until(reported("1:3 "));
    shim = task_dir_holder(bench.task);
    loop_until(leader->pull);
    fake_push(leader, NULL, NULL, true);
    loop_until(reported("1:7 "));
    bench_await_gone(shim);
    loop_until(!has_task_dir());
}
END_TEST

START_TEST(tasks_run_on_while_there_is_no_manager)
{
    pid_t shim;

    open_worker();
    assign(false, "exec sleep 60");
    loop_until(reported("1:3 "));
    shim = task_dir_holder(bench.task);
    fake_close(leader);
    loop_until(fake_heard("m2 register") && fake_heard("m3 register"));
    leader = &fakes[1];
    fake_lead(leader, 2);
    loop_until(leader->pull);
    ck_assert_str_eq(buffer_text(&leader->reported), "1:3 ");
    ck_assert_int_eq(task_dir_holder(bench.task), shim);
    assign(true, "");
    loop_until(reported("1:7 "));
}
END_TEST

START_TEST(a_restarted_worker_refuses_the_terms_it_refused_before)
{
    fake_lead(leader, 8);
    open_worker();
    loop_until(leader->pull);
    close_worker();
    buffer_clear(&heard);
    leader->term = 7;
    open_worker();
    loop_until(fake_heard("m1 register"));
    ck_assert(!fake_heard("m1 pull"));
    leader->term = 8;
    loop_until(fake_heard("m1 pull 0"));
}
END_TEST

/* As if the agent had ended between remembering a task and starting it. */
static void remember_task(const char *boot_id)
{
    Supervise__Task task = SUPERVISE__TASK__INIT;
    Worker__Definition definition = WORKER__DEFINITION__INIT;
    struct store *store;

    ck_assert_int_eq(store_open(bench.dir, 9, &store), 0);
    task.boot_id = (char *)boot_id;
    task.assignment = bench_assignment(id);
    definition.family = "web";
    definition.revision = 1;
    definition.spec = bench_definition("{'family':'web','containerDefinitions':[{'name':'web',"
                                       "'image':'x','command':['sleep','60']}]}");
    store_put_task(store, &task);
    store_put_definition(store, &definition);
    ck_assert_int_eq(store_commit(store), 0);
    store_free(store);
    worker__assignment__free_unpacked(task.assignment, NULL);
    ecs__register_task_definition_request__free_unpacked(definition.spec, NULL);
}

START_TEST(what_was_remembered_and_not_started_is_started)
{
    char boot_id[64] = {0};
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%63s", boot_id), 1);
    fclose(file);
    remember_task(boot_id);
    open_worker();
    loop_until(reported("1:3 "));
    assign(true, "");
    loop_until(reported("1:7 "));
}
END_TEST

START_TEST(what_ran_before_the_machine_was_restarted_is_stopped)
{
    remember_task("another boot");
    open_worker();
    loop_until(reported("1:7 "));
    ck_assert(!has_task_dir());
}
END_TEST

START_TEST(hollow_tasks_are_kept_over_a_restart_too)
{
    open_runtime = runtime_hollow_open;
    open_worker();
    assign(false, "no such thing is run");
    loop_until(reported("1:3 "));
    close_worker();
    buffer_clear(&leader->reported);
    open_worker();
    loop_until(reported("1:3 "));
    ck_assert(!has_task_dir());
    assign(true, "");
    loop_until(reported("1:7 "));
}
END_TEST

int main(int argc, char **argv)
{
    Suite *s = suite_create("worker");
    TCase *tc = tcase_create("worker");
    SRunner *sr;
    int failed;

    if (argc > 1 && !strcmp(argv[1], "shim"))
        return shim_main(argc - 1, argv + 1);
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_task_is_run_stopped_and_forgotten);
    tcase_add_test(tc, a_task_that_ends_is_reported_and_not_run_again);
    tcase_add_test(tc, a_restarted_worker_adopts_says_so_and_then_asks);
    tcase_add_test(tc, what_a_complete_answer_does_not_list_is_stopped);
    tcase_add_test(tc, tasks_run_on_while_there_is_no_manager);
    tcase_add_test(tc, a_restarted_worker_refuses_the_terms_it_refused_before);
    tcase_add_test(tc, what_was_remembered_and_not_started_is_started);
    tcase_add_test(tc, what_ran_before_the_machine_was_restarted_is_stopped);
    tcase_add_test(tc, hollow_tasks_are_kept_over_a_restart_too);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
