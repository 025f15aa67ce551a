/* What any request meets, whatever it asks for: HTTP, headers, limits, ends of all kinds. */
#include "tests/unit/api_world.h"

#define POST  "POST / HTTP/1.1\r\n"
#define GOOD  JSON_TYPE AUTHORIZATION TARGET("CreateCluster")
#define SIGV4 "Authorization: AWS4-HMAC-SHA256 "

static const struct {
    const char *why;
    const char *head;
    const char *body;
    int status;
    const char *type;
    const char *piece; /* Of the message. */
} bad[] = {
    {"no target", POST JSON_TYPE AUTHORIZATION, "{}", 400, "UnknownOperationException", "not rec"},
    {"an operation ECS does not have", POST JSON_TYPE AUTHORIZATION TARGET("MakeCoffee"), "{}", 400,
     "UnknownOperationException", "not recognized"},
    {"another service",
     POST JSON_TYPE AUTHORIZATION "X-Amz-Target: Logs_20140328.CreateCluster\r\n", "{}", 400,
     "UnknownOperationException", ""},
    {"the operator's on the API's port",
     POST JSON_TYPE AUTHORIZATION "X-Amz-Target: Cais.ListTokens\r\n", "{}", 400,
     "UnknownOperationException", "not recognized"},
    {"the operator's by ECS's name", POST JSON_TYPE AUTHORIZATION TARGET("ListTokens"), "{}", 400,
     "UnknownOperationException", "not recognized"},
    {"another type", POST "Content-Type: text/plain\r\n" AUTHORIZATION TARGET("CreateCluster"),
     "{}", 400, "UnknownOperationException", ""},
    {"a type that only begins so",
     POST "Content-Type: application/x-amz-json-1.10\r\n" AUTHORIZATION TARGET("CreateCluster"),
     "{}", 400, "UnknownOperationException", ""},
    {"nobody asks", POST JSON_TYPE TARGET("CreateCluster"), "{}", 400,
     "MissingAuthenticationTokenException", "Missing Authentication Token"},
    {"not SigV4", POST JSON_TYPE TARGET("CreateCluster") "Authorization: Bearer x\r\n", "{}", 400,
     "IncompleteSignatureException", "Bearer"},
    {"half a SigV4", POST JSON_TYPE TARGET("CreateCluster") SIGV4 "Credential=x\r\n", "{}", 400,
     "IncompleteSignatureException", "'Signature'"},
    {"bytes that are no text", POST JSON_TYPE TARGET("CreateCluster") "Authorization: \xff\xfe\r\n",
     "{}", 400, "IncompleteSignatureException", "Unsupported"},
    {"no JSON", POST GOOD, "{\"clusterName\":", 400, "SerializationException", ""},
    {"no object", POST GOOD, "[]", 400, "SerializationException", ""},
    {"a number for a string", POST GOOD, "{\"clusterName\":1}", 400, "SerializationException", ""},
    {"a name that is none", POST GOOD, "{\"clusterName\":\"a b\"}", 400,
     "InvalidParameterException", ""},
    {"GET of the API", "GET / HTTP/1.1\r\n" GOOD, "", 405, "MethodNotAllowed", "POST"},
    {"PUT", "PUT / HTTP/1.1\r\n" GOOD, "{}", 405, "MethodNotAllowed", "POST"},
    {"another path", "POST /ecs HTTP/1.1\r\n" GOOD, "{}", 404, "NotFound", "POST /"},
    {"POST of a status", "POST /cais/status HTTP/1.1\r\n" GOOD, "{}", 405, "MethodNotAllowed",
     "GET"},
    {"POST of metrics", "POST /metrics HTTP/1.1\r\n" GOOD, "{}", 405, "MethodNotAllowed", "GET"},
};

START_TEST(bad_requests_are_answered_and_never_reach_the_core)
{
    struct reply reply = ask(bad[_i].head, bad[_i].body);

    ck_assert_refused(&reply, bad[_i].status, bad[_i].type, bad[_i].piece);
    ck_assert_int_eq(world.submitted, 0);
    free(reply.body);
}
END_TEST

