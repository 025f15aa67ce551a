#include "storage/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/crc32c.h"
#include "proto/base/endian.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "storage/log.h"
#include "storage/tables.h"

/* The first byte of a chunk. */
enum { CHUNK_HEAD = 1, CHUNK_RECORDS = 2, CHUNK_END = 3 };

enum {
    KEY_MAX = 511,          /* LMDB's. */
    HEAD_BYTES = 34,        /* kind, format, log format, database count, index, term, index */
    RECORD_BYTES = 7,       /* database, key length, value length */
    END_BYTES = 13,         /* kind, count, crc */
    POSITION_BYTES = 13,    /* stage, count, crc; then the key last read */
    COMMIT_BYTES = 4 << 20, /* One transaction of the writer. */
    STAGE_END = 255,
};

struct snapshot_reader {
    struct picture *picture;
    struct log_applied applied;
};

struct snapshot_writer {
    struct env *env;
    struct txn *txn;
    size_t written; /* In this transaction. */
    uint8_t stage;  /* The kind of chunk last seen. */
    uint64_t count;
    uint32_t crc;
    uint8_t table;
    size_t key_len;
    uint8_t key[KEY_MAX];
};

/* ---- reader */

int snapshot_reader_open(struct env *env, struct snapshot_reader **out)
{
    scope(snapshot_reader_free) struct snapshot_reader *reader = mem_new(struct snapshot_reader);
    struct txn *txn = NULL;
    int r = env_picture(env, &reader->picture);

    if (r == 0)
        r = picture_enter(reader->picture, &txn);
    if (r < 0)
        return err_up(r);
    r = log_applied_get(txn, &reader->applied);
    picture_leave(reader->picture);
    if (r < 0)
        return err_up(r);
    *out = steal(reader);
    return 0;
}

void snapshot_reader_free(struct snapshot_reader *reader)
{
    if (!reader)
        return;
    picture_free(reader->picture);
    free(reader);
}

uint64_t snapshot_reader_index(const struct snapshot_reader *reader)
{
    return reader->applied.index;
}

uint64_t snapshot_reader_term(const struct snapshot_reader *reader)
{
    return reader->applied.term;
}

static void put_position(struct snapshot_position *out, unsigned stage, uint64_t count,
                         uint32_t crc, struct bytes key)
{
    must(key.len <= KEY_MAX);
    out->at[0] = (uint8_t)stage;
    be64_put(out->at + 1, count);
    be32_put(out->at + 9, crc);
    if (key.len > 0)
        memmove(out->at + POSITION_BYTES, key.base, key.len);
    out->len = POSITION_BYTES + key.len;
}

static int read_head(const struct snapshot_reader *reader, struct txn *txn, struct buffer *chunk,
                     struct snapshot_position *out_next)
{
    struct bytes configuration = {"", 0};
    uint8_t *at;
    int r = log_configuration_get(txn, &configuration);

    if (r < 0)
        return err_up(r);
    at = buffer_extend(chunk, HEAD_BYTES);
    at[0] = CHUNK_HEAD;
    be32_put(at + 1, SNAPSHOT_FORMAT);
    be32_put(at + 5, LOG_FORMAT);
    at[9] = TABLE_COUNT;
    be64_put(at + 10, reader->applied.index);
    be64_put(at + 18, reader->applied.term);
    be64_put(at + 26, reader->applied.configuration_index);
    buffer_append(chunk, configuration.base, configuration.len);
    put_position(out_next, TABLE_META + 1, 0, 0, (struct bytes){"", 0});
    return 0;
}

/* What a stretch of reading has come to. */
struct reading {
    struct buffer *chunk;
    size_t until; /* The chunk is full at this length. */
    bool full;
    unsigned table;
    uint64_t count;
    uint32_t crc;
    size_t key_len;
    uint8_t key[KEY_MAX];
};

static void add_record(struct reading *reading, struct bytes key, struct bytes value)
{
    size_t from = reading->chunk->len;
    uint8_t *at = buffer_extend(reading->chunk, RECORD_BYTES);

    at[0] = (uint8_t)reading->table;
    at[1] = (uint8_t)(key.len >> 8);
    at[2] = (uint8_t)key.len;
    be32_put(at + 3, (uint32_t)value.len);
    buffer_append(reading->chunk, key.base, key.len);
    buffer_append(reading->chunk, value.base, value.len);
    reading->crc = crc32c(reading->crc, reading->chunk->base + from, reading->chunk->len - from);
    reading->count++;
    reading->key_len = key.len;
    memcpy(reading->key, key.base, key.len);
}

static bool is_after(const struct reading *reading, struct bytes key)
{
    return key.len != reading->key_len || memcmp(key.base, reading->key, key.len) != 0;
}

