/*
 * What a lab tells of itself: the shape of the JSON is a contract.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/lab/daemon.h"
#include "server/lab/status.h"

static struct daemon lab;
static char dir[32];
static char endpoint[64];

static void changed(void *owner, size_t node, bool running)
{
    (void)owner, (void)node, (void)running;
}

static unsigned free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    getsockname(fd, (struct sockaddr *)&at, &size);
    close(fd);
    return ntohs(at.sin_port) < 65000 ? ntohs(at.sin_port) : 64000;
}

/* A lab in which nothing runs but the front, and this test, which is w1. */
static void set_up(void)
{
    struct supervisor_options supervisor = {.dir = dir, .binary = "cais", .changed = changed};
    struct layout_options options;

    strcpy(dir, "/tmp/status-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    layout_options_default(&options);
    options.workers = 2;
    options.api_port = free_port();
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", options.api_port);
    lab =
        (struct daemon){.dir = dir, .layout = layout_new(&options), .record = record_new(&options)};
    uv_loop_init(&lab.loop);
    lab.faults = faults_new(lab.layout);
    supervisor.layout = lab.layout;
    supervisor.record = lab.record;
    lab.supervisor = supervisor_new(&lab.loop, &supervisor);
    ck_assert_int_eq(front_open(&lab.loop, lab.layout, FRONT_WAIT_MS, &lab.front), 0);
    ck_assert_int_eq(proc_identify(getpid(), &lab.record->nodes[3]), 0);
}

static void tear_down(void)
{
    front_close(lab.front);
    uv_run(&lab.loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&lab.loop), 0);
    supervisor_free(lab.supervisor);
    faults_free(lab.faults);
    record_free(lab.record);
    layout_free(lab.layout);
    rmdir(dir);
}

START_TEST(the_json_is_the_contract)
{
    json_t *status = status_of(&lab);
    json_t *wanted =
        json_pack("{s:s, s:n, s:i, s:[o, o, o], s:[o, o], s:[]}", "endpoint", endpoint, "leader",
                  "term", 0, "managers",
                  json_pack("{s:s, s:s, s:n, s:s, s:o, s:s, s:s}", "name", "m1", "zone",
                            "us-east-1a", "pid", "state", "dead", "api",
                            json_sprintf("127.1.1.1:%u", lab.layout->options.api_port), "role",
                            "unknown", "member", "unknown"),
                  json_pack("{s:s, s:s, s:n, s:s, s:o, s:s, s:s}", "name", "m2", "zone",
                            "us-east-1b", "pid", "state", "dead", "api",
                            json_sprintf("127.2.1.1:%u", lab.layout->options.api_port), "role",
                            "unknown", "member", "unknown"),
                  json_pack("{s:s, s:s, s:n, s:s, s:o, s:s, s:s}", "name", "m3", "zone",
                            "us-east-1c", "pid", "state", "dead", "api",
                            json_sprintf("127.3.1.1:%u", lab.layout->options.api_port), "role",
                            "unknown", "member", "unknown"),
                  "workers",
                  json_pack("{s:s, s:s, s:i, s:s, s:i}", "name", "w1", "zone", "us-east-1a", "pid",
                            (int)getpid(), "state", "running", "tasks", 0),
                  json_pack("{s:s, s:s, s:n, s:s, s:i}", "name", "w2", "zone", "us-east-1b", "pid",
                            "state", "dead", "tasks", 0),
                  "faults");

    ck_assert_ptr_nonnull(wanted);
    ck_assert_msg(json_equal(status, wanted), "%s", json_dumps(status, 0));
    json_decref(status);
    json_decref(wanted);
}
END_TEST

START_TEST(people_see_nodes_and_faults)
{
    json_t *status;
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);

    ck_assert_int_eq(faults_cut(lab.faults, (struct faults_between){"m1", "zone:b", true}), 0);
    ck_assert_int_eq(faults_delay(lab.faults, (struct faults_between){"m1", "m3", false}, 30, 5),
                     0);
    faults_set_dark(lab.faults, 2, true);
    status = status_of(&lab);
    status_print(status, to);
    fclose(to);
    ck_assert_ptr_nonnull(strstr(text, "leader none, term 0"));
    ck_assert_ptr_nonnull(strstr(text, "m1       us-east-1a  dead   unknown  -"));
    ck_assert_ptr_nonnull(strstr(text, "w1      us-east-1a  running  0"));
    ck_assert_ptr_nonnull(strstr(text, "  fail-zone us-east-1c\n"
                                       "  cut m1 zone:b (one way)\n"
                                       "  delay m1 m3 30 5\n"));
    free(text);
    json_decref(status);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lab");
    TCase *tc = tcase_create("status");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_json_is_the_contract);
    tcase_add_test(tc, people_see_nodes_and_faults);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
