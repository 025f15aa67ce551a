#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/json.h"
#include "proto/limits.h"
#include "proto/message.h"
#include "proto/problem.h"
#include "proto/validate.h"

#define ID   "0123456789abcdef0123456789abcdef"
#define UUID "01234567-89ab-cdef-0123-456789abcdef"
#define ARN  "arn:aws:ecs:us-east-1:000000000000:"

#define CLIENT      COMMAND__ERROR_CODE__ERROR_CLIENT
#define PARAMETER   COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER
#define UNSUPPORTED COMMAND__ERROR_CODE__ERROR_UNSUPPORTED_FEATURE
#define FINE        COMMAND__ERROR_CODE__ERROR_NONE

#define TYPE(name) (&ecs__##name##_request__descriptor)

/* Single quotes stand for double ones, so that the tables can be read. Gives. */
static ProtobufCMessage *request_of(const ProtobufCMessageDescriptor *type, const char *text)
{
    char *json = mem_string(text);
    Command__Problem *problem = NULL;
    ProtobufCMessage *request = NULL;

    for (char *at = json; *at; at++)
        if (*at == '\'')
            *at = '"';
    if (json_parse(type, (struct bytes){json, strlen(json)}, &request, &problem) != 0)
        ck_abort_msg("%s: %s", json, problem->text);
    free(json);
    return request;
}

static void answers(const ProtobufCMessageDescriptor *type, const char *json,
                    Command__ErrorCode code, const char *begins)
{
    scope(message_free) ProtobufCMessage *request = request_of(type, json);
    scope(problem_free) Command__Problem *problem = NULL;
    int r = validate_request(request, &problem);

    ck_assert_msg(r == (code == FINE ? 0 : VALIDATE_REFUSED), "%s: %s", json,
                  problem ? problem->text : "was let through");
    if (code == FINE)
        return;
    ck_assert_msg(problem->code == code, "%s: %s", json, problem_name(problem->code));
    ck_assert_msg(strncmp(problem->text, begins, strlen(begins)) == 0, "%s: %s", json,
                  problem->text);
}

struct question {
    const ProtobufCMessageDescriptor *type;
    const char *json;
    Command__ErrorCode code;
    const char *problem; /* The text begins with it. */
};

