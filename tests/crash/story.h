/*
 * A manager's storage in use, and how to tell that it is as it should be: made by workload.c,
 * looked at again by images.c after the power was cut.
 *
 * A state of the storage is told by a digest over all that is promised: term and vote, the
 * entries of the log, what was applied, the configuration, and the tables. A turn is one
 * transaction, so that what is found after a cut is the state after the last turn that was
 * acknowledged, or after the one that was under way: nothing between, and nothing else. To adopt an
 * image counts as a turn.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "storage/env.h"

enum { STORY_MAP_BYTES = 64 << 20 };

struct story_state {
    uint64_t term;
    uint64_t voted_for;
    uint64_t first, last; /* Of the log; 0 and 0 when it is empty. */
    uint64_t applied;
    uint64_t digest; /* Of all there is. */
};

/* What the workload says: before a turn's commit, and when it returned. */
enum story_word {
    STORY_INTENDS = 1,
    STORY_ACKNOWLEDGED,
};

struct story_mark {
    uint32_t word;
    uint32_t turn; /* Counted from 1. */
    struct story_state state;
};

/* As a manager starts in DIR: DIR/state is made if it is not there, and opened, and DIR/incoming,
 * which is of no use, is removed. Gives *out, on failure too. */
int story_start(const char *dir, size_t map_bytes, struct env **out);

/* -EUCLEAN: the log or a table is damaged; *out_text (gives) says how. */
int story_look(struct txn *txn, struct story_state *out, char **out_text);

/* Store one more entry behind the last, apply all there is, and commit. */
int story_go_on(struct env *env, char **out_text);

/* Apply the entries up to an index. */
int story_apply(struct txn *txn, uint64_t until);

/* The n-th command that every history begins with: for entries that do something. Gives. */
struct buffer;
void story_command(unsigned number, struct buffer *out);
