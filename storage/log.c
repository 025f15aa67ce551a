#include "storage/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/crc32c.h"
#include "proto/base/endian.h"
#include "proto/base/err.h"
#include "proto/base/must.h"
#include "storage/tables.h"

/* A value: term (8 bytes), type (1), checksum (4), data. The checksum covers the rest. */
enum {
    TERM_AT = 0,
    TYPE_AT = 8,
    CRC_AT = 9,
    DATA_AT = 13,
};

static struct bytes text(const char *name)
{
    return (struct bytes){name, strlen(name)};
}

/* A META record of `count` integers under a name. Zeroes if there is none. */
static int words_get(struct txn *txn, const char *name, uint64_t *words, size_t count)
{
    struct bytes got;
    int r = txn_get(txn, TABLE_META, text(name), &got);

    if (r < 0)
        return err_up(r);
    if (r == 0 && got.len != count * 8)
        return err_new(-EUCLEAN);
    for (size_t i = 0; i < count; i++)
        words[i] = r == ENV_ABSENT ? 0 : be64_get((const uint8_t *)got.base + 8 * i);
    return 0;
}

static int words_put(struct txn *txn, const char *name, const uint64_t *words, size_t count)
{
    uint8_t value[8 * 4];

    must(count <= 4);
    for (size_t i = 0; i < count; i++)
        be64_put(value + 8 * i, words[i]);
    return err_up(txn_put(txn, TABLE_META, text(name), (struct bytes){value, count * 8}));
}

int log_identity_get(struct txn *txn, struct log_identity *out)
{
    int r = words_get(txn, "format", &out->format, 1);

    return r < 0 ? err_up(r) : err_up(words_get(txn, "owner", &out->owner, 1));
}

int log_format(struct txn *txn)
{
    uint64_t format;
    int r = words_get(txn, "format", &format, 1);

    if (r < 0)
        return err_up(r);
    if (format > LOG_FORMAT)
        return err_new(-EPROTONOSUPPORT);
    if (format != 0 && format < LOG_FORMAT)
        return err_new(-EPROTOTYPE);
    if (format == LOG_FORMAT)
        return 0;
    format = LOG_FORMAT;
    return err_up(words_put(txn, "format", &format, 1));
}

int log_owner(struct txn *txn, uint64_t id)
{
    uint64_t owner;
    int r = words_get(txn, "owner", &owner, 1);

    if (r < 0)
        return err_up(r);
    if (owner != 0)
        return owner == id ? 0 : err_new(-EPERM);
    return err_up(words_put(txn, "owner", &id, 1));
}

static int text_put(struct txn *txn, const char *name, const char *value)
{
    return err_up(txn_put(txn, TABLE_META, text(name), (struct bytes){value, strlen(value) + 1}));
}

static int text_get(struct txn *txn, const char *name, const char **out)
{
    struct bytes bytes;
    int r = txn_get(txn, TABLE_META, text(name), &bytes);

    if (r != 0)
        return r < 0 ? err_up(r) : LOG_ABSENT;
    if (bytes.len == 0 || ((const char *)bytes.base)[bytes.len - 1] != '\0')
        return err_new(-EUCLEAN);
    *out = bytes.base;
    return 0;
}

int log_self_get(struct txn *txn, struct log_self *out)
{
    struct log_self identity;
    int r = words_get(txn, "owner", &identity.id, 1);

    if (r < 0)
        return err_up(r);
    if (identity.id == 0)
        return LOG_ABSENT;
    r = text_get(txn, "cluster", &identity.cluster);
    if (r == 0)
        r = text_get(txn, "record", &identity.record);
    if (r == 0)
        *out = identity;
    return r < 0 ? err_up(r) : r;
}

int log_self_put(struct txn *txn, const struct log_self *identity)
{
    int r = words_put(txn, "owner", &identity->id, 1);

    if (r == 0)
        r = text_put(txn, "cluster", identity->cluster);
    if (r == 0)
        r = text_put(txn, "record", identity->record);
    return err_up(r);
}

