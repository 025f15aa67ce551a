/* Tasks: placed, run, reported, stopped, lost, forgotten. */
#include "tests/unit/apply_world.h"

static uint64_t worker, service, primary;

/* default cluster; worker 1 of 1,024 cpu and 1,024 MiB; web:1 of 256/256 with port 8080 or none; a
 * service of it. */
static void furnish(int host_port)
{
    State__Service *record;

    worker = register_worker(1, "", 1024, 1024, 1);
    register_definition("web", 256, 256, host_port);
    service = create_service("web", "web", 4, 1);
    record = service_of(service);
    primary = record->primary_deployment_seq;
    state__service__free_unpacked(record, NULL);
}

static void ck_assert_deployment(uint32_t running, uint32_t pending, uint32_t stopping,
                                 uint32_t failed)
{
    State__Deployment *deployment = deployment_of(service, primary);

    ck_assert_uint_eq(deployment->running_count, running);
    ck_assert_uint_eq(deployment->pending_count, pending);
    ck_assert_uint_eq(deployment->stopping_count, stopping);
    ck_assert_uint_eq(deployment->failed_tasks, failed);
    state__deployment__free_unpacked(deployment, NULL);
}

static void ck_assert_stopped(unsigned id, State__StopCode code, const char *reason)
{
    State__TaskStatus *status = status_of(id);

    ck_assert(status->desired_stopped);
    ck_assert_int_eq(status->stop_code, code);
    ck_assert_str_eq(status->stopped_reason, reason);
    state__task_status__free_unpacked(status, NULL);
}

static int collect_seq(void *context, struct txn *txn, uint64_t seq)
{
    (void)txn;
    (void)seq;
    ++*(unsigned *)context;
    return 0;
}

START_TEST(a_placed_task_is_pending_counted_and_told)
{
    State__TaskStatus *status;
    State__WorkerUsage *usage;
    State__Task *task;

    furnish(8080);
    place_tasks(service, primary, 1, 1, worker);
    ck_assert_uint_eq(w.result->n_task_ids, 1);
    ck_assert(changed(CHANGE_TASK, task_seq(1)));
    ck_assert(changed(CHANGE_WORKER, worker));
    ck_assert(changed(CHANGE_SERVICE, service));
    ck_assert_event(service, "(service web) has started 1 tasks: (task "
                             "00000000000000000000000000000001).");
    status = status_of(1);
    ck_assert_int_eq(status->state, STATE__TASK_STATE__TASK_PENDING);
    ck_assert_uint_eq(status->version, 1);
    ck_assert_uint_eq(status->changed_index, w.index);
    state__task_status__free_unpacked(status, NULL);
    task = task_of(1);
    ck_assert_str_eq(task->group, "service:web");
    ck_assert_str_eq(task->started_by, "ecs-svc/1000000000000000001");
    state__task__free_unpacked(task, NULL);
    usage = usage_of(worker);
    ck_assert_uint_eq(usage->cpu, 256);
    ck_assert_uint_eq(usage->ports[0]->number, 8080);
    ck_assert_uint_eq(usage->changed_index, w.index);
    state__worker_usage__free_unpacked(usage, NULL);
    ck_assert_deployment(0, 1, 0, 0);
}
END_TEST

START_TEST(what_does_not_fit_is_skipped_within_one_command)
{
    furnish(0);
    place_tasks(service, primary, 1, 6, worker);
    ck_assert_uint_eq(w.result->n_task_ids, 4);
    ck_assert_deployment(0, 4, 0, 0);
}
END_TEST

START_TEST(room_is_counted_to_the_last_unit)
{
    static const struct {
        const char *why;
        int cpu, memory;
        uint32_t worker_cpu, worker_memory;
        size_t placed; /* Of three. */
    } cases[] = {
        {"all of it", 100, 100, 300, 300, 3},
        {"one cpu unit short", 100, 100, 299, 300, 2},
        {"one MiB short", 100, 100, 300, 299, 2},
        {"nothing needed", 0, 0, 0, 0, 3},
        {"too large by itself", 301, 1, 300, 300, 0},
        {"no sum overflows", INT32_MAX, 1, UINT32_MAX, 300, 2},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        txn_abort(w.txn);
        ck_assert_int_eq(env_write(w.env, &w.txn), 0);
        register_definition("web", cases[i].cpu, cases[i].memory, 0);
        worker = register_worker(1, "", cases[i].worker_cpu, cases[i].worker_memory, 1);
        service = create_service("web", "web", 3, 1);
        place_tasks(service, 1, 1, 3, worker);
        ck_assert_msg(w.result->n_task_ids == cases[i].placed, "%s", cases[i].why);
    }
}
END_TEST

