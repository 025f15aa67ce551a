#include <check.h>
#include <stdbool.h>

#include "proto/base/rng.h"
#include "scheduler/seqmap.h"

enum { SEQS = 500 };

static int things[SEQS]; /* Their addresses are the values. */

START_TEST(an_empty_map_has_nothing)
{
    struct seqmap map = {0};
    size_t at = 0;

    ck_assert_ptr_null(seqmap_get(&map, 1));
    seqmap_remove(&map, 1);
    ck_assert_ptr_null(seqmap_next(&map, &at));
    seqmap_fini(&map);
}
END_TEST

/* Against an array that says what is in the map. */
START_TEST(what_was_added_and_not_removed_is_there)
{
    struct seqmap map = {0};
    struct rng rng;
    bool in[SEQS] = {false};
    size_t count = 0;

    rng_seed(&rng, (uint64_t)_i);
    for (int step = 0; step < 20000; step++) {
        uint64_t seq = rng_below(&rng, SEQS);

        if (in[seq])
            seqmap_remove(&map, seq * 64);
        else
            seqmap_add(&map, seq * 64, &things[seq]);
        in[seq] = !in[seq];
        count += in[seq] ? 1 : (size_t)-1;
        seq = rng_below(&rng, SEQS);
        ck_assert_ptr_eq(seqmap_get(&map, seq * 64), in[seq] ? &things[seq] : NULL);
        ck_assert_uint_eq(map.count, count);
    }
    for (uint64_t seq = 0; seq < SEQS; seq++)
        ck_assert_ptr_eq(seqmap_get(&map, seq * 64), in[seq] ? &things[seq] : NULL);
    seqmap_fini(&map);
}
END_TEST

START_TEST(a_walk_meets_everything_once)
{
    struct seqmap map = {0};
    int met[SEQS] = {0};
    size_t at = 0;
    const int *thing;

    for (uint64_t seq = 0; seq < SEQS; seq++)
        seqmap_add(&map, seq, &things[seq]);
    while ((thing = seqmap_next(&map, &at)))
        met[thing - things]++;
    for (int i = 0; i < SEQS; i++)
        ck_assert_int_eq(met[i], 1);
    seqmap_fini(&map);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("seqmap");
    TCase *tc = tcase_create("seqmap");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tc, an_empty_map_has_nothing);
    tcase_add_loop_test(tc, what_was_added_and_not_removed_is_there, 0, 5);
    tcase_add_test(tc, a_walk_meets_everything_once);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
