/*
 * What three managers' cores promise together (tests/unit/core_world.h).
 */
#include <fcntl.h>

#include "tests/unit/core_world.h"

/* ---- the claims */

START_TEST(a_write_to_any_manager_is_on_every_manager)
{
    create_cluster(leader(), "one");
    create_cluster(follower(), "two");
    run(100);
    for (size_t i = 0; i < CORES; i++) {
        ck_assert(has_cluster(&servers[i], "one"));
        ck_assert(has_cluster(&servers[i], "two"));
    }
}
END_TEST

START_TEST(what_was_applied_is_visible_a_few_milliseconds_later)
{
    struct server *asker = follower();

    create_cluster(asker, "mine"); /* Collected in the very turn of the answer. */
    run(5);
    ck_assert(has_cluster(asker, "mine"));
    ck_assert(has_cluster(leader(), "mine"));
}
END_TEST

START_TEST(a_follower_need_not_wait_for_a_heartbeat)
{
    struct server *asker = follower();
    uint64_t began = now_ms;

    for (int i = 0; i < 10; i++)
        create_cluster(asker, "again");
    ck_assert_uint_lt(now_ms - began, 200); /* A heartbeat each would be 500. */
    began = now_ms;
    create_cluster(leader(), "more");
    for (int i = 0; i < 10; i++)
        ask_well(asker, "DescribeClusters", NULL);
    ck_assert_uint_lt(now_ms - began, 200);
}
END_TEST

START_TEST(a_read_sees_every_acknowledged_write)
{
    struct server *asker = follower();

    create_cluster(leader(), "new");
    ask_well(asker, "DescribeClusters", NULL);
    ck_assert(has_cluster(asker, "new"));
}
END_TEST

START_TEST(a_cut_leader_answers_no_read_and_no_write)
{
    struct server *old = leader();
    Ecs__CreateClusterRequest request = ECS__CREATE_CLUSTER_REQUEST__INIT;

    old->cut = true;
    ask(old, "DescribeClusters", NULL);
    ck_assert_int_eq(asked.call.outcome, CALL_NO_LEADER);
    request.cluster_name = "never";
    ask(old, "CreateCluster", &request);
    ck_assert_int_ne(asked.call.outcome, CALL_DONE);
    old->cut = false;
    run(2000);
    ck_assert(!has_cluster(leader(), "never"));
}
END_TEST

START_TEST(a_stale_read_needs_nobody)
{
    struct server *old = leader();

    old->cut = true;
    memset(&asked, 0, sizeof asked);
    asked.call.action = "DescribeClusters";
    asked.call.stale = true;
    asked.call.done = call_done;
    core_submit(old->core, &asked.call);
    tick();
    ck_assert(asked.answered);
    ck_assert_int_eq(asked.call.outcome, CALL_STALE);
}
END_TEST

START_TEST(acknowledged_writes_survive_the_leader)
{
    struct server *old = leader();

    create_cluster(follower(), "kept");
    stop(old);
    run_until(has_leader, 3000);
    ck_assert_ptr_ne(leader(), old);
    ask_well(leader(), "DescribeClusters", NULL);
    ck_assert(has_cluster(leader(), "kept"));
    create_cluster(leader(), "after");
    start(old);
    run(1000);
    ck_assert(has_cluster(old, "kept"));
    ck_assert(has_cluster(old, "after"));
}
END_TEST

/* What a power cut would leave: the file as it is, with nothing of the open transaction. */
static void copy_as_crashed(struct server *server, int to)
{
    char *path = mem_format("%s/data.mdb", server->dir);
    int from = open(path, O_RDONLY | O_CLOEXEC);
    char block[16 << 10];
    ssize_t n;

    ck_assert_int_ge(from, 0);
    while ((n = read(from, block, sizeof block)) > 0)
        ck_assert_int_eq(write(to, block, (size_t)n), n);
    ck_assert_int_eq(n, 0);
    close(from);
    free(path);
}

static void crash_and_restart(struct server *server)
{
    char kept[] = "/dev/shm/crashed-XXXXXX";
    int fd = mkstemp(kept);
    char *path = mem_format("%s/data.mdb", server->dir);

    ck_assert_int_ge(fd, 0);
    copy_as_crashed(server, fd);
    close(fd);
    stop(server);
    env_free(server->env);
    ck_assert_int_eq(rename(kept, path), 0);
    free(path);
    ck_assert_int_eq(env_open(server->dir, 64 << 20, table_names, TABLE_COUNT, &server->env), 0);
    start(server);
}