START_TEST(a_fixed_port_is_taken_once)
{
    furnish(8080);
    place_tasks(service, primary, 1, 3, worker);
    ck_assert_uint_eq(w.result->n_task_ids, 1);
}
END_TEST

START_TEST(placements_that_make_no_sense_are_skipped)
{
    uint64_t elsewhere;

    create_cluster("blue");
    elsewhere = register_worker(2, "blue", 1024, 1024, 1);
    furnish(0);
    place_tasks(service, primary, 1, 1, 99);
    ck_assert_uint_eq(w.result->n_task_ids, 0);
    place_tasks(service, primary, 1, 1, elsewhere);
    ck_assert_uint_eq(w.result->n_task_ids, 0);
    ck_assert_uint_eq(w.changes.count, 0);
    place_tasks(service, primary + 9, 1, 1, worker);
    ck_assert_ptr_nonnull(w.result->problem);
    place_tasks(service + 9, primary, 1, 1, worker);
    ck_assert_ptr_nonnull(w.result->problem);
    place_tasks(service, primary, 1, 1, worker);
    place_tasks(service, primary, 1, 1, worker); /* The same id again. */
    ck_assert_uint_eq(w.result->n_task_ids, 0);
    lose_worker(worker);
    place_tasks(service, primary, 2, 1, worker);
    ck_assert_uint_eq(w.result->n_task_ids, 0);
}
END_TEST

START_TEST(a_task_runs_and_its_worker_cannot_move_it_left)
{
    State__TaskStatus *status;

    furnish(0);
    place_tasks(service, primary, 1, 1, worker);
    w.now_ms += 500;
    report(worker, 1, STATE__TASK_STATE__TASK_RUNNING, w.now_ms - 100, 0, "");
    ck_assert_deployment(1, 0, 0, 0);
    status = status_of(1);
    ck_assert_uint_eq(status->version, 2);
    ck_assert_uint_eq(status->started_ms, w.now_ms - 100);
    ck_assert_uint_lt(status->changed_index, w.index); /* The worker knows already. */
    state__task_status__free_unpacked(status, NULL);
    report(worker, 1, STATE__TASK_STATE__TASK_PENDING, 0, 0, "");
    ck_assert_uint_eq(w.changes.count, 0);
    ck_assert_deployment(1, 0, 0, 0);
}
END_TEST

START_TEST(reports_of_another_session_or_worker_change_nothing)
{
    uint64_t other;

    furnish(0);
    other = register_worker(2, "", 1024, 1024, 1);
    place_tasks(service, primary, 1, 1, worker);
    report(other, 1, STATE__TASK_STATE__TASK_RUNNING, 0, 0, "");
    ck_assert_deployment(0, 1, 0, 0);
    report(99, 1, STATE__TASK_STATE__TASK_RUNNING, 0, 0, "");
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER, "unknown worker");
    register_worker(1, "", 1024, 1024, 2);
    report(worker, 1, STATE__TASK_STATE__TASK_RUNNING, 0, 0, "");
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER, "stale session");
}
END_TEST

START_TEST(a_failed_start_is_told_and_backs_off)
{
    static const uint64_t back_off_ms[] = {1000, 2000, 4000, 8000};
    State__Deployment *deployment;

    furnish(0);
    for (unsigned i = 0; i < 4; i++) {
        place_tasks(service, primary, 1 + i, 1, worker);
        w.now_ms += 50;
        report(worker, 1 + i, STATE__TASK_STATE__TASK_STOPPED, 0, 0, "no such command: sreve");
        deployment = deployment_of(service, primary);
        ck_assert_uint_eq(deployment->consecutive_failures, i + 1);
        ck_assert_uint_eq(deployment->start_after_ms, w.now_ms + back_off_ms[i]);
        state__deployment__free_unpacked(deployment, NULL);
        if (i == 2) /* The third in a row, and not said again with the fourth. */
            ck_assert_event(service,
                            "(service web) is unable to consistently start tasks successfully. For "
                            "more information, see the Troubleshooting section of the Amazon ECS "
                            "Developer Guide.");
    }
    ck_assert_deployment(0, 0, 0, 4);
    ck_assert_event(service, "(service web) (task 00000000000000000000000000000004) failed to "
                             "start: no such command: sreve.");
    ck_assert_stopped(4, STATE__STOP_CODE__STOP_ESSENTIAL_CONTAINER_EXITED,
                      "no such command: sreve");
}
END_TEST

