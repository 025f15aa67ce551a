#include <check.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/manager/command_build.h"

static struct rng rng;
static struct stamp stamp = {.time_ms = 1700000000123, .rng = &rng};

static void set_up(void)
{
    rng_seed(&rng, 7);
}

static Command__Command *build(const char *action, const void *request)
{
    Command__Command *command = NULL;

    ck_assert_int_eq(command_build(action, request, &stamp, &command), 0);
    ck_assert_uint_eq(command->time_ms, stamp.time_ms);
    return command;
}

static void release(Command__Command *command)
{
    command__command__free_unpacked(command, NULL);
}

static void check_deployment_id(const char *id)
{
    ck_assert_int_eq(strncmp(id, "ecs-svc/", 8), 0);
    ck_assert_uint_eq(strlen(id + 8), 19);
    for (const char *c = id + 8; *c; c++)
        ck_assert(isdigit((unsigned char)*c));
    ck_assert_int_ne(id[8], '0');
}

START_TEST(every_write_but_run_task_becomes_its_own_command)
{
    static const struct {
        const char *action;
        Command__Command__BodyCase body;
    } rows[] = {
        {"CreateCluster", COMMAND__COMMAND__BODY_CREATE_CLUSTER},
        {"DeleteCluster", COMMAND__COMMAND__BODY_DELETE_CLUSTER},
        {"RegisterTaskDefinition", COMMAND__COMMAND__BODY_REGISTER_TASK_DEFINITION},
        {"DeregisterTaskDefinition", COMMAND__COMMAND__BODY_DEREGISTER_TASK_DEFINITION},
        {"StopTask", COMMAND__COMMAND__BODY_STOP_TASK},
        {"CreateService", COMMAND__COMMAND__BODY_CREATE_SERVICE},
        {"UpdateService", COMMAND__COMMAND__BODY_UPDATE_SERVICE},
        {"DeleteService", COMMAND__COMMAND__BODY_DELETE_SERVICE},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const ProtobufCMessageDescriptor *descriptor = command_request(rows[i].action);
        ProtobufCMessage *request = protobuf_c_message_unpack(descriptor, NULL, 0, NULL);
        Command__Command *command = build(rows[i].action, request);

        ck_assert_int_eq(command->body_case, rows[i].body);
        ck_assert_uint_gt(command__command__get_packed_size(command), 0);
        release(command);
        protobuf_c_message_free_unpacked(request, NULL);
    }
}
END_TEST

START_TEST(the_command_keeps_its_own_copy_of_the_request)
{
    char name[] = "blue";
    Ecs__CreateClusterRequest request = ECS__CREATE_CLUSTER_REQUEST__INIT;
    Command__Command *command;

    request.cluster_name = name;
    command = build("CreateCluster", &request);
    name[0] = 'g';
    ck_assert_str_eq(command->create_cluster->request->cluster_name, "blue");
    release(command);
}
END_TEST

START_TEST(ids_are_stamped_and_never_the_same_twice)
{
    Ecs__UpdateServiceRequest request = ECS__UPDATE_SERVICE_REQUEST__INIT;
    Command__Command *first = build("UpdateService", &request);
    Command__Command *second = build("UpdateService", &request);

    check_deployment_id(first->update_service->deployment_id);
    check_deployment_id(second->update_service->deployment_id);
    ck_assert_uint_eq(strlen(first->update_service->event_id), 36);
    ck_assert_str_ne(first->update_service->deployment_id, second->update_service->deployment_id);
    ck_assert_str_ne(first->update_service->event_id, second->update_service->event_id);
    release(first);
    release(second);
}
END_TEST

START_TEST(the_digest_covers_everything_but_the_token)
{
    Ecs__CreateServiceRequest request = ECS__CREATE_SERVICE_REQUEST__INIT;
    ProtobufCBinaryData digests[3];

    request.service_name = (char *)"web";
    command_digest(&request.base, &digests[0]);
    request.client_token = (char *)"abc";
    command_digest(&request.base, &digests[1]);
    ck_assert_str_eq(request.client_token, "abc");
    request.service_name = (char *)"api";
    command_digest(&request.base, &digests[2]);

    ck_assert_uint_eq(digests[0].len, 32);
    ck_assert_mem_eq(digests[0].data, digests[1].data, 32);
    ck_assert_mem_ne(digests[1].data, digests[2].data, 32);
    for (int i = 0; i < 3; i++)
        free(digests[i].data);
}
END_TEST

START_TEST(an_action_it_does_not_know_is_refused)
{
    Ecs__RunTaskRequest run = ECS__RUN_TASK_REQUEST__INIT;
    Ecs__ListTasksRequest list = ECS__LIST_TASKS_REQUEST__INIT;
    Command__Command *command = NULL;

    ck_assert_int_eq(command_build("RunTask", &run.base, &stamp, &command), -EINVAL);
    ck_assert_int_eq(command_build("ListTasks", &list.base, &stamp, &command), -EINVAL);
    ck_assert_int_eq(command_build("StopTask", &list.base, &stamp, &command), -EINVAL);
    ck_assert_ptr_null(command);
    ck_assert_ptr_eq(command_request("RunTask"), &ecs__run_task_request__descriptor);
    ck_assert_ptr_null(command_request("ListTasks"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("command_build");
    TCase *tc = tcase_create("build");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, every_write_but_run_task_becomes_its_own_command);
    tcase_add_test(tc, the_command_keeps_its_own_copy_of_the_request);
    tcase_add_test(tc, ids_are_stamped_and_never_the_same_twice);
    tcase_add_test(tc, the_digest_covers_everything_but_the_token);
    tcase_add_test(tc, an_action_it_does_not_know_is_refused);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
