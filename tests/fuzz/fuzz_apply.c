/* Sequences of commands, from bytes: apply never fails, the tables always agree with themselves,
 * a refusal changes nothing, and the same commands give the same tables. */
#include <stdlib.h>
#include <unistd.h>

#include "proto/base/must.h"
#include "storage/apply.h"
#include "storage/tables.h"
#include "storage/tables_check.h"
#include "tests/fuzz/apply_ops.h"

enum {
    COMMANDS_MAX = 64,
    RAW = 0xee, /* First byte of an input that is one command as it stands. */
};

static struct env *env;

/* Opened once, with the files unlinked at once: nothing is ever committed. */
static void open_once(void)
{
    char dir[] = "/tmp/fuzz-apply-XXXXXX", path[64];

    if (env)
        return;
    must(mkdtemp(dir) != NULL);
    must(env_open(dir, (size_t)64 << 20, table_names, TABLE_COUNT, &env) == 0);
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", dir);
    unlink(path);
    rmdir(dir);
}

static uint64_t hash_of(struct txn *txn)
{
    uint64_t hash;

    must(table_hash(txn, &hash) == 0);
    return hash;
}

static void must_agree(struct txn *txn)
{
    char *text = NULL;

    must(tables_check(txn, &text) == 0);
    if (text)
        fprintf(stderr, "%s\n", text);
    must(text == NULL);
}

static void apply_one(struct txn *txn, uint64_t index, struct bytes command)
{
    Command__CommandResult *result = NULL;
    struct changes changes = {0};
    uint64_t before = hash_of(txn);

    must(apply(txn, index, command, &changes, &result) == 0);
    must(result != NULL);
    if (result->problem) {
        must(changes.count == 0);
        must(hash_of(txn) == before);
    }
    must_agree(txn);
    changes_fini(&changes);
    command__command_result__free_unpacked(result, NULL);
}

static uint64_t run(const uint8_t *data, size_t len)
{
    scope(txn_abort) struct txn *txn = NULL;
    scope(buffer_fini) struct buffer command = {0};
    struct source source = {.at = data, .left = len};

    must(env_write(env, &txn) == 0);
    for (unsigned i = 0; i < COMMANDS_MAX && (i < OPS_FURNISH || source.left > 0); i++) {
        if (i < OPS_FURNISH)
            ops_furnish(i, &command);
        else
            ops_next(&source, &command);
        apply_one(txn, i + 1, (struct bytes){command.base, command.len});
    }
    return hash_of(txn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    open_once();
    if (len > 0 && data[0] == RAW) {
        scope(txn_abort) struct txn *txn = NULL;

        must(env_write(env, &txn) == 0);
        apply_one(txn, 1, (struct bytes){data + 1, len - 1});
        return 0;
    }
    must(run(data, len) == run(data, len));
    return 0;
}