START_TEST(back_off_has_an_end)
{
    State__Deployment *deployment;

    furnish(0);
    for (unsigned i = 1; i <= 40; i++) {
        place_tasks(service, primary, i, 1, worker);
        report(worker, i, STATE__TASK_STATE__TASK_STOPPED, 0, 0, "");
    }
    deployment = deployment_of(service, primary);
    ck_assert_uint_eq(deployment->start_after_ms, w.now_ms + 15 * 60 * 1000);
    state__deployment__free_unpacked(deployment, NULL);
}
END_TEST

START_TEST(a_task_that_ran_a_while_resets_the_back_off)
{
    static const struct {
        const char *why;
        uint64_t ran_ms;
        uint32_t failures;
    } cases[] = {
        {"just short", 9999, 2},
        {"long enough", 10000, 0},
    };

    for (size_t i = 0; i < 2; i++) {
        State__Deployment *deployment;
        uint64_t started_ms;

        txn_abort(w.txn);
        ck_assert_int_eq(env_write(w.env, &w.txn), 0);
        furnish(0);
        place_tasks(service, primary, 1, 2, worker);
        report(worker, 1, STATE__TASK_STATE__TASK_STOPPED, 0, 0, "");
        started_ms = w.now_ms;
        report(worker, 2, STATE__TASK_STATE__TASK_RUNNING, started_ms, 0, "");
        w.now_ms += cases[i].ran_ms;
        report(worker, 2, STATE__TASK_STATE__TASK_STOPPED, started_ms, w.now_ms, "exit 1");
        deployment = deployment_of(service, primary);
        ck_assert_msg(deployment->consecutive_failures == cases[i].failures, "%s", cases[i].why);
        state__deployment__free_unpacked(deployment, NULL);
        ck_assert_event(service, "(service web) (task 00000000000000000000000000000002) stopped: "
                                 "exit 1.");
    }
}
END_TEST

START_TEST(a_task_the_user_stops_is_no_failure)
{
    furnish(0);
    place_tasks(service, primary, 1, 1, worker);
    report(worker, 1, STATE__TASK_STATE__TASK_RUNNING, 0, 0, "");
    stop_task(id_of(1), NULL);
    ck_assert_done();
    ck_assert_str_eq(w.result->task_ids[0], id_of(1));
    ck_assert(changed(CHANGE_WORKER, worker));
    ck_assert_deployment(0, 0, 1, 0);
    ck_assert_stopped(1, STATE__STOP_CODE__STOP_USER_INITIATED, "Task stopped by user");
    stop_task(id_of(1), "again");
    ck_assert_uint_eq(w.changes.count, 0);
    report(worker, 1, STATE__TASK_STATE__TASK_STOPPED, 0, 0, "exit 143");
    ck_assert_deployment(0, 0, 0, 0);
    ck_assert_stopped(1, STATE__STOP_CODE__STOP_USER_INITIATED, "Task stopped by user");
    stop_task(id_of(1), "again");
    ck_assert_done();
    ck_assert_uint_eq(w.changes.count, 0);
}
END_TEST

START_TEST(a_task_that_stops_by_itself_is_meant_to_stop_from_then_on)
{
    furnish(0);
    place_tasks(service, primary, 1, 1, worker);
    report(worker, 1, STATE__TASK_STATE__TASK_RUNNING, 0, 0, "");
    report(worker, 1, STATE__TASK_STATE__TASK_STOPPING, 0, 0, "");
    ck_assert_deployment(0, 0, 1, 0);
    report(worker, 1, STATE__TASK_STATE__TASK_STOPPED, 0, 0, "exit 1");
    ck_assert_deployment(0, 0, 0, 1);
    ck_assert_stopped(1, STATE__STOP_CODE__STOP_ESSENTIAL_CONTAINER_EXITED, "exit 1");
}
END_TEST

