#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/worker/ports.h"

/* A socket bound to a port the kernel chose, which is left in *out_port. */
static int bind_somewhere(const char *address, int kind, uint32_t *out_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, kind | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, address, &at.sin_addr);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *out_port = ntohs(at.sin_port);
    return fd;
}

START_TEST(a_port_somebody_listens_on_is_not_free)
{
    uint32_t port;
    int fd = bind_somewhere("127.0.0.1", SOCK_STREAM, &port);

    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert(!port_is_free("127.0.0.1", port, false));
    ck_assert(port_is_free("127.0.0.2", port, false));
    ck_assert(port_is_free("127.0.0.1", port, true));
    close(fd);
    ck_assert(port_is_free("127.0.0.1", port, false));
}
END_TEST

START_TEST(a_udp_port_in_use_is_not_free)
{
    uint32_t port;
    int fd = bind_somewhere("127.0.0.1", SOCK_DGRAM, &port);

    ck_assert(!port_is_free("127.0.0.1", port, true));
    close(fd);
}
END_TEST

START_TEST(nothing_is_free_at_an_address_that_is_not_ours)
{
    ck_assert(!port_is_free("192.0.2.1", 61000, false));
    ck_assert(!port_is_free("no address", 61000, false));
    ck_assert(!port_is_free("127.0.0.1", 65536, false));
}
END_TEST

static bool all_but(const void *context, uint32_t port)
{
    return port != *(const uint32_t *)context;
}

START_TEST(the_only_port_left_is_found_wherever_the_search_begins)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        uint32_t left = PORT_DYNAMIC_FIRST + 17, port = 0;
        struct rng rng;

        rng_seed(&rng, seed);
        ck_assert_int_eq(port_choose(&rng, "127.0.0.1", false, all_but, &left, &port), 0);
        ck_assert_uint_eq(port, left);
    }
}
END_TEST

START_TEST(when_all_are_taken_there_is_none)
{
    uint32_t none = 0, port = 7;
    struct rng rng;

    rng_seed(&rng, 1);
    ck_assert_int_eq(port_choose(&rng, "127.0.0.1", false, all_but, &none, &port), PORT_NONE_FREE);
    ck_assert_uint_eq(port, 7);
}
END_TEST

static const struct {
    const char *why;
    const char *bound;
    const char *asked;
    bool listens;
    bool reached;
} cases[] = {
    {"the address itself", "127.0.0.1", "127.0.0.1", true, true},
    {"another address", "127.0.0.1", "127.0.0.2", true, false},
    {"all addresses", "0.0.0.0", "127.0.0.3", true, true},
    {"bound, not listened on", "127.0.0.1", "127.0.0.1", false, false},
};

START_TEST(a_listener_is_reached_at_its_address)
{
    uint32_t port;
    int fd = bind_somewhere(cases[_i].bound, SOCK_STREAM, &port);
    struct listeners *listeners;

    if (cases[_i].listens)
        ck_assert_int_eq(listen(fd, 1), 0);
    listeners = listeners_read();
    ck_assert_msg(listeners_reach(listeners, cases[_i].asked, port) == cases[_i].reached, "%s",
                  cases[_i].why);
    ck_assert(!listeners_reach(listeners, cases[_i].asked, port + 1));
    listeners_free(listeners);
    close(fd);
}
END_TEST

START_TEST(a_listener_on_all_of_ipv6_is_reached_over_ipv4)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct listeners *listeners;

    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0) {
        ck_assert_msg(true, "no IPv6 here");
        return;
    }
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    listeners = listeners_read();
    ck_assert(listeners_reach(listeners, "127.0.0.1", ntohs(at.sin6_port)));
    ck_assert(listeners_reach(listeners, "::1", ntohs(at.sin6_port)));
    listeners_free(listeners);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("worker");
    TCase *tc = tcase_create("ports");
    SRunner *sr;
    int failed;

    tcase_add_test(tc, a_port_somebody_listens_on_is_not_free);
    tcase_add_test(tc, a_udp_port_in_use_is_not_free);
    tcase_add_test(tc, nothing_is_free_at_an_address_that_is_not_ours);
    tcase_add_test(tc, the_only_port_left_is_found_wherever_the_search_begins);
    tcase_add_test(tc, when_all_are_taken_there_is_none);
    tcase_add_loop_test(tc, a_listener_is_reached_at_its_address, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tc, a_listener_on_all_of_ipv6_is_reached_over_ipv4);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
