/* The operations, as their callers see them: shapes, filters, pages, and who is not there. */
#include "tests/unit/api_world.h"

#define ARN     "arn:aws:ecs:us-east-1:000000000000:"
#define WORKERS "0000000000000000000000000000000"

/* ---- the other side of the core: workers and the scheduler */

static void register_worker(int number)
{
    Command__RegisterWorker body = COMMAND__REGISTER_WORKER__INIT;
    Command__Command command = COMMAND__COMMAND__INIT;
    Ecs__Attribute attribute = ECS__ATTRIBUTE__INIT;
    Ecs__Attribute *attributes[] = {&attribute};
    char id[33], name[8], zone[16];

    snprintf(id, sizeof id, WORKERS "%d", number);
    snprintf(name, sizeof name, "w%d", number);
    snprintf(zone, sizeof zone, "us-east-1%c", 'a' + number - 1);
    attribute.name = (char *)"ecs.cpu-architecture";
    attribute.value = (char *)"x86_64";
    body.id = id;
    body.session = 1;
    body.cluster = (char *)"default";
    body.name = name;
    body.zone = zone;
    body.address = (char *)"127.0.0.1";
    body.cpu = 4096;
    body.memory = 8192;
    body.version = (char *)"0.1.0";
    body.attributes = attributes;
    body.n_attributes = 1;
    command.body_case = COMMAND__COMMAND__BODY_REGISTER_WORKER;
    command.register_worker = &body;
    world_do(&command);
}

/* The worker says of a task's only container what state both are in. */
static void report(const char *task_arn, uint64_t worker_seq, State__TaskState state,
                   int32_t exit_code)
{
    Command__ReportTasks body = COMMAND__REPORT_TASKS__INIT;
    Command__TaskReport report = COMMAND__TASK_REPORT__INIT;
    Command__TaskReport *reports[] = {&report};
    State__Container container = STATE__CONTAINER__INIT;
    State__Container *containers[] = {&container};
    State__Binding binding = STATE__BINDING__INIT;
    State__Binding *bindings[] = {&binding};
    Command__Command command = COMMAND__COMMAND__INIT;

    binding.address = (char *)"127.0.0.1";
    binding.container_port = 80;
    binding.host_port = 32768;
    container.name = (char *)"app";
    container.state = state;
    container.bindings = bindings;
    container.n_bindings = 1;
    container.has_exit_code = state == STATE__TASK_STATE__TASK_STOPPED;
    container.exit_code = exit_code;
    report.task_id = (char *)strrchr(task_arn, '/') + 1;
    report.state = state;
    report.started_ms = world.time_ms;
    report.stopped_ms = container.has_exit_code ? world.time_ms : 0;
    report.containers = containers;
    report.n_containers = 1;
    body.worker_seq = worker_seq;
    body.session = 1;
    body.reports = reports;
    body.n_reports = 1;
    command.body_case = COMMAND__COMMAND__BODY_REPORT_TASKS;
    command.report_tasks = &body;
    world_do(&command);
}

/* The scheduler puts a task of a service's deployment onto each worker. */
static void place_service(uint64_t service_seq, uint64_t deployment_seq, char ids[][33])
{
    Command__PlaceTasks body = COMMAND__PLACE_TASKS__INIT;
    Command__Placement placements[WORLD_WORKERS];
    Command__Placement *pointers[WORLD_WORKERS];
    Command__Command command = COMMAND__COMMAND__INIT;

    for (uint64_t i = 0; i < WORLD_WORKERS; i++) {
        command__placement__init(&placements[i]);
        rng_id(&world.rng, ids[i]);
        placements[i].task_id = ids[i];
        placements[i].worker_seq = i + 1;
        pointers[i] = &placements[i];
    }
    body.service_seq = service_seq;
    body.deployment_seq = deployment_seq;
    body.placements = pointers;
    body.n_placements = WORLD_WORKERS;
    body.event_id = (char *)"11111111-1111-4111-8111-111111111111";
    command.body_case = COMMAND__COMMAND__BODY_PLACE_TASKS;
    command.place_tasks = &body;
    world_do(&command);
}

static void note_completed(uint64_t service_seq, uint64_t deployment_seq)
{
    Command__NoteService body = COMMAND__NOTE_SERVICE__INIT;
    Command__Command command = COMMAND__COMMAND__INIT;

    body.service_seq = service_seq;
    body.completed_deployment_seq = deployment_seq;
    command.body_case = COMMAND__COMMAND__BODY_NOTE_SERVICE;
    command.note_service = &body;
    world_do(&command);
}

static void do_ok(const char *action, const char *body)
{
    json_decref(ecs_ok(action, "%s", body));
}

static void register_web(void)
{
    do_ok("RegisterTaskDefinition",
          "{\"family\":\"web\",\"containerDefinitions\":[{\"name\":\"app\",\"image\":\"busybox\","
          "\"cpu\":128,\"memory\":64,\"portMappings\":[{\"containerPort\":80}]}],"
          "\"tags\":[{\"key\":\"team\",\"value\":\"quay\"}]}");
}