START_TEST(unknown_tasks_are_not_stopped)
{
    static const char *const names[] = {"00000000000000000000000000000009", "nonsense", "", NULL};

    furnish(0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        stop_task(names[i], NULL);
        ck_assert_refused(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                          "The referenced task was not found.");
    }
}
END_TEST

START_TEST(the_scheduler_stops_tasks_of_its_service_once)
{
    Command__StopTasks body = COMMAND__STOP_TASKS__INIT;
    uint64_t seqs[4];

    furnish(0);
    place_tasks(service, primary, 1, 2, worker);
    seqs[0] = seqs[1] = task_seq(1);
    seqs[2] = task_seq(2);
    seqs[3] = 99;
    body.service_seq = service;
    body.task_seqs = seqs;
    body.n_task_seqs = 4;
    body.reason = "Scaling activity initiated by (deployment ecs-svc/1)";
    body.event_id = "event";
    APPLY(STOP_TASKS, stop_tasks, &body);
    ck_assert_done();
    ck_assert_deployment(0, 0, 2, 0);
    ck_assert_event(service, "(service web) has stopped 2 running tasks: (task "
                             "00000000000000000000000000000001) (task "
                             "00000000000000000000000000000002).");
    ck_assert_stopped(2, STATE__STOP_CODE__STOP_SERVICE_SCHEDULER_INITIATED,
                      "Scaling activity initiated by (deployment ecs-svc/1)");
    APPLY(STOP_TASKS, stop_tasks, &body);
    ck_assert_uint_eq(w.changes.count, 0);
}
END_TEST

START_TEST(a_lost_worker_frees_its_tasks_and_a_returning_one_does_not_revive_them)
{
    State__WorkerUsage *usage;
    State__TaskStatus *status;
    unsigned left = 0;

    furnish(0);
    place_tasks(service, primary, 1, 3, worker);
    report(worker, 1, STATE__TASK_STATE__TASK_RUNNING, 0, 0, "");
    w.now_ms += 5000;
    lose_worker(worker);
    ck_assert_done();
    status = status_of(1);
    ck_assert_uint_eq(status->stopped_ms, w.now_ms);
    ck_assert_uint_eq(status->changed_index, w.index);
    state__task_status__free_unpacked(status, NULL);
    ck_assert_deployment(0, 0, 0, 0);
    ck_assert_stopped(1, STATE__STOP_CODE__STOP_NONE, "Worker lost: silent for 3 s");
    ck_assert_int_eq(table_tasks_of_worker(w.txn, worker, 0, collect_seq, &left), 0);
    ck_assert_uint_eq(left, 0);
    usage = usage_of(worker);
    ck_assert(!usage->connected);
    ck_assert_uint_eq(usage->cpu, 0);
    ck_assert_uint_eq(usage->changed_index, w.index);
    state__worker_usage__free_unpacked(usage, NULL);
    ck_assert_uint_eq(register_worker(1, "", 2048, 2048, 1), worker);
    report(worker, 1, STATE__TASK_STATE__TASK_RUNNING, 0, 0, "");
    ck_assert_uint_eq(w.changes.count, 0);
    place_tasks(service, primary, 10, 8, worker);
    ck_assert_uint_eq(w.result->n_task_ids, 8); /* Its new size counts. */
}
END_TEST

START_TEST(a_worker_that_registered_anew_is_not_lost)
{
    Command__LoseWorkers body = COMMAND__LOSE_WORKERS__INIT;
    uint64_t old_session = 1;

    furnish(0);
    place_tasks(service, primary, 1, 1, worker);
    register_worker(1, "", 1024, 1024, 2);
    body.worker_seqs = &worker;
    body.n_worker_seqs = 1;
    body.sessions = &old_session;
    body.n_sessions = 1;
    APPLY(LOSE_WORKERS, lose_workers, &body);
    ck_assert_done();
    ck_assert_uint_eq(w.changes.count, 0);
    ck_assert_deployment(0, 1, 0, 0);
    body.n_worker_seqs = 0;
    APPLY(LOSE_WORKERS, lose_workers, &body);
    ck_assert_ptr_nonnull(w.result->problem);
}
END_TEST

