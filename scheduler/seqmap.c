#include "scheduler/seqmap.h"

#include <stdlib.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"

#define CAP_MIN 8u

/* Multiplying by 2^64 over the golden ratio spreads numbers that follow each other. */
static size_t home(const struct seqmap *map, uint64_t seq)
{
    return (size_t)((seq * 0x9e3779b97f4a7c15u) >> 32) & (map->cap - 1);
}

/* The slot of seq, or the free one where it would go. */
static struct seqmap_slot *probe(const struct seqmap *map, uint64_t seq)
{
    size_t at = home(map, seq);

    while (map->slots[at].value && map->slots[at].seq != seq)
        at = (at + 1) & (map->cap - 1);
    return &map->slots[at];
}

static void grow(struct seqmap *map)
{
    struct seqmap old = *map;

    map->cap = old.cap ? old.cap * 2 : CAP_MIN;
    map->slots = mem_new_array(struct seqmap_slot, map->cap);
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].value)
            *probe(map, old.slots[i].seq) = old.slots[i];
    free(old.slots);
}

void seqmap_fini(struct seqmap *map)
{
    free(map->slots);
    *map = (struct seqmap){0};
}

void *seqmap_get(const struct seqmap *map, uint64_t seq)
{
    return map->cap ? probe(map, seq)->value : NULL;
}

void seqmap_add(struct seqmap *map, uint64_t seq, void *value)
{
    struct seqmap_slot *slot;

    must(value);
    if ((map->count + 1) * 4 > map->cap * 3)
        grow(map);
    slot = probe(map, seq);
    must(!slot->value);
    *slot = (struct seqmap_slot){seq, value};
    map->count++;
}

/* Closes the gap: what follows moves up unless that would put it before its home. */
void seqmap_remove(struct seqmap *map, uint64_t seq)
{
    size_t mask = map->cap - 1;
    struct seqmap_slot *slot;
    size_t gap, at;

    if (!map->cap)
        return;
    slot = probe(map, seq);
    if (!slot->value)
        return;
    gap = (size_t)(slot - map->slots);
    for (at = (gap + 1) & mask; map->slots[at].value; at = (at + 1) & mask) {
        size_t from_home = (at - home(map, map->slots[at].seq)) & mask;

        if (from_home >= ((at - gap) & mask)) {
            map->slots[gap] = map->slots[at];
            gap = at;
        }
    }
    map->slots[gap] = (struct seqmap_slot){0};
    map->count--;
}

void *seqmap_next(const struct seqmap *map, size_t *at)
{
    while (*at < map->cap) {
        void *value = map->slots[(*at)++].value;

        if (value)
            return value;
    }
    return NULL;
}
