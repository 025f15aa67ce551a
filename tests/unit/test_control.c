/*
 * The control socket, with children of this test as the verbs: their side blocks.
 */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/lab/control.h"
#include "tests/unit/loop.h"

static char dir[32];
static struct control *control;
static struct control_call *held; /* A call that is not answered yet. */
static bool child_ended;
static int child_code;
static uv_signal_t children;

static void asked(void *owner, struct control_call *call, const json_t *question)
{
    (void)owner;
    if (json_object_get(question, "later"))
        held = call;
    else
        control_answer(call, json_pack("{s:O}", "echo", json_object_get(question, "say")));
}

static void child_signalled(uv_signal_t *handle, int signal)
{
    int status;

    (void)handle;
    (void)signal;
    if (waitpid(-1, &status, WNOHANG) > 0) {
        child_ended = true;
        child_code = WEXITSTATUS(status);
    }
}

static void set_up(void)
{
    struct control_options options = {dir, asked, NULL};

    strcpy(dir, "/tmp/control-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    loop_set_up();
    uv_signal_init(&loop, &children);
    uv_signal_start(&children, child_signalled, SIGCHLD);
    ck_assert_int_eq(control_open(&loop, &options, &control), 0);
    held = NULL;
    child_ended = false;
}

static void tear_down(void)
{
    uv_close((uv_handle_t *)&children, NULL);
    control_close(control);
    loop_tear_down();
    ck_assert_int_eq(rmdir(dir), 0); /* The socket is gone. */
}

/* Ask from another process; it exits 0 if the answer is as expected, else the error. */
static void ask_from_child(const char *question, const char *expected)
{
    if (fork() == 0) {
        json_t *json = json_loads(question, 0, NULL);
        json_t *answer = NULL;
        json_t *wanted = json_loads(expected, 0, NULL);
        int r = control_ask(dir, json, 5000, &answer);

        _exit(r < 0 ? -r : r > 0 ? 99 : json_equal(answer, wanted) ? 0 : 98);
    }
}

START_TEST(a_question_gets_its_answer)
{
    ask_from_child("{\"say\": \"ahoy\"}", "{\"echo\": \"ahoy\"}");
    loop_until(child_ended);
    ck_assert_int_eq(child_code, 0);
}
END_TEST

START_TEST(an_answer_may_come_later)
{
    ask_from_child("{\"later\": true}", "{\"done\": 1}");
    loop_until(held);
    control_answer(held, json_pack("{s:i}", "done", 1));
    loop_until(child_ended);
    ck_assert_int_eq(child_code, 0);
}
END_TEST

START_TEST(a_lab_that_ends_meanwhile_says_so)
{
    ask_from_child("{\"later\": true}", "{}");
    loop_until(held);
    control_close(control);
    loop_until(child_ended);
    ck_assert_int_eq(child_code, ECONNRESET);
    control_answer(held, json_object()); /* To nowhere; nothing leaks. */
    control = NULL;
}
END_TEST

START_TEST(no_lab_is_an_outcome)
{
    json_t *question = json_object();
    json_t *answer = NULL;

    ck_assert_int_eq(control_ask("/nonexistent", question, 100, &answer), CONTROL_ABSENT);
    ck_assert_ptr_null(answer);
    json_decref(question);
}
END_TEST

START_TEST(what_is_no_question_is_refused)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char answer[128] = "";
    struct timeval bound = {.tv_usec = 1000};
    ssize_t n = -1;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(at.sun_path, sizeof at.sun_path, "%s/control.sock", dir);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
    ck_assert_int_eq(send(fd, "nonsense\n", 9, 0), 9);
    while (n < 0) {
        uv_run(&loop, UV_RUN_NOWAIT);
        n = recv(fd, answer, sizeof answer - 1, 0);
    }
    ck_assert_ptr_nonnull(strstr(answer, "not a question"));
    close(fd);
}
END_TEST

START_TEST(a_path_too_long_for_a_socket_is_an_error)
{
    char path[200];
    struct control_options options = {path, asked, NULL};
    struct control *other = NULL;

    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    ck_assert_int_eq(control_open(&loop, &options, &other), -ENAMETOOLONG);
    ck_assert_ptr_null(other);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lab");
    TCase *tc = tcase_create("control");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_question_gets_its_answer);
    tcase_add_test(tc, an_answer_may_come_later);
    tcase_add_test(tc, a_lab_that_ends_meanwhile_says_so);
    tcase_add_test(tc, no_lab_is_an_outcome);
    tcase_add_test(tc, what_is_no_question_is_refused);
    tcase_add_test(tc, a_path_too_long_for_a_socket_is_an_error);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
