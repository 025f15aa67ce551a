/*
 * The Raft log and what Raft keeps beside it: term and vote, how far the tables have been
 * applied, and the configuration as of there.
 *
 * Entries lie at consecutive indexes; each carries a CRC-32C over its term, type and bytes, checked
 * at every read. An entry is an {index, term, type, bytes}: what it means is not known here.
 * All calls work within the caller's transaction.
 */
#pragma once

#include <stdint.h>

#include "storage/env.h"

/* Of this format. Format 1 named its managers in flags; its log cannot be read as one of this. */
enum { LOG_FORMAT = 2 };

enum log_outcome {
    LOG_ABSENT = 1, /* No entry at this index; nothing stored yet. */
};

struct log_entry {
    uint64_t term;
    uint8_t type;      /* As Raft's library numbers them. */
    struct bytes data; /* Borrowed as by txn_get. */
};

/* Raft 3.4: durable before any message that follows from it. All zeroes at first. */
struct log_vote {
    uint64_t term;
    uint64_t voted_for;
};

/* What the tables contain. All zeroes at first. */
struct log_applied {
    uint64_t index;
    uint64_t term;
    uint64_t configuration_index; /* Of the newest applied configuration, 0: none. */
};

/* What log_format() and log_owner() wrote, unjudged; all zeroes at first. */
struct log_identity {
    uint64_t format;
    uint64_t owner;
};
int log_identity_get(struct txn *txn, struct log_identity *out);

/* Write or check the format version. -EPROTONOSUPPORT: the database is of a newer format.
 * -EPROTOTYPE: of an older one that is not read any more. */
int log_format(struct txn *txn);

/* Write or check whose state this is. -EPERM: another manager's; two under one id would vote twice
 * in a term. */
int log_owner(struct txn *txn, uint64_t id);

/* Who this manager is, from before it has a log on: its id, which log_owner then checks, its
 * cluster, and its record as it was written (server/manager/member.h). LOG_ABSENT: nobody yet.
 * Texts are borrowed as by txn_get, and end with a NUL. */
struct log_self {
    uint64_t id;
    const char *cluster;
    const char *record;
};

int log_self_get(struct txn *txn, struct log_self *out);
int log_self_put(struct txn *txn, const struct log_self *identity);

/* A restored backup that no manager has gone on from yet, and its cluster. LOG_ABSENT: it is none.
 * The cluster is borrowed as by txn_get, and ends with a NUL. */
int log_restored_get(struct txn *txn, const char **out_cluster);
int log_restored_put(struct txn *txn, const char *cluster); /* NULL: one does now. */

int log_vote_get(struct txn *txn, struct log_vote *out);
int log_vote_put(struct txn *txn, const struct log_vote *vote);

int log_applied_get(struct txn *txn, struct log_applied *out);
int log_applied_put(struct txn *txn, const struct log_applied *applied);

/* The configuration as of applied.configuration_index. LOG_ABSENT: none. */
int log_configuration_get(struct txn *txn, struct bytes *out);
int log_configuration_put(struct txn *txn, struct bytes configuration);

/* First and last index; LOG_ABSENT when the log is empty. */
int log_bounds(struct txn *txn, uint64_t *out_first, uint64_t *out_last);

/* Store one entry: behind the last one, or as the first. Copies. */
int log_append(struct txn *txn, uint64_t index, const struct log_entry *entry);

/* Remove every entry from index on. */
int log_truncate(struct txn *txn, uint64_t index);

/* Remove the first entries, up to and with up_to but at most max_count of them; so many were. */
int log_trim(struct txn *txn, uint64_t up_to, uint64_t max_count, uint64_t *out_removed);

/* Read one entry. LOG_ABSENT: there is none. -EUCLEAN: its checksum does not fit. */
int log_get(struct txn *txn, uint64_t index, struct log_entry *out);

/* Read every entry. -EUCLEAN: the one at *out_index is damaged or missing. */
int log_verify(struct txn *txn, uint64_t *out_index);

/* What stands beside the tables of an image that becomes a manager's state, with an empty log. */
struct log_head {
    uint64_t owner;
    const char *cluster; /* As in log_self; NULL: not known. */
    const char *record;
    struct log_vote vote;
    struct log_applied applied;
    struct bytes configuration;
};

/* Write it, and the format, into a database that has none of it, or another manager's. */
int log_install(struct txn *txn, const struct log_head *head);

/* Walk the entries from an index on; `each` returns 0 to go on, or -errno, which is passed up. */
int log_walk(struct txn *txn, uint64_t from,
             int (*each)(void *context, uint64_t index, const struct log_entry *entry),
             void *context);
