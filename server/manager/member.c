#include "server/manager/member.h"

#include <stdio.h>
#include <string.h>

#include "proto/arn.h"
#include "proto/base/must.h"

enum { PORT_MAX = 65535 };

static bool host_is_valid(const char *host)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:";
    size_t len = strlen(host);

    return len > 0 && len <= MEMBER_HOST_CHARS && strspn(host, allowed) == len;
}

static bool key_is_valid(const char *key)
{
    return *key == '\0' ||
           (strspn(key, "0123456789abcdef") == MEMBER_KEY_CHARS && !key[MEMBER_KEY_CHARS]);
}

bool member_is_valid(const struct member *member)
{
    return name_is_valid(member->name) && name_is_valid(member->zone) &&
           host_is_valid(member->host) && key_is_valid(member->key) && member->peer_port > 0 &&
           member->rpc_port > 0 && member->api_port > 0;
}

/* The next field, without its space; -1: it is longer than the place it goes to. */
static int take_field(const char **at, char *out, size_t size)
{
    size_t len = strcspn(*at, " ");

    if (len >= size)
        return -1;
    memcpy(out, *at, len);
    out[len] = '\0';
    *at += len;
    return 0;
}

/* A space must follow: no field but the last may end the text. */
static int take_space(const char **at)
{
    if (**at != ' ')
        return -1;
    ++*at;
    return 0;
}

static int take_text(const char **at, char *out, size_t size)
{
    return take_field(at, out, size) == 0 ? take_space(at) : -1;
}

static int take_port(const char **at, uint16_t *out)
{
    char digits[6];
    unsigned port = 0;

    if (take_text(at, digits, sizeof digits) < 0 || digits[0] == '0')
        return -1;
    for (const char *digit = digits; *digit; digit++) {
        if (*digit < '0' || *digit > '9')
            return -1;
        port = port * 10 + (unsigned)(*digit - '0');
    }
    if (port > PORT_MAX)
        return -1;
    *out = (uint16_t)port;
    return 0;
}

static int take_key(const char **at, char out[MEMBER_KEY_CHARS + 1])
{
    if (strcmp(*at, "-") == 0) {
        out[0] = '\0';
        return 0;
    }
    return take_field(at, out, MEMBER_KEY_CHARS + 1) == 0 && **at == '\0' && *out ? 0 : -1;
}

int member_parse(const char *text, struct member *out)
{
    struct member parsed = {.id = out->id, .role = out->role};

    if (take_text(&text, parsed.name, sizeof parsed.name) < 0 ||
        take_text(&text, parsed.zone, sizeof parsed.zone) < 0 ||
        take_text(&text, parsed.host, sizeof parsed.host) < 0 ||
        take_port(&text, &parsed.peer_port) < 0 || take_port(&text, &parsed.rpc_port) < 0 ||
        take_port(&text, &parsed.api_port) < 0 || take_key(&text, parsed.key) < 0)
        return MEMBER_MALFORMED;
    if (!member_is_valid(&parsed))
        return MEMBER_MALFORMED;
    *out = parsed;
    return 0;
}

const char *member_format(const struct member *member, char out[MEMBER_TEXT])
{
    int len;

    must(member_is_valid(member));
    len = snprintf(out, MEMBER_TEXT, "%s %s %s %u %u %u %s", member->name, member->zone,
                   member->host, member->peer_port, member->rpc_port, member->api_port,
                   *member->key ? member->key : "-");
    must(len < MEMBER_TEXT);
    return out;
}

bool member_id_is_valid(uint64_t id)
{
    return id != 0 && id <= INT64_MAX;
}

const char *member_address(const struct member *member, uint16_t port, char out[MEMBER_ADDRESS])
{
    bool brackets = strchr(member->host, ':') != NULL; /* IPv6. */
    int len = snprintf(out, MEMBER_ADDRESS, "%s%s%s:%u", brackets ? "[" : "", member->host,
                       brackets ? "]" : "", port);

    must(len < MEMBER_ADDRESS);
    return out;
}

const struct member *member_find(const struct member *members, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++)
        if (members[i].id == id)
            return &members[i];
    return NULL;
}
