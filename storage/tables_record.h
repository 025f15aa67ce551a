/*
 * Records under keys: packed messages, sequence numbers, and walks in key order. What the
 * nouns' files (tables_<noun>.c) are made of; nobody else needs it.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "storage/tables.h"
#include "storage/tables_key.h"

/* Unpack the record. `out` is the address of a pointer to the message's type; gives. */
int record_get(struct txn *txn, enum table table, const struct key *key,
               const ProtobufCMessageDescriptor *type, void *out);
int record_put(struct txn *txn, enum table table, const struct key *key,
               const ProtobufCMessage *message);

/* A sequence number as a value. */
int record_get_seq(struct txn *txn, enum table table, const struct key *key, uint64_t *out);
int record_put_seq(struct txn *txn, enum table table, const struct key *key, uint64_t seq);

/* A key with nothing under it. */
int record_mark(struct txn *txn, enum table table, const struct key *key);
/* Remove; that there was none is -EUCLEAN, since the tables then contradict themselves. */
int record_drop(struct txn *txn, enum table table, const struct key *key);

/* Walk the keys that begin with the first prefix_len bytes of `from`, in order, beginning at the
 * first >= from. `each` returns 0 to go on, 1 to stop, -errno to fail; it may not write to `table`.
 * key and value are borrowed until it writes anywhere. */
typedef int (*record_each)(void *context, struct txn *txn, struct bytes key, struct bytes value);
int record_walk(struct txn *txn, enum table table, const struct key *from, size_t prefix_len,
                record_each each, void *context);

/* Walk keys of the form prefix, seq; those above after_seq. prefix may be empty. */
int record_walk_seqs(struct txn *txn, enum table table, const struct key *prefix,
                     uint64_t after_seq, table_each_seq each, void *context);

/* Unpack a walked value. Gives. */
int record_unpack(struct bytes value, const ProtobufCMessageDescriptor *type, void *out);
