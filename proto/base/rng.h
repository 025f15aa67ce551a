/*
 * A seeded generator (xoshiro256++): the same seed gives the same numbers everywhere. Whoever
 * needs chance is handed one; not for secrets.
 */
#pragma once

#include <stdint.h>

struct rng {
    uint64_t state[4];
};

void rng_seed(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);

/* Uniform in 0..bound-1; bound > 0. */
uint64_t rng_below(struct rng *rng, uint64_t bound);

/* 32 hex digits and a NUL; and a UUID of version 4. */
void rng_id(struct rng *rng, char out[33]);
void rng_uuid(struct rng *rng, char out[37]);
