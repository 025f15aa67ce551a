/*
 * What is wrong with the lab's network: a list of rules over pairs of nodes, and dark zones.
 *
 * Pure: the fabric asks for the line between two nodes. Rules are kept as they were asked for,
 * and the last one that speaks of a pair decides, so `cut m1 '*'` and then `heal m1 m2` leaves
 * m1 with one friend. A zone that is dark (failed) has no lines at all, whatever the rules say.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/base/scope.h"
#include "server/lab/flow.h"
#include "server/lab/layout.h"

struct faults;

enum { FAULTS_MAX = 256 }; /* Rules at a time. */

enum faults_outcome {
    FAULTS_UNKNOWN_A = 1, /* The first word names no node and no zone. */
    FAULTS_UNKNOWN_B,     /* The second does not. */
    FAULTS_NO_LINK,       /* No link runs between these two: only managers are called. */
    FAULTS_TOO_MANY,
};

/* Both ways, or from A to B alone. */
struct faults_between {
    const char *a;
    const char *b;
    bool one_way;
};

/* Borrows the layout for as long as the faults live. Gives. */
struct faults *faults_new(const struct layout *layout);
void faults_free(struct faults *faults);

int faults_cut(struct faults *faults, struct faults_between between);
int faults_delay(struct faults *faults, struct faults_between between, unsigned delay_ms,
                 unsigned jitter_ms);

/* Mend what lies between A and B; and everything but dark zones. */
int faults_heal(struct faults *faults, struct faults_between between);
void faults_heal_all(struct faults *faults);

void faults_set_dark(struct faults *faults, unsigned zone, bool dark);
bool faults_is_dark(const struct faults *faults, unsigned zone);

/* What the fabric does to bytes that node `from` sends to node `to`. */
struct line faults_line(const struct faults *faults, size_t from, size_t to);

/* Mark, in an array of node_count by node_count (row = from), the lines that are meant. Returns
 * FAULTS_UNKNOWN_*, FAULTS_NO_LINK or 0. */
int faults_pairs(const struct layout *layout, struct faults_between between, bool *out_pairs);

/* The rules as JSON, in order. Gives. */
json_t *faults_describe(const struct faults *faults);

SCOPED(struct faults *, faults_free);