static int read_table(struct reading *reading, struct txn *txn)
{
    scope(cursor_close) struct cursor *cursor = NULL;
    struct bytes key, value;
    int r = cursor_open(txn, reading->table, &cursor);

    if (r < 0)
        return err_up(r);
    r = cursor_seek(cursor, (struct bytes){reading->key, reading->key_len}, &key, &value);
    for (; r == 0; r = cursor_next(cursor, &key, &value)) {
        if (key.len > KEY_MAX || !is_after(reading, key) ||
            (reading->table == TABLE_META && !table_meta_is_state(key)))
            continue;
        if (reading->chunk->len >= reading->until) {
            reading->full = true;
            return 0;
        }
        add_record(reading, key, value);
    }
    return r == ENV_ABSENT ? 0 : err_up(r);
}

static int read_records(struct reading *reading, struct txn *txn)
{
    for (; reading->table < TABLE_COUNT; reading->table++, reading->key_len = 0) {
        int r = reading->table == TABLE_LOG ? 0 : read_table(reading, txn);

        if (r < 0)
            return err_up(r);
        if (reading->full)
            return 0;
    }
    return 0;
}

static int read_on(const struct snapshot_position *position, struct txn *txn, size_t max_bytes,
                   struct buffer *chunk, struct snapshot_position *out_next)
{
    struct reading reading = {
        .chunk = chunk,
        .until = chunk->len + max_bytes,
        .table = position->at[0] - 1u,
        .count = be64_get(position->at + 1),
        .crc = be32_get(position->at + 9),
        .key_len = position->len - POSITION_BYTES,
    };
    int r;

    memcpy(reading.key, position->at + POSITION_BYTES, reading.key_len);
    *buffer_extend(chunk, 1) = CHUNK_RECORDS;
    r = read_records(&reading, txn);
    if (r < 0)
        return err_up(r);
    put_position(out_next, reading.full ? reading.table + 1 : STAGE_END, reading.count, reading.crc,
                 (struct bytes){reading.key, reading.key_len});
    return 0;
}

static void read_end(const struct snapshot_position *position, struct buffer *chunk)
{
    uint8_t *at = buffer_extend(chunk, END_BYTES);

    at[0] = CHUNK_END;
    memcpy(at + 1, position->at + 1, END_BYTES - 1);
}

static bool is_position(const struct snapshot_position *position)
{
    return position->len >= POSITION_BYTES && position->len <= POSITION_BYTES + KEY_MAX &&
           (position->at[0] == STAGE_END ||
            (position->at[0] >= 1 && position->at[0] <= TABLE_COUNT));
}

int snapshot_read(struct snapshot_reader *reader, const struct snapshot_position *position,
                  size_t max_bytes, struct buffer *chunk, struct snapshot_position *out_next,
                  bool *out_last)
{
    struct txn *txn;
    int r;

    if (position->len > 0 && !is_position(position))
        return SNAPSHOT_BAD;
    *out_last = position->len > 0 && position->at[0] == STAGE_END;
    if (*out_last) {
        read_end(position, chunk);
        return 0;
    }
    r = picture_enter(reader->picture, &txn);
    if (r < 0)
        return err_up(r);
    r = position->len == 0 ? read_head(reader, txn, chunk, out_next)
                           : read_on(position, txn, max_bytes, chunk, out_next);
    picture_leave(reader->picture);
    return err_up(r);
}

/* ---- writer */

int snapshot_writer_open(const char *dir, size_t map_size, struct snapshot_writer **out)
{
    scope(snapshot_writer_free) struct snapshot_writer *writer = mem_new(struct snapshot_writer);
    int r = env_open_filling(dir, map_size, table_names, TABLE_COUNT, &writer->env);

    if (r < 0)
        return err_up(r);
    *out = steal(writer);
    return 0;
}

void snapshot_writer_free(struct snapshot_writer *writer)
{
    if (!writer)
        return;
    txn_abort(writer->txn);
    env_free(writer->env);
    free(writer);
}

/* Bounded transactions: nothing is promised until the end. */
static int commit(struct snapshot_writer *writer)
{
    int r = writer->txn ? txn_commit(steal(writer->txn)) : 0;

    writer->written = 0;
    if (r < 0)
        return err_up(r);
    return err_up(env_make_room(writer->env));
}

int snapshot_head(struct bytes chunk, struct log_applied *out)
{
    const uint8_t *at = chunk.base;

    if (chunk.len < HEAD_BYTES || at[0] != CHUNK_HEAD || be32_get(at + 1) != SNAPSHOT_FORMAT ||
        be32_get(at + 5) != LOG_FORMAT || at[9] != TABLE_COUNT)
        return SNAPSHOT_BAD;
    *out = (struct log_applied){be64_get(at + 10), be64_get(at + 18), be64_get(at + 26)};
    return 0;
}

