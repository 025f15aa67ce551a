/* Finding what a request names, and refusing as ECS does when it is not there. */
#include <stdlib.h>

#include "proto/arn.h"
#include "storage/apply_inner.h"

static inline void text_free(char *text)
{
    free(text);
}

SCOPED(char *, text_free);

int find_cluster(struct apply *a, const char *text, State__Cluster **out)
{
    scope(text_free) char *name = NULL;
    scope(cluster_free) State__Cluster *cluster = NULL;
    int r = arn_parse_cluster(text, &name);

    if (r == 0)
        r = table_cluster_by_name(a->txn, name, &cluster);
    if (r < 0)
        return err_up(r);
    if (r > 0)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_CLUSTER_NOT_FOUND, "Cluster not found.");
    if (cluster->status != STATE__CLUSTER_STATUS__CLUSTER_ACTIVE)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_CLUSTER_NOT_FOUND,
                            "The referenced cluster was inactive.");
    *out = steal(cluster);
    return 0;
}

int find_service(struct apply *a, uint64_t cluster_seq, const char *text, struct held **out)
{
    scope(text_free) char *name = NULL;
    State__Service *service;
    uint64_t seq;
    int r = text ? arn_parse_member(text, "service", &name) : ARN_MALFORMED;

    if (r == 0)
        r = table_service_by_name(a->txn, cluster_seq, name, &service);
    if (r < 0)
        return err_up(r);
    if (r > 0)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_SERVICE_NOT_FOUND, "Service not found.");
    seq = service->seq;
    state__service__free_unpacked(service, NULL);
    return err_up(hold_service(a, seq, out));
}

/* revision 0: the newest ACTIVE one. */
int find_revision(struct apply *a, const char *family, uint32_t revision,
                  State__TaskDefinition **out)
{
    scope(definition_free) State__TaskDefinition *definition = NULL;
    int r = revision ? table_task_definition(a->txn, family, revision, &definition)
                     : table_task_definition_newest(a->txn, family, &definition);

    if (r < 0)
        return err_up(r);
    if (r > 0)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_CLIENT, "TaskDefinition not found.");
    if (!definition->active)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_CLIENT, "TaskDefinition is inactive");
    *out = steal(definition);
    return 0;
}

int find_definition(struct apply *a, const char *text, State__TaskDefinition **out)
{
    scope(text_free) char *family = NULL;
    uint32_t revision = 0;
    int r = text ? arn_parse_task_definition(text, &family, &revision) : ARN_MALFORMED;

    if (r == ARN_MALFORMED)
        return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_CLIENT, "TaskDefinition not found.");
    if (r < 0)
        return err_up(r);
    return out_up(find_revision(a, family, revision, out));
}
