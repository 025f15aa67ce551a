#include "storage/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/endian.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/command.pb-c.h"
#include "proto/dump.h"
#include "proto/message.h"
#include "proto/unpacking.h"
#include "storage/tables_check.h"

#define PROBLEM(report, ...) ((report)->problem = mem_format(__VA_ARGS__))

void storage_report_fini(struct storage_report *report)
{
    free(report->problem);
}

static int count_records(struct txn *txn, struct storage_report *out)
{
    for (size_t table = 0; table < TABLE_COUNT; table++) {
        int r = txn_count(txn, table, &out->records[table]);

        if (r < 0)
            return err_up(r);
    }
    return 0;
}

static int verify_entry(struct txn *txn, uint64_t index, struct storage_report *out)
{
    struct log_entry entry;
    int r = log_get(txn, index, &entry);

    if (r == 0)
        return 0;
    if (r < 0 && r != -EUCLEAN)
        return err_up(r);
    out->damaged_entry = index;
    PROBLEM(out,
            r == LOG_ABSENT ? "log entry %" PRIu64 " is missing"
                            : "log entry %" PRIu64 ": its checksum does not fit",
            index);
    return 0;
}

static int verify_log(struct txn *txn, struct storage_report *out)
{
    int r = log_bounds(txn, &out->log_first, &out->log_last);

    if (r < 0)
        return err_up(r);
    if (r == LOG_ABSENT) {
        out->log_first = out->log_last = 0;
        return 0;
    }
    for (uint64_t index = out->log_first; r == 0 && !out->problem && index <= out->log_last;
         index++)
        r = verify_entry(txn, index, out);
    if (r < 0 || out->problem)
        return err_up(r);
    if (out->log_first > out->applied.index + 1)
        PROBLEM(out, "the log begins at %" PRIu64 ", and the tables end at %" PRIu64,
                out->log_first, out->applied.index);
    else if (out->log_last < out->applied.index)
        PROBLEM(out, "the log ends at %" PRIu64 ", before what the tables contain, %" PRIu64,
                out->log_last, out->applied.index);
    return 0;
}

static int verify_tables(struct txn *txn, struct storage_report *out)
{
    char *difference = NULL;
    int r = tables_check(txn, &difference);

    if (r == -EUCLEAN) {
        PROBLEM(out, "a record of the tables cannot be read");
        return 0;
    }
    if (difference)
        PROBLEM(out, "the tables contradict themselves: %s", difference);
    free(difference);
    return err_up(r);
}

static int read_meta(struct txn *txn, struct storage_report *out)
{
    int r = log_identity_get(txn, &out->identity);

    if (r == 0)
        r = log_vote_get(txn, &out->vote);
    if (r == 0)
        r = log_applied_get(txn, &out->applied);
    if (r != -EUCLEAN)
        return err_up(r);
    PROBLEM(out, "what Raft keeps beside its log cannot be read");
    return 0;
}

int storage_verify(struct txn *txn, struct storage_report *out)
{
    int r;

    *out = (struct storage_report){0};
    r = count_records(txn, out);
    if (r == 0)
        r = read_meta(txn, out);
    if (r < 0 || out->problem)
        return err_up(r);
    if (out->identity.format > LOG_FORMAT) {
        PROBLEM(out, "it is of format %" PRIu64 ", and this program knows formats up to %d",
                out->identity.format, LOG_FORMAT);
        return 0;
    }
    r = verify_log(txn, out);
    if (r < 0 || out->problem)
        return err_up(r);
    return err_up(verify_tables(txn, out));
}

/* ---- dump */

/* What the records of a table are; NULL: keys, numbers or bytes. */
static const ProtobufCMessageDescriptor *const record_types[TABLE_COUNT] = {
    [TABLE_CLUSTER] = &state__cluster__descriptor,
    [TABLE_CLUSTER_COUNT] = &state__cluster_count__descriptor,
    [TABLE_TASK_DEFINITION] = &state__task_definition__descriptor,
    [TABLE_SERVICE] = &state__service__descriptor,
    [TABLE_DEPLOYMENT] = &state__deployment__descriptor,
    [TABLE_SERVICE_EVENT] = &state__service_event__descriptor,
    [TABLE_TASK] = &state__task__descriptor,
    [TABLE_TASK_STATUS] = &state__task_status__descriptor,
    [TABLE_WORKER] = &state__worker__descriptor,
    [TABLE_WORKER_USAGE] = &state__worker_usage__descriptor,
    [TABLE_TOKEN] = &state__client_token__descriptor,
    [TABLE_JOIN_TOKEN] = &state__join_token__descriptor,
};

