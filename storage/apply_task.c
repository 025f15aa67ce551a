/* RunTask, StopTask. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "proto/base/mem.h"
#include "proto/limits.h"
#include "proto/problem.h"
#include "storage/apply_inner.h"
#include "storage/tables_write.h"

static int invalid(struct apply *a, const char *text)
{
    return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER, "%s", text);
}

/* ---- client tokens: a retry gets the first answer */

static const char *token_of(const Command__RunTask *body)
{
    const char *token = body->request->client_token;

    return token && *token ? token : NULL;
}

static int refuse_conflict(struct apply *a, const State__Cluster *cluster,
                           const State__ClientToken *known)
{
    const State__Settings *settings;
    int r = apply_settings(a, &settings);

    if (r < 0)
        return err_up(r);
    apply_problem(a, COMMAND__ERROR_CODE__ERROR_CONFLICT,
                  "The client token was used before with other parameters.");
    for (size_t i = 0; i < known->n_task_ids; i++) {
        char *arn = arn_task(settings, cluster->name, known->task_ids[i]);

        problem_add_resource(a->result->problem, arn);
        free(arn);
    }
    return APPLY_REFUSED;
}

static void copy_failures(struct apply *a, Ecs__Failure *const *failures, size_t count)
{
    for (size_t i = 0; i < count; i++)
        apply_result_failure(a, failures[i]->arn, failures[i]->reason, failures[i]->detail);
}

static int answer_again(struct apply *a, const State__ClientToken *known)
{
    for (size_t i = 0; i < known->n_task_ids; i++)
        apply_result_task(a, known->task_ids[i]);
    copy_failures(a, known->failures, known->n_failures);
    return APPLY_ANSWERED;
}

static int check_token(struct apply *a, const State__Cluster *cluster, const Command__RunTask *body)
{
    const char *token = token_of(body);
    State__ClientToken *known;
    int r;

    if (!token)
        return 0;
    r = table_token(a->txn, cluster->seq, TOKEN_RUN_TASK, token, &known);
    if (r != 0)
        return r > 0 ? 0 : err_up(r);
    if (digest_equal(known->digest, body->digest))
        r = answer_again(a, known);
    else
        r = refuse_conflict(a, cluster, known);
    state__client_token__free_unpacked(known, NULL);
    return out_up(r);
}

static int remember(struct apply *a, const State__Cluster *cluster, const Command__RunTask *body)
{
    State__ClientToken token = STATE__CLIENT_TOKEN__INIT;

    if (!token_of(body))
        return 0;
    token.token = body->request->client_token;
    token.digest = body->digest;
    token.created_ms = a->now_ms;
    token.task_ids = a->result->task_ids;
    token.n_task_ids = a->result->n_task_ids;
    token.failures = a->result->failures;
    token.n_failures = a->result->n_failures;
    return err_up(table_add_token(a->txn, cluster->seq, TOKEN_RUN_TASK, &token));
}

/* ---- RunTask */

/* Where there was room when the leader looked, and there no longer is. */
static int tell_refusal(struct apply *a, const State__Cluster *cluster, uint64_t worker_seq,
                        const char *reason)
{
    const State__Settings *settings;
    struct held *worker;
    char *arn = NULL;
    int r = apply_settings(a, &settings);

    if (r == 0)
        r = hold_worker(a, worker_seq, &worker);
    if (r < 0)
        return err_up(r);
    if (r == 0)
        arn = arn_container_instance(settings, cluster->name, worker->worker->id);
    apply_result_failure(a, arn, reason, NULL);
    free(arn);
    return 0;
}

static int place_all(struct apply *a, const State__Cluster *cluster, const struct placing *placing,
                     const Command__RunTask *body)
{
    for (size_t i = 0; i < body->n_placements; i++) {
        const char *refusal;
        int r = place_task(a, placing, body->placements[i], &refusal);

        if (r == 0 && refusal)
            r = tell_refusal(a, cluster, body->placements[i]->worker_seq, refusal);
        if (r < 0)
            return err_up(r);
    }
    return 0;
}

static int run(struct apply *a, const State__Cluster *cluster,
               const State__TaskDefinition *definition, const Command__RunTask *body)
{
    const Ecs__RunTaskRequest *request = body->request;
    bool grouped = request->group && *request->group;
    char *group =
        grouped ? mem_string(request->group) : mem_format("family:%s", definition->family);
    struct placing placing = {
        .cluster_seq = cluster->seq,
        .definition = definition,
        .group = group,
        .started_by = request->started_by ? request->started_by : "",
        .overrides = request->overrides,
        .tags = request->tags,
        .tag_count = request->n_tags,
    };
    int r;

    copy_failures(a, body->failures, body->n_failures);
    r = place_all(a, cluster, &placing, body);
    free(group);
    if (r == 0)
        r = remember(a, cluster, body);
    return err_up(r);
}

static int check_run(struct apply *a, const Command__RunTask *body)
{
    const char *token;

    if (!body->request)
        return invalid(a, "The request is missing.");
    token = token_of(body);
    if (token && strnlen(token, LIMIT_CLIENT_TOKEN_CHARS + 1) > LIMIT_CLIENT_TOKEN_CHARS)
        return invalid(a, "The client token is longer than 64 characters.");
    /* Each task gets a copy of the overrides: their number bounds what one command can store. */
    if (body->n_placements > LIMIT_RUN_TASK_COUNT)
        return invalid(a, "count should be less than or equal to 10.");
    return 0;
}

int apply_run_task(struct apply *a, const Command__RunTask *body)
{
    scope(cluster_free) State__Cluster *cluster = NULL;
    scope(definition_free) State__TaskDefinition *definition = NULL;
    int r = check_run(a, body);

    if (r == 0)
        r = find_cluster(a, body->request->cluster, &cluster);
    if (r == 0)
        r = check_token(a, cluster, body);
    if (r == 0)
        r = find_revision(a, body->family, body->revision, &definition);
    if (r == 0)
        r = run(a, cluster, definition, body);
    return out_up(r);
}

/* ---- StopTask */

static int find_task(struct apply *a, uint64_t cluster_seq, const char *text, struct task_pair *out)
{
    char *id = NULL;
    uint64_t seq = 0;
    int r = text ? arn_parse_member(text, "task", &id) : ARN_MALFORMED;

    if (r == 0)
        r = table_task_seq(a->txn, id, &seq);
    if (r == 0)
        r = task_load(a, seq, out);
    free(id);
    if (r < 0)
        return err_up(r);
    if (r > 0 || out->task->cluster_seq != cluster_seq)
        return invalid(a, "The referenced task was not found.");
    return 0;
}

int apply_stop_task(struct apply *a, const Command__StopTask *body)
{
    scope(cluster_free) State__Cluster *cluster = NULL;
    scope(task_pair_fini) struct task_pair pair = {0};
    const Ecs__StopTaskRequest *request = body->request;
    const char *reason;
    int r;

    if (!request)
        return invalid(a, "The request is missing.");
    r = find_cluster(a, request->cluster, &cluster);
    if (r == 0)
        r = find_task(a, cluster->seq, request->task, &pair);
    if (r != 0)
        return out_up(r);
    text_cut(request->reason, TEXT_REASON_BYTES);
    reason = request->reason && *request->reason ? request->reason : "Task stopped by user";
    r = task_ask_to_stop(a, &pair, STATE__STOP_CODE__STOP_USER_INITIATED, reason, NULL);
    if (r < 0)
        return err_up(r);
    apply_result_task(a, pair.task->id);
    return 0;
}
