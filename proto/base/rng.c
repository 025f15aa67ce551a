#include "proto/base/rng.h"

#include <stdio.h>

#include "proto/base/must.h"

/* splitmix64: turns any seed, also 0, into a good state. */
static uint64_t split(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t value, int by)
{
    return value << by | value >> (64 - by);
}

void rng_seed(struct rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        rng->state[i] = split(&seed);
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate(s[0] + s[3], 23) + s[0];
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    uint64_t limit, value;

    must(bound > 0);
    limit = UINT64_MAX - UINT64_MAX % bound;
    do
        value = rng_next(rng);
    while (value >= limit); /* The last, short stretch would favour small numbers. */
    return value % bound;
}

void rng_id(struct rng *rng, char out[33])
{
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)rng_next(rng),
             (unsigned long long)rng_next(rng));
}

void rng_uuid(struct rng *rng, char out[37])
{
    uint64_t a = rng_next(rng);
    uint64_t b = rng_next(rng);

    snprintf(out, 37, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(a >> 32),
             (unsigned)(a >> 16) & 0xffff, (unsigned)a & 0xfff,
             ((unsigned)(b >> 48) & 0x3fff) | 0x8000, (unsigned long long)(b & 0xffffffffffffu));
}
