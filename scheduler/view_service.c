#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "scheduler/view_parts.h"

/* Records come often and their texts hardly ever change. */
static void set_text(char **text, const char *to)
{
    if (*text && strcmp(*text, to) == 0)
        return;
    free(*text);
    *text = mem_string(to);
}

/* ---- deployments */

struct deployment *view_deployment(struct service *service, uint64_t seq)
{
    list_each (link, &service->deployments) {
        struct deployment *deployment = list_entry(link, struct deployment, link);

        if (deployment->seq == seq)
            return deployment;
    }
    return NULL;
}

/* Before the first with a higher seq. */
static void link_in_order(struct service *service, struct deployment *deployment)
{
    struct list *before = service->deployments.next;

    while (before != &service->deployments &&
           list_entry(before, struct deployment, link)->seq < deployment->seq)
        before = before->next;
    list_append(before, &deployment->link);
}

struct deployment *view_deployment_at(struct service *service, uint64_t seq)
{
    struct deployment *deployment = view_deployment(service, seq);

    if (deployment)
        return deployment;
    deployment = mem_new(struct deployment);
    deployment->seq = seq;
    deployment->service = service;
    list_init(&deployment->tasks);
    list_init(&deployment->spots);
    link_in_order(service, deployment);
    return deployment;
}

static void deployment_free(struct deployment *deployment)
{
    must(list_is_empty(&deployment->tasks));
    must(list_is_empty(&deployment->spots));
    list_remove(&deployment->link);
    seqmap_fini(&deployment->spot_by_worker);
    need_fini(&deployment->need);
    free(deployment->id);
    free(deployment);
}

void view_deployment_drop(struct deployment *deployment)
{
    if (!deployment->known && list_is_empty(&deployment->tasks))
        deployment_free(deployment);
}

static void put_deployment(struct service *service, const struct view_deployment *from)
{
    struct deployment *deployment = view_deployment_at(service, from->seq);

    set_text(&deployment->id, from->id);
    deployment->completed = from->completed;
    deployment->need.cpu = from->cpu;
    deployment->need.memory = from->memory;
    port_set_copy(&deployment->need.ports, from->ports, from->port_count);
    deployment->start_after_ms = from->start_after_ms;
    deployment->known = true;
    deployment->listed = true;
}

static void drop_unlisted(struct service *service)
{
    list_each (link, &service->deployments) {
        struct deployment *deployment = list_entry(link, struct deployment, link);

        deployment->known = deployment->listed;
        deployment->listed = false;
        view_deployment_drop(deployment);
    }
}

static void set_primary(struct service *service, struct deployment *primary)
{
    if (service->primary == primary)
        return;
    view_service_unwait(service);
    service->primary = primary;
    service->stuck_said = false;
}

static void put_deployments(struct service *service, const struct view_service *from)
{
    struct deployment *primary = NULL;

    for (size_t i = 0; i < from->deployment_count; i++) {
        put_deployment(service, &from->deployments[i]);
        if (!from->deployments[i].primary)
            continue;
        must(!primary);
        primary = view_deployment(service, from->deployments[i].seq);
    }
    set_primary(service, primary);
    drop_unlisted(service);
}

/* ---- services */

struct service *view_service_at(struct view *view, uint64_t seq)
{
    struct service *service = seqmap_get(&view->services, seq);

    if (service)
        return service;
    service = mem_new(struct service);
    service->seq = seq;
    list_init(&service->deployments);
    list_init(&service->waiting);
    seqmap_add(&view->services, seq, service);
    return service;
}

static void service_free(struct view *view, struct service *service)
{
    mark_drop(view, service);
    free(service->name);
    free(service);
}

void view_service_drop(struct view *view, struct service *service)
{
    if (service->known || service->flights || !list_is_empty(&service->deployments))
        return;
    seqmap_remove(&view->services, service->seq);
    service_free(view, service);
}

void view_service_wait(struct service *service)
{
    if (list_is_empty(&service->waiting))
        list_append(&service->cluster->waiting, &service->waiting);
}

void view_service_unwait(struct service *service)
{
    list_remove(&service->waiting);
    service->shortage = (struct shortage){0};
}

static void join_cluster(struct service *service, struct cluster *cluster)
{
    service->cluster = cluster;
    cluster->service_count++;
}

static void leave_cluster(struct view *view, struct service *service)
{
    struct cluster *cluster = service->cluster;

    view_service_unwait(service);
    if (!cluster)
        return;
    service->cluster = NULL;
    cluster->service_count--;
    view_cluster_drop(view, cluster);
}

void view_put_service(struct view *view, const struct view_service *from)
{
    struct service *service = view_service_at(view, from->seq);

    if (!service->cluster || service->cluster->seq != from->cluster_seq) {
        leave_cluster(view, service);
        join_cluster(service, view_cluster_at(view, from->cluster_seq));
    }
    set_text(&service->name, from->name);
    service->status = from->status;
    service->desired_count = from->desired_count;
    service->minimum_healthy_percent = from->minimum_healthy_percent;
    service->maximum_percent = from->maximum_percent;
    service->steady = from->steady;
    service->known = true;
    put_deployments(service, from);
    mark_service(view, service);
}

void view_remove_service(struct view *view, uint64_t service_seq)
{
    struct service *service = seqmap_get(&view->services, service_seq);

    if (!service)
        return;
    leave_cluster(view, service);
    set_primary(service, NULL);
    service->known = false;
    mark_drop(view, service);
    drop_unlisted(service);
    view_service_drop(view, service);
}

void view_services_free(struct view *view)
{
    struct service *service;

    for (size_t at = 0; (service = seqmap_next(&view->services, &at));) {
        leave_cluster(view, service);
        list_each (link, &service->deployments)
            deployment_free(list_entry(link, struct deployment, link));
        service_free(view, service);
    }
    seqmap_fini(&view->services);
}