/* The default cluster with three workers, and a task definition web:1. */
static void open_cluster(void)
{
    world_open();
    for (int i = 1; i <= WORLD_WORKERS; i++)
        register_worker(i);
    register_web();
}

/* ---- clusters */

START_TEST(a_cluster_is_made_shown_listed_and_deleted)
{
    json_t *json = ecs_ok("CreateCluster", "{\"clusterName\":\"blue\",\"tags\":[{\"key\":\"k\","
                                           "\"value\":\"v\"}],\"settings\":[{\"name\":"
                                           "\"containerInsights\",\"value\":\"disabled\"}]}");

    ck_assert_str_eq(text_at(json, "cluster.clusterArn"), ARN "cluster/blue");
    ck_assert_str_eq(text_at(json, "cluster.status"), "ACTIVE");
    ck_assert_str_eq(text_at(json, "cluster.tags.0.value"), "v");
    ck_assert_int_eq(number_at(json, "cluster.runningTasksCount"), 0);
    ck_assert_int_eq(number_at(json, "cluster.registeredContainerInstancesCount"), 0);
    json_decref(json);

    json = ecs_ok("DescribeClusters", "{\"clusters\":[\"" ARN "cluster/blue\"]}");
    ck_assert_uint_eq(count_at(json, "clusters.0.tags"), 0);
    ck_assert_uint_eq(count_at(json, "clusters.0.settings"), 0);
    ck_assert_uint_eq(count_at(json, "clusters.0.statistics"), 0);
    json_decref(json);
    json = ecs_ok("DescribeClusters", "{\"clusters\":[\"blue\"],\"include\":[\"TAGS\",\"SETTINGS\","
                                      "\"STATISTICS\"]}");
    ck_assert_str_eq(text_at(json, "clusters.0.tags.0.key"), "k");
    ck_assert_str_eq(text_at(json, "clusters.0.settings.0.value"), "disabled");
    ck_assert_str_eq(text_at(json, "clusters.0.statistics.0.name"), "runningEC2TasksCount");
    json_decref(json);

    json = ecs_ok("DeleteCluster", "{\"cluster\":\"blue\"}");
    ck_assert_str_eq(text_at(json, "cluster.status"), "INACTIVE");
    json_decref(json);
    json = ecs_ok("ListClusters", "{}");
    ck_assert_uint_eq(count_at(json, "clusterArns"), 0);
    json_decref(json);
    json = ecs_ok("DescribeClusters", "{\"clusters\":[\"blue\"]}");
    ck_assert_str_eq(text_at(json, "clusters.0.status"), "INACTIVE");
    json_decref(json);
}
END_TEST

START_TEST(a_cluster_that_is_not_there_is_missing)
{
    json_t *json = ecs_ok("DescribeClusters", "{\"clusters\":[\"red\"]}");

    ck_assert_uint_eq(count_at(json, "clusters"), 0);
    ck_assert_str_eq(text_at(json, "failures.0.arn"), ARN "cluster/red");
    ck_assert_str_eq(text_at(json, "failures.0.reason"), "MISSING");
    json_decref(json);
    json = ecs_ok("DescribeClusters", "{}");
    ck_assert_str_eq(text_at(json, "failures.0.arn"), ARN "cluster/default");
    json_decref(json);
}
END_TEST

/* Everything that names a cluster. */
static const struct {
    const char *action;
    const char *body;
} within[] = {
    {"DeleteCluster", "{\"cluster\":\"red\"}"},
    {"ListTasks", "{\"cluster\":\"red\"}"},
    {"ListTasks", "{}"},
    {"DescribeTasks", "{\"cluster\":\"red\",\"tasks\":[\"" HEX32 "\"]}"},
    {"ListServices", "{\"cluster\":\"red\"}"},
    {"DescribeServices", "{\"cluster\":\"red\",\"services\":[\"web\"]}"},
    {"ListContainerInstances", "{\"cluster\":\"red\"}"},
    {"DescribeContainerInstances", "{\"cluster\":\"red\",\"containerInstances\":[\"" HEX32 "\"]}"},
    {"StopTask", "{\"cluster\":\"red\",\"task\":\"" HEX32 "\"}"},
    {"CreateService",
     "{\"cluster\":\"red\",\"serviceName\":\"s\",\"taskDefinition\":\"web\",\"desiredCount\":1}"},
};

START_TEST(an_unknown_cluster_is_cluster_not_found)
{
    ck_assert_ecs_refused(within[_i].action, within[_i].body, "ClusterNotFoundException",
                          "Cluster not found.");
}
END_TEST

START_TEST(pages_of_clusters_follow_each_other_without_gap_or_repeat)
{
    char token[256] = "";
    size_t seen = 0;
    int pages = 0;

    for (int i = 0; i < 25; i++)
        json_decref(ecs_ok("CreateCluster", "{\"clusterName\":\"c%02d\"}", i));
    do {
        json_t *json = ecs_ok("ListClusters", "{\"maxResults\":10%s}", token);

        for (size_t i = 0; i < count_at(json, "clusterArns"); i++, seen++) {
            char *arn = mem_format(ARN "cluster/c%02zu", seen);

            ck_assert_str_eq(json_string_value(json_array_get(at(json, "clusterArns"), i)), arn);
            free(arn);
        }
        pages++;
        token[0] = '\0';
        if (at(json, "nextToken"))
            snprintf(token, sizeof token, ",\"nextToken\":\"%s\"", text_at(json, "nextToken"));
        json_decref(json);
    } while (token[0]);
    ck_assert_uint_eq(seen, 25);
    ck_assert_int_eq(pages, 3);
}
END_TEST

