#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/cli/table.h"

static char *printed(const struct table *table)
{
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);

    table_print(table, to);
    fclose(to);
    return text;
}

START_TEST(columns_are_as_wide_as_their_widest_cell)
{
    scope(table_free) struct table *table = table_new("NAME", "PID", "ZONE", NULL);
    char *text;

    table_add(table, "m1");
    table_add_number(table, 1234567);
    table_add(table, "us-east-1a");
    table_add(table, "a-longer-one");
    table_add(table, NULL);
    table_add(table, "b");
    text = printed(table);
    ck_assert_str_eq(text, "NAME          PID      ZONE\n"
                           "m1            1234567  us-east-1a\n"
                           "a-longer-one  -        b\n");
    free(text);
}
END_TEST

START_TEST(a_table_without_rows_is_its_head)
{
    scope(table_free) struct table *table = table_new("A", "B", NULL);
    char *text = printed(table);

    ck_assert_str_eq(text, "A  B\n");
    free(text);
}
END_TEST

START_TEST(cells_do_not_move_the_cursor_and_count_as_seen)
{
    scope(table_free) struct table *table = table_new("A", "B", NULL);
    char *text;

    table_add(table, "x\n\033[2J");
    table_add(table, "caf\xc3\xa9");
    table_add(table, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9");
    table_add(table, "");
    text = printed(table);
    ck_assert_str_eq(text, "A       B\n"
                           "x??[2J  caf\xc3\xa9\n"
                           "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9  -\n");
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli");
    TCase *tc = tcase_create("table");
    SRunner *sr;
    int failed;

    tcase_add_test(tc, columns_are_as_wide_as_their_widest_cell);
    tcase_add_test(tc, a_table_without_rows_is_its_head);
    tcase_add_test(tc, cells_do_not_move_the_cursor_and_count_as_seen);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
