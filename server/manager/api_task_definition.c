#include <stdlib.h>
#include <string.h>

#include "proto/arn.h"
#include "proto/base/endian.h"
#include "proto/base/err.h"
#include "proto/limits.h"
#include "server/manager/api_page.h"
#include "server/manager/api_render.h"

/* What ECS works out: awsvpc with sizes may run on Fargate, the rest on any machine. */
static void add_compatibilities(Ecs__TaskDefinition *definition)
{
    bool awsvpc = definition->has_network_mode &&
                  definition->network_mode == ECS__NETWORK_MODE__VALUE__awsvpc;

    if (!awsvpc)
        ADD(definition, compatibilities, ECS__COMPATIBILITY__VALUE__EXTERNAL);
    ADD(definition, compatibilities, ECS__COMPATIBILITY__VALUE__EC2);
    if (awsvpc && definition->cpu && definition->memory)
        ADD(definition, compatibilities, ECS__COMPATIBILITY__VALUE__FARGATE);
}

/* What the user registered moves into the answer. */
static void add_spec(Ecs__TaskDefinition *definition, Ecs__RegisterTaskDefinitionRequest *spec)
{
    MOVE_LIST(definition, container_definitions, spec, container_definitions);
    MOVE_LIST(definition, volumes, spec, volumes);
    MOVE_LIST(definition, placement_constraints, spec, placement_constraints);
    MOVE_LIST(definition, requires_compatibilities, spec, requires_compatibilities);
    MOVE_LIST(definition, inference_accelerators, spec, inference_accelerators);
    definition->task_role_arn = steal(spec->task_role_arn);
    definition->execution_role_arn = steal(spec->execution_role_arn);
    definition->cpu = steal(spec->cpu);
    definition->memory = steal(spec->memory);
    definition->proxy_configuration = steal(spec->proxy_configuration);
    definition->ephemeral_storage = steal(spec->ephemeral_storage);
    definition->runtime_platform = steal(spec->runtime_platform);
    if (spec->has_network_mode)
        SET(definition, network_mode, spec->network_mode);
    if (spec->has_pid_mode)
        SET(definition, pid_mode, spec->pid_mode);
    if (spec->has_ipc_mode)
        SET(definition, ipc_mode, spec->ipc_mode);
}

/* Takes the record apart, all but its tags. */
static Ecs__TaskDefinition *definition_message(const State__Settings *settings,
                                               State__TaskDefinition *record)
{
    Ecs__TaskDefinition *definition = mem_new(Ecs__TaskDefinition);

    ecs__task_definition__init(definition);
    definition->task_definition_arn =
        arn_task_definition(settings, record->family, record->revision);
    definition->family = mem_string(record->family);
    SET(definition, revision, as_count(record->revision));
    SET(definition, status,
        record->active ? ECS__TASK_DEFINITION_STATUS__VALUE__ACTIVE
                       : ECS__TASK_DEFINITION_STATUS__VALUE__INACTIVE);
    SET_TIME(definition, registered_at, record->registered_ms);
    SET_TIME(definition, deregistered_at, record->deregistered_ms);
    definition->registered_by = mem_format("arn:aws:iam::%s:root", settings->account);
    if (record->spec)
        add_spec(definition, record->spec);
    add_compatibilities(definition);
    return definition;
}

/* The revision that a write was about; gives *out_record too. */
static int definition_of_result(struct render *render, State__TaskDefinition **out_record,
                                Ecs__TaskDefinition **out)
{
    int r = table_task_definition(render->txn, render->result->name, render->result->revision,
                                  out_record);

    if (r == TABLE_ABSENT)
        return render_gone(render);
    if (r < 0)
        return err_up(r);
    *out = definition_message(render->settings, *out_record);
    return 0;
}

int render_register_task_definition(struct render *render)
{
    Ecs__RegisterTaskDefinitionResponse *response = render->response;
    scope(task_definition_record_free) State__TaskDefinition *record = NULL;
    int r = definition_of_result(render, &record, &response->task_definition);

    if (record && record->spec)
        MOVE_LIST(response, tags, record->spec, tags);
    return render_up(r);
}

int render_deregister_task_definition(struct render *render)
{
    Ecs__DeregisterTaskDefinitionResponse *response = render->response;
    scope(task_definition_record_free) State__TaskDefinition *record = NULL;
    int r = definition_of_result(render, &record, &response->task_definition);

    return render_up(r);
}

/* ---- ECS DescribeTaskDefinition */

/* FAMILY is its newest ACTIVE revision. */
static int definition_asked(struct render *render, const char *asked, State__TaskDefinition **out)
{
    char *family = NULL;
    uint32_t revision = 0;
    int r = TABLE_ABSENT;

    if (arn_parse_task_definition(asked, &family, &revision) == 0)
        r = revision ? table_task_definition(render->txn, family, revision, out)
                     : table_task_definition_newest(render->txn, family, out);
    free(family);
    if (r == TABLE_ABSENT)
        return render_refuse(render, COMMAND__ERROR_CODE__ERROR_CLIENT,
                             "Unable to describe task definition.");
    return err_up(r);
}

static bool tags_asked(const Ecs__DescribeTaskDefinitionRequest *request)
{
    for (size_t i = 0; i < request->n_include; i++) {
        if (request->include[i] == ECS__TASK_DEFINITION_FIELD__VALUE__TAGS)
            return true;
    }
    return false;
}

