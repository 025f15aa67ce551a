/*
 * Flights: room held, and services kept from being planned again, until a token is released.
 */
#pragma once

#include "scheduler/view_parts.h"

struct flight {
    uint64_t token;
    uint64_t service_seq;    /* 0: standalone. */
    struct need need;        /* Of each of its tasks. */
    struct worker **workers; /* One for each task; kept while they are in here. */
    size_t count;
    size_t cap;
};

/* Begin one. need may be NULL: it holds no room. Borrowed until released. */
struct flight *flight_begin(struct view *view, struct service *service, const struct need *need);

/* Hold room for one more task on a worker. */
void flight_hold(struct flight *flight, struct worker *worker);
