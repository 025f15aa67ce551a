#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "server/manager/api_render.h"

/* The task of this id, if it is of this cluster; otherwise *out stays NULL. */
static int task_by_id(struct render *render, const State__Cluster *cluster, const char *id,
                      bool tags, Ecs__Task **out)
{
    scope(task_record_free) State__Task *task = NULL;
    uint64_t seq = 0;
    int r = TABLE_ABSENT;

    if (id_is_valid(id))
        r = table_task_seq(render->txn, id, &seq);
    if (r == 0)
        r = table_task(render->txn, seq, &task);
    if (r == 0 && task->cluster_seq == cluster->seq)
        r = render_task(render, cluster->name, seq, tags, out);
    return r < 0 ? err_up(r) : 0;
}

/* ---- ECS RunTask */

static int add_started(struct render *render, const State__Cluster *cluster)
{
    const Command__CommandResult *result = render->result;
    Ecs__RunTaskResponse *response = render->response;

    for (size_t i = 0; i < result->n_task_ids; i++) {
        Ecs__Task *task = NULL;
        int r = task_by_id(render, cluster, result->task_ids[i], true, &task);

        if (r < 0)
            return err_up(r);
        if (task)
            ADD(response, tasks, task);
    }
    return 0;
}

static void add_failures(struct render *render)
{
    const Command__CommandResult *result = render->result;
    Ecs__RunTaskResponse *response = render->response;

    for (size_t i = 0; i < result->n_failures; i++) {
        const Ecs__Failure *from = result->failures[i];
        Ecs__Failure *failure = render_failure(mem_string(from->arn), from->reason);

        failure->detail = mem_string(from->detail);
        ADD(response, failures, failure);
    }
}

int render_run_task(struct render *render)
{
    const Ecs__RunTaskRequest *request = render->request;
    scope(cluster_record_free) State__Cluster *cluster = NULL;
    int r = render_cluster(render, request->cluster, &cluster);

    if (r != 0)
        return render_up(r);
    r = add_started(render, cluster);
    if (r == 0)
        add_failures(render);
    return err_up(r);
}

/* ---- ECS StopTask */

int render_stop_task(struct render *render)
{
    const Ecs__StopTaskRequest *request = render->request;
    Ecs__StopTaskResponse *response = render->response;
    scope(cluster_record_free) State__Cluster *cluster = NULL;
    char *id = NULL;
    int r = render_cluster(render, request->cluster, &cluster);

    if (r != 0)
        return render_up(r);
    if (arn_parse_member(request->task, "task", &id) == 0)
        r = task_by_id(render, cluster, id, true, &response->task);
    if (r == 0 && !response->task)
        r = render_gone(render);
    free(id);
    return render_up(r);
}

/* ---- ECS DescribeTasks */

static bool tags_asked(const Ecs__DescribeTasksRequest *request)
{
    for (size_t i = 0; i < request->n_include; i++) {
        if (request->include[i] == ECS__TASK_FIELD__VALUE__TAGS)
            return true;
    }
    return false;
}

static int describe_task(struct render *render, const State__Cluster *cluster, const char *asked,
                         bool tags)
{
    Ecs__DescribeTasksResponse *response = render->response;
    Ecs__Task *task = NULL;
    char *id = NULL;
    int r;

    if (arn_parse_member(asked, "task", &id) == ARN_MALFORMED)
        return render_refuse(render, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                             "Invalid task: '%s'.", asked);
    r = task_by_id(render, cluster, id, tags, &task);
    if (task)
        ADD(response, tasks, task);
    else if (r == 0)
        ADD(response, failures,
            render_failure(arn_task(render->settings, cluster->name, id), "MISSING"));
    free(id);
    return err_up(r);
}

int render_describe_tasks(struct render *render)
{
    const Ecs__DescribeTasksRequest *request = render->request;
    bool tags = tags_asked(request);
    scope(cluster_record_free) State__Cluster *cluster = NULL;
    int r = render_cluster(render, request->cluster, &cluster);

    for (size_t i = 0; r == 0 && i < request->n_tasks; i++)
        r = describe_task(render, cluster, request->tasks[i], tags);
    return render_up(r);
}

/* ---- ECS ListTasks */

/* What was asked for, and the page. */
struct tasks {
    struct listing listing;
    const Ecs__ListTasksRequest *request;
    const State__Cluster *cluster;
    bool stopped; /* The desired status listed. */
    uint64_t service_seq;
    uint64_t worker_seq;
};

static bool text_fits(const char *asked, const char *is)
{
    return !asked || strcmp(asked, is) == 0;
}