START_TEST(a_token_that_was_made_up_is_refused)
{
    ck_assert_ecs_refused("ListClusters", "{\"nextToken\":\"AAAA\"}", "InvalidParameterException",
                          "token");
    ck_assert_ecs_refused("ListTaskDefinitions", "{\"nextToken\":\"AAAA\"}",
                          "InvalidParameterException", "token");
}
END_TEST

/* ---- task definitions */

START_TEST(a_task_definition_is_echoed_with_its_revision)
{
    json_t *json = ecs_ok("DescribeTaskDefinition", "{\"taskDefinition\":\"web\"}");

    ck_assert_str_eq(text_at(json, "taskDefinition.taskDefinitionArn"),
                     ARN "task-definition/web:1");
    ck_assert_str_eq(text_at(json, "taskDefinition.status"), "ACTIVE");
    ck_assert_int_eq(number_at(json, "taskDefinition.revision"), 1);
    ck_assert_str_eq(text_at(json, "taskDefinition.containerDefinitions.0.image"), "busybox");
    ck_assert(json_is_true(at(json, "taskDefinition.containerDefinitions.0.essential")));
    ck_assert_str_eq(text_at(json, "taskDefinition.compatibilities.1"), "EC2");
    ck_assert(json_is_real(at(json, "taskDefinition.registeredAt")));
    ck_assert_uint_eq(count_at(json, "tags"), 0);
    json_decref(json);
    json = ecs_ok("DescribeTaskDefinition", "{\"taskDefinition\":\"" ARN "task-definition/web:1\","
                                            "\"include\":[\"TAGS\"]}");
    ck_assert_str_eq(text_at(json, "tags.0.value"), "quay");
    json_decref(json);
}
END_TEST

START_TEST(a_deregistered_revision_is_inactive_and_no_longer_the_newest)
{
    json_t *json;

    register_web();
    json = ecs_ok("DeregisterTaskDefinition", "{\"taskDefinition\":\"web:2\"}");
    ck_assert_str_eq(text_at(json, "taskDefinition.status"), "INACTIVE");
    ck_assert(json_is_real(at(json, "taskDefinition.deregisteredAt")));
    json_decref(json);
    json = ecs_ok("DescribeTaskDefinition", "{\"taskDefinition\":\"web\"}");
    ck_assert_int_eq(number_at(json, "taskDefinition.revision"), 1);
    json_decref(json);
    json = ecs_ok("ListTaskDefinitions", "{\"status\":\"INACTIVE\"}");
    ck_assert_uint_eq(count_at(json, "taskDefinitionArns"), 1);
    ck_assert_str_eq(text_at(json, "taskDefinitionArns.0"), ARN "task-definition/web:2");
    json_decref(json);
}
END_TEST

START_TEST(a_task_definition_that_is_not_there_cannot_be_described)
{
    ck_assert_ecs_refused("DescribeTaskDefinition", "{\"taskDefinition\":\"api\"}",
                          "ClientException", "Unable to describe task definition.");
    ck_assert_ecs_refused("DescribeTaskDefinition", "{\"taskDefinition\":\"web:9\"}",
                          "ClientException", "Unable to describe task definition.");
}
END_TEST

/* Family and revision of each, in the order listed. */
static const struct {
    const char *why;
    const char *members; /* Of the request. */
    const char *listed;
} listings[] = {
    {"by family, then revision", "\"maxResults\":100", "web:1 web:2 web:3 web-b:1 web-b:2 "},
    {"in pages", "\"maxResults\":2", "web:1 web:2 web:3 web-b:1 web-b:2 "},
    {"newest first", "\"sort\":\"DESC\"", "web-b:2 web-b:1 web:3 web:2 web:1 "},
    {"newest first in pages", "\"sort\":\"DESC\",\"maxResults\":2",
     "web-b:2 web-b:1 web:3 web:2 web:1 "},
    {"in pages of one", "\"sort\":\"DESC\",\"maxResults\":1", "web-b:2 web-b:1 web:3 web:2 web:1 "},
    {"one family, by its whole name", "\"familyPrefix\":\"web\"", "web:1 web:2 web:3 "},
    {"one family in pages", "\"familyPrefix\":\"web\",\"maxResults\":1", "web:1 web:2 web:3 "},
    {"one family backwards", "\"familyPrefix\":\"web-b\",\"sort\":\"DESC\",\"maxResults\":1",
     "web-b:2 web-b:1 "},
    {"a family that is not there", "\"familyPrefix\":\"we\"", ""},
};

static void append_page(json_t *json, struct buffer *out)
{
    for (size_t i = 0; i < count_at(json, "taskDefinitionArns"); i++) {
        const char *arn = json_string_value(json_array_get(at(json, "taskDefinitionArns"), i));

        buffer_append_format(out, "%s ", arn + strlen(ARN "task-definition/"));
    }
}