/* The least that each operation takes, and everything that it takes. */
static const struct question fine[] = {
    {TYPE(create_cluster), "{}", FINE, NULL},
    {TYPE(create_cluster),
     "{'clusterName':'blue-1_a','settings':[{'name':'containerInsights','value':'enabled'}],"
     "'capacityProviders':[],'tags':[{'key':'team','value':''},{'key':'T\\u00e9am'}]}",
     FINE, NULL},
    {TYPE(describe_clusters), "{}", FINE, NULL},
    {TYPE(describe_clusters), "{'clusters':['a','" ARN "cluster/b'],'include':['TAGS']}", FINE,
     NULL},
    {TYPE(list_clusters), "{'maxResults':100,'nextToken':'x'}", FINE, NULL},
    {TYPE(delete_cluster), "{'cluster':'blue'}", FINE, NULL},
    {TYPE(describe_task_definition), "{'taskDefinition':'web'}", FINE, NULL},
    {TYPE(list_task_definitions), "{'familyPrefix':'web','maxResults':1,'sort':'DESC'}", FINE,
     NULL},
    {TYPE(deregister_task_definition), "{'taskDefinition':'" ARN "task-definition/web:3'}", FINE,
     NULL},
    {TYPE(run_task), "{'taskDefinition':'web'}", FINE, NULL},
    {TYPE(run_task),
     "{'taskDefinition':'web:2','cluster':'blue','count':10,'launchType':'EC2','group':'batch',"
     "'startedBy':'me','clientToken':'" UUID
     "','propagateTags':'NONE','enableExecuteCommand':false,"
     "'placementStrategy':[{'type':'spread','field':'attribute:ecs.availability-zone'},"
     "{'type':'spread','field':'instanceId'}],'placementConstraints':[],'networkConfiguration':{},"
     "'overrides':{'containerOverrides':[{'name':'app','command':['x'],"
     "'environment':[{'name':'A','value':'1'}]}],'taskRoleArn':'arn:aws:iam::1:role/x'}}",
     FINE, NULL},
    {TYPE(stop_task), "{'task':'" ARN "task/blue/" ID "','reason':'enough'}", FINE, NULL},
    {TYPE(describe_tasks), "{'tasks':['" ID "','" UUID "']}", FINE, NULL},
    {TYPE(list_tasks), "{}", FINE, NULL},
    {TYPE(list_tasks),
     "{'containerInstance':'" ID "','serviceName':'web','family':'web','desiredStatus':'STOPPED'}",
     FINE, NULL},
    {TYPE(create_service), "{'serviceName':'web','taskDefinition':'web','desiredCount':0}", FINE,
     NULL},
    {TYPE(create_service),
     "{'serviceName':'web','taskDefinition':'web:1','desiredCount':5000,'launchType':'EC2',"
     "'schedulingStrategy':'REPLICA','deploymentController':{'type':'ECS'},'loadBalancers':[],"
     "'deploymentConfiguration':{'maximumPercent':150,'minimumHealthyPercent':50,"
     "'deploymentCircuitBreaker':{'enable':false,'rollback':false}},"
     "'serviceConnectConfiguration':{'enabled':false},'enableECSManagedTags':false,"
     "'availabilityZoneRebalancing':'DISABLED','clientToken':'" UUID "',"
     "'placementStrategy':[{'type':'spread','field':'attribute:ecs.availability-zone'}]}",
     FINE, NULL},
    {TYPE(update_service), "{'service':'web'}", FINE, NULL},
    {TYPE(update_service),
     "{'service':'" ARN "service/blue/web','desiredCount':3,'taskDefinition':'web:2',"
     "'forceNewDeployment':true,'deploymentConfiguration':{'minimumHealthyPercent':0}}",
     FINE, NULL},
    {TYPE(describe_services), "{'services':['web']}", FINE, NULL},
    {TYPE(list_services), "{'maxResults':10}", FINE, NULL},
    {TYPE(delete_service), "{'service':'web','force':true}", FINE, NULL},
    {TYPE(list_container_instances), "{'status':'ACTIVE'}", FINE, NULL},
    {TYPE(describe_container_instances), "{'containerInstances':['" ID "']}", FINE, NULL},
};

