#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/worker/clock.h"
#include "server/worker/report.h"
#include "server/worker/session.h"
#include "tests/unit/fake_manager.h"
#include "tests/unit/worker_bench.h"

static struct agent *agent;
static struct session *session;
static Worker__RegisterRequest identity;
static struct buffer terms;  /* "5 6 ", as heard. */
static struct buffer obeyed; /* "+1 " a task to run, "-1 " to stop; "! " could not be. */
static unsigned obey_fails;  /* So many times. */

static void heard_term(void *context, uint64_t term)
{
    (void)context;
    buffer_append_format(&terms, "%lu ", term);
}

static int pulled(void *context, uint64_t pull, const Worker__PullResponse *response)
{
    (void)context, (void)pull;
    if (response->n_assignments && obey_fails > 0) {
        obey_fails--;
        buffer_append_text(&obeyed, "! ");
        return -ENOSPC;
    }
    for (size_t i = 0; i < response->n_assignments; i++)
        buffer_append_format(&obeyed, "%c%lu ", response->assignments[i]->stop ? '-' : '+',
                             bench_number(response->assignments[i]->task_id));
    return 0;
}

static void set_up(void)
{
    loop_set_up();
    agent = agent_new(0);
    session = NULL;
    obey_fails = 0;
    worker__register_request__init(&identity);
    identity.worker_id = "0123456789abcdef0123456789abcdef";
    identity.session = 77;
    for (size_t i = 0; i < FAKES; i++)
        fake_open(i);
}

static void tear_down(void)
{
    if (session)
        session_close(session);
    for (size_t i = 0; i < FAKES; i++)
        fake_close(&fakes[i]);
    loop_tear_down();
    agent_free(agent);
    buffer_fini(&heard);
    buffer_fini(&terms);
    buffer_fini(&obeyed);
}

/* To the managers at these addresses, in this order. */
static void open_at(const char *const *addresses, size_t count)
{
    struct sockaddr_storage resolved[FAKES];
    struct session_config config = {
        .loop = &loop,
        .managers = addresses,
        .addresses = resolved,
        .manager_count = count,
        .identity = &identity,
        .agent = agent,
        .seed = 4,
        .heard_term = heard_term,
        .pulled = pulled,
    };

    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(address_parse(addresses[i], &resolved[i], NULL), 0);
    ck_assert_int_eq(address_parse("127.0.0.1:0", &config.source, NULL), 0);
    ck_assert_int_eq(session_open(&config, &session), 0);
}

static void open_all(void)
{
    const char *addresses[] = {fakes[0].address, fakes[1].address, fakes[2].address};

    open_at(addresses, FAKES);
}

static void adopt(unsigned task, State__TaskState state)
{
    char *id = bench_id(task);
    Command__TaskReport *report = report_new(id, state);

    agent_adopt(agent, id, report);
    report_free(report);
    free(id);
}

static void observe(unsigned task, State__TaskState state)
{
    char *id = bench_id(task);
    Command__TaskReport *report = report_new(id, state);

    ck_assert(agent_observe(agent, report));
    report_free(report);
    free(id);
    session_report(session);
}

static void push(struct fake *fake, unsigned task, bool stop)
{
    char *id = bench_id(task);
    Worker__Assignment *assignment = bench_assignment(id);

    assignment->stop = stop;
    fake_push(fake, assignment, NULL, false);
    worker__assignment__free_unpacked(assignment, NULL);
    free(id);
}

/* ---- the order of things */

START_TEST(it_registers_then_reports_then_pulls_everything)
{
    const char *one[] = {fakes[0].address};

    fake_lead(&fakes[0], 1);
    adopt(1, STATE__TASK_STATE__TASK_RUNNING);
    adopt(2, STATE__TASK_STATE__TASK_STOPPED);
    open_at(one, 1);
    loop_until(fake_heard("pull"));
    ck_assert_str_eq(buffer_text(&heard), "m1 register, m1 report 2, m1 pull 0, ");
    ck_assert_str_eq(buffer_text(&fakes[0].reported), "1:3 2:7 ");
    ck_assert_uint_eq(fakes[0].session, 77);
}
END_TEST

START_TEST(an_answer_is_obeyed_and_the_next_pull_says_which_was_the_last)
{
    const char *one[] = {fakes[0].address};

    fake_lead(&fakes[0], 1);
    open_at(one, 1);
    loop_until(fakes[0].pull);
    fakes[0].version = 9;
    push(&fakes[0], 1, false);
    loop_until(fake_heard("m1 pull 9"));
    ck_assert_str_eq(buffer_text(&obeyed), "+1 ");
    loop_until(!fakes[0].pull); /* The heartbeat: nothing new. */
    loop_until(fakes[0].pull);
    ck_assert_str_eq(buffer_text(&obeyed), "+1 ");
}
END_TEST