START_TEST(task_definitions_are_listed_in_either_order)
{
    struct buffer listed = {0};
    char token[600] = "";

    register_web();
    register_web();
    for (int i = 0; i < 2; i++)
        do_ok("RegisterTaskDefinition", "{\"family\":\"web-b\",\"containerDefinitions\":[{"
                                        "\"name\":\"a\",\"image\":\"b\",\"memory\":64}]}");
    do {
        json_t *json = ecs_ok("ListTaskDefinitions", "{%s%s}", listings[_i].members, token);

        append_page(json, &listed);
        token[0] = '\0';
        if (at(json, "nextToken"))
            snprintf(token, sizeof token, ",\"nextToken\":\"%s\"", text_at(json, "nextToken"));
        json_decref(json);
    } while (token[0]);
    ck_assert_msg(strcmp(buffer_text(&listed), listings[_i].listed) == 0, "%s: %s",
                  listings[_i].why, buffer_text(&listed));
    buffer_fini(&listed);
}
END_TEST

/* ---- tasks */

static char *run_one(const char *more)
{
    json_t *json = ecs_ok("RunTask", "{\"taskDefinition\":\"web:1\"%s}", more);
    char *arn;

    ck_assert_uint_eq(count_at(json, "tasks"), 1);
    arn = mem_string(text_at(json, "tasks.0.taskArn"));
    json_decref(json);
    return arn;
}

START_TEST(run_task_answers_with_the_whole_task)
{
    json_t *json =
        ecs_ok("RunTask", "{\"taskDefinition\":\"web:1\",\"startedBy\":\"me\",\"tags\":[{\"key\":"
                          "\"k\",\"value\":\"v\"}],\"overrides\":{\"containerOverrides\":[{"
                          "\"name\":\"app\",\"command\":[\"true\"]}]}}");

    ck_assert_uint_eq(count_at(json, "failures"), 0);
    ck_assert_int_eq(
        strncmp(text_at(json, "tasks.0.taskArn"), ARN "task/default/", strlen(ARN "task/default/")),
        0);
    ck_assert_str_eq(text_at(json, "tasks.0.clusterArn"), ARN "cluster/default");
    ck_assert_str_eq(text_at(json, "tasks.0.taskDefinitionArn"), ARN "task-definition/web:1");
    ck_assert_str_eq(text_at(json, "tasks.0.containerInstanceArn"),
                     ARN "container-instance/default/" WORKERS "1");
    ck_assert_str_eq(text_at(json, "tasks.0.availabilityZone"), "us-east-1a");
    ck_assert_str_eq(text_at(json, "tasks.0.desiredStatus"), "RUNNING");
    ck_assert_str_eq(text_at(json, "tasks.0.group"), "family:web");
    ck_assert_str_eq(text_at(json, "tasks.0.startedBy"), "me");
    ck_assert_str_eq(text_at(json, "tasks.0.launchType"), "EC2");
    ck_assert_str_eq(text_at(json, "tasks.0.connectivity"), "CONNECTED");
    ck_assert_str_eq(text_at(json, "tasks.0.cpu"), "128");
    ck_assert_str_eq(text_at(json, "tasks.0.memory"), "64");
    ck_assert_str_eq(text_at(json, "tasks.0.attributes.0.value"), "x86_64");
    ck_assert_str_eq(text_at(json, "tasks.0.tags.0.key"), "k");
    ck_assert_str_eq(text_at(json, "tasks.0.overrides.containerOverrides.0.command.0"), "true");
    ck_assert_uint_eq(count_at(json, "tasks.0.overrides.containerOverrides"), 1);
    ck_assert_str_eq(text_at(json, "tasks.0.containers.0.name"), "app");
    ck_assert_str_eq(text_at(json, "tasks.0.containers.0.image"), "busybox");
    ck_assert_str_eq(text_at(json, "tasks.0.containers.0.lastStatus"), "PENDING");
    ck_assert_uint_eq(count_at(json, "tasks.0.containers.0.networkBindings"), 0);
    ck_assert_int_eq(number_at(json, "tasks.0.version"), 1);
    ck_assert(json_is_real(at(json, "tasks.0.createdAt")));
    ck_assert_ptr_null(at(json, "tasks.0.startedAt"));
    ck_assert_ptr_null(at(json, "tasks.0.stopCode"));
    json_decref(json);
}
END_TEST

START_TEST(the_same_token_gets_the_same_task)
{
    char *first = run_one(",\"clientToken\":\"t1\"");
    char *again = run_one(",\"clientToken\":\"t1\"");
    char *other = run_one(",\"clientToken\":\"t2\"");
    struct reply reply =
        ecs("RunTask", "{\"taskDefinition\":\"web:1\",\"count\":2,\"clientToken\":\"t1\"}");
    json_t *json = json_loads(reply.body, 0, NULL);

    ck_assert_str_eq(first, again);
    ck_assert_str_ne(first, other);
    ck_assert_refused(&reply, 400, "ConflictException", "");
    ck_assert_str_eq(text_at(json, "resourceIds.0"), first);
    json_decref(json);
    free(reply.body);
    free(first);
    free(again);
    free(other);
}
END_TEST