START_TEST(an_applied_tail_that_was_not_committed_is_applied_again)
{
    struct server *first = leader();
    struct core_status before, after;

    run(20);
    core_status(first->core, &before);
    create_cluster(first, "tail");
    ck_assert(!has_cluster(first, "tail")); /* Acknowledged, and in no commit of this manager. */
    crash_and_restart(first);
    core_status(first->core, &after);
    ck_assert_uint_eq(after.applied_index, before.applied_index);
    ck_assert_uint_gt(after.last_index, before.last_index);
    run_until(has_leader, 3000);
    run(200);
    ck_assert(has_cluster(first, "tail")); /* tear_down compares the tables of all. */
}
END_TEST

START_TEST(a_service_is_placed_evenly_and_runs)
{
    add_workers();
    run_with_workers(200);
    register_web(leader(), 256);
    create_service(follower(), 6);
    run_with_workers(1000);
    for (size_t i = 0; i < WORKERS; i++)
        ck_assert_uint_eq(running_on(i), 1);
    ck_assert_uint_eq(running_in_tables(), 6);
}
END_TEST

START_TEST(a_silent_worker_is_replaced_and_obeys_when_it_returns)
{
    add_workers();
    run_with_workers(200);
    register_web(leader(), 256);
    create_service(leader(), 6);
    run_with_workers(1000);
    workers[0].silent = true;
    run_with_workers(5000);
    ck_assert_uint_eq(running_in_tables(), 6);
    ck_assert_uint_eq(running_on(3), 2); /* The other one of its zone: balance is kept. */
    workers[0].silent = false;
    run_with_workers(3000);
    ck_assert_uint_eq(workers[0].task_count, 1); /* It is given nothing that runs elsewhere. */
    ck_assert_uint_eq(running_in_tables(), 6);
}
END_TEST

START_TEST(a_change_of_leader_starts_no_task_and_stops_none)
{
    struct server *old;

    add_workers();
    run_with_workers(200);
    register_web(leader(), 256);
    create_service(leader(), 6);
    run_with_workers(1000);
    ck_assert_uint_eq(starts(), 6);
    old = leader();
    stop(old);
    for (size_t i = 0; i < WORKERS; i++)
        workers[i].busy = false; /* Their connections broke. */
    run_with_workers(6000);
    ck_assert_uint_eq(starts(), 6);
    ck_assert_uint_eq(running_in_tables(), 6);
    start(old);
    run_with_workers(1000);
    ck_assert_uint_eq(starts(), 6);
}
END_TEST

START_TEST(a_leader_that_was_asleep_loses_no_worker)
{
    add_workers();
    run_with_workers(200);
    register_web(leader(), 256);
    create_service(leader(), 6);
    run_with_workers(1000);
    now_ms += 10000; /* The whole machine was. */
    run_with_workers(6000);
    ck_assert_uint_eq(starts(), 6);
}
END_TEST

START_TEST(what_was_decided_is_still_so_after_all_restarted)
{
    add_workers();
    run_with_workers(200);
    register_web(leader(), 256);
    create_service(leader(), 6);
    run_with_workers(1000);
    for (size_t i = 0; i < CORES; i++)
        stop(&servers[i]);
    for (size_t i = 0; i < WORKERS; i++)
        workers[i].busy = false;
    for (size_t i = 0; i < CORES; i++)
        start(&servers[i]);
    run_with_workers(6000);
    ck_assert_uint_eq(starts(), 6);
    ck_assert_uint_eq(running_in_tables(), 6);
}
END_TEST

/* ---- too much, too large, malformed */

static struct asked many[9000];

static size_t count_answered(enum call_outcome outcome)
{
    size_t count = 0;

    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        count += many[i].answered && many[i].call.outcome == outcome;
    return count;
}

static void forget_many(void)
{
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        if (many[i].call.result)
            command__command_result__free_unpacked(many[i].call.result, NULL);
}

START_TEST(calls_beyond_the_limit_are_refused_and_the_others_done)
{
    Ecs__CreateClusterRequest request = ECS__CREATE_CLUSTER_REQUEST__INIT;

    request.cluster_name = "same";
    memset(many, 0, sizeof many);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        many[i].call.action = "CreateCluster";
        many[i].call.write = true;
        many[i].call.request = &request.base;
        many[i].call.done = call_done;
        core_submit(leader()->core, &many[i].call);
    }
    run(200);
    ck_assert_uint_eq(count_answered(CALL_DONE), LIMIT_API_CALLS);
    ck_assert_uint_eq(count_answered(CALL_NO_LEADER), sizeof many / sizeof *many - LIMIT_API_CALLS);
    forget_many();
}
END_TEST

