#include <stdlib.h>

#include "server/worker/agent.h"
#include "server/worker/report.h"
#include "tests/unit/worker_bench.h"

enum { NOW_MS = 5000, NONE = -1 };

static struct agent *agent;
static char *ids[10]; /* ids[1] is "0…01". */

static void set_up(void)
{
    agent = agent_new(3);
    for (unsigned i = 0; i < 10; i++)
        ids[i] = bench_id(i);
}

static void tear_down(void)
{
    agent_free(agent);
    for (unsigned i = 0; i < 10; i++)
        free(ids[i]);
}

/* ---- what the world does */

static bool observe(unsigned task, State__TaskState state)
{
    Command__TaskReport *report = report_new(ids[task], state);
    bool news = agent_observe(agent, report);

    report_free(report);
    return news;
}

/* Send what is owed and hear that it is durable. Returns how many. */
static size_t report_and_acknowledge(void)
{
    Command__TaskReport *reports[10];
    size_t count = agent_has_reports(agent) ? agent_take_reports(agent, reports, 10) : 0;

    for (size_t i = 0; i < count; i++)
        report_free(reports[i]);
    if (count)
        agent_reported(agent, true);
    return count;
}

/* A response as text: "1" run task 1, "-1" stop it, "1?" run it but without its definition. */
static Worker__PullResponse *response(const char *text, bool complete)
{
    Worker__PullResponse *made = mem_new(Worker__PullResponse);
    char *copy = mem_string(text), *save = NULL;

    worker__pull_response__init(made);
    made->complete = complete;
    made->assignments = mem_new_array(Worker__Assignment *, 10);
    made->definitions = mem_new_array(Worker__Definition *, 1);
    made->definitions[made->n_definitions++] = mem_new(Worker__Definition);
    worker__definition__init(made->definitions[0]);
    made->definitions[0]->family = mem_string("web");
    made->definitions[0]->revision = 1;
    made->definitions[0]->spec = bench_definition("{'family':'web','containerDefinitions':[]}");
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        bool stop = *word == '-';
        char *end;
        unsigned long number = strtoul(word + stop, &end, 10);
        Worker__Assignment *assignment =
            bench_assignment(number < 10 ? ids[number] : "../../etc/passwd");

        assignment->stop = stop;
        if (*end == '?')
            assignment->revision = 2;
        made->assignments[made->n_assignments++] = assignment;
    }
    free(copy);
    return made;
}

static const char *const verbs[] = {"start", "stop", "deny", "remind", "forget"};

/* Obey an answer to that Pull and tell what was done, as "start 1, stop 2". Gives. */
static char *obey(uint64_t pull, const char *text, bool complete)
{
    Worker__PullResponse *answer = response(text, complete);
    struct agent_plan plan = {0};
    struct buffer told = {0};
    char *result;

    agent_decide(agent, pull, answer, &plan);
    for (size_t i = 0; i < plan.count; i++)
        buffer_append_format(&told, "%s%s %lu", i ? ", " : "", verbs[plan.actions[i].verb],
                             bench_number(plan.actions[i].task_id));
    if (plan.malformed)
        buffer_append_format(&told, "%s%zu malformed", told.len ? ", " : "", plan.malformed);
    agent_carry_out(agent, &plan, NOW_MS);
    agent_plan_fini(&plan);
    worker__pull_response__free_unpacked(answer, NULL);
    result = mem_string(buffer_text(&told));
    buffer_fini(&told);
    return result;
}

static void expect(const char *why, uint64_t pull, const char *text, bool complete,
                   const char *expected)
{
    char *told = obey(pull, text, complete);

    ck_assert_msg(!strcmp(told, expected), "%s: \"%s\", not \"%s\"", why, told, expected);
    free(told);
}

/* ---- one order */

