/* Services: made, updated, deleted, and what the scheduler notes of them. */
#include "tests/unit/apply_world.h"

static uint64_t worker;

/* default cluster, one worker of 4 cores and 4 GiB, definition web:1 of 256/256. */
static void furnish(void)
{
    worker = register_worker(1, "", 4096, 4096, 1);
    register_definition("web", 256, 256, 0);
}

static uint64_t primary_of(uint64_t service_seq)
{
    State__Service *service = service_of(service_seq);
    uint64_t seq = service->primary_deployment_seq;

    state__service__free_unpacked(service, NULL);
    return seq;
}

static void note(uint64_t service_seq, uint64_t completed, bool steady, bool gone)
{
    Command__NoteService body = COMMAND__NOTE_SERVICE__INIT;

    body.service_seq = service_seq;
    body.completed_deployment_seq = completed;
    body.steady = steady;
    body.gone = gone;
    APPLY(NOTE_SERVICE, note_service, &body);
}

static void ck_assert_service(uint64_t seq, State__ServiceStatus status, uint32_t desired,
                              bool steady)
{
    State__Service *service = service_of(seq);

    ck_assert_int_eq(service->status, status);
    ck_assert_uint_eq(service->desired_count, desired);
    ck_assert_int_eq(service->steady, steady);
    state__service__free_unpacked(service, NULL);
}

static int count_deployment(void *context, const State__Deployment *deployment)
{
    (void)deployment;
    ++*(unsigned *)context;
    return 0;
}

static unsigned deployments_of(uint64_t service_seq)
{
    unsigned count = 0;

    ck_assert_int_eq(table_deployments(w.txn, service_seq, count_deployment, &count), 0);
    return count;
}

START_TEST(a_service_begins_with_one_deployment_and_ecs_defaults)
{
    State__Service *service;
    State__Deployment *deployment;
    uint64_t seq;

    furnish();
    seq = create_service("web", "web", 3, 1);
    ck_assert_done();
    ck_assert_str_eq(w.result->name, "web");
    ck_assert(changed(CHANGE_SERVICE, seq));
    service = service_of(seq);
    ck_assert_uint_eq(service->desired_count, 3);
    ck_assert_uint_eq(service->minimum_healthy_percent, 100);
    ck_assert_uint_eq(service->maximum_percent, 200);
    ck_assert_uint_eq(w.result->cluster_seq, service->cluster_seq);
    deployment = deployment_of(seq, service->primary_deployment_seq);
    ck_assert_str_eq(deployment->id, "ecs-svc/1000000000000000001");
    ck_assert_uint_eq(deployment->revision, 1);
    ck_assert_int_eq(deployment->rollout_state, STATE__ROLLOUT_STATE__ROLLOUT_IN_PROGRESS);
    state__deployment__free_unpacked(deployment, NULL);
    state__service__free_unpacked(service, NULL);
}
END_TEST

START_TEST(creating_again_is_idempotent_only_with_the_same_content)
{
    uint64_t seq;

    furnish();
    seq = create_service("web", "web", 3, 1);
    ck_assert_uint_eq(create_service("web", "web", 3, 1), seq);
    ck_assert_done();
    ck_assert_uint_eq(w.changes.count, 0);
    create_service("web", "web", 4, 2);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                      "Creation of service was not idempotent.");
}
END_TEST

START_TEST(a_service_needs_an_active_definition_and_a_cluster)
{
    create_service("web", "web", 1, 1);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_CLUSTER_NOT_FOUND, "Cluster not found.");
    furnish();
    create_service("web", "api", 1, 1);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_CLIENT, "TaskDefinition not found.");
    create_service("web", NULL, 1, 1);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_CLIENT, "TaskDefinition not found.");
    deregister_definition("web:1");
    create_service("web", "web:1", 1, 1);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_CLIENT, "TaskDefinition is inactive");
    create_service("web", "web", 1, 1);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_CLIENT, "TaskDefinition not found.");
}
END_TEST

START_TEST(a_desired_count_is_held_to_its_bounds)
{
    furnish();
    create_service("web", "web", -1, 1);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER, "Invalid desired count.");
    create_service("web", "web", 5001, 1);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER, "Invalid desired count.");
}
END_TEST

