/*
 * What one task takes of a worker, and sets of fixed ports.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scheduler/view.h"

/* Ports in no order, a port as often as it was added. All zeroes is an empty set. */
struct port_set {
    uint32_t *keys; /* number * 2 + udp */
    size_t count;
    size_t cap;
};

/* All zeroes needs nothing. */
struct need {
    uint32_t cpu;
    uint32_t memory;
    struct port_set ports;
};

void port_set_fini(struct port_set *set);
void port_set_copy(struct port_set *set, const struct view_port *ports,
                   size_t count); /* Replaces. */
void port_set_add(struct port_set *set, const struct port_set *more);
void port_set_remove(struct port_set *set, const struct port_set *less); /* Each once. */
bool port_set_meets(const struct port_set *a, const struct port_set *b);

void need_fini(struct need *need);
void need_copy(struct need *to, const struct need *from); /* `to` must be all zeroes. */
