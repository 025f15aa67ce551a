#include "server/manager/api_render.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "proto/base/err.h"
#include "proto/limits.h"
#include "server/manager/api_page.h"

enum { LOOKED_AT_MAX = 10000 };

Ecs__Failure *render_failure(char *arn, const char *reason)
{
    Ecs__Failure *failure = mem_new(Ecs__Failure);

    ecs__failure__init(failure);
    failure->arn = arn;
    failure->reason = mem_string(reason);
    return failure;
}

int render_gone(struct render *render)
{
    return render_refuse(render, COMMAND__ERROR_CODE__ERROR_SERVER,
                         "It was done, but what it made is already gone.");
}

int render_cluster(struct render *render, const char *asked, State__Cluster **out)
{
    char *name = NULL;
    int r;

    if (arn_parse_cluster(asked, &name) == ARN_MALFORMED)
        return render_refuse(render, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                             "Invalid cluster: '%s'.", asked);
    r = table_cluster_by_name(render->txn, name, out);
    free(name);
    if (r == TABLE_ABSENT)
        return render_refuse(render, COMMAND__ERROR_CODE__ERROR_CLUSTER_NOT_FOUND,
                             "Cluster not found.");
    return err_up(r);
}

int render_definition(struct render *render, const char *family, uint32_t revision,
                      const State__TaskDefinition **out)
{
    State__TaskDefinition *kept = render->definition;
    int r;

    if (kept && kept->revision == revision && strcmp(kept->family, family) == 0) {
        *out = kept;
        return 0;
    }
    if (kept)
        state__task_definition__free_unpacked(kept, NULL);
    render->definition = NULL;
    r = table_task_definition(render->txn, family, revision, &render->definition);
    if (r < 0)
        return err_up(r);
    *out = render->definition;
    return 0;
}

const char *render_attribute(const State__Worker *worker, const char *name)
{
    for (size_t i = 0; i < worker->n_attributes; i++) {
        const Ecs__Attribute *attribute = worker->attributes[i];

        if (attribute->name && strcmp(attribute->name, name) == 0)
            return attribute->value;
    }
    return NULL;
}

/* ---- listings */

int listing_begin(struct listing *listing, struct render *render, const char *action,
                  uint64_t cluster_seq, const char *next_token, int32_t max)
{
    listing->render = render;
    listing->max = max > 0 && max <= LIMIT_PAGE ? (size_t)max : LIMIT_PAGE;
    snprintf(listing->name, sizeof listing->name, "%s/%" PRIu64, action, cluster_seq);
    if (page_seq(listing->name, next_token, &listing->after) == PAGE_BAD_TOKEN)
        return render_refuse(render, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                             "Invalid token.");
    listing->last = listing->after;
    listing->arns = mem_new_array(char *, listing->max);
    return 0;
}

bool listing_goes_on(struct listing *listing)
{
    listing->more = *listing->n_arns == listing->max || listing->looked_at == LOOKED_AT_MAX;
    return !listing->more;
}

void listing_add(struct listing *listing, uint64_t seq, char *arn)
{
    listing->looked_at++;
    listing->last = seq;
    if (arn)
        listing->arns[(*listing->n_arns)++] = arn;
}

char *listing_token(const struct listing *listing)
{
    return listing->more ? page_token_seq(listing->name, listing->last) : NULL;
}