static const struct question refused[] = {
    {TYPE(create_cluster), "{'clusterName':'no good'}", PARAMETER,
     "clusterName contains invalid characters."},
    {TYPE(create_cluster), "{'clusterName':''}", PARAMETER, "clusterName can not be blank."},
    {TYPE(create_cluster), "{'settings':[{'name':'containerInsights','value':'ENABLED'}]}",
     PARAMETER, "Invalid setting 'value'"},
    {TYPE(create_cluster), "{'settings':[{'value':'enabled'}]}", PARAMETER,
     "Invalid setting 'name'"},
    {TYPE(create_cluster), "{'capacityProviders':['FARGATE']}", UNSUPPORTED,
     "capacityProviders is not supported."},
    {TYPE(create_cluster), "{'tags':[{'value':'x'}]}", PARAMETER, "Tag key can not be blank."},
    {TYPE(create_cluster), "{'tags':[{'key':'AWS:x'}]}", PARAMETER, "Tag keys starting with"},
    {TYPE(create_cluster), "{'tags':[{'key':'a'},{'key':'a'}]}", PARAMETER,
     "Duplicate tag keys found: a"},
    {TYPE(create_cluster), "{'tags':[{'key':'a','value':'#'}]}", PARAMETER,
     "Tag 'a' contains invalid characters."},
    {TYPE(describe_clusters), "{'clusters':['a','arn:aws:ecs:x']}", CLIENT,
     "com.amazon.arn.ARNSyntaxException: arn:aws:ecs:x"},
    {TYPE(describe_clusters), "{'clusters':['a b']}", PARAMETER, "Invalid cluster identifier: a b"},
    {TYPE(list_clusters), "{'maxResults':0}", PARAMETER, "Invalid maxResults: 0."},
    {TYPE(list_clusters), "{'maxResults':101}", PARAMETER, "Invalid maxResults: 101."},
    {TYPE(delete_cluster), "{}", PARAMETER, "Cluster can not be blank."},
    {TYPE(delete_cluster), "{'cluster':'" ARN "service/x'}", PARAMETER,
     "Invalid cluster identifier"},

    {TYPE(describe_task_definition), "{}", CLIENT, "TaskDefinition can not be blank."},
    {TYPE(describe_task_definition), "{'taskDefinition':'web:latest'}", CLIENT,
     "Invalid revision number. Number: latest"},
    {TYPE(describe_task_definition), "{'taskDefinition':'we b'}", CLIENT,
     "Invalid task definition identifier: we b"},
    {TYPE(deregister_task_definition), "{'taskDefinition':'web'}", CLIENT, "Revision is missing."},
    {TYPE(deregister_task_definition), "{'taskDefinition':'web:foo'}", CLIENT,
     "Invalid revision number. Number: foo"},
    {TYPE(list_task_definitions), "{'familyPrefix':'a/b'}", PARAMETER,
     "familyPrefix contains invalid characters."},
    {TYPE(list_task_definitions), "{'maxResults':-1}", PARAMETER, "Invalid maxResults"},

    {TYPE(run_task), "{}", CLIENT, "TaskDefinition can not be blank."},
    {TYPE(run_task), "{'taskDefinition':'web','count':0}", PARAMETER, "Invalid count: 0."},
    {TYPE(run_task), "{'taskDefinition':'web','count':11}", PARAMETER,
     "Invalid count: 11. The value should be between 1 and 10."},
    {TYPE(run_task), "{'taskDefinition':'web','cluster':'a/b'}", PARAMETER,
     "Invalid cluster identifier: a/b"},
    {TYPE(run_task), "{'taskDefinition':'web','launchType':'FARGATE'}", UNSUPPORTED,
     "launchType FARGATE is not supported."},
    {TYPE(run_task), "{'taskDefinition':'web','launchType':'EXTERNAL'}", UNSUPPORTED,
     "launchType EXTERNAL"},
    {TYPE(run_task), "{'taskDefinition':'web','platformVersion':'LATEST'}", PARAMETER,
     "The platform version must be null"},
    {TYPE(run_task),
     "{'taskDefinition':'web','networkConfiguration':{'awsvpcConfiguration':{'subnets':['a']}}}",
     PARAMETER, "Network Configuration is not valid"},
    {TYPE(run_task), "{'taskDefinition':'web','capacityProviderStrategy':[{}]}", UNSUPPORTED,
     "capacityProviderStrategy"},
    {TYPE(run_task), "{'taskDefinition':'web','placementConstraints':[{'type':'memberOf'}]}",
     UNSUPPORTED, "placementConstraints"},
    {TYPE(run_task), "{'taskDefinition':'web','placementStrategy':[{'type':'random'}]}",
     UNSUPPORTED, "placementStrategy"},
    {TYPE(run_task),
     "{'taskDefinition':'web','placementStrategy':[{'type':'spread','field':'instanceId'}]}",
     UNSUPPORTED, "placementStrategy"},
    {TYPE(run_task), "{'taskDefinition':'web','placementStrategy':[{'type':'spread'}]}",
     UNSUPPORTED, "placementStrategy"},
    {TYPE(run_task), "{'taskDefinition':'web','enableExecuteCommand':true}", UNSUPPORTED,
     "enableExecuteCommand"},
    {TYPE(run_task), "{'taskDefinition':'web','enableECSManagedTags':true}", UNSUPPORTED,
     "enableECSManagedTags"},
    {TYPE(run_task), "{'taskDefinition':'web','propagateTags':'TASK_DEFINITION'}", UNSUPPORTED,
     "propagateTags"},
    {TYPE(run_task), "{'taskDefinition':'web','group':'service:web'}", PARAMETER,
     "Invalid namespace for group."},
    {TYPE(run_task), "{'taskDefinition':'web','clientToken':'a b'}", PARAMETER,
     "clientToken contains invalid characters."},
    {TYPE(run_task), "{'taskDefinition':'web','overrides':{'cpu':'512'}}", UNSUPPORTED,
     "overrides.cpu is not supported."},
    {TYPE(run_task),
     "{'taskDefinition':'web','overrides':{'containerOverrides':[{'name':'a','memory':5}]}}",
     UNSUPPORTED, "overrides.containerOverrides.memory"},
    {TYPE(run_task), "{'taskDefinition':'web','overrides':{'containerOverrides':[{}]}}", PARAMETER,
     "Container override name can not be blank."},
    {TYPE(stop_task), "{}", PARAMETER, "Task can not be blank."},
    {TYPE(stop_task), "{'task':'abc'}", PARAMETER, "taskId length should be one of [32,36]"},
    {TYPE(stop_task), "{'task':'" ARN "service/web'}", PARAMETER, "Invalid identifier: arn:aws"},
    {TYPE(describe_tasks), "{}", PARAMETER, "Tasks cannot be empty."},
    {TYPE(describe_tasks), "{'tasks':['" ID "','x']}", PARAMETER, "taskId length"},
    {TYPE(list_tasks), "{'containerInstance':'x'}", PARAMETER, "containerInstanceId length"},
    {TYPE(list_tasks), "{'serviceName':'a/b'}", PARAMETER, "Invalid service identifier: a/b"},

    {TYPE(create_service), "{'taskDefinition':'web','desiredCount':1}", PARAMETER,
     "Service name can not be blank."},
    {TYPE(create_service), "{'serviceName':'a/b','taskDefinition':'web','desiredCount':1}",
     PARAMETER, "Service name contains invalid characters."},
    {TYPE(create_service), "{'serviceName':'web','desiredCount':1}", CLIENT,
     "TaskDefinition can not be blank."},
    {TYPE(create_service), "{'serviceName':'web','taskDefinition':'web'}", PARAMETER,
     "Desired count can not be null"},
    {TYPE(create_service), "{'serviceName':'web','taskDefinition':'web','desiredCount':-1}",
     PARAMETER, "Invalid desiredCount: -1."},
    {TYPE(create_service), "{'serviceName':'web','taskDefinition':'web','desiredCount':5001}",
     PARAMETER, "Invalid desiredCount: 5001. The value should be between 0 and 5000."},
    {TYPE(create_service), "{'serviceName':'web','loadBalancers':[{}]}", UNSUPPORTED,
     "loadBalancers is not supported."},
    {TYPE(create_service), "{'serviceName':'web','serviceRegistries':[{}]}", UNSUPPORTED,
     "serviceRegistries"},
    {TYPE(create_service), "{'serviceName':'web','schedulingStrategy':'DAEMON'}", UNSUPPORTED,
     "schedulingStrategy DAEMON"},
    {TYPE(create_service), "{'serviceName':'web','deploymentController':{'type':'EXTERNAL'}}",
     UNSUPPORTED, "deploymentController other than ECS"},
    {TYPE(create_service), "{'serviceName':'web','availabilityZoneRebalancing':'ENABLED'}",
     UNSUPPORTED, "availabilityZoneRebalancing ENABLED"},
    {TYPE(create_service), "{'serviceName':'web','serviceConnectConfiguration':{'enabled':true}}",
     UNSUPPORTED, "serviceConnectConfiguration"},
    {TYPE(create_service),
     "{'serviceName':'web','taskDefinition':'w','desiredCount':1,"
     "'deploymentConfiguration':{'deploymentCircuitBreaker':{'enable':true}}}",
     UNSUPPORTED, "deploymentCircuitBreaker"},
    {TYPE(create_service),
     "{'serviceName':'web','taskDefinition':'w','desiredCount':1,"
     "'deploymentConfiguration':{'maximumPercent':100}}",
     PARAMETER, "Both maximumPercent and minimumHealthyPercent cannot be 100"},
    {TYPE(create_service),
     "{'serviceName':'web','taskDefinition':'w','desiredCount':1,"
     "'deploymentConfiguration':{'maximumPercent':99}}",
     PARAMETER, "Invalid maximumPercent: 99."},
    {TYPE(create_service),
     "{'serviceName':'web','taskDefinition':'w','desiredCount':1,"
     "'deploymentConfiguration':{'minimumHealthyPercent':-1}}",
     PARAMETER, "Invalid minimumHealthyPercent: -1."},
    {TYPE(create_service),
     "{'serviceName':'web','taskDefinition':'w','desiredCount':1,'clientToken':'" UUID "x'}",
     PARAMETER, "clientToken longer than 36."},
    {TYPE(create_service),
     "{'serviceName':'web','taskDefinition':'w','desiredCount':1,"
     "'healthCheckGracePeriodSeconds':5}",
     PARAMETER, "Health check grace period is only valid"},
    {TYPE(update_service), "{}", PARAMETER, "Service can not be blank."},
    {TYPE(update_service), "{'service':'web','desiredCount':-1}", PARAMETER,
     "Invalid desiredCount: -1."},
    {TYPE(update_service), "{'service':'web','taskDefinition':''}", CLIENT,
     "TaskDefinition can not be blank."},
    {TYPE(update_service), "{'service':'web','enableExecuteCommand':true}", UNSUPPORTED,
     "enableExecuteCommand"},
    {TYPE(describe_services), "{}", PARAMETER, "Services cannot be empty."},
    {TYPE(describe_services), "{'services':['1','2','3','4','5','6','7','8','9','10','11']}",
     PARAMETER, "services cannot have more than 10 elements."},
    {TYPE(list_services), "{'maxResults':101}", PARAMETER, "Invalid maxResults"},
    {TYPE(delete_service), "{'service':'a/b'}", PARAMETER, "Invalid service identifier: a/b"},
    {TYPE(list_container_instances), "{'filter':'zone == a'}", UNSUPPORTED, "filter"},
    {TYPE(describe_container_instances), "{}", PARAMETER, "Container instance cannot be empty."},
    {TYPE(describe_container_instances), "{'containerInstances':['x']}", PARAMETER,
     "containerInstanceId length should be one of [32,36]"},
};