static bool task_fits(const struct tasks *list, const State__Task *task)
{
    return task->cluster_seq == list->cluster->seq &&
           text_fits(list->request->family, task->family) &&
           text_fits(list->request->started_by, task->started_by) &&
           (!list->service_seq || task->service_seq == list->service_seq) &&
           (!list->worker_seq || task->worker_seq == list->worker_seq);
}

/* *out is its ARN, or NULL if it does not fit. */
static int arn_if_fits(struct tasks *list, struct txn *txn, uint64_t seq, char **out)
{
    scope(task_status_record_free) State__TaskStatus *status = NULL;
    scope(task_record_free) State__Task *task = NULL;
    int r = table_task(txn, seq, &task);

    if (r == 0 && task_fits(list, task))
        r = table_task_status(txn, seq, &status);
    if (r == 0 && status && status->desired_stopped == list->stopped)
        *out = arn_task(list->listing.render->settings, list->cluster->name, task->id);
    return r < 0 ? err_up(r) : 0;
}

static int list_task(void *context, struct txn *txn, uint64_t seq)
{
    struct tasks *list = context;
    char *arn = NULL;
    int r;

    if (!listing_goes_on(&list->listing))
        return WALK_STOP;
    r = arn_if_fits(list, txn, seq, &arn);
    if (r < 0)
        return err_up(r);
    listing_add(&list->listing, seq, arn);
    return WALK_ON;
}

static int find_service(struct render *render, struct tasks *list)
{
    scope(service_record_free) State__Service *service = NULL;
    char *name = NULL;
    int r = TABLE_ABSENT;

    if (!list->request->service_name)
        return 0;
    if (arn_parse_member(list->request->service_name, "service", &name) == 0)
        r = table_service_by_name(render->txn, list->cluster->seq, name, &service);
    free(name);
    if (r == TABLE_ABSENT)
        return render_refuse(render, COMMAND__ERROR_CODE__ERROR_SERVICE_NOT_FOUND,
                             "Service not found.");
    if (r < 0)
        return err_up(r);
    list->service_seq = service->seq;
    return 0;
}

static int find_worker(struct render *render, struct tasks *list)
{
    const char *asked = list->request->container_instance;
    char *id = NULL;
    int r = TABLE_ABSENT;

    if (!asked)
        return 0;
    if (arn_parse_member(asked, "container-instance", &id) == 0 && id_is_valid(id))
        r = table_worker_seq(render->txn, id, &list->worker_seq);
    free(id);
    if (r == TABLE_ABSENT)
        return render_refuse(render, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                             "Referenced container instance '%s' not found.", asked);
    return err_up(r);
}

/* The narrowest index there is; each is in the order of sequence numbers, so that a token of one
 * holds for all. A worker's index has no STOPPED tasks. */
static int walk_tasks(struct render *render, struct tasks *list)
{
    uint64_t after = list->listing.after;

    if (list->service_seq)
        return table_tasks_of_service(render->txn, list->service_seq, after, list_task, list);
    if (list->worker_seq && !list->stopped)
        return table_tasks_of_worker(render->txn, list->worker_seq, after, list_task, list);
    return table_tasks_of_cluster(render->txn, list->cluster->seq, list->stopped, after, list_task,
                                  list);
}

/* Does anything fit: ECS knows no desired status PENDING, and all tasks here are of type EC2. */
static bool could_fit(const Ecs__ListTasksRequest *request)
{
    return !(request->has_desired_status &&
             request->desired_status == ECS__DESIRED_STATUS__VALUE__PENDING) &&
           (!request->has_launch_type || request->launch_type == ECS__LAUNCH_TYPE__VALUE__EC2);
}

static int list_tasks(struct render *render, const State__Cluster *cluster)
{
    const Ecs__ListTasksRequest *request = render->request;
    Ecs__ListTasksResponse *response = render->response;
    struct tasks list = {.listing = {.n_arns = &response->n_task_arns},
                         .request = request,
                         .cluster = cluster,
                         .stopped = request->has_desired_status &&
                                    request->desired_status == ECS__DESIRED_STATUS__VALUE__STOPPED};
    int r = find_service(render, &list);

    if (r == 0)
        r = find_worker(render, &list);
    if (r == 0)
        r = listing_begin(&list.listing, render, "ListTasks", cluster->seq, request->next_token,
                          request->max_results);
    if (r != 0)
        return render_up(r);
    response->task_arns = list.listing.arns;
    if (could_fit(request))
        r = walk_tasks(render, &list);
    response->next_token = listing_token(&list.listing);
    return err_up(r);
}

int render_list_tasks(struct render *render)
{
    const Ecs__ListTasksRequest *request = render->request;
    scope(cluster_record_free) State__Cluster *cluster = NULL;
    int r = render_cluster(render, request->cluster, &cluster);

    if (r == 0)
        r = list_tasks(render, cluster);
    return render_up(r);
}
