/*
 * place(), for those who hold parts of the view already.
 */
#pragma once

#include "scheduler/need.h"
#include "scheduler/place.h"
#include "scheduler/view_parts.h"

struct place_group {
    struct cluster *cluster;       /* NULL: it has no workers. */
    struct service *service;       /* NULL: standalone. In flight until the token is released. */
    struct deployment *deployment; /* NULL: standalone. */
    const struct need *need;
    size_t count;
};

void place_group(struct view *view, const struct place_group *group, struct place_result *out);
