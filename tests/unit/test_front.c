/*
 * The front, with this test as the managers: each says in /cais/status what the case wants, and
 * answers everything else with its name.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/lab/front.h"
#include "server/lab/gate.h"
#include "tests/unit/loop.h"

enum { MANAGERS = 3, CONNECTIONS = 16, WAIT_MS = 300 };

struct manager {
    struct gate *gate;
    const char *role;
    bool ready, silent;
    int leader, term;
    int fds[CONNECTIONS];
    size_t fd_count;
};

static struct layout *layout;
static struct front *front;
static struct manager managers[MANAGERS];
static uv_timer_t serving;

static void manager_accepted(void *owner, int fd, const struct sockaddr_in *from)
{
    struct manager *manager = owner;

    (void)from;
    ck_assert_uint_lt(manager->fd_count, CONNECTIONS);
    manager->fds[manager->fd_count++] = fd;
}

static void answer(struct manager *manager, int fd, const char *request)
{
    char body[256], text[512];

    if (strstr(request, "/cais/status"))
        snprintf(body, sizeof body, "{\"role\":\"%s\",\"leader\":%d,\"term\":%d,\"ready\":%s}",
                 manager->role, manager->leader, manager->term, manager->ready ? "true" : "false");
    else
        snprintf(body, sizeof body, "m%d", (int)(manager - managers) + 1);
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
             body);
    send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void serve(uv_timer_t *timer)
{
    (void)timer;
    for (size_t m = 0; m < MANAGERS; m++) {
        for (size_t i = 0; i < managers[m].fd_count; i++) {
            char request[1024] = "";
            int fd = managers[m].fds[i];

            if (!managers[m].silent && recv(fd, request, sizeof request - 1, MSG_DONTWAIT) > 0)
                answer(&managers[m], fd, request);
        }
    }
}

/* The process of a manager begins, or ends: then all it had breaks. */
static void set_alive(size_t m, bool alive)
{
    struct gate_options options = {layout_real(layout, m, 0), manager_accepted, &managers[m]};

    if (alive) {
        ck_assert_int_eq(gate_open(&loop, &options, &managers[m].gate), 0);
    } else {
        gate_close(managers[m].gate);
        managers[m].gate = NULL;
        for (size_t i = 0; i < managers[m].fd_count; i++)
            gate_refuse(managers[m].fds[i]);
        managers[m].fd_count = 0;
    }
    front_set_running(front, m, alive);
}

static void set_role(size_t m, const char *role, int leader, int term)
{
    managers[m].role = role;
    managers[m].ready = strcmp(role, "leader") == 0;
    managers[m].leader = leader;
    managers[m].term = term;
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

static void set_up(void)
{
    struct layout_options options;
    int r = -EADDRINUSE;

    loop_set_up();
    uv_timer_init(&loop, &serving);
    uv_timer_start(&serving, serve, 2, 2);
    for (int i = 0; i < 20 && r == -EADDRINUSE; i++) {
        layout_options_default(&options);
        options.workers = 0;
        options.api_port = free_port();
        layout = layout_new(&options);
        r = front_open(&loop, layout, WAIT_MS, &front);
        if (r < 0)
            layout_free(layout);
    }
    ck_assert_int_eq(r, 0);
    for (size_t m = 0; m < MANAGERS; m++) {
        set_role(m, "follower", 1, 5);
        set_alive(m, true);
    }
    set_role(0, "leader", 1, 5);
}

static void tear_down(void)
{
    for (size_t m = 0; m < MANAGERS; m++) {
        if (managers[m].gate)
            set_alive(m, false);
    }
    front_close(front);
    uv_close((uv_handle_t *)&serving, NULL);
    loop_tear_down();
    layout_free(layout);
}

static int dial(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)layout->options.api_port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void ask(int fd)
{
    ck_assert_int_gt(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 0);
}

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

/* The last two characters of the answer: who it is from. */
static void hear(int fd, const char *from)
{
    char text[512] = "";
    ssize_t n;

    loop_until(is_readable(fd));
    n = recv(fd, text, sizeof text - 1, 0);
    ck_assert_int_gt(n, 2);
    ck_assert_str_eq(text + n - 2, from);
}

static void hear_reset(int fd)
{
    char byte;

    loop_until(is_readable(fd));
    ck_assert_int_eq(recv(fd, &byte, 1, 0), -1);
    ck_assert_int_eq(errno, ECONNRESET);
}

START_TEST(clients_reach_the_leader)
{
    int fd = dial();

    ask(fd);
    hear(fd, "m1");
    ck_assert_int_eq(front_leader(front), 0);
    ask(fd); /* The same connection carries another. */
    hear(fd, "m1");
    close(fd);
}
END_TEST

START_TEST(of_two_who_say_they_lead_the_later_term_does)
{
    set_role(2, "leader", 3, 6);
    loop_until(front_leader(front) == 2);
    set_role(1, "leader", 2, 4);
    loop_until(front_health(front, 1)->term == 4);
    ck_assert_int_eq(front_leader(front), 2);
}
END_TEST

START_TEST(a_leader_that_is_not_ready_is_none)
{
    managers[0].ready = false;
    loop_until(front_health(front, 0)->answering && front_leader(front) == FRONT_NONE);
    ck_assert_str_eq(front_health(front, 0)->role, "leader");
    managers[0].ready = true;
    loop_until(front_leader(front) == 0);
}
END_TEST

START_TEST(a_dead_managers_connections_are_reset_and_the_next_waits_for_a_leader)
{
    int fd = dial(), next;

    ask(fd);
    hear(fd, "m1");
    set_alive(0, false);
    hear_reset(fd);
    ck_assert_int_eq(front_leader(front), FRONT_NONE);
    next = dial();
    ask(next);
    loop_until(front_health(front, 1)->answering);
    ck_assert(!is_readable(next));
    set_role(1, "leader", 2, 6);
    hear(next, "m2");
    close(fd);
    close(next);
}
END_TEST

START_TEST(a_silent_manager_loses_its_connections)
{
    int fd = dial();

    ask(fd);
    hear(fd, "m1");
    managers[0].silent = true;
    ask(fd);
    hear_reset(fd);
    ck_assert(!front_health(front, 0)->answering);
    managers[0].silent = false; /* And is found again. */
    loop_until(front_leader(front) == 0);
    close(fd);
}
END_TEST

START_TEST(without_a_leader_for_long_whoever_answers_will_do)
{
    int fd;

    set_role(0, "follower", 0, 5);
    set_role(1, "follower", 0, 5);
    set_role(2, "follower", 2, 5); /* At least it has heard of one. */
    loop_until(front_leader(front) == FRONT_NONE && front_health(front, 2)->leader == 2 &&
               front_health(front, 0)->leader == 0);
    fd = dial();
    ask(fd);
    hear(fd, "m3");
    close(fd);
}
END_TEST

START_TEST(when_nobody_answers_that_is_said_as_ecs_would)
{
    char text[1024] = "";
    size_t len = 0;
    ssize_t n = 1;
    int fd;

    for (size_t m = 0; m < MANAGERS; m++)
        set_alive(m, false);
    fd = dial();
    ask(fd);
    while (n > 0) {
        loop_until(is_readable(fd));
        n = recv(fd, text + len, sizeof text - 1 - len, 0);
        ck_assert_int_ge(n, 0);
        len += (size_t)n;
    }
    ck_assert_msg(strncmp(text, "HTTP/1.1 503 ", 13) == 0, "%s", text);
    ck_assert_ptr_nonnull(strstr(text, "\"__type\":\"ServerException\""));
    ck_assert_uint_eq(strlen(strstr(text, "\r\n\r\n") + 4),
                      strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10));
    close(fd);
}
END_TEST

