/*
 * What ECS tells a service's users, in its words. Each gives the text.
 */
#pragma once

#include "scheduler/place.h"

char *say_unplaced(const char *service, const struct place_result *result);
char *say_stuck(const char *service);
char *say_completed(const char *service, const char *deployment_id);
char *say_steady(const char *service);

/* The reason of a stop. */
char *say_scaling(const char *deployment_id);