START_TEST(containers_are_kept_within_bounds)
{
    enum { COUNT = 12, LONG = 5000 };
    State__Container containers[COUNT], *pointers[COUNT];
    Command__TaskReport line = COMMAND__TASK_REPORT__INIT, *lines[] = {&line};
    Command__ReportTasks body = COMMAND__REPORT_TASKS__INIT;
    State__TaskStatus *status;
    char *text = mem_zeroed(1, LONG + 1);

    furnish(0);
    place_tasks(service, primary, 1, 1, worker);
    for (size_t i = 0; i < LONG; i++) /* Two-byte characters, at odd offsets. */
        text[i] = i == 0 ? 'x' : i % 2 ? '\xc3' : '\xa9';
    text[LONG - 1] = '\0';
    for (size_t i = 0; i < COUNT; i++) {
        state__container__init(&containers[i]);
        containers[i].name = "main";
        containers[i].reason = text;
        containers[i].state = 99;
        pointers[i] = &containers[i];
    }
    line.task_id = id_of(1);
    line.state = STATE__TASK_STATE__TASK_RUNNING;
    line.containers = pointers;
    line.n_containers = COUNT;
    body.worker_seq = worker;
    body.session = 1;
    body.reports = lines;
    body.n_reports = 1;
    APPLY(REPORT_TASKS, report_tasks, &body);
    status = status_of(1);
    ck_assert_uint_eq(status->n_containers, 10);
    ck_assert_int_eq(status->containers[0]->state, STATE__TASK_STATE__TASK_RUNNING);
    ck_assert_uint_eq(strlen(status->containers[0]->reason), 1023); /* A whole character less. */
    state__task_status__free_unpacked(status, NULL);
    free(text);
}
END_TEST

/* ---- RunTask */

static void run_task(const char *token, uint8_t digest, unsigned first_id, unsigned count)
{
    Ecs__RunTaskRequest request = ECS__RUN_TASK_REQUEST__INIT;
    Command__Placement placements[12], *pointers[12];
    Command__RunTask body = COMMAND__RUN_TASK__INIT;
    Ecs__Failure failure = ECS__FAILURE__INIT, *failures[] = {&failure};
    char ids[12][33];

    for (unsigned i = 0; i < count; i++) {
        command__placement__init(&placements[i]);
        snprintf(ids[i], 33, "%032x", first_id + i);
        placements[i].task_id = ids[i];
        placements[i].worker_seq = worker;
        pointers[i] = &placements[i];
    }
    failure.reason = "RESOURCE:CPU";
    request.task_definition = "web";
    request.client_token = (char *)token;
    request.started_by = "me";
    body.request = &request;
    body.digest = (ProtobufCBinaryData){1, &digest};
    body.placements = pointers;
    body.n_placements = count;
    body.failures = failures;
    body.n_failures = 1;
    body.family = "web";
    body.revision = 1;
    APPLY(RUN_TASK, run_task, &body);
}

START_TEST(run_task_makes_standalone_tasks_and_tells_who_had_no_place)
{
    State__Task *task;

    furnish(0);
    run_task(NULL, 1, 1, 5);
    ck_assert_done();
    ck_assert_uint_eq(w.result->n_task_ids, 4);
    ck_assert_uint_eq(w.result->n_failures, 2);
    ck_assert_ptr_null(w.result->failures[0]->arn); /* The leader's own. */
    ck_assert_str_eq(w.result->failures[1]->reason, "RESOURCE:CPU");
    ck_assert_str_eq(w.result->failures[1]->arn,
                     "arn:aws:ecs:::container-instance/default/00000000000000000000000000000001");
    task = task_of(1);
    ck_assert_str_eq(task->group, "family:web");
    ck_assert_str_eq(task->started_by, "me");
    ck_assert_uint_eq(task->service_seq, 0);
    state__task__free_unpacked(task, NULL);
}
END_TEST

START_TEST(a_token_gets_the_first_answer_again_or_a_conflict)
{
    furnish(0);
    run_task("token", 1, 1, 2);
    ck_assert_uint_eq(w.result->n_task_ids, 2);
    run_task("token", 1, 11, 2);
    ck_assert_done();
    ck_assert_uint_eq(w.result->n_task_ids, 2);
    ck_assert_str_eq(w.result->task_ids[1], id_of(2));
    ck_assert_uint_eq(w.result->n_failures, 1);
    ck_assert_uint_eq(w.changes.count, 0);
    run_task("token", 2, 11, 2);
    ck_assert_int_eq(w.result->problem->code, COMMAND__ERROR_CODE__ERROR_CONFLICT);
    ck_assert_uint_eq(w.result->problem->n_resource_ids, 2);
    ck_assert_str_eq(w.result->problem->resource_ids[0],
                     "arn:aws:ecs:::task/default/00000000000000000000000000000001");
    run_task("other", 1, 11, 1);
    ck_assert_str_eq(w.result->task_ids[0], id_of(11));
}
END_TEST