static const char *const fine[] = {
    POST GOOD,
    POST AUTHORIZATION TARGET("CreateCluster"),
    POST "Content-Type: application/x-amz-json-1.1; charset=utf-8\r\n" AUTHORIZATION TARGET(
        "CreateCluster"),
};

START_TEST(what_clients_send_in_other_ways_is_understood)
{
    struct reply reply = ask(fine[_i], "{\"clusterName\":\"c\",\"newMember\":{\"x\":[1]}}");

    ck_assert_int_eq(reply.status, 200);
    free(reply.body);
}
END_TEST

START_TEST(an_answer_has_its_type_and_an_id_of_its_own)
{
    struct reply one = ask(POST GOOD, "{}");
    struct reply two = ask(POST GOOD, "");
    const char *ids[2] = {strcasestr(one.head, "x-amzn-RequestId: "),
                          strcasestr(two.head, "x-amzn-RequestId: ")};

    ck_assert_ptr_nonnull(strcasestr(one.head, "Content-Type: application/x-amz-json-1.1\r\n"));
    ck_assert_ptr_nonnull(ids[0]);
    ck_assert_ptr_nonnull(ids[1]);
    ck_assert_uint_eq(strcspn(ids[0] + 18, "\r"), 36);
    ck_assert_int_ne(strncmp(ids[0] + 18, ids[1] + 18, 36), 0);
    free(one.body);
    free(two.body);
}
END_TEST

START_TEST(a_body_may_have_a_mebibyte_and_no_more)
{
    const size_t limit = 1u << 20;
    char *body = mem_zeroed(1, limit + 2);
    int fd = dial();
    struct reply reply;

    memset(body, ' ', limit + 1);
    body[0] = '{';
    body[1] = '}';
    send_request(fd, POST GOOD, body, limit);
    reply = read_reply(fd);
    ck_assert_int_eq(reply.status, 200);
    free(reply.body);
    send_request(fd, POST GOOD, body, limit + 1);
    reply = read_reply(fd);
    ck_assert_refused(&reply, 413, "RequestEntityTooLargeException", "1 MiB");
    free(reply.body);
    send_request(fd, POST GOOD, "{}", 2);
    reply = read_reply(fd);
    ck_assert_int_eq(reply.status, 200);
    free(reply.body);
    free(body);
    close(fd);
}
END_TEST

START_TEST(what_never_ends_is_cut_off)
{
    const size_t piece = 1u << 20;
    char *body = mem_zeroed(1, piece);
    int fd = dial();
    struct reply reply;
    char *head = mem_format(POST GOOD "Host: localhost\r\nContent-Length: %zu\r\n\r\n", piece * 64);

    send_all(fd, head, strlen(head));
    for (int i = 0; i < 64; i++)
        send_all(fd, body, piece);
    reply = read_reply(fd);
    ck_assert_int_eq(reply.status, 0);
    free(head);
    free(body);
    close(fd);
}
END_TEST

START_TEST(a_head_beyond_the_limit_is_refused)
{
    char *padding = mem_zeroed(1, 40000);
    char *head;
    struct reply reply;

    memset(padding, 'x', 39999);
    head = mem_format(POST GOOD "X-Padding: %s\r\n", padding);
    reply = ask(head, "{}");
    ck_assert(reply.status == 431 || reply.status == 413 || reply.status == 0);
    ck_assert_int_eq(world.submitted, 0);
    free(reply.body);
    free(head);
    free(padding);
}
END_TEST

START_TEST(no_leader_is_a_server_error_that_says_nothing_was_done)
{
    struct reply reply;

    world_force(CALL_NO_LEADER);
    reply = ask(POST GOOD, "{}");
    ck_assert_refused(&reply, 500, "ServerException", "nothing was done");
    free(reply.body);
}
END_TEST

START_TEST(an_unknown_outcome_is_a_server_error_that_says_so)
{
    struct reply reply;

    world_force(CALL_UNKNOWN);
    reply = ask(POST GOOD, "{}");
    ck_assert_refused(&reply, 500, "ServerException", "may or may not");
    free(reply.body);
}
END_TEST

