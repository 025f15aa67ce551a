#include "tests/crash/story.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/crc32c.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "storage/apply.h"
#include "storage/directory.h"
#include "storage/log.h"
#include "storage/tables.h"
#include "storage/tables_check.h"
#include "tests/fuzz/apply_ops.h"

int story_start(const char *dir, size_t map_bytes, struct env **out)
{
    char *incoming = mem_format("%s/incoming", dir);
    char *state = mem_format("%s/state", dir);
    int r = directory_make(state);

    if (r == 0)
        r = env_open(state, map_bytes, table_names, TABLE_COUNT, out);
    if (r == 0)
        r = env_remove(incoming);
    free(incoming);
    free(state);
    return err_up(r);
}

/* FNV-1a over whole words: every bit of each counts, in order. */
static void mix(uint64_t *digest, uint64_t word)
{
    for (int i = 0; i < 64; i += 8)
        *digest = (*digest ^ ((word >> i) & 0xff)) * UINT64_C(0x100000001b3);
}

static int mix_entry(void *context, uint64_t index, const struct log_entry *entry)
{
    mix(context, index);
    mix(context, entry->term);
    mix(context, entry->type);
    mix(context, crc32c(0, entry->data.base, entry->data.len));
    return 0;
}

static int look_at_log(struct txn *txn, struct story_state *state)
{
    int r = log_bounds(txn, &state->first, &state->last);

    if (r == LOG_ABSENT)
        return 0;
    if (r < 0)
        return err_up(r);
    return err_up(log_walk(txn, state->first, mix_entry, &state->digest));
}

static int look_at_meta(struct txn *txn, struct story_state *state)
{
    struct log_vote vote;
    struct log_applied applied;
    struct bytes configuration = {0};
    int r = log_vote_get(txn, &vote);

    if (r < 0)
        return err_up(r);
    r = log_applied_get(txn, &applied);
    if (r < 0)
        return err_up(r);
    r = log_configuration_get(txn, &configuration);
    if (r < 0)
        return err_up(r);
    state->term = vote.term;
    state->voted_for = vote.voted_for;
    state->applied = applied.index;
    mix(&state->digest, vote.term);
    mix(&state->digest, vote.voted_for);
    mix(&state->digest, applied.index);
    mix(&state->digest, applied.term);
    mix(&state->digest, applied.configuration_index);
    mix(&state->digest, crc32c(0, configuration.base, configuration.len));
    return 0;
}

int story_look(struct txn *txn, struct story_state *out, char **out_text)
{
    struct story_state state = {.digest = UINT64_C(0xcbf29ce484222325)};
    uint64_t hash;
    int r = look_at_log(txn, &state);

    if (r < 0)
        return err_up(r);
    r = look_at_meta(txn, &state);
    if (r < 0)
        return err_up(r);
    r = tables_check(txn, out_text);
    if (r < 0)
        return err_up(r);
    if (*out_text)
        return err_new(-EUCLEAN);
    r = table_hash(txn, &hash);
    if (r < 0)
        return err_up(r);
    mix(&state.digest, hash);
    *out = state;
    return 0;
}

static int apply_entry(struct txn *txn, uint64_t index, struct log_applied *applied)
{
    struct log_entry entry;
    struct changes changes = {0};
    scope(buffer_fini) struct buffer command = {0};
    int r = log_get(txn, index, &entry);

    if (r != 0)
        return err_new(r < 0 ? r : -EUCLEAN);
    buffer_append(&command, entry.data.base, entry.data.len); /* Its page may be written to. */
    r = apply(txn, index, (struct bytes){command.base, command.len}, &changes, NULL);
    changes_fini(&changes);
    applied->index = index;
    applied->term = entry.term;
    return r < 0 ? err_up(r) : 0;
}

int story_apply(struct txn *txn, uint64_t until)
{
    struct log_applied applied;
    int r = log_applied_get(txn, &applied);

    while (r == 0 && applied.index < until)
        r = apply_entry(txn, applied.index + 1, &applied);
    if (r < 0)
        return err_up(r);
    return err_up(log_applied_put(txn, &applied));
}

void story_command(unsigned number, struct buffer *out)
{
    ops_furnish(number % OPS_FURNISH, out);
}

static int append_one(struct txn *txn, uint64_t *out_index)
{
    scope(buffer_fini) struct buffer command = {0};
    struct story_state state = {0};
    struct log_applied applied;
    int r = look_at_log(txn, &state);

    if (r < 0)
        return err_up(r);
    r = log_applied_get(txn, &applied);
    if (r < 0)
        return err_up(r);
    *out_index = (state.last > applied.index ? state.last : applied.index) + 1;
    story_command((unsigned)*out_index, &command);
    return err_up(log_append(
        txn, *out_index,
        &(struct log_entry){.term = 1000, .type = 1, .data = {command.base, command.len}}));
}

static int commit_one(struct env *env, uint64_t *out_index)
{
    scope(txn_abort) struct txn *txn = NULL;
    int r = env_write(env, &txn);

    if (r < 0)
        return err_up(r);
    r = append_one(txn, out_index);
    if (r < 0)
        return err_up(r);
    r = story_apply(txn, *out_index);
    if (r < 0)
        return err_up(r);
    return err_up(txn_commit(steal(txn)));
}

int story_go_on(struct env *env, char **out_text)
{
    scope(txn_abort) struct txn *txn = NULL;
    struct story_state state;
    uint64_t index;
    int r = commit_one(env, &index);

    if (r < 0)
        return err_up(r);
    r = env_read(env, &txn);
    if (r < 0)
        return err_up(r);
    r = story_look(txn, &state, out_text);
    if (r < 0)
        return err_up(r);
    return state.last == index && state.applied == index ? 0 : err_new(-EUCLEAN);
}