/* What the waiters tasks-running and tasks-stopped look at. */
START_TEST(a_task_runs_and_stops)
{
    char *arn = run_one("");
    json_t *json;

    report(arn, 1, STATE__TASK_STATE__TASK_RUNNING, 0);
    json = ecs_ok("DescribeTasks", "{\"tasks\":[\"%s\"]}", arn);
    ck_assert_str_eq(text_at(json, "tasks.0.lastStatus"), "RUNNING");
    ck_assert_str_eq(text_at(json, "tasks.0.containers.0.lastStatus"), "RUNNING");
    ck_assert_str_eq(text_at(json, "tasks.0.containers.0.networkBindings.0.bindIP"), "127.0.0.1");
    ck_assert_int_eq(number_at(json, "tasks.0.containers.0.networkBindings.0.hostPort"), 32768);
    ck_assert_str_eq(text_at(json, "tasks.0.containers.0.networkBindings.0.protocol"), "tcp");
    ck_assert(json_is_real(at(json, "tasks.0.startedAt")));
    ck_assert_uint_eq(count_at(json, "tasks.0.tags"), 0);
    json_decref(json);

    json = ecs_ok("StopTask", "{\"task\":\"%s\",\"reason\":\"enough\"}", arn);
    ck_assert_str_eq(text_at(json, "task.taskArn"), arn);
    ck_assert_str_eq(text_at(json, "task.desiredStatus"), "STOPPED");
    ck_assert_str_eq(text_at(json, "task.stopCode"), "UserInitiated");
    ck_assert_str_eq(text_at(json, "task.stoppedReason"), "enough");
    json_decref(json);

    report(arn, 1, STATE__TASK_STATE__TASK_STOPPED, 143);
    json = ecs_ok("DescribeTasks", "{\"tasks\":[\"%s\"]}", strrchr(arn, '/') + 1);
    ck_assert_str_eq(text_at(json, "tasks.0.lastStatus"), "STOPPED");
    ck_assert_int_eq(number_at(json, "tasks.0.containers.0.exitCode"), 143);
    ck_assert(json_is_real(at(json, "tasks.0.stoppedAt")));
    json_decref(json);
    free(arn);
}
END_TEST

START_TEST(a_task_that_is_not_there_is_missing)
{
    char *arn = run_one("");
    json_t *json = ecs_ok("DescribeTasks", "{\"tasks\":[\"" HEX32 "\",\"%s\"]}", arn);

    ck_assert_uint_eq(count_at(json, "tasks"), 1);
    ck_assert_str_eq(text_at(json, "failures.0.arn"), ARN "task/default/" HEX32);
    ck_assert_str_eq(text_at(json, "failures.0.reason"), "MISSING");
    json_decref(json);
    do_ok("CreateCluster", "{\"clusterName\":\"other\"}");
    json = ecs_ok("DescribeTasks", "{\"cluster\":\"other\",\"tasks\":[\"%s\"]}",
                  strrchr(arn, '/') + 1);
    ck_assert_uint_eq(count_at(json, "tasks"), 0);
    ck_assert_uint_eq(count_at(json, "failures"), 1);
    json_decref(json);
    free(arn);
}
END_TEST

/* Of three tasks, on workers 1, 2 and 3: two by "me", the one on worker 3 stopped. */
static const struct {
    const char *filter;
    size_t count;
} task_lists[] = {
    {"", 2},
    {"\"desiredStatus\":\"RUNNING\"", 2},
    {"\"desiredStatus\":\"STOPPED\"", 1},
    {"\"desiredStatus\":\"PENDING\"", 0},
    {"\"family\":\"web\"", 2},
    {"\"family\":\"we\"", 0},
    {"\"startedBy\":\"me\"", 2},
    {"\"startedBy\":\"you\"", 0},
    {"\"launchType\":\"EC2\"", 2},
    {"\"launchType\":\"FARGATE\"", 0},
    {"\"containerInstance\":\"" WORKERS "2\"", 1},
    {"\"containerInstance\":\"" ARN "container-instance/default/" WORKERS "3\"", 0},
    {"\"containerInstance\":\"" WORKERS "3\",\"desiredStatus\":\"STOPPED\"", 1},
    {"\"containerInstance\":\"" WORKERS "2\",\"desiredStatus\":\"STOPPED\"", 0},
};

START_TEST(tasks_are_listed_by_what_is_asked)
{
    json_t *json =
        ecs_ok("RunTask", "{\"taskDefinition\":\"web:1\",\"count\":3,\"startedBy\":\"me\"}");
    const char *last = text_at(json, "tasks.2.taskArn");

    ck_assert_uint_eq(count_at(json, "tasks"), 3);
    json_decref(ecs_ok("StopTask", "{\"task\":\"%s\"}", last));
    report(last, 3, STATE__TASK_STATE__TASK_STOPPED, 0);
    json_decref(json);
    json = ecs_ok("ListTasks", "{%s}", task_lists[_i].filter);
    ck_assert_msg(count_at(json, "taskArns") == task_lists[_i].count, "%s: %zu",
                  task_lists[_i].filter, count_at(json, "taskArns"));
    ck_assert_ptr_null(at(json, "nextToken"));
    json_decref(json);
}
END_TEST