START_TEST(the_status_page_names_the_leader)
{
    struct reply reply = ask("GET /cais/status HTTP/1.1\r\n", "");
    json_t *json = json_loads(reply.body, 0, NULL);

    ck_assert_int_eq(reply.status, 200);
    ck_assert_int_eq(number_at(json, "id"), 2);
    ck_assert_str_eq(text_at(json, "name"), "m2");
    ck_assert_str_eq(text_at(json, "zone"), "us-east-1b");
    ck_assert_int_eq(number_at(json, "leader"), 1);
    ck_assert_str_eq(text_at(json, "leader_name"), "m1");
    ck_assert_int_eq(number_at(json, "term"), 7);
    ck_assert_str_eq(text_at(json, "role"), "follower");
    ck_assert_str_eq(text_at(json, "member"), "standby");
    ck_assert(json_is_false(at(json, "ready")));
    ck_assert_int_eq(number_at(json, "last_index"), 42);
    ck_assert_int_eq(number_at(json, "commit_index"), 41);
    ck_assert_int_eq(number_at(json, "applied_index"), 40);
    ck_assert_int_eq(world.submitted, 0);
    json_decref(json);
    free(reply.body);
}
END_TEST

START_TEST(metrics_count_answers_by_operation_and_status)
{
    struct reply reply;

    free(ask(POST GOOD, "{}").body);
    free(ask(POST GOOD, "{}").body);
    free(ask(POST GOOD, "[]").body);
    reply = ask("GET /metrics HTTP/1.1\r\n", "");
    ck_assert_int_eq(reply.status, 200);
    ck_assert_ptr_nonnull(strstr(reply.body, "\ncais_raft_term 7\n"));
    ck_assert_ptr_nonnull(strstr(reply.body, "\ncais_raft_commit_index 41\n"));
    ck_assert_ptr_nonnull(strstr(reply.body, "\ncais_raft_applied_index 40\n"));
    ck_assert_ptr_nonnull(strstr(reply.body, "\ncais_is_leader 0\n"));
    ck_assert_ptr_nonnull(
        strstr(reply.body, "cais_api_requests_total{action=\"CreateCluster\",code=\"200\"} 2\n"));
    ck_assert_ptr_nonnull(
        strstr(reply.body, "cais_api_requests_total{action=\"CreateCluster\",code=\"400\"} 1\n"));
    free(reply.body);
}
END_TEST

START_TEST(a_read_is_stale_only_if_asked_for)
{
    char *plain = head_of("ListClusters", "");
    char *stale = head_of("ListClusters", "X-Cais-Consistency: stale\r\n");

    free(ask(plain, "{}").body);
    ck_assert_int_eq(world.stale, 0);
    free(ask(stale, "{}").body);
    ck_assert_int_eq(world.stale, 1);
    free(plain);
    free(stale);
}
END_TEST

START_TEST(a_connection_serves_many_requests)
{
    int fd = dial();

    for (int i = 0; i < 50; i++) {
        struct reply reply;

        send_request(fd, POST GOOD, "{}", 2);
        reply = read_reply(fd);
        ck_assert_int_eq(reply.status, 200);
        free(reply.body);
    }
    ck_assert_int_eq(world.submitted, 50);
    close(fd);
}
END_TEST

enum { CLIENTS = 64, REQUESTS = 20 };

static void *client(void *context)
{
    int fd = dial();

    for (int i = 0; i < REQUESTS; i++) {
        char *body = mem_format("{\"clusterName\":\"c%zu-%d\"}", *(size_t *)context, i);
        struct reply reply;

        send_request(fd, POST GOOD, body, strlen(body));
        reply = read_reply(fd);
        ck_assert_int_eq(reply.status, 200);
        free(reply.body);
        free(body);
    }
    close(fd);
    return NULL;
}

START_TEST(many_clients_at_once_are_all_answered)
{
    pthread_t threads[CLIENTS];
    size_t numbers[CLIENTS];

    for (size_t i = 0; i < CLIENTS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, client, &numbers[i]), 0);
    }
    for (size_t i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(world.submitted, CLIENTS * REQUESTS);
}
END_TEST