int render_describe_task_definition(struct render *render)
{
    const Ecs__DescribeTaskDefinitionRequest *request = render->request;
    Ecs__DescribeTaskDefinitionResponse *response = render->response;
    scope(task_definition_record_free) State__TaskDefinition *record = NULL;
    int r = definition_asked(render, request->task_definition, &record);

    if (r != 0)
        return render_up(r);
    response->task_definition = definition_message(render->settings, record);
    if (record->spec && tags_asked(request))
        MOVE_LIST(response, tags, record->spec, tags);
    return 0;
}

/* ---- ECS ListTaskDefinitions */

/*
 * Ascending, a page begins after the token's revision and ends when it is full. Descending, the
 * walk is the same, ends at the token's revision, and the page is the last of what it met: entries
 * are a ring, of which the oldest is forgotten for each one too many.
 */
enum { LOOKED_AT_MAX = 10000 };

struct entry {
    char *family;
    uint32_t revision;
};

struct definitions {
    struct render *render;
    const char *family; /* NULL: all. */
    bool active;        /* The status listed. */
    bool descending;
    struct entry token; /* Family NULL: none. */
    struct entry last;  /* Looked at, ascending. */
    struct entry *ring;
    size_t max;
    size_t met; /* Ever put into the ring. */
    size_t looked_at;
    bool more;
};

static void entry_set(struct entry *entry, const State__TaskDefinition *definition)
{
    free(entry->family);
    entry->family = mem_string(definition->family);
    entry->revision = definition->revision;
}

/* Does the record come at or after the token? */
static bool reaches_token(const struct definitions *list, const State__TaskDefinition *definition)
{
    int order;

    if (!list->token.family)
        return false;
    order = strcmp(definition->family, list->token.family);
    return order > 0 || (order == 0 && definition->revision >= list->token.revision);
}

static bool stops_before(struct definitions *list, const State__TaskDefinition *definition)
{
    if (list->family && strcmp(definition->family, list->family) != 0)
        return true;
    if (list->descending)
        return reaches_token(list, definition);
    list->more = list->met == list->max || list->looked_at == LOOKED_AT_MAX;
    return list->more;
}

static int list_definition(void *context, const State__TaskDefinition *definition)
{
    struct definitions *list = context;

    if (stops_before(list, definition))
        return WALK_STOP;
    list->looked_at++;
    if (!list->descending)
        entry_set(&list->last, definition);
    if (definition->active == list->active)
        entry_set(&list->ring[list->met++ % list->max], definition);
    return WALK_ON;
}

static const struct entry *nth(const struct definitions *list, size_t n)
{
    size_t shown = list->met < list->max ? list->met : list->max;
    size_t index = list->descending ? list->met - 1 - n : list->met - shown + n;

    return n < shown ? &list->ring[index % list->max] : NULL;
}

static char *token_of(const struct entry *entry)
{
    uint8_t position[PAGE_POSITION_MAX];
    size_t len = strlen(entry->family);

    memcpy(position, entry->family, len);
    be32_put(position + len, entry->revision);
    return page_token("ListTaskDefinitions", (struct bytes){position, len + 4});
}

static int token_read(const char *token, struct entry *out)
{
    uint8_t position[PAGE_POSITION_MAX];
    size_t len;

    if (!token)
        return 0;
    if (page_position("ListTaskDefinitions", token, position, &len) != 0 || len < 4 ||
        len - 4 > LIMIT_NAME_CHARS)
        return PAGE_BAD_TOKEN;
    out->family = mem_zeroed(1, len - 4 + 1);
    memcpy(out->family, position, len - 4);
    out->revision = be32_get(position + len - 4);
    return 0;
}

static int walk(struct definitions *list)
{
    const struct entry *token = &list->token;
    const char *after = list->family ? list->family : "";

    if (token->family && !list->descending)
        return table_task_definitions(list->render->txn, token->family, token->revision,
                                      list_definition, list);
    return table_task_definitions(list->render->txn, after, 0, list_definition, list);
}

static void show(const struct definitions *list, Ecs__ListTaskDefinitionsResponse *response)
{
    const struct entry *last = &list->last;
    const struct entry *entry;

    for (size_t n = 0; (entry = nth(list, n)); n++) {
        ADD(response, task_definition_arns,
            arn_task_definition(list->render->settings, entry->family, entry->revision));
        if (list->descending)
            last = entry;
    }
    if (list->more || (list->descending && list->met > list->max))
        response->next_token = token_of(last);
}

static void definitions_fini(struct definitions *list)
{
    for (size_t i = 0; i < list->max; i++)
        free(list->ring[i].family);
    free(list->ring);
    free(list->token.family);
    free(list->last.family);
}

int render_list_task_definitions(struct render *render)
{
    const Ecs__ListTaskDefinitionsRequest *request = render->request;
    struct definitions list = {
        .render = render,
        .family = request->family_prefix, /* The whole family, in spite of its name. */
        .active =
            !request->has_status || request->status == ECS__TASK_DEFINITION_STATUS__VALUE__ACTIVE,
        .descending = request->has_sort && request->sort == ECS__SORT_ORDER__VALUE__DESC,
        .max = request->max_results > 0 && request->max_results <= LIMIT_PAGE
                   ? (size_t)request->max_results
                   : LIMIT_PAGE,
    };
    int r;

    if (token_read(request->next_token, &list.token) == PAGE_BAD_TOKEN)
        return render_refuse(render, COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                             "Invalid token.");
    list.ring = mem_new_array(struct entry, list.max);
    r = walk(&list);
    if (r == 0)
        show(&list, render->response);
    definitions_fini(&list);
    return err_up(r);
}