START_TEST(a_well_formed_request_is_let_through)
{
    answers(fine[_i].type, fine[_i].json, FINE, NULL);
}
END_TEST

START_TEST(a_bad_request_is_refused_as_ecs_would)
{
    answers(refused[_i].type, refused[_i].json, refused[_i].code, refused[_i].problem);
}
END_TEST

/* Around the one container of an otherwise good definition: members of it, and of the whole. */
static const struct {
    const char *container;
    const char *rest;
    Command__ErrorCode code;
    const char *problem;
} definitions[] = {
    {"'memory':32", "", FINE, NULL},
    {"'memoryReservation':32", "", FINE, NULL},
    {"'cpu':0", ",'memory':'1 GB','cpu':'.5 vCPU'", FINE, NULL},
    {"'memory':32,'portMappings':[{'containerPort':80,'hostPort':0},{'containerPort':53,"
     "'hostPort':53,'protocol':'udp'},{'containerPort':53,'hostPort':53}]",
     ",'networkMode':'bridge','requiresCompatibilities':['EC2'],'volumes':[],'pidMode':'host'",
     FINE, NULL},
    {"'memory':32,'logConfiguration':{'logDriver':'json-file'},'dockerLabels':{'a':'b'},"
     "'privileged':false,'links':[],'stopTimeout':2,'entryPoint':['sh'],'workingDirectory':'/'",
     ",'executionRoleArn':'arn:aws:iam::1:role/x','runtimePlatform':"
     "{'operatingSystemFamily':'LINUX'}",
     FINE, NULL},
    {"'cpu':10", "", CLIENT,
     "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must "
     "be specified."},
    {"'memory':3", "", CLIENT, "Invalid setting for container 'app'. 'memory' and"},
    {"'memory':32,'memoryReservation':64", "", CLIENT,
     "Invalid setting for container 'app'. 'memory' should not be less than"},
    {"'memory':32,'cpu':-1", "", CLIENT, "Invalid 'cpu' setting for container 'app'."},
    {"'memory':32", ",'cpu':'abc'", CLIENT, "Invalid 'cpu' setting for task."},
    {"'memory':32", ",'cpu':'0'", CLIENT, "Invalid 'cpu' setting for task."},
    {"'memory':32", ",'memory':'1 TB'", CLIENT, "Invalid 'memory' setting for task."},
    {"'memory':32,'image':''", "", CLIENT, "Container.image should not be null or empty."},
    {"'memory':32,'name':''", "", CLIENT, "Container.name should not be null or empty."},
    {"'memory':32,'name':'a b'", "", CLIENT, "Container.name contains invalid characters."},
    {"'memory':32,'essential':false", "", CLIENT,
     "A task definition must have at least one essential container."},
    {"'memory':32},{'name':'app','image':'x','memory':32", "", CLIENT,
     "Container names should be unique. Duplicate name 'app'."},
    {"'memory':32,'portMappings':[{'containerPort':65536}]", "", CLIENT,
     "Invalid 'containerPort' setting."},
    {"'memory':32,'portMappings':[{}]", "", CLIENT, "Invalid 'containerPort' setting."},
    {"'memory':32,'portMappings':[{'containerPort':80,'hostPort':-1}]", "", CLIENT,
     "Invalid 'hostPort' setting."},
    {"'memory':32,'portMappings':[{'containerPort':80,'hostPort':81}]", ",'networkMode':'host'",
     CLIENT, "When networkMode=host"},
    {"'memory':32,'portMappings':[{'containerPort':80,'hostPort':81},"
     "{'containerPort':82,'hostPort':81}]",
     "", CLIENT, "The host port 81 is mapped more than once."},
    {"'memory':32,'environment':[{'value':'x'}]", "", CLIENT,
     "Invalid environment variable name for container 'app'."},
    {"'memory':32,'environment':[{'name':'A=B'}]", "", CLIENT, "Invalid environment variable"},
    {"'memory':32,'stopTimeout':-1", "", PARAMETER, "Invalid stopTimeout: -1."},
    {"'memory':32,'logConfiguration':{'logDriver':'awslogs'}", "", UNSUPPORTED,
     "containerDefinitions.logConfiguration.logDriver other than json-file"},
    {"'memory':32,'logConfiguration':{'logDriver':'json-file','options':{'a':'b'}}", "",
     UNSUPPORTED, "containerDefinitions.logConfiguration.options"},
    {"'memory':32,'secrets':[{'name':'a','valueFrom':'b'}]", "", UNSUPPORTED,
     "containerDefinitions.secrets is not supported."},
    {"'memory':32,'readonlyRootFilesystem':true", "", UNSUPPORTED,
     "containerDefinitions.readonlyRootFilesystem"},
    {"'memory':32,'healthCheck':{'command':['CMD','x']}", "", UNSUPPORTED,
     "containerDefinitions.healthCheck"},
    {"'memory':32,'user':'nobody'", "", UNSUPPORTED, "containerDefinitions.user"},
    {"'memory':32", ",'volumes':[{'name':'v'}]", UNSUPPORTED, "volumes"},
    {"'memory':32", ",'networkMode':'awsvpc'", UNSUPPORTED, "networkMode other than"},
    {"'memory':32", ",'pidMode':'task'", UNSUPPORTED, "pidMode other than host"},
    {"'memory':32", ",'ipcMode':'none'", UNSUPPORTED, "ipcMode other than host"},
    {"'memory':32", ",'requiresCompatibilities':['EC2','FARGATE']", UNSUPPORTED,
     "requiresCompatibilities other than EC2"},
    {"'memory':32", ",'runtimePlatform':{'operatingSystemFamily':'WINDOWS_SERVER_2022_CORE'}",
     UNSUPPORTED, "runtimePlatform.operatingSystemFamily"},
    {"'memory':32", ",'tags':[{'key':''}]", PARAMETER, "Tag key can not be blank."},
};

