/*
 * Is what a manager keeps whole? Reads everything there is, of a stopped manager or beside a
 * running one, and changes nothing.
 *
 * LMDB has no checksums over its pages: what it cannot follow may end the process that reads it.
 * Whoever verifies a file that may be damaged does it in a child process.
 */
#pragma once

#include "storage/log.h"
#include "storage/tables.h"

struct storage_report {
    struct log_identity identity;
    struct log_vote vote;
    struct log_applied applied;
    uint64_t log_first, log_last; /* 0: the log is empty. */
    uint64_t damaged_entry; /* The first that is missing or whose checksum does not fit; 0: none. */
    size_t records[TABLE_COUNT];
    char *problem; /* The first thing that is wrong, in words; NULL: it is whole. */
};

/* Verify: format, every log entry and its checksum, that log and tables meet, and the tables
 * against themselves. Fills *out, to be ended with storage_report_fini(). Fails only as reading
 * fails. */
int storage_verify(struct txn *txn, struct storage_report *out);
void storage_report_fini(struct storage_report *report);

/* Every log entry and every record as a line of JSON, to `line`, which returns 0 or -errno, passed
 * up. */
int storage_dump(struct txn *txn, int (*line)(void *context, struct bytes json), void *context);
