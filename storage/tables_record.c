#include "storage/tables_record.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/unpacking.h"

enum {
    PACK_ON_STACK = 2048, /* Nearly every record; a task definition may be larger. */
};

int record_unpack(struct bytes value, const ProtobufCMessageDescriptor *type, void *out)
{
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &unpacking, value.len, value.base);

    if (!message)
        return err_new(-EUCLEAN);
    *(ProtobufCMessage **)out = message;
    return 0;
}

int record_get(struct txn *txn, enum table table, const struct key *key,
               const ProtobufCMessageDescriptor *type, void *out)
{
    struct bytes value;
    int r = txn_get(txn, table, key_bytes(key), &value);

    if (r == ENV_ABSENT)
        return TABLE_ABSENT;
    if (r < 0)
        return err_up(r);
    return err_up(record_unpack(value, type, out));
}

int record_put(struct txn *txn, enum table table, const struct key *key,
               const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t stack[PACK_ON_STACK];
    uint8_t *heap = len > sizeof stack ? mem_zeroed(1, len) : NULL;
    uint8_t *packed = heap ? heap : stack;
    int r;

    protobuf_c_message_pack(message, packed);
    r = txn_put(txn, table, key_bytes(key), (struct bytes){packed, len});
    free(heap);
    return err_up(r);
}

int record_get_seq(struct txn *txn, enum table table, const struct key *key, uint64_t *out)
{
    struct bytes value;
    int r = txn_get(txn, table, key_bytes(key), &value);

    if (r == ENV_ABSENT)
        return TABLE_ABSENT;
    if (r < 0)
        return err_up(r);
    if (value.len != 8)
        return err_new(-EUCLEAN);
    *out = be64_get(value.base);
    return 0;
}

int record_put_seq(struct txn *txn, enum table table, const struct key *key, uint64_t seq)
{
    uint8_t value[8];

    be64_put(value, seq);
    return err_up(txn_put(txn, table, key_bytes(key), (struct bytes){value, sizeof value}));
}

int record_mark(struct txn *txn, enum table table, const struct key *key)
{
    return err_up(txn_put(txn, table, key_bytes(key), (struct bytes){"", 0}));
}

int record_drop(struct txn *txn, enum table table, const struct key *key)
{
    int r = txn_del(txn, table, key_bytes(key));

    return r == ENV_ABSENT ? err_new(-EUCLEAN) : err_up(r);
}

static bool has_prefix(struct bytes key, const struct key *from, size_t prefix_len)
{
    return key.len >= prefix_len && memcmp(key.base, from->at, prefix_len) == 0;
}

int record_walk(struct txn *txn, enum table table, const struct key *from, size_t prefix_len,
                record_each each, void *context)
{
    scope(cursor_close) struct cursor *cursor = NULL;
    struct bytes key, value;
    int r = cursor_open(txn, table, &cursor);

    must(prefix_len <= from->len);
    if (r < 0)
        return err_up(r);
    r = cursor_seek(cursor, key_bytes(from), &key, &value);
    while (r == 0 && has_prefix(key, from, prefix_len)) {
        r = each(context, txn, key, value);
        if (r != 0)
            return r > 0 ? 0 : err_up(r);
        r = cursor_next(cursor, &key, &value);
    }
    return r == ENV_ABSENT ? 0 : err_up(r);
}

struct seq_walk {
    size_t prefix_len;
    table_each_seq each;
    void *context;
};

static int each_seq(void *context, struct txn *txn, struct bytes key, struct bytes value)
{
    const struct seq_walk *walk = context;

    (void)value;
    if (key.len != walk->prefix_len + 8)
        return err_new(-EUCLEAN);
    return walk->each(walk->context, txn, be64_get((const uint8_t *)key.base + walk->prefix_len));
}

int record_walk_seqs(struct txn *txn, enum table table, const struct key *prefix,
                     uint64_t after_seq, table_each_seq each, void *context)
{
    struct seq_walk walk = {prefix->len, each, context};
    struct key from;

    if (after_seq == UINT64_MAX)
        return 0;
    from.len = 0;
    key_add(&from, prefix->at, prefix->len);
    key_add_u64(&from, after_seq + 1);
    return err_up(record_walk(txn, table, &from, prefix->len, each_seq, &walk));
}