int log_restored_get(struct txn *txn, const char **out_cluster)
{
    int r = text_get(txn, "restored", out_cluster);

    return r < 0 ? err_up(r) : r;
}

int log_restored_put(struct txn *txn, const char *cluster)
{
    int r;

    if (cluster)
        return err_up(text_put(txn, "restored", cluster));
    r = txn_del(txn, TABLE_META, text("restored"));
    return r < 0 ? err_up(r) : 0;
}

int log_vote_get(struct txn *txn, struct log_vote *out)
{
    uint64_t words[2];
    int r = words_get(txn, "vote", words, 2);

    if (r < 0)
        return err_up(r);
    *out = (struct log_vote){.term = words[0], .voted_for = words[1]};
    return 0;
}

int log_vote_put(struct txn *txn, const struct log_vote *vote)
{
    uint64_t words[] = {vote->term, vote->voted_for};

    return err_up(words_put(txn, "vote", words, 2));
}

int log_applied_get(struct txn *txn, struct log_applied *out)
{
    uint64_t words[3];
    int r = words_get(txn, "applied", words, 3);

    if (r < 0)
        return err_up(r);
    *out = (struct log_applied){words[0], words[1], words[2]};
    return 0;
}

int log_applied_put(struct txn *txn, const struct log_applied *applied)
{
    uint64_t words[] = {applied->index, applied->term, applied->configuration_index};

    return err_up(words_put(txn, "applied", words, 3));
}

int log_configuration_get(struct txn *txn, struct bytes *out)
{
    int r = txn_get(txn, TABLE_META, text("configuration"), out);

    if (r == ENV_ABSENT)
        return LOG_ABSENT;
    return err_up(r);
}

int log_configuration_put(struct txn *txn, struct bytes configuration)
{
    return err_up(txn_put(txn, TABLE_META, text("configuration"), configuration));
}

static struct bytes index_key(uint8_t key[8], uint64_t index)
{
    be64_put(key, index);
    return (struct bytes){key, 8};
}

static int entry_decode(struct bytes value, struct log_entry *out)
{
    const uint8_t *at = value.base;
    uint32_t crc;

    if (value.len < DATA_AT)
        return err_new(-EUCLEAN);
    crc = crc32c(crc32c(0, at, CRC_AT), at + DATA_AT, value.len - DATA_AT);
    if (crc != be32_get(at + CRC_AT))
        return err_new(-EUCLEAN);
    out->term = be64_get(at + TERM_AT);
    out->type = at[TYPE_AT];
    out->data = (struct bytes){at + DATA_AT, value.len - DATA_AT};
    return 0;
}

int log_bounds(struct txn *txn, uint64_t *out_first, uint64_t *out_last)
{
    scope(cursor_close) struct cursor *cursor = NULL;
    struct bytes first, last, value;
    int r = cursor_open(txn, TABLE_LOG, &cursor);

    if (r < 0)
        return err_up(r);
    r = cursor_seek(cursor, (struct bytes){0}, &first, &value);
    if (r == ENV_ABSENT)
        return LOG_ABSENT;
    if (r < 0)
        return err_up(r);
    r = cursor_last(cursor, &last, &value);
    if (r < 0)
        return err_up(r);
    if (first.len != 8 || last.len != 8)
        return err_new(-EUCLEAN);
    *out_first = be64_get(first.base);
    *out_last = be64_get(last.base);
    return 0;
}

int log_append(struct txn *txn, uint64_t index, const struct log_entry *entry)
{
    scope(buffer_fini) struct buffer value = {0};
    uint8_t key[8];
    uint8_t *at = buffer_extend(&value, DATA_AT + entry->data.len);

    be64_put(at + TERM_AT, entry->term);
    at[TYPE_AT] = entry->type;
    if (entry->data.len > 0)
        memcpy(at + DATA_AT, entry->data.base, entry->data.len);
    be32_put(at + CRC_AT, crc32c(crc32c(0, at, CRC_AT), at + DATA_AT, entry->data.len));
    return err_up(
        txn_append(txn, TABLE_LOG, index_key(key, index), (struct bytes){value.base, value.len}));
}

