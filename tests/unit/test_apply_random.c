/* Long random histories through apply: what fuzzing does, for a fixed number of seeds. */
#include "proto/base/rng.h"
#include "tests/fuzz/apply_ops.h"
#include "tests/unit/apply_world.h"

enum {
    SEEDS = 20,
    COMMANDS = 250,
    BYTES = 1 << 16,
};

static void fill(uint8_t *bytes, uint64_t seed)
{
    struct rng rng;

    rng_seed(&rng, seed);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)rng_next(&rng);
}

/* Each step is checked by apply_raw(). Returns the hash at the end. */
static uint64_t live(const uint8_t *bytes, unsigned *out_done)
{
    struct buffer command = {0};
    struct source source = {.at = bytes, .left = BYTES};

    txn_abort(w.txn);
    ck_assert_int_eq(env_write(w.env, &w.txn), 0);
    w.index = 0;
    for (unsigned i = 0; i < COMMANDS && source.left > 0; i++) {
        if (i < OPS_FURNISH)
            ops_furnish(i, &command);
        else
            ops_next(&source, &command);
        apply_raw((struct bytes){command.base, command.len});
        *out_done += !w.result->problem && w.changes.count > 0;
    }
    buffer_fini(&command);
    return world_hash();
}

START_TEST(random_commands_keep_every_count_and_index)
{
    uint8_t *bytes = mem_zeroed(1, BYTES);
    unsigned done = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        fill(bytes, seed);
        live(bytes, &done);
    }
    ck_assert_uint_gt(done, SEEDS * COMMANDS / 8); /* The histories do lead somewhere. */
    free(bytes);
}
END_TEST

START_TEST(the_same_history_gives_the_same_tables)
{
    uint8_t *bytes = mem_zeroed(1, BYTES);
    unsigned done = 0;
    uint64_t hash;

    fill(bytes, 99);
    hash = live(bytes, &done);
    ck_assert_uint_eq(live(bytes, &done), hash);
    fill(bytes, 100);
    ck_assert_uint_ne(live(bytes, &done), hash);
    free(bytes);
}
END_TEST

RUN_TESTS("apply_random", random_commands_keep_every_count_and_index,
          the_same_history_gives_the_same_tables)
