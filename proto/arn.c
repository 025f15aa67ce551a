#include "proto/arn.h"

#include <string.h>

#include "proto/base/mem.h"
#include "proto/limits.h"

/* "arn", partition, "ecs", region, account, and then what it names. */
enum { ARN_COLONS = 5 };

/* Whether the first len bytes of the text are a name. */
static bool is_name(const char *text, size_t len)
{
    return len > 0 && len <= LIMIT_NAME_CHARS &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") >= len;
}

bool name_is_valid(const char *name)
{
    return is_name(name, strlen(name));
}

bool id_is_valid(const char *id)
{
    return strspn(id, "0123456789abcdef") == ARN_ID_CHARS && !id[ARN_ID_CHARS];
}

static char *arn_of(const State__Settings *settings, const char *kind, const char *cluster,
                    const char *last)
{
    return mem_format("arn:aws:ecs:%s:%s:%s/%s/%s", settings->region, settings->account, kind,
                      cluster, last);
}

char *arn_cluster(const State__Settings *settings, const char *cluster)
{
    return mem_format("arn:aws:ecs:%s:%s:cluster/%s", settings->region, settings->account, cluster);
}

char *arn_task_definition(const State__Settings *settings, const char *family, uint32_t revision)
{
    return mem_format("arn:aws:ecs:%s:%s:task-definition/%s:%u", settings->region,
                      settings->account, family, revision);
}

char *arn_service(const State__Settings *settings, const char *cluster, const char *service)
{
    return arn_of(settings, "service", cluster, service);
}

char *arn_task(const State__Settings *settings, const char *cluster, const char *task_id)
{
    return arn_of(settings, "task", cluster, task_id);
}

char *arn_container(const State__Settings *settings, const char *cluster, const char *task_id,
                    const char *container)
{
    return mem_format("arn:aws:ecs:%s:%s:container/%s/%s/%s", settings->region, settings->account,
                      cluster, task_id, container);
}

char *arn_container_instance(const State__Settings *settings, const char *cluster,
                             const char *worker_id)
{
    return arn_of(settings, "container-instance", cluster, worker_id);
}

/* The resource part of an ARN of ours, borrowed from the text; NULL if it is none. Region and
 * account are not compared: an installation has one of each. */
static const char *resource_of(const char *text)
{
    static const char *const parts[ARN_COLONS] = {"arn", NULL, "ecs", NULL, NULL};

    for (int i = 0; i < ARN_COLONS; i++) {
        size_t len = strcspn(text, ":");

        if (!text[len])
            return NULL;
        if (parts[i] && (len != strlen(parts[i]) || strncmp(text, parts[i], len) != 0))
            return NULL;
        if (len == 0)
            return NULL;
        text += len + 1;
    }
    return text;
}

static bool is_arn(const char *text)
{
    return strncmp(text, "arn:", 4) == 0;
}

/* What follows "kind/" in an ARN, borrowed; NULL if it is malformed or of another kind. */
static const char *resource_of_kind(const char *arn, const char *kind)
{
    const char *resource = resource_of(arn);
    size_t len = strlen(kind);

    if (!resource || strncmp(resource, kind, len) != 0 || resource[len] != '/')
        return NULL;
    return resource + len + 1;
}

static int give_name(const char *name, char **out)
{
    if (!name || !name_is_valid(name))
        return ARN_MALFORMED;
    *out = mem_string(name);
    return 0;
}

int arn_parse_cluster(const char *text, char **out_name)
{
    if (!text)
        text = "default";
    return give_name(is_arn(text) ? resource_of_kind(text, "cluster") : text, out_name);
}

int arn_parse_member(const char *text, const char *kind, char **out_id)
{
    const char *id = is_arn(text) ? resource_of_kind(text, kind) : text;
    const char *slash = id ? strchr(id, '/') : NULL;

    if (!slash)
        return give_name(id, out_id);
    if (!is_arn(text) || !is_name(id, (size_t)(slash - id)))
        return ARN_MALFORMED;
    return give_name(slash + 1, out_id);
}

/* Digits only, without a leading zero, within uint32_t. */
static bool parse_revision(const char *text, uint32_t *out)
{
    uint64_t value = 0;
    size_t len = strspn(text, "0123456789");

    if (len == 0 || len > 10 || text[len] || text[0] == '0')
        return false;
    for (size_t i = 0; i < len; i++)
        value = value * 10 + (uint64_t)(text[i] - '0');
    if (value > UINT32_MAX)
        return false;
    *out = (uint32_t)value;
    return true;
}

int arn_parse_task_definition(const char *text, char **out_family, uint32_t *out_revision)
{
    const char *family = is_arn(text) ? resource_of_kind(text, "task-definition") : text;
    uint32_t revision = 0;
    size_t len;

    if (!family)
        return ARN_MALFORMED;
    len = strcspn(family, ":");
    if (!is_name(family, len) || (family[len] && !parse_revision(family + len + 1, &revision)))
        return ARN_MALFORMED;
    *out_family = mem_format("%.*s", (int)len, family);
    *out_revision = revision;
    return 0;
}