START_TEST(scaling_keeps_the_deployment)
{
    uint64_t seq, primary;

    furnish();
    seq = create_service("web", "web", 3, 1);
    primary = primary_of(seq);
    note(seq, primary, true, false);
    ck_assert_service(seq, STATE__SERVICE_STATUS__SERVICE_ACTIVE, 3, true);
    update_service("web", 9, NULL, false);
    ck_assert_done();
    ck_assert_service(seq, STATE__SERVICE_STATUS__SERVICE_ACTIVE, 9, false);
    update_service("web", -1, "web:1", false);
    ck_assert_done();
    ck_assert_uint_eq(primary_of(seq), primary);
    ck_assert_uint_eq(deployments_of(seq), 1);
}
END_TEST

START_TEST(a_new_revision_or_force_makes_a_new_primary)
{
    State__Deployment *deployment;
    State__Service *service;
    uint64_t seq, first, second;

    furnish();
    seq = create_service("web", "web", 3, 1);
    first = primary_of(seq);
    register_definition("web", 256, 256, 0);
    update_service("web", -1, "web", false);
    second = primary_of(seq);
    ck_assert_uint_gt(second, first);
    deployment = deployment_of(seq, second);
    ck_assert_uint_eq(deployment->revision, 2);
    state__deployment__free_unpacked(deployment, NULL);
    service = service_of(seq);
    ck_assert_str_eq(service->spec->task_definition, "web");
    ck_assert_str_eq(service->spec->service_name, "web");
    ck_assert_uint_eq(service->desired_count, 3);
    state__service__free_unpacked(service, NULL);
    update_service("web", -1, NULL, true);
    ck_assert_uint_gt(primary_of(seq), second);
    ck_assert_uint_eq(deployments_of(seq), 3);
}
END_TEST

START_TEST(drained_deployments_leave_when_the_primary_completes)
{
    State__Deployment *deployment;
    uint64_t seq, first, second;

    furnish();
    seq = create_service("web", "web", 1, 1);
    first = primary_of(seq);
    place_tasks(seq, first, 1, 1, worker);
    update_service("web", -1, NULL, true);
    second = primary_of(seq);
    note(seq, first, false, false); /* No longer primary: nothing completes. */
    ck_assert_uint_eq(deployments_of(seq), 2);
    note(seq, second, false, false);
    ck_assert_uint_eq(deployments_of(seq), 2); /* The first still has a task. */
    stop_task(id_of(1), NULL);
    note(seq, second, false, false);
    ck_assert_uint_eq(deployments_of(seq), 2); /* And it is stopping, not stopped. */
    report(worker, 1, STATE__TASK_STATE__TASK_STOPPED, 0, 0, "");
    note(seq, second, true, false);
    ck_assert_uint_eq(deployments_of(seq), 1);
    deployment = deployment_of(seq, second);
    ck_assert_int_eq(deployment->rollout_state, STATE__ROLLOUT_STATE__ROLLOUT_COMPLETED);
    state__deployment__free_unpacked(deployment, NULL);
}
END_TEST

START_TEST(updates_of_what_is_not_there_are_refused)
{
    furnish();
    update_service("web", 1, NULL, false);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_SERVICE_NOT_FOUND, "Service not found.");
    update_service(NULL, 1, NULL, false);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_SERVICE_NOT_FOUND, "Service not found.");
    create_service("web", "web", 0, 1);
    delete_service("web", false);
    update_service("web", 1, NULL, false);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_SERVICE_NOT_ACTIVE, "Service was not ACTIVE.");
}
END_TEST