START_TEST(a_task_definition_is_checked_throughout)
{
    scope(buffer_fini) struct buffer json = {0};

    buffer_append_format(&json,
                         "{'family':'web','containerDefinitions':[{'name':'app','image':'busybox',"
                         "%s}]%s}",
                         definitions[_i].container, definitions[_i].rest);
    answers(TYPE(register_task_definition), buffer_text(&json), definitions[_i].code,
            definitions[_i].problem);
}
END_TEST

START_TEST(a_task_definition_needs_a_family_and_a_container)
{
    const ProtobufCMessageDescriptor *type = TYPE(register_task_definition);

    answers(type, "{}", CLIENT, "Family should not be null or empty.");
    answers(type, "{'family':'a:b'}", CLIENT, "Family contains invalid characters.");
    answers(type, "{'family':'web'}", CLIENT, "Container list cannot be empty.");
    answers(type, "{'family':'web','containerDefinitions':[{}]}", CLIENT,
            "Container.name should not be null or empty.");
    answers(type, "{'family':'web','containerDefinitions':[{},{},{},{},{},{},{},{},{},{},{}]}",
            CLIENT, "A task definition cannot have more than 10 containers.");
}
END_TEST

/* head, a run of 'a', tail. */
static void answers_long(const ProtobufCMessageDescriptor *type, const char *head, size_t count,
                         const char *tail, Command__ErrorCode code, const char *begins)
{
    scope(buffer_fini) struct buffer json = {0};

    buffer_append_text(&json, head);
    memset(buffer_extend(&json, count), 'a', count);
    buffer_append_text(&json, tail);
    answers(type, buffer_text(&json), code, begins);
}

