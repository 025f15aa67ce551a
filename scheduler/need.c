#include "scheduler/need.h"

#include <stdlib.h>

#include "proto/base/mem.h"

void port_set_fini(struct port_set *set)
{
    free(set->keys);
    *set = (struct port_set){0};
}

static void add(struct port_set *set, uint32_t key)
{
    if (set->count == set->cap) {
        set->cap = set->cap ? set->cap * 2 : 4;
        set->keys = mem_resize(set->keys, set->cap, sizeof *set->keys);
    }
    set->keys[set->count++] = key;
}

static void remove_one(struct port_set *set, uint32_t key)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->keys[i] == key) {
            set->keys[i] = set->keys[--set->count];
            return;
        }
    }
}

void port_set_copy(struct port_set *set, const struct view_port *ports, size_t count)
{
    set->count = 0;
    for (size_t i = 0; i < count; i++)
        add(set, (uint32_t)ports[i].number * 2 + ports[i].udp);
}

void port_set_add(struct port_set *set, const struct port_set *more)
{
    for (size_t i = 0; i < more->count; i++)
        add(set, more->keys[i]);
}

void port_set_remove(struct port_set *set, const struct port_set *less)
{
    for (size_t i = 0; i < less->count; i++)
        remove_one(set, less->keys[i]);
}

bool port_set_meets(const struct port_set *a, const struct port_set *b)
{
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++)
            if (a->keys[i] == b->keys[j])
                return true;
    return false;
}

void need_fini(struct need *need)
{
    port_set_fini(&need->ports);
}

void need_copy(struct need *to, const struct need *from)
{
    to->cpu = from->cpu;
    to->memory = from->memory;
    port_set_add(&to->ports, &from->ports);
}
