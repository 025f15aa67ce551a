/*
 * A POST / from its head to its answer: which operation, who asks, is it well formed; then the
 * core; then the tables.
 */
#include <ctype.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/json.h"
#include "proto/limits.h"
#include "proto/message.h"
#include "proto/operator.pb-c.h"
#include "proto/validate.h"
#include "server/manager/api_internal.h"
#include "server/manager/api_sigv4.h"
#include "server/net/log.h"

#define TARGET_PREFIX   "AmazonEC2ContainerServiceV20141113."
#define OPERATOR_PREFIX "Cais."
#define CONTENT_TYPE    "application/x-amz-json-1.1"

const struct action actions[] = {
#define READ(Name, name)                                                                           \
    {                                                                                              \
#Name, &ecs__##name##_request__descriptor, &ecs__##name##_response__descriptor, false,     \
            render_##name, false, NULL                                                             \
    }
#define WRITE(Name, name)                                                                          \
    {                                                                                              \
#Name, &ecs__##name##_request__descriptor, &ecs__##name##_response__descriptor, true,      \
            render_##name, false, NULL                                                             \
    }
#define OPERATORS(Name, name, write, render, prepare)                                              \
    {                                                                                              \
#Name, &operator__##name##_request__descriptor, &operator__##name##_response__descriptor,  \
            write, render, true, prepare                                                           \
    }
    WRITE(CreateCluster, create_cluster),
    READ(DescribeClusters, describe_clusters),
    READ(ListClusters, list_clusters),
    WRITE(DeleteCluster, delete_cluster),
    WRITE(RegisterTaskDefinition, register_task_definition),
    READ(DescribeTaskDefinition, describe_task_definition),
    READ(ListTaskDefinitions, list_task_definitions),
    WRITE(DeregisterTaskDefinition, deregister_task_definition),
    WRITE(RunTask, run_task),
    WRITE(StopTask, stop_task),
    READ(DescribeTasks, describe_tasks),
    READ(ListTasks, list_tasks),
    WRITE(CreateService, create_service),
    WRITE(UpdateService, update_service),
    READ(DescribeServices, describe_services),
    READ(ListServices, list_services),
    WRITE(DeleteService, delete_service),
    READ(ListContainerInstances, list_container_instances),
    READ(DescribeContainerInstances, describe_container_instances),
    OPERATORS(ListManagers, list_managers, true, render_managed, NULL),
    OPERATORS(RemoveManager, remove_manager, true, render_managed, NULL),
    OPERATORS(TransferLeadership, transfer_leadership, true, render_managed, NULL),
    OPERATORS(PromoteManager, promote_manager, true, render_managed, NULL),
    OPERATORS(DemoteManager, demote_manager, true, render_managed, NULL),
    OPERATORS(CreateToken, create_token, true, render_create_token, prepare_create_token),
    OPERATORS(RotateToken, rotate_token, true, render_rotate_token, prepare_rotate_token),
    OPERATORS(RevokeToken, revoke_token, true, render_revoke_token, NULL),
    OPERATORS(ListTokens, list_tokens, false, render_list_tokens, NULL),
    OPERATORS(Backup, backup, false, NULL, NULL),
};
const size_t action_count = sizeof actions / sizeof actions[0];