START_TEST(what_could_not_be_obeyed_is_asked_for_again)
{
    const char *one[] = {fakes[0].address};

    fake_lead(&fakes[0], 1);
    open_at(one, 1);
    loop_until(fakes[0].pull);
    obey_fails = 1;
    fakes[0].version = 9;
    push(&fakes[0], 1, false);
    loop_until(fakes[0].pull);
    ck_assert_str_eq(buffer_text(&obeyed), "! ");
    ck_assert(!fake_heard("pull 9"));
    push(&fakes[0], 1, false);
    loop_until(fake_heard("pull 9"));
    ck_assert_str_eq(buffer_text(&obeyed), "! +1 ");
}
END_TEST

START_TEST(news_is_reported_at_once_beside_the_waiting_pull)
{
    const char *one[] = {fakes[0].address};

    fake_lead(&fakes[0], 1);
    adopt(1, STATE__TASK_STATE__TASK_PENDING);
    open_at(one, 1);
    loop_until(fakes[0].pull);
    observe(1, STATE__TASK_STATE__TASK_RUNNING);
    loop_until(!agent_owes_reports(agent));
    ck_assert_ptr_nonnull(fakes[0].pull);
    ck_assert_str_eq(buffer_text(&fakes[0].reported), "1:1 1:3 ");
}
END_TEST

/* ---- finding the leader */

START_TEST(a_follower_says_who_leads)
{
    const char *one[] = {fakes[0].address};

    fake_lead(&fakes[2], 1);
    open_at(one, 1);
    loop_until(fakes[2].pull);
    ck_assert_str_eq(buffer_text(&heard), "m1 register, m3 register, m3 pull 0, ");
}
END_TEST

START_TEST(without_a_hint_the_others_are_tried)
{
    fake_lead(&fakes[1], 1);
    for (size_t i = 0; i < FAKES; i++)
        fakes[i].leader[0] = '\0';
    open_all();
    loop_until(fakes[1].pull);
    ck_assert(session_is_registered(session));
}
END_TEST

START_TEST(a_dead_leader_is_replaced_soon_after_the_next_is_elected)
{
    uint64_t elected_ms;

    fake_lead(&fakes[0], 1);
    open_all();
    loop_until(fakes[0].pull);
    fake_close(&fakes[0]); /* The others go on naming it for a while. */
    loop_until(fake_heard("m2 register") && fake_heard("m3 register"));
    elected_ms = clock_steady_ms() + 300;
    loop_until(clock_steady_ms() >= elected_ms);
    ck_assert(!session_is_registered(session));
    fake_lead(&fakes[2], 2);
    loop_until(fakes[2].pull);
    ck_assert_uint_lt(clock_steady_ms() - elected_ms, 500);
    ck_assert_str_eq(buffer_text(&terms), "1 2 ");
}
END_TEST

/* A manager that was stopped: the kernel accepts for it, and nobody answers. */
static int open_stopped(char out_address[ADDRESS_TEXT])
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(address_parse("127.0.0.1:0", &at, NULL), 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(struct sockaddr_in)), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    address_format(&at, out_address);
    return fd;
}

START_TEST(a_stopped_leader_is_left_out_although_the_others_name_it)
{
    char stopped[ADDRESS_TEXT];
    int fd = open_stopped(stopped);
    const char *addresses[] = {stopped, fakes[1].address};
    uint64_t silent_ms;

    open_at(addresses, 2);
    snprintf(fakes[1].leader, sizeof fakes[1].leader, "%s", stopped);
    loop_until(fake_heard("m2 register, m2 register, m2 register")); /* Given up on the other. */
    silent_ms = clock_steady_ms();
    fake_lead(&fakes[1], 1);
    loop_until(fakes[1].pull);
    ck_assert_uint_lt(clock_steady_ms() - silent_ms, 500);
    close(fd);
}
END_TEST

START_TEST(a_leader_that_falls_silent_is_given_up)
{
    uint64_t began_ms;

    fake_lead(&fakes[0], 1);
    open_all();
    loop_until(fakes[0].pull);
    uv_timer_stop(&fakes[0].heartbeat);
    began_ms = clock_steady_ms();
    fake_lead(&fakes[1], 2);
    loop_until(fakes[1].pull);
    ck_assert_uint_ge(clock_steady_ms() - began_ms, FAKE_HEARTBEAT_MS);
    ck_assert_uint_lt(clock_steady_ms() - began_ms, FAKE_HEARTBEAT_MS + PULL_MARGIN_MS + 1000);
}
END_TEST

