/*
 * Do the tables agree with themselves? Recomputes whatever is derived (counts, usage, indexes)
 * from the records, and compares. Costs a pass over everything: for tests and fuzzing.
 */
#pragma once

#include "storage/env.h"

/* Gives *out_text: the first difference found, for a developer to read; NULL if there is none. */
int tables_check(struct txn *txn, char **out_text);