static const char *const entry_types[] = {[1] = "command", [2] = "barrier", [3] = "configuration"};

/* As a message of the type if it is one, otherwise as bytes. */
static void dump_value(const ProtobufCMessageDescriptor *type, struct bytes value,
                       struct buffer *out)
{
    ProtobufCMessage *message =
        type ? protobuf_c_message_unpack(type, &unpacking, value.len, value.base) : NULL;

    if (message)
        dump_message(message, out);
    else
        dump_bytes(value, out);
    message_free(message);
}

struct dump {
    struct buffer text;
    int (*line)(void *context, struct bytes json);
    void *context;
};

static void print_entry(struct buffer *out, uint64_t index, const struct log_entry *entry)
{
    bool known = entry->type > 0 && entry->type < sizeof entry_types / sizeof *entry_types;

    buffer_append_format(
        out, "{\"entry\":%" PRIu64 ",\"term\":%" PRIu64 ",\"type\":\"%s\",\"data\":", index,
        entry->term, known ? entry_types[entry->type] : "unknown");
    dump_value(entry->type == 1 ? &command__command__descriptor : NULL, entry->data, out);
    buffer_append_text(out, "}");
}

static int dump_log(struct txn *txn, struct dump *dump)
{
    uint64_t first, last;
    int r = log_bounds(txn, &first, &last);

    if (r != 0)
        return r < 0 ? err_up(r) : 0;
    for (uint64_t index = first; r == 0 && index <= last; index++) {
        struct log_entry entry;

        r = log_get(txn, index, &entry);
        if (r < 0 && r != -EUCLEAN)
            return err_up(r);
        buffer_clear(&dump->text);
        if (r == 0)
            print_entry(&dump->text, index, &entry);
        else
            buffer_append_format(&dump->text, "{\"entry\":%" PRIu64 ",\"error\":\"%s\"}", index,
                                 r == LOG_ABSENT ? "missing" : "checksum");
        r = dump->line(dump->context, (struct bytes){dump->text.base, dump->text.len});
    }
    return err_up(r);
}

/* Of META's records one is a message. */
static const ProtobufCMessageDescriptor *type_of(size_t table, struct bytes key)
{
    static const char settings[] = "settings";

    if (table == TABLE_META && key.len == sizeof settings - 1 &&
        memcmp(key.base, settings, key.len) == 0)
        return &state__settings__descriptor;
    return record_types[table];
}

static int dump_table(struct txn *txn, size_t table, struct dump *dump)
{
    scope(cursor_close) struct cursor *cursor = NULL;
    struct bytes key, value;
    int r = cursor_open(txn, table, &cursor);

    if (r < 0)
        return err_up(r);
    r = cursor_seek(cursor, (struct bytes){0}, &key, &value);
    while (r == 0) {
        buffer_clear(&dump->text);
        buffer_append_format(&dump->text, "{\"table\":\"%s\",\"key\":", table_names[table]);
        dump_bytes(key, &dump->text);
        buffer_append_text(&dump->text, ",\"value\":");
        dump_value(type_of(table, key), value, &dump->text);
        buffer_append_text(&dump->text, "}");
        r = dump->line(dump->context, (struct bytes){dump->text.base, dump->text.len});
        if (r == 0)
            r = cursor_next(cursor, &key, &value);
    }
    return r == ENV_ABSENT ? 0 : err_up(r);
}

int storage_dump(struct txn *txn, int (*line)(void *context, struct bytes json), void *context)
{
    struct dump dump = {.line = line, .context = context};
    int r = dump_log(txn, &dump);

    for (size_t table = 0; r == 0 && table < TABLE_COUNT; table++)
        if (table != TABLE_LOG)
            r = dump_table(txn, table, &dump);
    buffer_fini(&dump.text);
    return err_up(r);
}
