/*
 * Is a history of one object linearizable? Could its operations, each at one moment between
 * its invocation and its return, have been done one after the other with these results?
 *
 * The search of Wing and Gong (1993) with Lowe's memory of what was tried (2017). Two models in
 * one: a register (writes, reads) and a counter that only grows (additions of one, reads). An
 * operation whose outcome is unknown may have been done at any time after it began, or never.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define LINEAR_UNKNOWN UINT64_MAX /* As the time of return: nobody was told how it ended. */

enum linear_kind {
    LINEAR_WRITE, /* The object becomes value. */
    LINEAR_READ,  /* The object was value. Ignored if it did not return. */
    LINEAR_ADD,   /* The object grew by one, to value if it returned. */
};

struct linear_op {
    enum linear_kind kind;
    uint64_t value;
    uint64_t invoked;  /* On one clock with returned, in any unit. */
    uint64_t returned; /* > invoked, or LINEAR_UNKNOWN. */
};

enum linear_verdict {
    LINEAR_YES,
    LINEAR_NO,
    LINEAR_UNDECIDED, /* Too much to search: more than steps_max steps. */
};

/* Borrows ops, in any order. `initial` is the object at first. *out_stuck: for LINEAR_NO, the
 * operation which returned first of those that could not be fitted in; NULL is fine.
 *
 * What was tried is remembered by 128 bits of a hash, so that LINEAR_NO could be wrong, by a
 * chance of about 2^-64 even for a thousand million steps; LINEAR_YES cannot. */
enum linear_verdict linear_check(const struct linear_op *ops, size_t count, uint64_t initial,
                                 uint64_t steps_max, size_t *out_stuck);