START_TEST(filters_that_name_what_is_not_there_are_refused)
{
    ck_assert_ecs_refused("ListTasks", "{\"serviceName\":\"web\"}", "ServiceNotFoundException",
                          "Service not found.");
    ck_assert_ecs_refused("ListTasks", "{\"containerInstance\":\"" HEX32 "\"}",
                          "InvalidParameterException", "not found");
}
END_TEST

START_TEST(tasks_come_in_pages)
{
    json_t *json, *next;

    json_decref(ecs_ok("RunTask", "{\"taskDefinition\":\"web:1\",\"count\":3}"));
    json = ecs_ok("ListTasks", "{\"maxResults\":2}");
    ck_assert_uint_eq(count_at(json, "taskArns"), 2);
    next =
        ecs_ok("ListTasks", "{\"maxResults\":2,\"nextToken\":\"%s\"}", text_at(json, "nextToken"));
    ck_assert_uint_eq(count_at(next, "taskArns"), 1);
    ck_assert_ptr_null(at(next, "nextToken"));
    json_decref(next);
    json_decref(json);
}
END_TEST

/* ---- services */

static void create_web(void)
{
    do_ok("CreateService", "{\"serviceName\":\"web\",\"taskDefinition\":\"web\","
                           "\"desiredCount\":3,\"tags\":[{\"key\":\"k\",\"value\":\"v\"}]}");
}

/* What the waiter services-stable looks at, and the rest of a service. */
START_TEST(a_new_service_has_one_deployment_in_progress)
{
    json_t *json;
    char *reason;

    create_web();
    json = ecs_ok("DescribeServices", "{\"services\":[\"web\"]}");
    ck_assert_str_eq(text_at(json, "services.0.serviceArn"), ARN "service/default/web");
    ck_assert_str_eq(text_at(json, "services.0.clusterArn"), ARN "cluster/default");
    ck_assert_str_eq(text_at(json, "services.0.status"), "ACTIVE");
    ck_assert_int_eq(number_at(json, "services.0.desiredCount"), 3);
    ck_assert_int_eq(number_at(json, "services.0.runningCount"), 0);
    ck_assert_str_eq(text_at(json, "services.0.launchType"), "EC2");
    ck_assert_str_eq(text_at(json, "services.0.taskDefinition"), ARN "task-definition/web:1");
    ck_assert_str_eq(text_at(json, "services.0.schedulingStrategy"), "REPLICA");
    ck_assert_str_eq(text_at(json, "services.0.deploymentController.type"), "ECS");
    ck_assert_str_eq(text_at(json, "services.0.availabilityZoneRebalancing"), "ENABLED");
    ck_assert_str_eq(text_at(json, "services.0.propagateTags"), "NONE");
    ck_assert_int_eq(number_at(json, "services.0.deploymentConfiguration.maximumPercent"), 200);
    ck_assert_int_eq(number_at(json, "services.0.deploymentConfiguration.minimumHealthyPercent"),
                     100);
    ck_assert_uint_eq(count_at(json, "services.0.loadBalancers"), 0);
    ck_assert_uint_eq(count_at(json, "services.0.events"), 0);
    ck_assert_uint_eq(count_at(json, "services.0.tags"), 0);
    ck_assert_uint_eq(count_at(json, "services.0.deployments"), 1);
    ck_assert_str_eq(text_at(json, "services.0.deployments.0.status"), "PRIMARY");
    ck_assert_str_eq(text_at(json, "services.0.deployments.0.rolloutState"), "IN_PROGRESS");
    ck_assert_int_eq(number_at(json, "services.0.deployments.0.desiredCount"), 3);
    reason =
        mem_format("ECS deployment %s in progress.", text_at(json, "services.0.deployments.0.id"));
    ck_assert_str_eq(text_at(json, "services.0.deployments.0.rolloutStateReason"), reason);
    free(reason);
    json_decref(json);
    json = ecs_ok("DescribeServices", "{\"services\":[\"" ARN "service/default/web\"],"
                                      "\"include\":[\"TAGS\"]}");
    ck_assert_str_eq(text_at(json, "services.0.tags.0.value"), "v");
    json_decref(json);
}
END_TEST

START_TEST(a_service_becomes_stable_and_tells_of_it)
{
    char ids[WORLD_WORKERS][33];
    json_t *json;

    create_web();
    place_service(1, 1, ids);
    for (uint64_t i = 0; i < WORLD_WORKERS; i++) {
        char *arn = mem_format("task/%s", ids[i]);

        report(arn, i + 1, STATE__TASK_STATE__TASK_RUNNING, 0);
        free(arn);
    }
    note_completed(1, 1);
    json = ecs_ok("DescribeServices", "{\"services\":[\"web\"]}");
    ck_assert_int_eq(number_at(json, "services.0.runningCount"), 3);
    ck_assert_int_eq(number_at(json, "services.0.pendingCount"), 0);
    ck_assert_str_eq(text_at(json, "services.0.deployments.0.rolloutState"), "COMPLETED");
    ck_assert_ptr_nonnull(
        strstr(text_at(json, "services.0.deployments.0.rolloutStateReason"), " completed."));
    ck_assert_ptr_nonnull(strstr(text_at(json, "services.0.events.0.message"), "(service web)"));
    json_decref(json);
    json = ecs_ok("ListTasks", "{\"serviceName\":\"web\"}");
    ck_assert_uint_eq(count_at(json, "taskArns"), 3);
    json_decref(json);
    json = ecs_ok("DescribeTasks", "{\"tasks\":[\"%s\"]}", ids[1]);
    ck_assert_str_eq(text_at(json, "tasks.0.group"), "service:web");
    ck_assert_int_eq(strncmp(text_at(json, "tasks.0.startedBy"), "ecs-svc/", 8), 0);
    json_decref(json);
}
END_TEST