START_TEST(texts_may_be_as_long_as_the_limit_and_no_longer)
{
    static const struct {
        const ProtobufCMessageDescriptor *type;
        const char *head;
        size_t most;
        const char *tail;
    } texts[] = {
        {TYPE(create_cluster), "{'clusterName':'", LIMIT_NAME_CHARS, "'}"},
        {TYPE(create_cluster), "{'tags':[{'key':'", LIMIT_TAG_KEY_CHARS, "'}]}"},
        {TYPE(create_cluster), "{'tags':[{'key':'k','value':'", LIMIT_TAG_VALUE_CHARS, "'}]}"},
        {TYPE(run_task), "{'taskDefinition':'w','startedBy':'", LIMIT_STARTED_BY_CHARS, "'}"},
        {TYPE(run_task), "{'taskDefinition':'w','clientToken':'", LIMIT_CLIENT_TOKEN_CHARS, "'}"},
        {TYPE(stop_task), "{'task':'" ID "','reason':'", LIMIT_REASON_CHARS, "'}"},
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        answers_long(texts[i].type, texts[i].head, texts[i].most, texts[i].tail, FINE, NULL);
        answers_long(texts[i].type, texts[i].head, texts[i].most + 1, texts[i].tail, PARAMETER, "");
    }
}
END_TEST

