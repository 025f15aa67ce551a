#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/lab/record.h"

static char dir[32];
static char path[64];

static void set_up(void)
{
    strcpy(dir, "/tmp/record-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/lab.json", dir);
}

static void tear_down(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0); /* No draft is left. */
}

static void write_text(const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

START_TEST(what_is_saved_is_loaded)
{
    scope(record_free) struct record *saved = NULL;
    scope(record_free) struct record *loaded = NULL;
    struct layout_options options;

    layout_options_default(&options);
    options.workers = 2;
    options.api_port = 7000;
    saved = record_new(&options);
    saved->daemon = (struct proc){41, 1234567890123u};
    saved->nodes[4] = (struct proc){42, 99};
    ck_assert_int_eq(record_save(dir, saved), 0);
    ck_assert_int_eq(record_load(dir, &loaded), 0);
    ck_assert_mem_eq(&loaded->options, &saved->options, sizeof options);
    ck_assert_int_eq(loaded->daemon.pid, 41);
    ck_assert_uint_eq(loaded->daemon.start_time, 1234567890123u);
    ck_assert_uint_eq(loaded->node_count, 5);
    ck_assert_int_eq(loaded->nodes[4].pid, 42);
    ck_assert_int_eq(loaded->nodes[0].pid, 0);
}
END_TEST

START_TEST(no_file_is_no_lab)
{
    struct record *record = NULL;

    ck_assert_int_eq(record_load(dir, &record), RECORD_ABSENT);
    ck_assert_int_eq(record_load("/nonexistent", &record), RECORD_ABSENT);
    ck_assert_ptr_null(record);
}
END_TEST

#define OPTIONS                                                                                    \
    "\"options\":{\"managers\":1,\"zones\":1,\"workers\":0,\"runtime\":\"process\","               \
    "\"api_host\":\"127.0.0.1\",\"api_port\":4510,\"region\":\"us-east-1\","                       \
    "\"account\":\"000000000000\"}"
#define NOBODY "{\"pid\":0,\"start_time\":0}"

static const struct {
    const char *why, *text;
    int outcome;
} files[] = {
    {"whole", "{\"version\":1," OPTIONS ",\"daemon\":" NOBODY ",\"nodes\":[" NOBODY "]}", 0},
    {"empty", "", RECORD_DAMAGED},
    {"cut short", "{\"version\":1,", RECORD_DAMAGED},
    {"another version", "{\"version\":2," OPTIONS ",\"daemon\":" NOBODY ",\"nodes\":[" NOBODY "]}",
     RECORD_DAMAGED},
    {"no options", "{\"version\":1,\"daemon\":" NOBODY ",\"nodes\":[" NOBODY "]}", RECORD_DAMAGED},
    {"too few nodes", "{\"version\":1," OPTIONS ",\"daemon\":" NOBODY ",\"nodes\":[]}",
     RECORD_DAMAGED},
    {"a negative pid",
     "{\"version\":1," OPTIONS ",\"daemon\":{\"pid\":-1,\"start_time\":0},\"nodes\":[" NOBODY "]}",
     RECORD_DAMAGED},
    {"not an object", "[1]", RECORD_DAMAGED},
};

START_TEST(a_damaged_file_is_told_from_a_whole_one)
{
    scope(record_free) struct record *record = NULL;

    write_text(files[_i].text);
    ck_assert_msg(record_load(dir, &record) == files[_i].outcome, "%s", files[_i].why);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lab");
    TCase *tc = tcase_create("record");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_is_saved_is_loaded);
    tcase_add_test(tc, no_file_is_no_lab);
    tcase_add_loop_test(tc, a_damaged_file_is_told_from_a_whole_one, 0,
                        sizeof files / sizeof *files);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
