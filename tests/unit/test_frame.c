#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/endian.h"
#include "proto/limits.h"
#include "server/net/frame.h"

static struct bytes text(const char *s)
{
    return (struct bytes){s, strlen(s)};
}

static void expect(struct frame_reader *reader, const char *message)
{
    struct bytes got;

    ck_assert_int_eq(frame_next(reader, &got), 0);
    ck_assert_uint_eq(got.len, strlen(message));
    ck_assert_mem_eq(got.base, message, got.len);
}

START_TEST(messages_come_out_as_they_went_in)
{
    scope(buffer_fini) struct buffer sent = {0};
    scope(frame_reader_fini) struct frame_reader reader = {0};
    struct bytes got;

    frame_append(&sent, text("one"));
    frame_append(&sent, text(""));
    memcpy(frame_open(&sent, 5), "three", 5);
    frame_feed(&reader, (struct bytes){sent.base, sent.len});
    expect(&reader, "one");
    expect(&reader, "");
    expect(&reader, "three");
    ck_assert_int_eq(frame_next(&reader, &got), FRAME_PARTIAL);
}
END_TEST

START_TEST(bytes_may_be_cut_anywhere)
{
    scope(buffer_fini) struct buffer sent = {0};

    frame_append(&sent, text("ab"));
    frame_append(&sent, text(""));
    frame_append(&sent, text("cdefg"));
    for (size_t first = 0; first <= sent.len; first++) {
        for (size_t second = first; second <= sent.len; second++) {
            const size_t ends[] = {first, second, sent.len};
            scope(frame_reader_fini) struct frame_reader reader = {0};
            char all[16] = "";
            size_t at = 0;

            for (int i = 0; i < 3; i++) {
                struct bytes got;

                frame_feed(&reader, (struct bytes){sent.base + at, ends[i] - at});
                at = ends[i];
                while (frame_next(&reader, &got) == 0) {
                    strncat(all, got.base, got.len);
                    strcat(all, ".");
                }
            }
            ck_assert_str_eq(all, "ab..cdefg.");
        }
    }
}
END_TEST

START_TEST(the_largest_frame_passes_and_one_more_byte_does_not)
{
    scope(frame_reader_fini) struct frame_reader reader = {0};
    scope(buffer_fini) struct buffer sent = {0};
    uint8_t head[FRAME_HEAD];
    struct bytes got;

    memset(frame_open(&sent, LIMIT_FRAME_BYTES), 'x', LIMIT_FRAME_BYTES);
    frame_feed(&reader, (struct bytes){sent.base, sent.len});
    ck_assert_int_eq(frame_next(&reader, &got), 0);
    ck_assert_uint_eq(got.len, LIMIT_FRAME_BYTES);

    be32_put(head, LIMIT_FRAME_BYTES + 1);
    frame_feed(&reader, (struct bytes){head, sizeof head});
    ck_assert_int_eq(frame_next(&reader, &got), -EMSGSIZE);
    ck_assert_int_eq(frame_next(&reader, &got), -EMSGSIZE);
}
END_TEST

START_TEST(a_claimed_length_costs_nothing_until_its_bytes_come)
{
    scope(frame_reader_fini) struct frame_reader reader = {0};
    uint8_t head[FRAME_HEAD];
    struct bytes got;

    be32_put(head, LIMIT_FRAME_BYTES);
    frame_feed(&reader, (struct bytes){head, sizeof head});
    ck_assert_int_eq(frame_next(&reader, &got), FRAME_PARTIAL);
    ck_assert_uint_lt(reader.pending.cap, 4096);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("net");
    TCase *tc = tcase_create("frame");
    SRunner *sr;
    int failed;

    tcase_add_test(tc, messages_come_out_as_they_went_in);
    tcase_add_test(tc, bytes_may_be_cut_anywhere);
    tcase_add_test(tc, the_largest_frame_passes_and_one_more_byte_does_not);
    tcase_add_test(tc, a_claimed_length_costs_nothing_until_its_bytes_come);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
