#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "proto/limits.h"
#include "proto/validate_check.h"

static void check_setting(struct check *check, const Ecs__ClusterSetting *setting)
{
    if (!setting->has_name)
        check_parameter(check, "Invalid setting 'name'");
    if (!setting->value ||
        (strcmp(setting->value, "enabled") != 0 && strcmp(setting->value, "disabled") != 0))
        check_parameter(check, "Invalid setting 'value'");
}

void validate_create_cluster(struct check *check, const void *message)
{
    static const char *const unsupported[] = {"capacity_providers",
                                              "default_capacity_provider_strategy"};
    const Ecs__CreateClusterRequest *request = message;

    check_name(check, "clusterName", request->cluster_name);
    check_tags(check, request->n_tags, request->tags);
    for (size_t i = 0; i < request->n_settings; i++)
        check_setting(check, request->settings[i]);
    check_unsupported_fields(check, &request->base, "", unsupported, 2);
}

/* ECS answers a malformed ARN here with its ARN library's own exception. */
static void check_asked(struct check *check, const char *cluster)
{
    char *name = NULL;

    if (arn_parse_cluster(cluster, &name) == ARN_MALFORMED && strncmp(cluster, "arn:", 4) == 0)
        check_client(check, "com.amazon.arn.ARNSyntaxException: " QUOTED, cluster);
    else
        check_cluster(check, cluster);
    free(name);
}

void validate_describe_clusters(struct check *check, const void *message)
{
    const Ecs__DescribeClustersRequest *request = message;

    check_count(check, "clusters", request->n_clusters, LIMIT_DESCRIBE_CLUSTERS);
    for (size_t i = 0; i < request->n_clusters && !check->problem; i++)
        check_asked(check, request->clusters[i]);
}

void validate_list_clusters(struct check *check, const void *message)
{
    const Ecs__ListClustersRequest *request = message;

    check_page(check, request->has_max_results, request->max_results);
}

void validate_delete_cluster(struct check *check, const void *message)
{
    const Ecs__DeleteClusterRequest *request = message;

    if (!request->cluster || !*request->cluster)
        check_parameter(check, "Cluster can not be blank.");
    check_cluster(check, request->cluster);
}
