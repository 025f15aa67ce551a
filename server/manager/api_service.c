#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "server/manager/api_render.h"

enum { SERVICES_A_PAGE = 10 }; /* ECS ListServices, unless asked for up to 100. */

/* ---- ECS CreateService, UpdateService, DeleteService: the service as it is now */

static int service_of_result(struct render *render, Ecs__Service **out)
{
    scope(service_record_free) State__Service *service = NULL;
    scope(cluster_record_free) State__Cluster *cluster = NULL;
    int r = table_service(render->txn, render->result->seq, &service);

    if (r == 0)
        r = table_cluster(render->txn, service->cluster_seq, &cluster);
    if (r != 0)
        return r < 0 ? err_up(r) : render_gone(render);
    return err_up(render_service(render, cluster->name, service, true, out));
}

int render_create_service(struct render *render)
{
    Ecs__CreateServiceResponse *response = render->response;

    return service_of_result(render, &response->service);
}

int render_update_service(struct render *render)
{
    Ecs__UpdateServiceResponse *response = render->response;

    return service_of_result(render, &response->service);
}

int render_delete_service(struct render *render)
{
    Ecs__DeleteServiceResponse *response = render->response;

    return service_of_result(render, &response->service);
}

/* ---- ECS DescribeServices */

static bool tags_asked(const Ecs__DescribeServicesRequest *request)
{
    for (size_t i = 0; i < request->n_include; i++) {
        if (request->include[i] == ECS__SERVICE_FIELD__VALUE__TAGS)
            return true;
    }
    return false;
}

/* Failures of services keep the short ARN, without the cluster, to this day. */
static Ecs__Failure *missing(const State__Settings *settings, const char *name)
{
    return render_failure(
        mem_format("arn:aws:ecs:%s:%s:service/%s", settings->region, settings->account, name),
        "MISSING");
}

static int describe_named(struct render *render, const State__Cluster *cluster, const char *name,
                          bool tags)
{
    scope(service_record_free) State__Service *record = NULL;
    Ecs__DescribeServicesResponse *response = render->response;
    Ecs__Service *service = NULL;
    int r = table_service_by_name(render->txn, cluster->seq, name, &record);

    if (r == 0)
        r = render_service(render, cluster->name, record, tags, &service);
    if (r < 0)
        return err_up(r);
    if (service)
        ADD(response, services, service);
    else
        ADD(response, failures, missing(render->settings, name));
    return 0;
}

static int describe_service(struct render *render, const State__Cluster *cluster, const char *asked,
                            bool tags)
{
    char *name = NULL;
    int r;

    if (arn_parse_member(asked, "service", &name) == ARN_MALFORMED)
        return render_refuse(render, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                             "Invalid service: '%s'.", asked);
    r = describe_named(render, cluster, name, tags);
    free(name);
    return err_up(r);
}

int render_describe_services(struct render *render)
{
    scope(cluster_record_free) State__Cluster *cluster = NULL;
    const Ecs__DescribeServicesRequest *request = render->request;
    bool tags = tags_asked(request);
    int r = render_cluster(render, request->cluster, &cluster);

    for (size_t i = 0; r == 0 && i < request->n_services; i++)
        r = describe_service(render, cluster, request->services[i], tags);
    return render_up(r);
}

/* ---- ECS ListServices */

struct services {
    struct listing listing;
    const Ecs__ListServicesRequest *request;
    const State__Cluster *cluster;
};

/* A deleted one is not listed, not even while it drains. */
static bool service_fits(const Ecs__ListServicesRequest *request, const State__Service *service)
{
    const Ecs__CreateServiceRequest *spec = service->spec;
    Ecs__LaunchType__Value type =
        spec && spec->has_launch_type ? spec->launch_type : ECS__LAUNCH_TYPE__VALUE__EC2;
    Ecs__SchedulingStrategy__Value strategy = spec && spec->has_scheduling_strategy
                                                  ? spec->scheduling_strategy
                                                  : ECS__SCHEDULING_STRATEGY__VALUE__REPLICA;

    return service->status == STATE__SERVICE_STATUS__SERVICE_ACTIVE &&
           (!request->has_launch_type || request->launch_type == type) &&
           (!request->has_scheduling_strategy || request->scheduling_strategy == strategy);
}

static int list_service(void *context, const State__Service *service)
{
    struct services *list = context;
    bool fits = service_fits(list->request, service);

    if (!listing_goes_on(&list->listing))
        return WALK_STOP;
    listing_add(
        &list->listing, service->seq,
        fits ? arn_service(list->listing.render->settings, list->cluster->name, service->name)
             : NULL);
    return WALK_ON;
}

int render_list_services(struct render *render)
{
    scope(cluster_record_free) State__Cluster *cluster = NULL;
    const Ecs__ListServicesRequest *request = render->request;
    Ecs__ListServicesResponse *response = render->response;
    struct services list = {.listing = {.n_arns = &response->n_service_arns}, .request = request};
    int r = render_cluster(render, request->cluster, &cluster);

    if (r == 0)
        r = listing_begin(&list.listing, render, "ListServices", cluster->seq, request->next_token,
                          request->has_max_results ? request->max_results : SERVICES_A_PAGE);
    if (r != 0)
        return render_up(r);
    list.cluster = cluster;
    response->service_arns = list.listing.arns;
    r = table_services(render->txn, cluster->seq, list.listing.after, list_service, &list);
    response->next_token = listing_token(&list.listing);
    return err_up(r);
}