START_TEST(a_new_revision_is_primary_and_the_old_one_stays_until_drained)
{
    char ids[WORLD_WORKERS][33];
    json_t *json;

    create_web();
    place_service(1, 1, ids);
    register_web();
    json = ecs_ok("UpdateService", "{\"service\":\"web\",\"taskDefinition\":\"web:2\"}");
    ck_assert_uint_eq(count_at(json, "service.deployments"), 2);
    ck_assert_str_eq(text_at(json, "service.taskDefinition"), ARN "task-definition/web:2");
    ck_assert_str_eq(text_at(json, "service.deployments.0.status"), "PRIMARY");
    ck_assert_str_eq(text_at(json, "service.deployments.0.taskDefinition"),
                     ARN "task-definition/web:2");
    ck_assert_str_eq(text_at(json, "service.deployments.1.status"), "ACTIVE");
    ck_assert_int_eq(number_at(json, "service.deployments.1.pendingCount"), 3);
    ck_assert_int_eq(number_at(json, "service.deployments.1.desiredCount"), 3);
    ck_assert_int_eq(number_at(json, "service.pendingCount"), 3);
    json_decref(json);
    json = ecs_ok("UpdateService", "{\"service\":\"web\",\"desiredCount\":5}");
    ck_assert_int_eq(number_at(json, "service.desiredCount"), 5);
    ck_assert_uint_eq(count_at(json, "service.deployments"), 2);
    json_decref(json);
}
END_TEST

START_TEST(a_deleted_service_is_described_but_not_listed)
{
    json_t *json;

    create_web();
    ck_assert_ecs_refused("DeleteService", "{\"service\":\"web\"}", "InvalidParameterException",
                          "The service cannot be stopped while it is scaled above 0.");
    json = ecs_ok("DeleteService", "{\"service\":\"web\",\"force\":true}");
    ck_assert_str_eq(text_at(json, "service.status"), "INACTIVE");
    ck_assert_int_eq(number_at(json, "service.desiredCount"), 0);
    json_decref(json);
    json = ecs_ok("ListServices", "{}");
    ck_assert_uint_eq(count_at(json, "serviceArns"), 0);
    json_decref(json);
    json = ecs_ok("DescribeServices", "{\"services\":[\"web\"]}");
    ck_assert_str_eq(text_at(json, "services.0.status"), "INACTIVE");
    ck_assert_uint_eq(count_at(json, "services.0.deployments"), 0);
    ck_assert_uint_eq(count_at(json, "failures"), 0);
    json_decref(json);
    ck_assert_ecs_refused("UpdateService", "{\"service\":\"web\",\"desiredCount\":1}",
                          "ServiceNotActiveException", "Service was not ACTIVE.");
}
END_TEST

START_TEST(a_service_that_is_not_there_is_missing_under_its_short_name)
{
    json_t *json = ecs_ok("DescribeServices", "{\"services\":[\"web\"]}");

    ck_assert_uint_eq(count_at(json, "services"), 0);
    ck_assert_str_eq(text_at(json, "failures.0.arn"), ARN "service/web");
    ck_assert_str_eq(text_at(json, "failures.0.reason"), "MISSING");
    json_decref(json);
}
END_TEST

START_TEST(services_are_listed_ten_a_page)
{
    json_t *json, *next;

    for (int i = 0; i < 12; i++)
        json_decref(ecs_ok("CreateService",
                           "{\"serviceName\":\"s%d\",\"taskDefinition\":\"web\","
                           "\"desiredCount\":0}",
                           i));
    json = ecs_ok("ListServices", "{}");
    ck_assert_uint_eq(count_at(json, "serviceArns"), 10);
    next = ecs_ok("ListServices", "{\"nextToken\":\"%s\"}", text_at(json, "nextToken"));
    ck_assert_uint_eq(count_at(next, "serviceArns"), 2);
    ck_assert_str_eq(text_at(next, "serviceArns.1"), ARN "service/default/s11");
    json_decref(next);
    json_decref(json);
    json = ecs_ok("ListServices", "{\"maxResults\":100,\"launchType\":\"EC2\"}");
    ck_assert_uint_eq(count_at(json, "serviceArns"), 12);
    json_decref(json);
    json = ecs_ok("ListServices", "{\"schedulingStrategy\":\"DAEMON\"}");
    ck_assert_uint_eq(count_at(json, "serviceArns"), 0);
    json_decref(json);
}
END_TEST

