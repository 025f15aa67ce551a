/*
 * The layout of a lab: which managers and workers there are, in which zones, at which addresses.
 *
 * Pure arithmetic over what the user asked for; the same options give the same layout, so a lab
 * that was taken down comes back as it was. Zones, counted from 1, get 127.<zone>.0.0/16:
 *
 *     127.<zone>.1.<n>    the manager itself          127.<zone>.2.<n>    the worker itself
 *     127.<zone>.101.<n>  the manager's face          127.<zone>.102.<n>  the worker's face
 *
 * A node binds its own address, to listen and as the source of its calls. A face is where
 * the fabric answers for a manager, and what the fabric's own connections come from: others
 * know a node by its face only, which is how every link passes through the fabric.
 * Managers and workers are dealt to the zones in turn. Ports are P (the API), P + 1 (worker
 * RPC) and P + 2 (peers), with P the port of the lab's endpoint: labs with different ports
 * live side by side.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/scope.h"

enum {
    LAYOUT_ZONES_MAX = 9,          /* Letters a to i. */
    LAYOUT_ZONE_WORKERS_MAX = 250, /* The last octet of an address. */
    LAYOUT_PORTS = 3,              /* API, worker RPC, peers. */
    LAYOUT_NAME_SIZE = 16,
    LAYOUT_ZONE_SIZE = 48,
};

enum layout_outcome {
    LAYOUT_UNKNOWN = 1, /* No node or zone of that name. */
};

/* What the user may choose. All zeroes but for the defaults of layout_options_default(). */
struct layout_options {
    unsigned managers;
    unsigned zones;
    unsigned workers;
    char runtime[16];
    char api_host[16]; /* Dotted. */
    unsigned api_port;
    char region[32];
    char account[16];
};

struct layout_node {
    bool manager;  /* Else a worker. */
    unsigned zone; /* Index into layout.zones. */
    char name[LAYOUT_NAME_SIZE];
    struct in_addr real;
    struct in_addr face;
};

struct layout {
    struct layout_options options;
    char zones[LAYOUT_ZONES_MAX][LAYOUT_ZONE_SIZE];
    struct layout_node *nodes; /* Managers first: manager number i is nodes[i - 1]. */
    size_t node_count;
    size_t manager_count;
};

void layout_options_default(struct layout_options *out);

/* Read HOST:PORT, HOST dotted or `localhost`. Returns -EINVAL for anything else. */
int layout_parse_api(const char *text, struct layout_options *out);

/* What is wrong with the options, as a sentence naming the option; NULL if nothing. Gives. */
char *layout_problem(const struct layout_options *options);

/* Make the layout of options without a problem. Gives. */
struct layout *layout_new(const struct layout_options *options);
void layout_free(struct layout *layout);

/* Where a manager listens, and where its face does; port counts from 0. */
struct sockaddr_in layout_real(const struct layout *layout, size_t node, unsigned port);
struct sockaddr_in layout_face(const struct layout *layout, size_t node, unsigned port);

/* The node with this name, or this own address; LAYOUT_UNKNOWN if none. */
int layout_find(const struct layout *layout, const char *name, size_t *out);
int layout_find_address(const struct layout *layout, struct in_addr address, size_t *out);

/* The zone of this name, in full (us-east-1a) or its last letter; LAYOUT_UNKNOWN if none. */
int layout_find_zone(const struct layout *layout, const char *name, unsigned *out);

/* Mark, in an array of node_count, whom a word means: a node's name, zone:ZONE or `*`.
 * On LAYOUT_UNKNOWN nothing is marked. */
int layout_select(const struct layout *layout, const char *word, bool *out_members);

static inline const char *layout_zone_of(const struct layout *layout, size_t node)
{
    return layout->zones[layout->nodes[node].zone];
}

SCOPED(struct layout *, layout_free);
