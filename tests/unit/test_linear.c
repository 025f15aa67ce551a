#include <check.h>
#include <stdbool.h>
#include <stdlib.h>

#include "proto/base/rng.h"
#include "tests/history/linear.h"

enum { OPS_MAX = 8, MANY = 600 };

#define W(value, from, to)                                                                         \
    {                                                                                              \
        LINEAR_WRITE, value, from, to                                                              \
    }
#define R(value, from, to)                                                                         \
    {                                                                                              \
        LINEAR_READ, value, from, to                                                               \
    }
#define A(value, from, to)                                                                         \
    {                                                                                              \
        LINEAR_ADD, value, from, to                                                                \
    }
#define NEVER LINEAR_UNKNOWN
#define OPS(...)                                                                                   \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static const struct {
    const char *why;
    enum linear_verdict verdict;
    size_t count;
    struct linear_op ops[OPS_MAX];
} cases[] = {
    {"nothing happened", LINEAR_YES, 0, {{0}}},
    {"one after the other", LINEAR_YES, 2, OPS(W(1, 0, 1), R(1, 2, 3))},
    {"a stale read", LINEAR_NO, 3, OPS(W(1, 0, 1), W(2, 2, 3), R(1, 4, 5))},
    {"a lost write", LINEAR_NO, 2, OPS(W(1, 0, 1), R(0, 2, 3))},
    {"a read beside a write sees the old", LINEAR_YES, 2, OPS(W(1, 0, 5), R(0, 1, 2))},
    {"or the new", LINEAR_YES, 2, OPS(W(1, 0, 5), R(1, 1, 2))},
    {"but not the new, then the old", LINEAR_NO, 3, OPS(W(1, 0, 9), R(1, 1, 2), R(0, 3, 4))},
    {"a value never written", LINEAR_NO, 2, OPS(W(1, 0, 1), R(3, 0, 2))},
    {"two readers disagree on two writes", LINEAR_NO, 6,
     OPS(W(1, 0, 20), W(2, 0, 20), R(1, 1, 2), R(2, 3, 4), R(2, 5, 6), R(1, 7, 8))},
    {"an unknown write was done late", LINEAR_YES, 3, OPS(W(1, 0, NEVER), R(0, 5, 6), R(1, 7, 8))},
    {"or never", LINEAR_YES, 2, OPS(W(1, 0, NEVER), R(0, 5, 6))},
    {"but not undone", LINEAR_NO, 3, OPS(W(1, 0, NEVER), R(1, 5, 6), R(0, 7, 8))},
    {"nor done before it began", LINEAR_NO, 2, OPS(R(1, 0, 1), W(1, 5, NEVER))},
    {"the same value twice, unknown", LINEAR_YES, 5,
     OPS(W(1, 0, NEVER), W(1, 1, NEVER), R(1, 2, 3), W(2, 4, 5), R(1, 6, 7))},
    {"but not three times", LINEAR_NO, 7,
     OPS(W(1, 0, NEVER), W(1, 0, NEVER), W(2, 4, 5), R(1, 6, 7), W(3, 8, 9), R(1, 10, 11),
         R(3, 12, 13))},
    {"an unknown read says nothing", LINEAR_YES, 2, OPS(W(1, 0, 1), R(7, 2, NEVER))},
    {"a counter counts", LINEAR_YES, 3, OPS(A(1, 0, 1), A(2, 2, 3), R(2, 4, 5))},
    {"overtaken while beside each other", LINEAR_YES, 2, OPS(A(2, 0, 5), A(1, 1, 4))},
    {"not when one was over", LINEAR_NO, 2, OPS(A(2, 0, 1), A(1, 2, 3))},
    {"one revision given twice", LINEAR_NO, 2, OPS(A(1, 0, 3), A(1, 1, 4))},
    {"an unknown addition fills the gap", LINEAR_YES, 3,
     OPS(A(1, 0, 1), A(0, 2, NEVER), A(3, 3, 4))},
    {"nothing fills this one", LINEAR_NO, 2, OPS(A(1, 0, 1), A(3, 3, 4))},
    {"two unknown, one needed", LINEAR_YES, 4,
     OPS(A(0, 0, NEVER), A(0, 1, NEVER), R(1, 2, 3), R(1, 4, 5))},
};

START_TEST(a_history_is_judged)
{
    enum linear_verdict verdict = linear_check(cases[_i].ops, cases[_i].count, 0, 1 << 20, NULL);

    ck_assert_msg(verdict == cases[_i].verdict, "%s: %d", cases[_i].why, verdict);
}
END_TEST

START_TEST(the_operation_that_does_not_fit_is_named)
{
    struct linear_op ops[] = {W(1, 0, 1), W(2, 2, 3), R(1, 4, 5), R(2, 6, 7)};
    size_t stuck = 99;

    ck_assert_int_eq(linear_check(ops, 4, 0, 1 << 20, &stuck), LINEAR_NO);
    ck_assert_uint_eq(stuck, 2);
}
END_TEST

START_TEST(a_search_without_end_is_given_up)
{
    struct linear_op ops[] = {W(1, 0, 9), W(2, 0, 9), W(3, 0, 9), R(4, 10, 11)};

    ck_assert_int_eq(linear_check(ops, 4, 0, 5, NULL), LINEAR_UNDECIDED);
    ck_assert_int_eq(linear_check(ops, 4, 0, 1 << 20, NULL), LINEAR_NO);
}
END_TEST

/* A real register, used one after the other; each operation is then told to have begun earlier and
 * ended later, and some to have unknown outcomes. */
static void make_long(struct linear_op *ops, uint64_t seed)
{
    uint64_t value = 0;
    struct rng rng;

    rng_seed(&rng, seed);
    for (size_t i = 0; i < MANY; i++) {
        bool writes = rng_below(&rng, 2) == 1;

        value = writes ? i + 1 : value;
        ops[i] = (struct linear_op){writes ? LINEAR_WRITE : LINEAR_READ, value,
                                    1000 + 10 * i - rng_below(&rng, 60),
                                    1000 + 10 * i + 1 + rng_below(&rng, 60)};
        if (rng_below(&rng, 10) == 0)
            ops[i].returned = NEVER;
    }
}

START_TEST(long_histories_of_a_real_register_are_linearizable)
{
    static struct linear_op ops[MANY];

    make_long(ops, (uint64_t)_i);
    ck_assert_int_eq(linear_check(ops, MANY, 0, 1 << 24, NULL), LINEAR_YES);
}
END_TEST

START_TEST(and_no_longer_with_one_stale_read)
{
    static struct linear_op ops[MANY];
    size_t write = 0;

    make_long(ops, (uint64_t)_i);
    while (ops[write].kind != LINEAR_WRITE || ops[write].returned == NEVER)
        write++;
    ops[MANY - 1] = (struct linear_op){LINEAR_READ, ops[write].value, 100000, 100001};
    ck_assert_int_eq(linear_check(ops, MANY, 0, 1 << 24, NULL), LINEAR_NO);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("history");
    TCase *tc = tcase_create("linear");
    SRunner *sr;
    int failed;

    tcase_add_loop_test(tc, a_history_is_judged, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tc, the_operation_that_does_not_fit_is_named);
    tcase_add_test(tc, a_search_without_end_is_given_up);
    tcase_add_loop_test(tc, long_histories_of_a_real_register_are_linearizable, 0, 50);
    tcase_add_loop_test(tc, and_no_longer_with_one_stale_read, 0, 50);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