/* ---- container instances */

START_TEST(workers_are_listed_and_shown_with_what_they_have_left)
{
    json_t *json = ecs_ok("ListContainerInstances", "{}");

    ck_assert_uint_eq(count_at(json, "containerInstanceArns"), 3);
    ck_assert_str_eq(text_at(json, "containerInstanceArns.1"),
                     ARN "container-instance/default/" WORKERS "2");
    json_decref(json);
    json = ecs_ok("ListContainerInstances", "{\"status\":\"DRAINING\"}");
    ck_assert_uint_eq(count_at(json, "containerInstanceArns"), 0);
    json_decref(json);

    free(run_one(""));
    json = ecs_ok("DescribeContainerInstances",
                  "{\"containerInstances\":[\"" WORKERS "1\",\"" HEX32 "\"]}");
    ck_assert_str_eq(text_at(json, "containerInstances.0.ec2InstanceId"), "w1");
    ck_assert_str_eq(text_at(json, "containerInstances.0.status"), "ACTIVE");
    ck_assert(json_is_true(at(json, "containerInstances.0.agentConnected")));
    ck_assert_str_eq(text_at(json, "containerInstances.0.versionInfo.agentVersion"), "0.1.0");
    ck_assert_int_eq(number_at(json, "containerInstances.0.pendingTasksCount"), 1);
    ck_assert_str_eq(text_at(json, "containerInstances.0.registeredResources.0.name"), "CPU");
    ck_assert_int_eq(number_at(json, "containerInstances.0.registeredResources.0.integerValue"),
                     4096);
    ck_assert_int_eq(number_at(json, "containerInstances.0.remainingResources.0.integerValue"),
                     4096 - 128);
    ck_assert_str_eq(text_at(json, "containerInstances.0.remainingResources.1.name"), "MEMORY");
    ck_assert_int_eq(number_at(json, "containerInstances.0.remainingResources.1.integerValue"),
                     8192 - 64);
    ck_assert_str_eq(text_at(json, "containerInstances.0.attributes.1.name"),
                     "ecs.availability-zone");
    ck_assert_str_eq(text_at(json, "containerInstances.0.attributes.1.value"), "us-east-1a");
    ck_assert_str_eq(text_at(json, "failures.0.arn"), ARN "container-instance/default/" HEX32);
    json_decref(json);
    json = ecs_ok("DescribeClusters", "{}");
    ck_assert_int_eq(number_at(json, "clusters.0.registeredContainerInstancesCount"), 3);
    ck_assert_int_eq(number_at(json, "clusters.0.pendingTasksCount"), 1);
    json_decref(json);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof(table)[0]))

static TCase *without_cluster(void)
{
    TCase *tc = tcase_create("nothing there");

    tcase_add_checked_fixture(tc, world_open, world_close);
    tcase_add_test(tc, a_cluster_is_made_shown_listed_and_deleted);
    tcase_add_test(tc, a_cluster_that_is_not_there_is_missing);
    tcase_add_loop_test(tc, an_unknown_cluster_is_cluster_not_found, 0, ROWS(within));
    tcase_add_test(tc, pages_of_clusters_follow_each_other_without_gap_or_repeat);
    tcase_add_test(tc, a_token_that_was_made_up_is_refused);
    return tc;
}

static TCase *with_cluster(void)
{
    TCase *tc = tcase_create("three workers");

    tcase_add_checked_fixture(tc, open_cluster, world_close);
    tcase_add_test(tc, a_task_definition_is_echoed_with_its_revision);
    tcase_add_test(tc, a_deregistered_revision_is_inactive_and_no_longer_the_newest);
    tcase_add_test(tc, a_task_definition_that_is_not_there_cannot_be_described);
    tcase_add_loop_test(tc, task_definitions_are_listed_in_either_order, 0, ROWS(listings));
    tcase_add_test(tc, run_task_answers_with_the_whole_task);
    tcase_add_test(tc, the_same_token_gets_the_same_task);
    tcase_add_test(tc, a_task_runs_and_stops);
    tcase_add_test(tc, a_task_that_is_not_there_is_missing);
    tcase_add_loop_test(tc, tasks_are_listed_by_what_is_asked, 0, ROWS(task_lists));
    tcase_add_test(tc, filters_that_name_what_is_not_there_are_refused);
    tcase_add_test(tc, tasks_come_in_pages);
    tcase_add_test(tc, a_new_service_has_one_deployment_in_progress);
    tcase_add_test(tc, a_service_becomes_stable_and_tells_of_it);
    tcase_add_test(tc, a_new_revision_is_primary_and_the_old_one_stays_until_drained);
    tcase_add_test(tc, a_deleted_service_is_described_but_not_listed);
    tcase_add_test(tc, a_service_that_is_not_there_is_missing_under_its_short_name);
    tcase_add_test(tc, services_are_listed_ten_a_page);
    tcase_add_test(tc, workers_are_listed_and_shown_with_what_they_have_left);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("api_ecs");
    SRunner *runner;
    int failed;

    suite_add_tcase(suite, without_cluster());
    suite_add_tcase(suite, with_cluster());
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