static const struct {
    const char *why;
    int state;    /* Of task 1 before; NONE: unknown. */
    bool ordered; /* To stop, before. */
    bool complete;
    const char *response;
    const char *expected;
} cases[] = {
    {"a new task is started", NONE, false, false, "1", "start 1"},
    {"a new task to stop was never here: it is stopped", NONE, false, false, "-1", "deny 1"},
    {"a new task without its definition cannot run", NONE, false, false, "1?", "deny 1"},
    {"a task that is known is not started again", STATE__TASK_STATE__TASK_PENDING, false, false,
     "1", ""},
    {"a running task goes on", STATE__TASK_STATE__TASK_RUNNING, false, true, "1", ""},
    {"a running task is stopped when told to", STATE__TASK_STATE__TASK_RUNNING, false, false, "-1",
     "stop 1"},
    {"a starting task too", STATE__TASK_STATE__TASK_PENDING, false, false, "-1", "stop 1"},
    {"once", STATE__TASK_STATE__TASK_RUNNING, true, false, "-1", ""},
    {"what a complete answer does not list must not run", STATE__TASK_STATE__TASK_RUNNING, false,
     true, "", "stop 1"},
    {"an incomplete one says nothing of it", STATE__TASK_STATE__TASK_RUNNING, false, false, "", ""},
    {"a stopped task the manager takes for running is reported again",
     STATE__TASK_STATE__TASK_STOPPED, false, true, "1", "remind 1"},
    {"and never started again", STATE__TASK_STATE__TASK_STOPPED, false, false, "-1", "remind 1"},
    {"a stopped task that is not listed may wait for its report", STATE__TASK_STATE__TASK_STOPPED,
     false, true, "", ""},
    {"what is no id is not touched", NONE, false, false, "99 1", "start 1, 1 malformed"},
    {"what is there twice is not believed", NONE, false, false, "2 2 1", "start 1, 2 malformed"},
};

START_TEST(an_order_is_decided_by_what_is_known)
{
    if (cases[_i].state != NONE) {
        Command__TaskReport *report = report_new(ids[1], (State__TaskState)cases[_i].state);

        agent_adopt(agent, ids[1], report);
        report_free(report);
        if (cases[_i].ordered)
            free(obey(agent_pull(agent), "-1", false));
    }
    expect(cases[_i].why, agent_pull(agent), cases[_i].response, cases[_i].complete,
           cases[_i].expected);
}
END_TEST

START_TEST(a_denied_task_is_reported_stopped)
{
    Command__TaskReport *reports[2];

    expect("both", agent_pull(agent), "-1 2?", false, "deny 1, deny 2");
    ck_assert_uint_eq(agent_take_reports(agent, reports, 2), 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(reports[i]->state, STATE__TASK_STATE__TASK_STOPPED);
        ck_assert_uint_eq(reports[i]->stopped_ms, NOW_MS);
    }
    ck_assert_int_eq(reports[0]->stop_code, STATE__STOP_CODE__STOP_NONE);
    ck_assert_int_eq(reports[1]->stop_code, STATE__STOP_CODE__STOP_TASK_FAILED_TO_START);
    report_free(reports[0]);
    report_free(reports[1]);
}
END_TEST

/* ---- forgetting */

START_TEST(a_task_is_forgotten_after_a_pull_that_was_sent_after_the_acknowledgement)
{
    uint64_t before, after;

    expect("start", agent_pull(agent), "1", false, "start 1");
    before = agent_pull(agent);
    ck_assert(observe(1, STATE__TASK_STATE__TASK_STOPPED));
    ck_assert_uint_eq(report_and_acknowledge(), 1);
    expect("an answer from before may still list it", before, "", false, "");
    ck_assert_uint_eq(agent_task_count(agent), 1);
    after = agent_pull(agent);
    expect("one from after does not", after, "", false, "forget 1");
    ck_assert_uint_eq(agent_task_count(agent), 0);
}
END_TEST

START_TEST(an_order_from_before_the_acknowledgement_does_not_start_it_again)
{
    uint64_t before;

    expect("start", agent_pull(agent), "1", false, "start 1");
    before = agent_pull(agent);
    observe(1, STATE__TASK_STATE__TASK_STOPPED);
    report_and_acknowledge();
    expect("late", before, "1", true, "remind 1");
    ck_assert_uint_eq(report_and_acknowledge(), 1);
    expect("then it is gone", agent_pull(agent), "", true, "forget 1");
}
END_TEST

START_TEST(what_was_not_acknowledged_is_not_forgotten)
{
    Command__TaskReport *sent;

    expect("start", agent_pull(agent), "1", false, "start 1");
    observe(1, STATE__TASK_STATE__TASK_STOPPED);
    ck_assert_uint_eq(agent_take_reports(agent, &sent, 1), 1);
    expect("on its way", agent_pull(agent), "", true, "");
    agent_reported(agent, false);
    expect("lost", agent_pull(agent), "", true, "");
    ck_assert(agent_has_reports(agent));
    report_free(sent);
}
END_TEST

/* ---- reports */

