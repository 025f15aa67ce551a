/* RegisterTaskDefinition, DeregisterTaskDefinition. */
#include <stdlib.h>

#include "proto/arn.h"
#include "proto/limits.h"
#include "proto/task_definition.h"
#include "storage/apply_inner.h"
#include "storage/tables_write.h"

enum {
    HOST_PORTS_MAX = 1000, /* Each is looked for in what a worker has taken. */
};

static int refuse_client(struct apply *a, const char *text)
{
    return apply_refuse(a, COMMAND__ERROR_CODE__ERROR_CLIENT, "%s", text);
}

static int result_definition(struct apply *a, const State__TaskDefinition *definition)
{
    apply_result_name(a, definition->family);
    a->result->revision = definition->revision;
    return 0;
}

/* Revisions count up for ever, as ECS's do: deregistered ones are not used again. */
static int next_revision(struct apply *a, const char *family, uint32_t *out)
{
    struct family known = {0};
    int r = table_family(a->txn, family, &known);

    if (r < 0)
        return err_up(r);
    if (known.newest >= INT32_MAX)
        return refuse_client(a, "The family has no revision left.");
    *out = known.newest + 1;
    return 0;
}

static int check_spec(struct apply *a, const Ecs__RegisterTaskDefinitionRequest *spec)
{
    if (!spec || !spec->family || !name_is_valid(spec->family))
        return refuse_client(a, "Family should not be null or empty.");
    if (spec->n_container_definitions == 0)
        return refuse_client(a, "Container list cannot be empty.");
    if (spec->n_container_definitions > LIMIT_CONTAINERS)
        return refuse_client(a, "Too many containers.");
    return 0;
}

static int register_definition(struct apply *a, State__TaskDefinition *definition)
{
    int r = next_revision(a, definition->family, &definition->revision);

    if (r == 0)
        r = table_add_task_definition(a->txn, definition);
    return r != 0 ? out_up(r) : result_definition(a, definition);
}

static void free_ports(State__Port **ports, size_t count)
{
    for (size_t i = 0; i < count; i++)
        state__port__free_unpacked(ports[i], NULL);
    free(ports);
}

int apply_register_task_definition(struct apply *a, const Command__RegisterTaskDefinition *body)
{
    State__TaskDefinition definition = STATE__TASK_DEFINITION__INIT;
    int r = check_spec(a, body->request);

    if (r != 0)
        return out_up(r);
    task_definition_defaults(body->request);
    r = task_definition_needs(body->request, &definition.cpu, &definition.memory);
    if (r == TASK_DEFINITION_MALFORMED)
        return refuse_client(a, "Invalid 'cpu' or 'memory' setting for task.");
    if (r < 0)
        return err_up(r);
    definition.n_host_ports = task_definition_host_ports(body->request, &definition.host_ports);
    if (definition.n_host_ports > HOST_PORTS_MAX) {
        free_ports(definition.host_ports, definition.n_host_ports);
        return refuse_client(a, "Too many host ports.");
    }
    definition.family = body->request->family;
    definition.active = true;
    definition.registered_ms = a->now_ms;
    definition.spec = body->request;
    r = register_definition(a, &definition);
    free_ports(definition.host_ports, definition.n_host_ports);
    return out_up(r);
}

static int find_described(struct apply *a, const char *text, State__TaskDefinition **out)
{
    char *family = NULL;
    uint32_t revision = 0;
    int r = text ? arn_parse_task_definition(text, &family, &revision) : ARN_MALFORMED;

    if (r == 0 && revision == 0)
        r = refuse_client(a, "Revision is missing.");
    else if (r == 0) {
        r = table_task_definition(a->txn, family, revision, out);
        if (r == TABLE_ABSENT)
            r = refuse_client(a, "Unable to describe task definition.");
    } else if (r == ARN_MALFORMED)
        r = refuse_client(a, "Unable to describe task definition.");
    free(family);
    return out_up(r);
}

int apply_deregister_task_definition(struct apply *a, const Command__DeregisterTaskDefinition *body)
{
    scope(definition_free) State__TaskDefinition *definition = NULL;
    int r = find_described(a, body->request ? body->request->task_definition : NULL, &definition);

    if (r != 0)
        return out_up(r);
    if (definition->active) {
        definition->active = false;
        definition->deregistered_ms = a->now_ms;
        r = table_put_task_definition(a->txn, definition);
        if (r < 0)
            return err_up(r);
    }
    return result_definition(a, definition);
}
