/*
 * A map from sequence numbers to pointers: open addressing, linear probing.
 *
 * Walking it (seqmap_next) goes in no useful order: whoever walks must not let the order show.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct seqmap_slot {
    uint64_t seq;
    void *value; /* NULL: free. */
};

/* All zeroes is an empty one. */
struct seqmap {
    struct seqmap_slot *slots;
    size_t cap; /* 0 or a power of two. */
    size_t count;
};

/* Forgets the values; it never owned them. */
void seqmap_fini(struct seqmap *map);

/* NULL if there is none. */
void *seqmap_get(const struct seqmap *map, uint64_t seq);

/* Adds. The seq must not be in the map, and value not be NULL. */
void seqmap_add(struct seqmap *map, uint64_t seq, void *value);

/* An unknown seq is fine. */
void seqmap_remove(struct seqmap *map, uint64_t seq);

/* Walk: start with *at = 0; NULL ends it. The map may not change meanwhile. */
void *seqmap_next(const struct seqmap *map, size_t *at);
