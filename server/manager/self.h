/*
 * Who this manager is: its own record as a member, and its cluster. Said once, when it bootstraps
 * or joins, and kept with its state from then on; flags may repeat it, not change it.
 */
#pragma once

#include "server/manager/manager_options.h"
#include "server/manager/member.h"
#include "storage/env.h"

enum { SELF_CLUSTER = 65 }; /* Room for a cluster's name and its NUL. */

enum self_outcome {
    SELF_NOBODY = 1, /* Nothing is stored: it has neither bootstrapped nor joined. */
};

struct self {
    struct member member; /* Its role is a voter's: what it is now Raft knows. */
    char cluster[SELF_CLUSTER];
};

/* -EUCLEAN: what is stored is no identity. */
int self_load(struct env *env, struct self *out);
int self_save(struct env *env, const struct self *self);

/* A backup was restored here, of this cluster; no manager has gone on from it yet. SELF_NOBODY:
 * none was. */
int self_restored(struct env *env, char out_cluster[SELF_CLUSTER]);

/* Who it would be by its flags, without id and key. Gives a sentence if they do not suffice, or
 * NULL. */
char *self_describe(const struct manager_options *options, struct member *out);

/* What the flags say otherwise than is stored, as a sentence; NULL if nothing. Gives. */
char *self_contradiction(const struct manager_options *options, const struct self *self);

/* A new cluster of this manager alone: gives it an id, and the cluster a name. -EIO: no randomness.
 */
int self_begin(const struct member *described, struct self *out);