static void submit_many(struct server *server, size_t count, Ecs__CreateClusterRequest *request)
{
    memset(many, 0, sizeof many);
    for (size_t i = 0; i < count; i++) {
        many[i].call.action = "CreateCluster";
        many[i].call.write = true;
        many[i].call.request = &request->base;
        many[i].call.done = call_done;
        core_submit(server->core, &many[i].call);
    }
}

START_TEST(a_manager_that_is_far_behind_applies_in_portions)
{
    Ecs__CreateClusterRequest request = ECS__CREATE_CLUSTER_REQUEST__INIT;
    struct server *late = follower();
    struct core_status status, goal;
    uint64_t most = 0, before;

    request.cluster_name = "same";
    stop(late);
    submit_many(leader(), LIMIT_API_CALLS, &request);
    run(200);
    ck_assert_uint_eq(count_answered(CALL_DONE), LIMIT_API_CALLS);
    core_status(leader()->core, &goal);
    start(late);
    core_status(late->core, &status);
    for (int i = 0; i < 1000 && status.applied_index < goal.applied_index; i++) {
        before = status.applied_index;
        tick();
        core_status(late->core, &status);
        if (status.applied_index - before > most)
            most = status.applied_index - before;
    }
    ck_assert_uint_ge(status.applied_index, goal.applied_index);
    ck_assert_uint_le(most, 1536); /* Two turns each, and what was not visible yet before. */
    forget_many();
}
END_TEST

/* Fill the map of the leader, which is as full a disk to the core. */
static void fill(struct server *server)
{
    Ecs__CreateClusterRequest request = ECS__CREATE_CLUSTER_REQUEST__INIT;
    char name[32];

    request.cluster_name = name;
    for (int i = 0; i < 20000; i++) {
        struct core_status status;

        snprintf(name, sizeof name, "c%d", i);
        ask(server, "CreateCluster", &request);
        core_status(server->core, &status);
        if (status.leader == 0 || (asked.call.result && asked.call.result->problem))
            return;
    }
    ck_abort_msg("it never filled");
}

static void reopen(struct server *server, size_t map_size)
{
    stop(server);
    env_free(server->env);
    ck_assert_int_eq(env_open(server->dir, map_size, table_names, TABLE_COUNT, &server->env), 0);
    start(server);
}

static void ask_stale(struct server *server)
{
    memset(&asked, 0, sizeof asked);
    asked.call.action = "DescribeClusters";
    asked.call.stale = true;
    asked.call.done = call_done;
    core_submit(server->core, &asked.call);
    run_until(is_answered, 100);
    ck_assert_int_eq(asked.call.outcome, CALL_STALE);
}

START_TEST(full_disks_end_no_process_and_pass)
{
    size_t used, map;

    run(20);
    for (size_t i = 0; i < CORES; i++) {
        env_size(servers[i].env, &used, &map);
        reopen(&servers[i], used + 512 * 1024);
    }
    run_until(has_leader, 3000);
    fill(leader());
    ck_assert_ptr_nonnull(asked.call.result);
    ck_assert_ptr_nonnull(asked.call.result->problem);
    ck_assert_ptr_nonnull(strstr(asked.call.result->problem->text, "The disk of manager m"));
    ck_assert_ptr_nonnull(strstr(asked.call.result->problem->text, " is full"));
    command__command_result__free_unpacked(asked.call.result, NULL);
    run(1000);
    for (size_t i = 0; i < CORES; i++)
        ask_stale(&servers[i]);
    for (size_t i = 0; i < CORES; i++) /* There is space again. */
        ck_assert_int_eq(env_grow(servers[i].env, 64 << 20), 0);
    run(3000);
    run_until(has_leader, 3000);
    create_cluster(leader(), "after");
    run(200);
    for (size_t i = 0; i < CORES; i++)
        ck_assert(has_cluster(&servers[i], "after"));
}
END_TEST

START_TEST(a_map_grows_before_it_is_full)
{
    size_t used, map, first[CORES];
    char name[32];

    run(20);
    world_map_grows = true;
    for (size_t i = 0; i < CORES; i++) {
        env_size(servers[i].env, &used, &map);
        reopen(&servers[i], used + 512 * 1024); /* Which fill() fills. */
        env_size(servers[i].env, &used, &first[i]);
    }
    run_until(has_leader, 3000);
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "c%d", i);
        create_cluster(leader(), name);
    }
    run(200);
    for (size_t i = 0; i < CORES; i++) {
        env_size(servers[i].env, &used, &map);
        ck_assert_uint_ge(map, 2 * first[i]);
    }
    world_map_grows = false;
}
END_TEST

/* A worker's call whose answer is a Report's. */
static Worker__Outcome report_outcome;
static bool report_answered;