static const char *header(const struct exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

static bool is_operators(const struct exchange *exchange)
{
    return !exchange->api->config.listen;
}

static const struct action *action_asked(const struct exchange *exchange)
{
    const char *target = header(exchange, "X-Amz-Target");
    bool operators = is_operators(exchange) && target &&
                     strncmp(target, OPERATOR_PREFIX, strlen(OPERATOR_PREFIX)) == 0;
    const char *prefix = operators ? OPERATOR_PREFIX : TARGET_PREFIX;

    if (!target || strncmp(target, prefix, strlen(prefix)) != 0)
        return NULL;
    for (size_t i = 0; i < action_count; i++) {
        if (actions[i].operators == operators &&
            strcmp(actions[i].name, target + strlen(prefix)) == 0)
            return &actions[i];
    }
    return NULL;
}

/* A missing type is tolerated; a parameter after it, as in "; charset=utf-8", too. */
static bool content_type_fits(const struct exchange *exchange)
{
    const char *type = header(exchange, MHD_HTTP_HEADER_CONTENT_TYPE);
    const size_t len = strlen(CONTENT_TYPE);

    if (!type)
        return true;
    return strncasecmp(type, CONTENT_TYPE, len) == 0 &&
           (type[len] == '\0' || type[len] == ';' || isblank((unsigned char)type[len]));
}

/* True: an answer has been queued, and *out is its result. */
static bool refuses_caller(struct exchange *exchange, enum MHD_Result *out)
{
    const char *date = header(exchange, "X-Amz-Date");
    char why[SIGV4_WHY_CHARS];
    struct sigv4 parts;
    int r;

    if (is_operators(exchange))
        return false;
    r = sigv4_parse(header(exchange, MHD_HTTP_HEADER_AUTHORIZATION),
                    date ? date : header(exchange, MHD_HTTP_HEADER_DATE), &parts, why);

    if (r == 0)
        return false;
    *out =
        r == SIGV4_MISSING
            ? answer_refusal(exchange, COMMAND__ERROR_CODE__ERROR_MISSING_AUTHENTICATION_TOKEN,
                             "Missing Authentication Token")
            : answer_refusal(exchange, COMMAND__ERROR_CODE__ERROR_INCOMPLETE_SIGNATURE, "%s", why);
    return true;
}

/* The body as a valid request, or the problem with it. */
static int read_request(const struct exchange *exchange, char secret[TOKEN_SECRET_TEXT],
                        ProtobufCMessage **out, Command__Problem **out_problem)
{
    scope(message_free) ProtobufCMessage *request = NULL;
    struct bytes body = {exchange->body.base, exchange->body.len};

    if (json_parse(exchange->action->request, body, &request, out_problem) == JSON_REFUSED)
        return RENDER_PROBLEM;
    if (exchange->action->prepare && exchange->action->prepare(request, secret) < 0) {
        *out_problem = problem_new(COMMAND__ERROR_CODE__ERROR_SERVER,
                                   "The kernel of this manager gives no random bytes.");
        return RENDER_PROBLEM;
    }
    if (validate_request(request, out_problem) == VALIDATE_REFUSED)
        return RENDER_PROBLEM;
    *out = steal(request);
    return 0;
}

static bool wants_stale(const struct exchange *exchange)
{
    const char *consistency = header(exchange, "X-Cais-Consistency");

    return consistency && strcasecmp(consistency, "stale") == 0;
}

enum MHD_Result exchange_begin(struct exchange *exchange)
{
    scope(problem_free) Command__Problem *problem = NULL;
    ProtobufCMessage *request = NULL;
    char secret[TOKEN_SECRET_TEXT] = "";
    enum MHD_Result result;
    bool submitted;

    if (exchange->body_seen > LIMIT_BODY_BYTES)
        return answer_http(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "RequestEntityTooLargeException",
                           "A request may have 1 MiB.", NULL);
    if (exchange->throttled)
        return answer_http(exchange, MHD_HTTP_BAD_REQUEST, "ThrottlingException", "Rate exceeded",
                           NULL);
    exchange->action = action_asked(exchange);
    if (!exchange->action || !content_type_fits(exchange))
        return answer_refusal(exchange, COMMAND__ERROR_CODE__ERROR_UNKNOWN_OPERATION,
                              "The requested operation is not recognized by the service.");
    if (refuses_caller(exchange, &result))
        return result;
    if (read_request(exchange, secret, &request, &problem) == RENDER_PROBLEM)
        return answer_problem(exchange, problem);
    submitted = exchange_submit(exchange, request, wants_stale(exchange), secret);
    explicit_bzero(secret, sizeof secret);
    return submitted ? MHD_YES : MHD_NO; /* No: closing. */
}

/* ---- the way back */

static ProtobufCMessage *message_new(const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = mem_zeroed(1, type->sizeof_message);

    protobuf_c_message_init(type, message);
    return message;
}

static int render_in(struct render *render, const struct action *action)
{
    scope(settings_record_free) State__Settings *settings = NULL;
    int r = table_settings(render->txn, &settings);

    if (r == TABLE_ABSENT)
        return render_refuse(render, COMMAND__ERROR_CODE__ERROR_SERVER,
                             "This installation has not been bootstrapped yet.");
    if (r < 0)
        return err_up(r);
    render->settings = settings;
    r = action->render(render);
    if (render->definition)
        state__task_definition__free_unpacked(render->definition, NULL);
    return r < 0 ? err_up(r) : r;
}

static void render_from(struct waiting *waiting, const Command__CommandResult *result,
                        struct txn *txn)
{
    struct render render = {
        .request = waiting->request, .result = result, .secret = waiting->secret, .txn = txn};

    waiting->response = message_new(waiting->action->response);
    render.response = waiting->response;
    waiting->rendered = render_in(&render, waiting->action);
    waiting->problem = render.problem;
    if (waiting->rendered < 0)
        log_error("api.render_failed action=%s error=\"%s\" trace=\"%s\"", waiting->action->name,
                  strerror(-waiting->rendered), err_trace());
}

void waiting_collect(struct call *call, const Command__CommandResult *result, struct txn *txn)
{
    render_from(list_entry(call, struct waiting, call), result, txn);
}

/* A read. The transaction ends before anything is printed or sent. */
static void render_from_tables(const struct api *api, struct waiting *waiting)
{
    scope(txn_abort) struct txn *txn = NULL;
    int r = env_read(api->config.env, &txn);

    if (r == 0)
        render_from(waiting, NULL, txn);
    else
        waiting->rendered = r;
}

static enum MHD_Result answer_rendered(struct exchange *exchange)
{
    const struct waiting *waiting = exchange->waiting;

    if (waiting->rendered == RENDER_PROBLEM)
        return answer_problem(exchange, waiting->problem);
    if (waiting->rendered < 0)
        return answer_refusal(exchange, COMMAND__ERROR_CODE__ERROR_SERVER,
                              "The state of this manager could not be read.");
    return answer_message(exchange, waiting->response);
}

enum MHD_Result exchange_finish(struct exchange *exchange)
{
    const struct call *call = &exchange->waiting->call;

    switch (call->outcome) {
    case CALL_NO_LEADER:
        return answer_refusal(exchange, COMMAND__ERROR_CODE__ERROR_SERVER,
                              "No leader is known to this manager, or it has no majority: nothing "
                              "was done. Try again.");
    case CALL_UNKNOWN:
        return answer_refusal(exchange, COMMAND__ERROR_CODE__ERROR_SERVER,
                              "Leadership was lost or time ran out on the way: this may or may "
                              "not have been done.");
    case CALL_DONE:
    case CALL_STALE:
        break;
    }
    if (call->result && call->result->problem)
        return answer_problem(exchange, call->result->problem);
    if (!exchange->action->render)
        return answer_backup(exchange);
    if (!call->write)
        render_from_tables(exchange->api, exchange->waiting);
    return answer_rendered(exchange);
}