/* ---- what a change of leader may not lose or let in */

START_TEST(the_orders_of_an_older_term_are_refused)
{
    fake_lead(&fakes[0], 5);
    open_all();
    loop_until(fakes[0].pull);
    fake_lead(&fakes[1], 4); /* It does not know that it was replaced. */
    fake_close(&fakes[0]);
    loop_until(fake_heard("m2 register"));
    ck_assert(!fake_heard("m2 report"));
    ck_assert(!fake_heard("m2 pull"));
    fakes[1].role = FAKE_FOLLOWS;
    fake_lead(&fakes[2], 6);
    loop_until(fakes[2].pull);
    ck_assert(!fake_heard("m2 pull"));
    ck_assert_str_eq(buffer_text(&terms), "5 6 ");
}
END_TEST

START_TEST(a_pull_answered_in_an_older_term_is_not_obeyed)
{
    const char *one[] = {fakes[0].address};

    fake_lead(&fakes[0], 5);
    open_at(one, 1);
    loop_until(fakes[0].pull);
    fakes[0].term = 4;
    push(&fakes[0], 1, false);
    fakes[0].term = 5;
    loop_until(fakes[0].pull);
    ck_assert_str_eq(buffer_text(&obeyed), "");
}
END_TEST

START_TEST(a_report_that_was_not_acknowledged_is_sent_to_the_next_leader)
{
    fake_lead(&fakes[0], 1);
    adopt(1, STATE__TASK_STATE__TASK_PENDING);
    open_all();
    loop_until(fakes[0].pull);
    fakes[0].mute_reports = true;
    observe(1, STATE__TASK_STATE__TASK_STOPPED);
    loop_until(fakes[0].muted_count == 1);
    ck_assert(agent_owes_reports(agent));
    fake_lead(&fakes[1], 2);
    fake_close(&fakes[0]);
    loop_until(fakes[1].pull);
    ck_assert_str_eq(buffer_text(&fakes[1].reported), "1:7 ");
    ck_assert(!agent_owes_reports(agent));
}
END_TEST

START_TEST(it_registers_again_as_the_same_session_and_asks_for_everything)
{
    const char *one[] = {fakes[0].address};

    fake_lead(&fakes[0], 1);
    adopt(1, STATE__TASK_STATE__TASK_RUNNING);
    open_at(one, 1);
    loop_until(fakes[0].pull);
    fakes[0].version = 9;
    fakes[0].register_again = true;
    push(&fakes[0], 2, true);
    loop_until(fake_heard("m1 pull 9, m1 register, m1 report 1, m1 pull 0"));
    ck_assert_uint_eq(fakes[0].session, 77);
}
END_TEST

START_TEST(closing_in_the_middle_of_everything_leaves_nothing)
{
    fake_lead(&fakes[0], 1);
    adopt(1, STATE__TASK_STATE__TASK_PENDING);
    open_all();
    loop_until(fakes[0].pull);
    fakes[0].mute_reports = true;
    observe(1, STATE__TASK_STATE__TASK_RUNNING);
    loop_until(fakes[0].muted_count == 1);
    session_close(session);
    session = NULL;
    ck_assert(agent_has_reports(agent)); /* Nothing was acknowledged. */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("worker");
    TCase *tc = tcase_create("session");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, it_registers_then_reports_then_pulls_everything);
    tcase_add_test(tc, an_answer_is_obeyed_and_the_next_pull_says_which_was_the_last);
    tcase_add_test(tc, what_could_not_be_obeyed_is_asked_for_again);
    tcase_add_test(tc, news_is_reported_at_once_beside_the_waiting_pull);
    tcase_add_test(tc, a_follower_says_who_leads);
    tcase_add_test(tc, without_a_hint_the_others_are_tried);
    tcase_add_test(tc, a_dead_leader_is_replaced_soon_after_the_next_is_elected);
    tcase_add_test(tc, a_stopped_leader_is_left_out_although_the_others_name_it);
    tcase_add_test(tc, a_leader_that_falls_silent_is_given_up);
    tcase_add_test(tc, the_orders_of_an_older_term_are_refused);
    tcase_add_test(tc, a_pull_answered_in_an_older_term_is_not_obeyed);
    tcase_add_test(tc, a_report_that_was_not_acknowledged_is_sent_to_the_next_leader);
    tcase_add_test(tc, it_registers_again_as_the_same_session_and_asks_for_everything);
    tcase_add_test(tc, closing_in_the_middle_of_everything_leaves_nothing);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