static void report_done(struct rpc *rpc)
{
    report_answered = true;
    report_outcome = ((Worker__ReportResponse *)rpc->response)->outcome;
    protobuf_c_message_free_unpacked(rpc->response, NULL);
}

static bool is_report_answered(void)
{
    return report_answered;
}

START_TEST(a_report_too_large_for_the_log_is_refused_and_the_leader_stays)
{
    Worker__ReportRequest request = WORKER__REPORT_REQUEST__INIT;
    Command__TaskReport report = COMMAND__TASK_REPORT__INIT, *reports[] = {&report};
    struct rpc rpc = {.kind = RPC_REPORT, .request = &request.base, .done = report_done};
    char *reason = mem_zeroed(1, 3900000);
    struct server *first = leader();

    add_workers();
    run_with_workers(200);
    memset(reason, 'x', 3899999);
    report.task_id = workers[0].id;
    report.reason = reason;
    request.worker_id = workers[0].id;
    request.session = workers[0].session;
    request.n_reports = 1;
    request.reports = reports;
    report_answered = false;
    core_rpc(first->core, &rpc);
    run_until(is_report_answered, 4000);
    ck_assert_int_eq(report_outcome, WORKER__OUTCOME__REFUSED);
    run_with_workers(1500);
    ck_assert_ptr_eq(leader(), first);
    free(reason);
}
END_TEST

/* What a follower would forward if it did not look at it. */
START_TEST(a_forwarded_request_of_bad_form_is_not_done)
{
    Ecs__RunTaskRequest request = ECS__RUN_TASK_REQUEST__INIT;
    Ecs__CreateClusterRequest name = ECS__CREATE_CLUSTER_REQUEST__INIT;

    request.task_definition = "web";
    request.has_count = 1;
    request.count = -1;
    ask(follower(), "RunTask", &request);
    ck_assert_int_ne(asked.call.outcome, CALL_DONE);
    name.cluster_name = "not a name";
    ask(follower(), "CreateCluster", &name);
    ck_assert_int_ne(asked.call.outcome, CALL_DONE);
}
END_TEST

START_TEST(a_clock_that_was_never_set_forgets_no_client_token)
{
    Ecs__CreateServiceRequest request = ECS__CREATE_SERVICE_REQUEST__INIT;
    struct server *first = leader();

    create_cluster(first, "default");
    register_web(first, 256);
    request.service_name = "once";
    request.task_definition = "web";
    request.has_desired_count = 1;
    request.client_token = "token";
    ask_well(first, "CreateService", &request);
    for (uint64_t end = now_ms + 70000; now_ms < end;) { /* Housekeeping is each minute. */
        now_ms += 10;
        for (size_t i = 0; i < CORES; i++) {
            deliver(&servers[i]);
            ck_assert_int_eq(core_turn(servers[i].core, now_ms, 5000 + now_ms), 0);
        }
    }
    ask_well(leader(), "CreateService", &request); /* The same answer, not "already exists". */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core");
    TCase *tc = tcase_create("core");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_write_to_any_manager_is_on_every_manager);
    tcase_add_test(tc, what_was_applied_is_visible_a_few_milliseconds_later);
    tcase_add_test(tc, a_follower_need_not_wait_for_a_heartbeat);
    tcase_add_test(tc, a_read_sees_every_acknowledged_write);
    tcase_add_test(tc, a_cut_leader_answers_no_read_and_no_write);
    tcase_add_test(tc, a_stale_read_needs_nobody);
    tcase_add_test(tc, acknowledged_writes_survive_the_leader);
    tcase_add_test(tc, an_applied_tail_that_was_not_committed_is_applied_again);
    tcase_add_test(tc, a_service_is_placed_evenly_and_runs);
    tcase_add_test(tc, a_silent_worker_is_replaced_and_obeys_when_it_returns);
    tcase_add_test(tc, a_change_of_leader_starts_no_task_and_stops_none);
    tcase_add_test(tc, a_leader_that_was_asleep_loses_no_worker);
    tcase_add_test(tc, what_was_decided_is_still_so_after_all_restarted);
    tcase_add_test(tc, calls_beyond_the_limit_are_refused_and_the_others_done);
    tcase_add_test(tc, a_manager_that_is_far_behind_applies_in_portions);
    tcase_add_test(tc, full_disks_end_no_process_and_pass);
    tcase_add_test(tc, a_map_grows_before_it_is_full);
    tcase_add_test(tc, a_report_too_large_for_the_log_is_refused_and_the_leader_stays);
    tcase_add_test(tc, a_forwarded_request_of_bad_form_is_not_done);
    tcase_add_test(tc, a_clock_that_was_never_set_forgets_no_client_token);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