START_TEST(a_task_definition_is_64_kib_at_most)
{
    const char *head = "{'family':'web','containerDefinitions':[{'name':'app','image':'x',"
                       "'memory':32,'command':['";

    answers_long(TYPE(register_task_definition), head, 65000, "']}]}", FINE, NULL);
    answers_long(TYPE(register_task_definition), head, 65536, "']}]}", CLIENT,
                 "Actual length: '655");
}
END_TEST

START_TEST(lists_may_be_as_long_as_the_limit_and_no_longer)
{
    scope(buffer_fini) struct buffer json = {0};

    buffer_append_text(&json, "{'tasks':['" ID "'");
    for (unsigned i = 1; i < LIMIT_DESCRIBE_TASKS; i++)
        buffer_append_text(&json, ",'" ID "'");
    buffer_append_text(&json, "]}");
    answers(TYPE(describe_tasks), buffer_text(&json), FINE, NULL);
    json.len -= 2;
    buffer_append_text(&json, ",'" ID "']}");
    answers(TYPE(describe_tasks), buffer_text(&json), PARAMETER,
            "tasks cannot have more than 100 elements.");
}
END_TEST

START_TEST(a_message_that_is_no_request_is_an_unknown_operation)
{
    Ecs__Tag tag = ECS__TAG__INIT;
    scope(problem_free) Command__Problem *problem = NULL;

    ck_assert_int_eq(validate_request(&tag.base, &problem), VALIDATE_REFUSED);
    ck_assert_str_eq(problem_name(problem->code), "UnknownOperationException");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proto");
    TCase *tc = tcase_create("validate");
    SRunner *sr;
    int failed;

    tcase_add_loop_test(tc, a_well_formed_request_is_let_through, 0, sizeof fine / sizeof fine[0]);
    tcase_add_loop_test(tc, a_bad_request_is_refused_as_ecs_would, 0,
                        sizeof refused / sizeof refused[0]);
    tcase_add_loop_test(tc, a_task_definition_is_checked_throughout, 0,
                        sizeof definitions / sizeof definitions[0]);
    tcase_add_test(tc, a_task_definition_needs_a_family_and_a_container);
    tcase_add_test(tc, texts_may_be_as_long_as_the_limit_and_no_longer);
    tcase_add_test(tc, a_task_definition_is_64_kib_at_most);
    tcase_add_test(tc, lists_may_be_as_long_as_the_limit_and_no_longer);
    tcase_add_test(tc, a_message_that_is_no_request_is_an_unknown_operation);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