START_TEST(a_manager_that_is_cut_off_loses_connections_that_rest)
{
    int fd = dial();

    ask(fd);
    hear(fd, "m1");
    set_role(0, "follower", 0, 5);
    set_role(1, "leader", 2, 6);
    hear_reset(fd);
    close(fd);
}
END_TEST

static const struct {
    const char *why, *body;
    bool whole;
} bodies[] = {
    {"all of it", "{\"role\":\"follower\",\"leader\":2,\"term\":7,\"ready\":false}", true},
    {"more than we ask", "{\"role\":\"x\",\"leader\":0,\"term\":0,\"name\":\"m1\"}", true},
    {"no role", "{\"leader\":2,\"term\":7}", false},
    {"a name for a leader", "{\"role\":\"follower\",\"leader\":\"m2\",\"term\":7}", false},
    {"a negative term", "{\"role\":\"follower\",\"leader\":2,\"term\":-7}", false},
    {"a role too long", "{\"role\":\"0123456789abcdef\",\"leader\":2,\"term\":7}", false},
    {"not JSON", "hello", false},
    {"nothing", "", false},
};

START_TEST(what_a_manager_says_is_read_or_refused)
{
    struct health health = {.term = 99};

    ck_assert_msg(probe_read(bodies[_i].body, strlen(bodies[_i].body), &health) == bodies[_i].whole,
                  "%s", bodies[_i].why);
    ck_assert(health.answering == bodies[_i].whole);
    ck_assert(bodies[_i].whole || health.term == 99);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lab");
    TCase *tc = tcase_create("front");
    TCase *probe = tcase_create("probe");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 20);
    tcase_add_test(tc, clients_reach_the_leader);
    tcase_add_test(tc, of_two_who_say_they_lead_the_later_term_does);
    tcase_add_test(tc, a_leader_that_is_not_ready_is_none);
    tcase_add_test(tc, a_dead_managers_connections_are_reset_and_the_next_waits_for_a_leader);
    tcase_add_test(tc, a_silent_manager_loses_its_connections);
    tcase_add_test(tc, without_a_leader_for_long_whoever_answers_will_do);
    tcase_add_test(tc, when_nobody_answers_that_is_said_as_ecs_would);
    tcase_add_test(tc, a_manager_that_is_cut_off_loses_connections_that_rest);
    tcase_add_loop_test(probe, what_a_manager_says_is_read_or_refused, 0,
                        sizeof bodies / sizeof *bodies);
    suite_add_tcase(s, tc);
    suite_add_tcase(s, probe);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