static int write_head(struct snapshot_writer *writer, struct bytes chunk)
{
    struct log_head head = {0};

    if (writer->stage != 0 || snapshot_head(chunk, &head.applied) != 0)
        return SNAPSHOT_BAD;
    head.configuration =
        (struct bytes){(const uint8_t *)chunk.base + HEAD_BYTES, chunk.len - HEAD_BYTES};
    writer->written += chunk.len;
    return err_up(log_install(writer->txn, &head));
}

static bool is_next(const struct snapshot_writer *writer, uint8_t table, struct bytes key)
{
    size_t common = key.len < writer->key_len ? key.len : writer->key_len;
    int order;

    if (table >= TABLE_COUNT || table == TABLE_LOG || key.len == 0 || key.len > KEY_MAX ||
        (table == TABLE_META && !table_meta_is_state(key)) || table < writer->table)
        return false;
    if (table > writer->table)
        return true;
    order = memcmp(key.base, writer->key, common);
    return order > 0 || (order == 0 && key.len > writer->key_len);
}

static int write_record(struct snapshot_writer *writer, uint8_t table, struct bytes key,
                        struct bytes value)
{
    if (!is_next(writer, table, key))
        return SNAPSHOT_BAD;
    writer->table = table;
    writer->key_len = key.len;
    memcpy(writer->key, key.base, key.len);
    writer->count++;
    writer->written += key.len + value.len;
    if (table == TABLE_META) /* Among names that are not the image's. */
        return err_up(txn_put(writer->txn, table, key, value));
    return err_up(txn_append(writer->txn, table, key, value));
}

static int write_records(struct snapshot_writer *writer, struct bytes chunk)
{
    const uint8_t *at = (const uint8_t *)chunk.base + 1;
    size_t left = chunk.len - 1;
    int r = writer->stage == 0 ? SNAPSHOT_BAD : 0;

    writer->crc = crc32c(writer->crc, at, left);
    while (r == 0 && left > 0) {
        size_t key_len, value_len;

        if (left < RECORD_BYTES)
            return SNAPSHOT_BAD;
        key_len = (size_t)at[1] << 8 | at[2];
        value_len = be32_get(at + 3);
        left -= RECORD_BYTES;
        if (key_len > left || value_len > left - key_len)
            return SNAPSHOT_BAD;
        r = write_record(writer, at[0], (struct bytes){at + RECORD_BYTES, key_len},
                         (struct bytes){at + RECORD_BYTES + key_len, value_len});
        at += RECORD_BYTES + key_len + value_len;
        left -= key_len + value_len;
    }
    return r;
}

static int check_end(const struct snapshot_writer *writer, struct bytes chunk)
{
    const uint8_t *at = chunk.base;

    if (writer->stage == 0 || chunk.len != END_BYTES || be64_get(at + 1) != writer->count ||
        be32_get(at + 9) != writer->crc)
        return SNAPSHOT_BAD;
    return 0;
}

static int write_chunk(struct snapshot_writer *writer, struct bytes chunk)
{
    switch (*(const uint8_t *)chunk.base) {
    case CHUNK_HEAD:
        return write_head(writer, chunk);
    case CHUNK_RECORDS:
        return write_records(writer, chunk);
    case CHUNK_END:
        return check_end(writer, chunk);
    default:
        return SNAPSHOT_BAD;
    }
}

int snapshot_write(struct snapshot_writer *writer, struct bytes chunk, uint32_t crc)
{
    int r = 0;

    if (writer->stage == CHUNK_END || chunk.len == 0 || chunk.len > SNAPSHOT_CHUNK_MAX ||
        crc32c(0, chunk.base, chunk.len) != crc)
        return SNAPSHOT_BAD;
    if (!writer->txn)
        r = env_write(writer->env, &writer->txn);
    if (r < 0)
        return err_up(r);
    r = write_chunk(writer, chunk);
    if (r > 0)
        return SNAPSHOT_BAD;
    if (r < 0)
        return err_up(r);
    writer->stage = *(const uint8_t *)chunk.base;
    return writer->written >= COMMIT_BYTES ? err_up(commit(writer)) : 0;
}

int snapshot_finish(struct snapshot_writer *writer, struct env **out_env)
{
    int r;

    if (writer->stage != CHUNK_END)
        return SNAPSHOT_BAD;
    r = commit(writer);
    if (r == 0)
        r = env_settle(writer->env);
    if (r < 0)
        return err_up(r);
    *out_env = steal(writer->env);
    return 0;
}
