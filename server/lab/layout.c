#include "server/lab/layout.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/limits.h"

enum { REAL_MANAGER = 1, REAL_WORKER = 2, FACE = 100 };

static const char *const runtimes[] = {"process", "hollow"};

void layout_options_default(struct layout_options *out)
{
    *out = (struct layout_options){
        .managers = 3,
        .zones = 3,
        .workers = 6,
        .runtime = "process",
        .api_host = "127.0.0.1",
        .api_port = 4510,
        .region = "us-east-1",
        .account = "000000000000",
    };
}

int layout_parse_api(const char *text, struct layout_options *out)
{
    const char *colon = strrchr(text, ':');
    char host[sizeof out->api_host];
    struct in_addr address;
    unsigned long port;
    char *end;

    if (!colon || colon == text || (size_t)(colon - text) >= sizeof host || !isdigit(colon[1]))
        return err_new(-EINVAL);
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    if (strcmp(host, "localhost") == 0)
        snprintf(host, sizeof host, "127.0.0.1");
    port = strtoul(colon + 1, &end, 10);
    if (*end || port == 0 || port > UINT16_MAX || inet_pton(AF_INET, host, &address) != 1)
        return err_new(-EINVAL);
    memcpy(out->api_host, host, sizeof host);
    out->api_port = (unsigned)port;
    return 0;
}

static bool is_runtime(const char *name)
{
    for (size_t i = 0; i < sizeof runtimes / sizeof *runtimes; i++) {
        if (strcmp(runtimes[i], name) == 0)
            return true;
    }
    return false;
}

static bool is_all(const char *text, int (*allowed)(int))
{
    for (; *text; text++) {
        if (!allowed((unsigned char)*text))
            return false;
    }
    return true;
}

static int is_region_char(int c)
{
    return islower(c) || isdigit(c) || c == '-';
}

static char *problem_of_names(const struct layout_options *options)
{
    if (!is_runtime(options->runtime))
        return mem_format("--runtime %s: expected process or hollow", options->runtime);
    if (!options->region[0] || !is_all(options->region, is_region_char))
        return mem_format("--region %s: expected lower-case letters, digits and -",
                          options->region);
    if (strlen(options->account) != 12 || !is_all(options->account, isdigit))
        return mem_format("--account %s: expected 12 digits", options->account);
    return NULL;
}

char *layout_problem(const struct layout_options *options)
{
    if (options->managers < 1 || options->managers > LIMIT_MANAGERS)
        return mem_format("--managers %u: expected 1 to %u", options->managers, LIMIT_MANAGERS);
    if (options->zones < 1 || options->zones > LAYOUT_ZONES_MAX)
        return mem_format("--zones %u: expected 1 to %d", options->zones, LAYOUT_ZONES_MAX);
    if (options->workers > options->zones * LAYOUT_ZONE_WORKERS_MAX)
        return mem_format("--workers %u: expected 0 to %u (%d in each of %u zones)",
                          options->workers, options->zones * LAYOUT_ZONE_WORKERS_MAX,
                          LAYOUT_ZONE_WORKERS_MAX, options->zones);
    if (options->api_port < 1 || options->api_port > UINT16_MAX - LAYOUT_PORTS + 1)
        return mem_format("--api %s:%u: the port and the two above it must be at most 65535",
                          options->api_host, options->api_port);
    return problem_of_names(options);
}

static struct in_addr loopback(unsigned zone, unsigned net, unsigned number)
{
    uint32_t address = 127u << 24 | (zone + 1) << 16 | net << 8 | number;

    return (struct in_addr){.s_addr = htonl(address)};
}