START_TEST(a_client_that_went_away_does_no_harm)
{
    struct reply reply;
    int fd = dial();

    world_hold(true);
    send_request(fd, POST GOOD, "{}", 2);
    world_await(&world.submitted, 1);
    close(fd);
    world_hold(false);
    world_await(&world.finished, 1);
    reply = ask(POST GOOD, "{}");
    ck_assert_int_eq(reply.status, 200);
    free(reply.body);
}
END_TEST

START_TEST(closing_cuts_loose_what_the_core_still_has)
{
    int fds[4];

    world_hold(true);
    for (int i = 0; i < 4; i++) {
        fds[i] = dial();
        send_request(fds[i], POST GOOD, "{}", 2);
    }
    world_await(&world.submitted, 4);
    api_close(world.api);
    world.api = NULL;
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(read_reply(fds[i]).status, 0);
        close(fds[i]);
    }
    world_hold(false);
    world_await(&world.finished, 4);
}
END_TEST

START_TEST(the_same_address_cannot_be_had_twice)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(api_port(world.api))};
    struct api_config config = {.listen = (const struct sockaddr *)&address};
    struct api *second = NULL;

    ck_assert_int_eq(api_open(&config, &second), -EADDRINUSE);
    ck_assert_ptr_null(second);
}
END_TEST

/* ---- two that need another core */

static void submit_at_once(struct core *core, struct call *call)
{
    (void)core;
    world_finish(call, NO_OUTCOME);
}

START_TEST(an_answer_may_come_before_submit_returns)
{
    struct reply reply;

    world_open_with(submit_at_once);
    world_bootstrap();
    reply = ask(POST GOOD, "{}");
    ck_assert_int_eq(reply.status, 200);
    free(reply.body);
    world_close();
}
END_TEST

START_TEST(before_bootstrap_the_answer_says_so)
{
    struct reply reply;
    char *head = head_of("ListClusters", "");

    world_open_with(world_submit);
    reply = ask(head, "{}");
    ck_assert_refused(&reply, 500, "ServerException", "bootstrapped");
    free(reply.body);
    free(head);
    world_close();
}
END_TEST

static TCase *at_work(void)
{
    TCase *tc = tcase_create("at work");

    tcase_add_checked_fixture(tc, world_open, world_close);
    tcase_add_loop_test(tc, bad_requests_are_answered_and_never_reach_the_core, 0,
                        (int)(sizeof bad / sizeof bad[0]));
    tcase_add_loop_test(tc, what_clients_send_in_other_ways_is_understood, 0,
                        (int)(sizeof fine / sizeof fine[0]));
    tcase_add_test(tc, an_answer_has_its_type_and_an_id_of_its_own);
    tcase_add_test(tc, a_body_may_have_a_mebibyte_and_no_more);
    tcase_add_test(tc, what_never_ends_is_cut_off);
    tcase_add_test(tc, a_head_beyond_the_limit_is_refused);
    tcase_add_test(tc, no_leader_is_a_server_error_that_says_nothing_was_done);
    tcase_add_test(tc, an_unknown_outcome_is_a_server_error_that_says_so);
    tcase_add_test(tc, the_status_page_names_the_leader);
    tcase_add_test(tc, metrics_count_answers_by_operation_and_status);
    tcase_add_test(tc, a_read_is_stale_only_if_asked_for);
    tcase_add_test(tc, a_connection_serves_many_requests);
    tcase_add_test(tc, many_clients_at_once_are_all_answered);
    tcase_add_test(tc, a_client_that_went_away_does_no_harm);
    tcase_add_test(tc, closing_cuts_loose_what_the_core_still_has);
    tcase_add_test(tc, the_same_address_cannot_be_had_twice);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("api");
    TCase *tc = tcase_create("other cores");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, an_answer_may_come_before_submit_returns);
    tcase_add_test(tc, before_bootstrap_the_answer_says_so);
    suite_add_tcase(suite, at_work());
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
