/*
 * What time it is: the wall's for reports, the machine's own for deadlines.
 */
#pragma once

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_read_ms(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline uint64_t clock_wall_ms(void)
{
    return clock_read_ms(CLOCK_REALTIME);
}

static inline uint64_t clock_steady_ms(void)
{
    return clock_read_ms(CLOCK_MONOTONIC);
}