static void deal(struct layout *layout, bool manager, unsigned index)
{
    struct layout_node *node = &layout->nodes[layout->node_count++];
    unsigned net = manager ? REAL_MANAGER : REAL_WORKER;
    unsigned number = index / layout->options.zones + 1;

    node->manager = manager;
    node->zone = index % layout->options.zones;
    snprintf(node->name, sizeof node->name, "%c%u", manager ? 'm' : 'w', index + 1);
    node->real = loopback(node->zone, net, number);
    node->face = loopback(node->zone, FACE + net, number);
}

struct layout *layout_new(const struct layout_options *options)
{
    struct layout *layout = mem_new(struct layout);

    must(options->zones >= 1);
    must(options->zones <= LAYOUT_ZONES_MAX);
    layout->options = *options;
    layout->nodes = mem_new_array(struct layout_node, options->managers + options->workers);
    for (unsigned i = 0; i < options->zones; i++)
        snprintf(layout->zones[i], LAYOUT_ZONE_SIZE, "%s%c", options->region, (char)('a' + i));
    for (unsigned i = 0; i < options->managers; i++)
        deal(layout, true, i);
    layout->manager_count = layout->node_count;
    for (unsigned i = 0; i < options->workers; i++)
        deal(layout, false, i);
    return layout;
}

void layout_free(struct layout *layout)
{
    if (!layout)
        return;
    free(layout->nodes);
    free(layout);
}

static struct sockaddr_in at(const struct layout *layout, struct in_addr address, unsigned port)
{
    must(port < LAYOUT_PORTS);
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_addr = address,
        .sin_port = htons((uint16_t)(layout->options.api_port + port)),
    };
}

struct sockaddr_in layout_real(const struct layout *layout, size_t node, unsigned port)
{
    must(node < layout->node_count);
    return at(layout, layout->nodes[node].real, port);
}

struct sockaddr_in layout_face(const struct layout *layout, size_t node, unsigned port)
{
    must(node < layout->node_count);
    return at(layout, layout->nodes[node].face, port);
}

int layout_find(const struct layout *layout, const char *name, size_t *out)
{
    for (size_t i = 0; i < layout->node_count; i++) {
        if (strcmp(layout->nodes[i].name, name) == 0) {
            *out = i;
            return 0;
        }
    }
    return LAYOUT_UNKNOWN;
}

int layout_find_address(const struct layout *layout, struct in_addr address, size_t *out)
{
    for (size_t i = 0; i < layout->node_count; i++) {
        if (layout->nodes[i].real.s_addr == address.s_addr) {
            *out = i;
            return 0;
        }
    }
    return LAYOUT_UNKNOWN;
}

int layout_find_zone(const struct layout *layout, const char *name, unsigned *out)
{
    for (unsigned i = 0; i < layout->options.zones; i++) {
        const char *letter = layout->zones[i] + strlen(layout->zones[i]) - 1;

        if (strcmp(layout->zones[i], name) == 0 || strcmp(letter, name) == 0) {
            *out = i;
            return 0;
        }
    }
    return LAYOUT_UNKNOWN;
}

static void mark_zone(const struct layout *layout, unsigned zone, bool *out_members)
{
    for (size_t i = 0; i < layout->node_count; i++) {
        if (layout->nodes[i].zone == zone)
            out_members[i] = true;
    }
}

int layout_select(const struct layout *layout, const char *word, bool *out_members)
{
    static const char zone_prefix[] = "zone:";
    unsigned zone;
    size_t node;

    if (strcmp(word, "*") == 0) {
        for (size_t i = 0; i < layout->node_count; i++)
            out_members[i] = true;
        return 0;
    }
    if (strncmp(word, zone_prefix, strlen(zone_prefix)) == 0) {
        if (layout_find_zone(layout, word + strlen(zone_prefix), &zone) == LAYOUT_UNKNOWN)
            return LAYOUT_UNKNOWN;
        mark_zone(layout, zone, out_members);
        return 0;
    }
    if (layout_find(layout, word, &node) == LAYOUT_UNKNOWN)
        return LAYOUT_UNKNOWN;
    out_members[node] = true;
    return 0;
}