START_TEST(run_task_is_held_to_its_limits)
{
    char token[66];

    furnish(0);
    memset(token, 't', 65);
    token[65] = '\0';
    run_task(token, 1, 1, 1);
    ck_assert_ptr_nonnull(w.result->problem);
    token[64] = '\0';
    run_task(token, 1, 1, 1);
    ck_assert_done();
    run_task(NULL, 1, 2, 11);
    ck_assert_ptr_nonnull(w.result->problem);
    deregister_definition("web:1");
    run_task(NULL, 1, 2, 1);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_CLIENT, "TaskDefinition is inactive");
}
END_TEST

/* ---- Expire */

START_TEST(what_ended_before_a_time_is_forgotten_the_oldest_first)
{
    uint64_t seq, left;

    furnish(0);
    run_task("token", 1, 1, 3);
    seq = task_seq(2);
    for (unsigned i = 1; i <= 2; i++, w.now_ms += 1000)
        report(worker, 3 - i, STATE__TASK_STATE__TASK_STOPPED, 0, 0, "");
    expire(w.now_ms - 1500, 0, 10);
    ck_assert(changed(CHANGE_TASK_GONE, seq));
    ck_assert_int_eq(table_task_seq(w.txn, id_of(2), &left), TABLE_ABSENT);
    ck_assert_uint_gt(task_seq(1), 0);
    expire(UINT64_MAX, 0, 0);
    ck_assert_uint_eq(w.changes.count, 0);
    expire(UINT64_MAX, UINT64_MAX, 10);
    ck_assert_uint_eq(w.changes.count, 1); /* Task 3 lives. */
    run_task("token", 2, 21, 1);
    ck_assert_done(); /* Its token is forgotten, too. */
}
END_TEST

START_TEST(tasks_are_walked_by_desire)
{
    unsigned run = 0, stop = 0, all = 0, rest = 0;
    uint64_t cluster;

    furnish(0);
    place_tasks(service, primary, 1, 3, worker);
    stop_task(id_of(2), NULL);
    cluster = 1;
    ck_assert_int_eq(table_tasks_of_cluster(w.txn, cluster, false, 0, collect_seq, &run), 0);
    ck_assert_int_eq(table_tasks_of_cluster(w.txn, cluster, true, 0, collect_seq, &stop), 0);
    ck_assert_int_eq(table_tasks_of_service(w.txn, service, 0, collect_seq, &all), 0);
    ck_assert_int_eq(table_all_tasks(w.txn, task_seq(1), collect_seq, &rest), 0);
    ck_assert_uint_eq(run, 2);
    ck_assert_uint_eq(stop, 1);
    ck_assert_uint_eq(all, 3);
    ck_assert_uint_eq(rest, 2);
    ck_assert_int_eq(table_all_tasks(w.txn, UINT64_MAX, collect_seq, &rest), 0);
    ck_assert_uint_eq(rest, 2);
}
END_TEST

RUN_TESTS("apply_task", a_placed_task_is_pending_counted_and_told,
          what_does_not_fit_is_skipped_within_one_command, room_is_counted_to_the_last_unit,
          a_fixed_port_is_taken_once, placements_that_make_no_sense_are_skipped,
          a_task_runs_and_its_worker_cannot_move_it_left,
          reports_of_another_session_or_worker_change_nothing, a_failed_start_is_told_and_backs_off,
          back_off_has_an_end, a_task_that_ran_a_while_resets_the_back_off,
          a_task_the_user_stops_is_no_failure,
          a_task_that_stops_by_itself_is_meant_to_stop_from_then_on, unknown_tasks_are_not_stopped,
          the_scheduler_stops_tasks_of_its_service_once,
          a_lost_worker_frees_its_tasks_and_a_returning_one_does_not_revive_them,
          a_worker_that_registered_anew_is_not_lost, containers_are_kept_within_bounds,
          run_task_makes_standalone_tasks_and_tells_who_had_no_place,
          a_token_gets_the_first_answer_again_or_a_conflict, run_task_is_held_to_its_limits,
          what_ended_before_a_time_is_forgotten_the_oldest_first, tasks_are_walked_by_desire)
