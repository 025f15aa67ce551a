/*
 * Why a manager's state cannot be begun with, and what to do about it, in words.
 */
#pragma once

#include "storage/env.h"

/* r is what opening or loading came to (-errno); env may be NULL. A damaged log entry is looked for
 * and named. Gives. */
char *start_problem(struct env *env, int r);