START_TEST(a_scaled_service_is_deleted_only_by_force)
{
    uint64_t seq;

    furnish();
    seq = create_service("web", "web", 2, 1);
    place_tasks(seq, primary_of(seq), 1, 1, worker);
    delete_service("web", false);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                      "The service cannot be stopped while it is scaled above 0.");
    delete_service("web", true);
    ck_assert_done();
    ck_assert_service(seq, STATE__SERVICE_STATUS__SERVICE_DRAINING, 0, false);
    delete_service("web", false);
    ck_assert_done();
    create_service("web", "web", 2, 1);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                      "Unable to Start a service that is still Draining.");
    place_tasks(seq, primary_of(seq), 2, 1, worker);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_SERVICE_NOT_ACTIVE, "Service was not ACTIVE.");
    note(seq, 0, false, true);
    ck_assert_service(seq, STATE__SERVICE_STATUS__SERVICE_DRAINING, 0, false);
    report(worker, 1, STATE__TASK_STATE__TASK_STOPPED, 0, 0, "");
    note(seq, 0, false, true);
    ck_assert_service(seq, STATE__SERVICE_STATUS__SERVICE_INACTIVE, 0, false);
}
END_TEST

START_TEST(the_name_of_an_inactive_service_is_free)
{
    uint64_t seq;

    furnish();
    seq = create_service("web", "web", 0, 1);
    delete_service("web", false);
    ck_assert_service(seq, STATE__SERVICE_STATUS__SERVICE_INACTIVE, 0, false);
    delete_service("web", false);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_SERVICE_NOT_ACTIVE, "Service was not ACTIVE.");
    ck_assert_uint_gt(create_service("web", "web", 0, 1), seq);
    ck_assert_done();
}
END_TEST

static int count_event(void *context, const State__ServiceEvent *event)
{
    ck_assert_ptr_nonnull(event->message);
    ++*(unsigned *)context;
    return 0;
}

START_TEST(the_newest_hundred_events_are_kept_newest_first)
{
    State__ServiceEvent event = STATE__SERVICE_EVENT__INIT, *events[] = {&event};
    Command__NoteService body = COMMAND__NOTE_SERVICE__INIT;
    unsigned count = 0;
    char text[32];

    furnish();
    body.service_seq = create_service("web", "web", 0, 1);
    create_service("api", "web", 0, 1); /* Its events would be neighbours. */
    event.id = "id";
    event.message = text;
    body.events = events;
    body.n_events = 1;
    for (unsigned i = 1; i <= 105; i++) {
        snprintf(text, sizeof text, "event %u", i);
        APPLY(NOTE_SERVICE, note_service, &body);
        ck_assert_event(body.service_seq, text);
    }
    ck_assert_int_eq(table_service_events(w.txn, body.service_seq, count_event, &count), 0);
    ck_assert_uint_eq(count, 100);
    ck_assert_ptr_null(newest_event(body.service_seq + 1));
}
END_TEST

static int collect_name(void *context, const State__Service *service)
{
    char *list = context;
    size_t used = strlen(list);

    snprintf(list + used, 64 - used, " %s", service->name);
    return 0;
}

START_TEST(services_are_walked_by_cluster_or_all)
{
    uint64_t blue = create_cluster("blue"), seq;
    char list[64] = "", rest[64] = "", all[64] = "";

    furnish();
    seq = create_service("b", "web", 0, 1);
    create_service("a", "web", 0, 1);
    ck_assert_int_eq(table_services(w.txn, blue, 0, collect_name, list), 0);
    ck_assert_str_eq(list, "");
    ck_assert_int_eq(table_services(w.txn, w.result->cluster_seq, 0, collect_name, list), 0);
    ck_assert_str_eq(list, " b a");
    ck_assert_int_eq(table_services(w.txn, w.result->cluster_seq, seq, collect_name, rest), 0);
    ck_assert_str_eq(rest, " a");
    ck_assert_int_eq(table_services(w.txn, 0, 0, collect_name, all), 0);
    ck_assert_str_eq(all, " b a");
}
END_TEST

RUN_TESTS("apply_service", a_service_begins_with_one_deployment_and_ecs_defaults,
          creating_again_is_idempotent_only_with_the_same_content,
          a_service_needs_an_active_definition_and_a_cluster, a_desired_count_is_held_to_its_bounds,
          scaling_keeps_the_deployment, a_new_revision_or_force_makes_a_new_primary,
          drained_deployments_leave_when_the_primary_completes,
          updates_of_what_is_not_there_are_refused, a_scaled_service_is_deleted_only_by_force,
          the_name_of_an_inactive_service_is_free, the_newest_hundred_events_are_kept_newest_first,
          services_are_walked_by_cluster_or_all)
