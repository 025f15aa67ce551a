#include <errno.h>
#include <stdlib.h>

#include "server/worker/report.h"
#include "server/worker/worker_store.h"
#include "tests/unit/shim_bench.h"
#include "tests/unit/worker_bench.h"

static char dir[64];
static struct store *store;

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/cais-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(store_open(dir, 1, &store), 0);
}

static void tear_down(void)
{
    store_free(store);
    bench_remove(dir);
}

static void reopen(void)
{
    store_free(store);
    ck_assert_int_eq(store_open(dir, 2, &store), 0);
}

static void put_task(unsigned number)
{
    Supervise__Task task = SUPERVISE__TASK__INIT;
    Worker__Definition definition = WORKER__DEFINITION__INIT;
    char *id = bench_id(number);

    task.boot_id = "boot";
    task.assignment = bench_assignment(id);
    definition.family = "web";
    definition.revision = 1;
    definition.spec = bench_definition("{'family':'web','containerDefinitions':[]}");
    store_put_task(store, &task);
    store_put_definition(store, &definition);
    worker__assignment__free_unpacked(task.assignment, NULL);
    ecs__register_task_definition_request__free_unpacked(definition.spec, NULL);
    free(id);
}

static void put_report(unsigned number, State__TaskState state)
{
    char *id = bench_id(number);
    Command__TaskReport *report = report_new(id, state);

    store_put_report(store, report);
    report_free(report);
    free(id);
}

static void collect(void *context, const Supervise__Task *task, const Command__TaskReport *report)
{
    buffer_append_format(context, "%lu@%s:%d ", bench_number(task->assignment->task_id),
                         task->boot_id, report ? (int)report->state : -1);
}

static void check_tasks(const char *expected)
{
    struct buffer told = {0};

    ck_assert_int_eq(store_each_task(store, collect, &told), 0);
    ck_assert_str_eq(buffer_text(&told), expected);
    buffer_fini(&told);
}

static bool has_definition(void)
{
    Worker__Definition *definition;
    int r = store_get_definition(store, "web", 1, &definition);

    if (r == 0)
        worker__definition__free_unpacked(definition, NULL);
    ck_assert(r == 0 || r == STORE_ABSENT);
    return r == 0;
}

START_TEST(a_worker_is_who_it_was)
{
    char id[33];

    snprintf(id, sizeof id, "%s", store_worker_id(store));
    ck_assert_uint_eq(strlen(id), 32);
    reopen();
    ck_assert_str_eq(store_worker_id(store), id);
}
END_TEST

START_TEST(the_term_is_remembered)
{
    ck_assert_uint_eq(store_term(store), 0);
    store_put_term(store, 42);
    ck_assert_int_eq(store_commit(store), 0);
    reopen();
    ck_assert_uint_eq(store_term(store), 42);
}
END_TEST

START_TEST(tasks_and_reports_come_back)
{
    put_task(1);
    put_task(2);
    put_report(2, STATE__TASK_STATE__TASK_RUNNING);
    ck_assert_int_eq(store_commit(store), 0);
    reopen();
    check_tasks("1@boot:-1 2@boot:3 ");
    ck_assert(has_definition());
}
END_TEST

START_TEST(what_was_not_committed_is_gone)
{
    put_task(1);
    reopen();
    check_tasks("");
}
END_TEST

START_TEST(a_dropped_task_leaves_nothing)
{
    char *id = bench_id(1);

    put_task(1);
    put_report(1, STATE__TASK_STATE__TASK_STOPPED);
    ck_assert_int_eq(store_commit(store), 0);
    store_drop_task(store, id);
    store_drop_task(store, id); /* Again is fine. */
    ck_assert_int_eq(store_commit(store), 0);
    free(id);
    check_tasks("");
    ck_assert(!has_definition()); /* Nobody names it any more. */
    put_task(1);
    ck_assert_int_eq(store_commit(store), 0);
    check_tasks("1@boot:-1 ");
}
END_TEST

START_TEST(the_database_grows_with_what_is_in_it)
{
    enum { TASKS = 80000 };
    struct buffer told = {0};
    char path[128];
    struct stat st;

    for (unsigned i = 0; i < TASKS; i++) {
        put_report(i, STATE__TASK_STATE__TASK_RUNNING);
        put_task(i);
    }
    ck_assert_int_eq(store_commit(store), 0);
    ck_assert_int_eq(store_each_task(store, collect, &told), 0);
    ck_assert_uint_gt(told.len, (size_t)TASKS * 8);
    buffer_fini(&told);
    snprintf(path, sizeof path, "%s/db/data.mdb", dir);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_gt(st.st_size, 17 << 20); /* More than the first map. */
}
END_TEST

START_TEST(a_second_agent_on_a_directory_is_refused)
{
    struct store *other = NULL;

    ck_assert_int_eq(store_open(dir, 3, &other), -EUSERS);
    ck_assert_ptr_null(other);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("worker");
    TCase *tc = tcase_create("worker_store");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_worker_is_who_it_was);
    tcase_add_test(tc, the_term_is_remembered);
    tcase_add_test(tc, tasks_and_reports_come_back);
    tcase_add_test(tc, what_was_not_committed_is_gone);
    tcase_add_test(tc, a_dropped_task_leaves_nothing);
    tcase_add_test(tc, the_database_grows_with_what_is_in_it);
    tcase_add_test(tc, a_second_agent_on_a_directory_is_refused);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