START_TEST(only_news_is_reported)
{
    ck_assert(!observe(1, STATE__TASK_STATE__TASK_RUNNING)); /* Unknown. */
    expect("start", agent_pull(agent), "1", false, "start 1");
    ck_assert(!agent_has_reports(agent));
    ck_assert(observe(1, STATE__TASK_STATE__TASK_RUNNING));
    ck_assert(!observe(1, STATE__TASK_STATE__TASK_RUNNING));
    ck_assert_uint_eq(report_and_acknowledge(), 1);
    ck_assert_uint_eq(report_and_acknowledge(), 0);
    ck_assert(observe(1, STATE__TASK_STATE__TASK_STOPPED));
    ck_assert(!observe(1, STATE__TASK_STATE__TASK_RUNNING)); /* States only move right. */
    ck_assert_uint_eq(report_and_acknowledge(), 1);
}
END_TEST

START_TEST(what_changes_while_it_is_on_its_way_is_reported_again)
{
    Command__TaskReport *sent;

    expect("start", agent_pull(agent), "1", false, "start 1");
    observe(1, STATE__TASK_STATE__TASK_RUNNING);
    ck_assert_uint_eq(agent_take_reports(agent, &sent, 1), 1);
    ck_assert_int_eq(sent->state, STATE__TASK_STATE__TASK_RUNNING);
    report_free(sent);
    observe(1, STATE__TASK_STATE__TASK_STOPPED);
    agent_reported(agent, true); /* Of RUNNING, not of STOPPED. */
    expect("not yet", agent_pull(agent), "", false, "");
    ck_assert_uint_eq(agent_take_reports(agent, &sent, 1), 1);
    ck_assert_int_eq(sent->state, STATE__TASK_STATE__TASK_STOPPED);
    report_free(sent);
    agent_reported(agent, true);
    expect("now", agent_pull(agent), "", false, "forget 1");
}
END_TEST

START_TEST(a_batch_is_bounded_and_the_rest_follows)
{
    Command__TaskReport *sent[3];

    expect("start", agent_pull(agent), "1 2 3", false, "start 1, start 2, start 3");
    for (unsigned i = 1; i <= 3; i++)
        observe(i, STATE__TASK_STATE__TASK_RUNNING);
    ck_assert_uint_eq(agent_take_reports(agent, sent, 2), 2);
    ck_assert_str_eq(sent[0]->task_id, ids[1]);
    ck_assert(!agent_has_reports(agent)); /* One batch at a time. */
    agent_reported(agent, true);
    report_free(sent[0]);
    report_free(sent[1]);
    ck_assert_uint_eq(agent_take_reports(agent, sent, 2), 1);
    ck_assert_str_eq(sent[0]->task_id, ids[3]);
    agent_reported(agent, true);
    report_free(sent[0]);
    ck_assert(!agent_owes_reports(agent));
}
END_TEST

START_TEST(a_new_manager_hears_of_everything)
{
    expect("start", agent_pull(agent), "1 2", false, "start 1, start 2");
    observe(1, STATE__TASK_STATE__TASK_RUNNING);
    observe(2, STATE__TASK_STATE__TASK_STOPPED);
    report_and_acknowledge();
    agent_report_all(agent);
    expect("not forgotten while it is reported", agent_pull(agent), "1", true, "");
    ck_assert_uint_eq(report_and_acknowledge(), 2);
    expect("then it is", agent_pull(agent), "", false, "forget 2");
}
END_TEST

/* ---- the fence */

START_TEST(an_older_term_is_refused)
{
    ck_assert_int_eq(agent_hear(agent, 2), AGENT_OLD_TERM);
    ck_assert_int_eq(agent_hear(agent, 3), 0);
    ck_assert_int_eq(agent_hear(agent, 7), AGENT_NEW_TERM);
    ck_assert_int_eq(agent_hear(agent, 3), AGENT_OLD_TERM);
    ck_assert_int_eq(agent_hear(agent, 7), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("worker");
    TCase *tc = tcase_create("agent");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, an_order_is_decided_by_what_is_known, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tc, a_denied_task_is_reported_stopped);
    tcase_add_test(tc, a_task_is_forgotten_after_a_pull_that_was_sent_after_the_acknowledgement);
    tcase_add_test(tc, an_order_from_before_the_acknowledgement_does_not_start_it_again);
    tcase_add_test(tc, what_was_not_acknowledged_is_not_forgotten);
    tcase_add_test(tc, only_news_is_reported);
    tcase_add_test(tc, what_changes_while_it_is_on_its_way_is_reported_again);
    tcase_add_test(tc, a_batch_is_bounded_and_the_rest_follows);
    tcase_add_test(tc, a_new_manager_hears_of_everything);
    tcase_add_test(tc, an_older_term_is_refused);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