int log_truncate(struct txn *txn, uint64_t index)
{
    scope(cursor_close) struct cursor *cursor = NULL;
    struct bytes found, value;
    uint8_t key[8];
    int r = cursor_open(txn, TABLE_LOG, &cursor);

    if (r < 0)
        return err_up(r);
    for (;;) {
        r = cursor_seek(cursor, index_key(key, index), &found, &value);
        if (r == ENV_ABSENT)
            return 0;
        if (r < 0)
            return err_up(r);
        r = cursor_del(cursor);
        if (r < 0)
            return err_up(r);
    }
}

int log_trim(struct txn *txn, uint64_t up_to, uint64_t max_count, uint64_t *out_removed)
{
    scope(cursor_close) struct cursor *cursor = NULL;
    struct bytes found, value;
    uint64_t removed = 0;
    int r = cursor_open(txn, TABLE_LOG, &cursor);

    if (r < 0)
        return err_up(r);
    for (; removed < max_count; removed++) {
        r = cursor_seek(cursor, (struct bytes){0}, &found, &value);
        if (r == ENV_ABSENT)
            break;
        if (r < 0)
            return err_up(r);
        if (found.len != 8)
            return err_new(-EUCLEAN);
        if (be64_get(found.base) > up_to)
            break;
        r = cursor_del(cursor);
        if (r < 0)
            return err_up(r);
    }
    *out_removed = removed;
    return 0;
}

int log_get(struct txn *txn, uint64_t index, struct log_entry *out)
{
    struct bytes value;
    uint8_t key[8];
    int r = txn_get(txn, TABLE_LOG, index_key(key, index), &value);

    if (r == ENV_ABSENT)
        return LOG_ABSENT;
    if (r < 0)
        return err_up(r);
    return err_up(entry_decode(value, out));
}

int log_walk(struct txn *txn, uint64_t from,
             int (*each)(void *context, uint64_t index, const struct log_entry *entry),
             void *context)
{
    scope(cursor_close) struct cursor *cursor = NULL;
    struct bytes found, value;
    struct log_entry entry;
    uint8_t key[8];
    int r = cursor_open(txn, TABLE_LOG, &cursor);

    if (r < 0)
        return err_up(r);
    r = cursor_seek(cursor, index_key(key, from), &found, &value);
    while (r == 0) {
        if (found.len != 8 || be64_get(found.base) != from++)
            return err_new(-EUCLEAN); /* A gap. */
        r = entry_decode(value, &entry);
        if (r < 0)
            return err_up(r);
        r = each(context, from - 1, &entry);
        if (r < 0)
            return err_up(r);
        r = cursor_next(cursor, &found, &value);
    }
    return r == ENV_ABSENT ? 0 : err_up(r);
}

static int count_verified(void *context, uint64_t index, const struct log_entry *entry)
{
    (void)entry;
    *(uint64_t *)context = index + 1;
    return 0;
}

int log_verify(struct txn *txn, uint64_t *out_index)
{
    uint64_t first, last;
    int r = log_bounds(txn, &first, &last);

    if (r != 0)
        return r < 0 ? err_up(r) : 0;
    *out_index = first;
    return err_up(log_walk(txn, first, count_verified, out_index));
}

int log_install(struct txn *txn, const struct log_head *head)
{
    uint64_t format = LOG_FORMAT;
    int r = words_put(txn, "format", &format, 1);

    if (r == 0)
        r = words_put(txn, "owner", &head->owner, 1);
    if (r == 0)
        r = log_vote_put(txn, &head->vote);
    if (r == 0)
        r = log_applied_put(txn, &head->applied);
    if (r == 0)
        r = log_configuration_put(txn, head->configuration);
    if (r == 0 && head->cluster)
        r = text_put(txn, "cluster", head->cluster);
    if (r == 0 && head->record)
        r = text_put(txn, "record", head->record);
    return err_up(r);
}
