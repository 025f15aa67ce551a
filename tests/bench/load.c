/*
 * A load of small HTTP writes over keep-alive connections, as fast as the answers come.
 *
 *     load ADDRESS PORT CLIENTS SECONDS PREFIX HEADER BODY [PATH]
 *
 * Each client has one connection and one request under way. In BODY a '%' stands for a name of
 * 16 characters that is new in every request: PREFIX (8 hex digits) and a count; it is base64 of
 * something, too. Prints one JSON object: how many writes were acknowledged with 200, how many
 * answered otherwise, the rate, and the latency's percentiles. The same program loads whatever
 * is compared, so that the client costs all of them the same.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/mem.h"

enum { REQUEST_MAX = 4096, ANSWER_MAX = 16384, CLIENTS_MAX = 1024, LATENCIES_MAX = 4 << 20 };

struct client {
    int fd;
    uint64_t sent_ns;
    size_t got;
    char answer[ANSWER_MAX];
};

struct load {
    struct sockaddr_in at;
    const char *prefix, *header, *body, *path;
    uint32_t next_name;
    uint64_t acknowledged, refused;
    uint32_t *latencies_us;
    size_t latency_count;
    struct client *clients;
    size_t client_count;
    int epoll;
};

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The body with each '%' replaced by the next name. */
static size_t fill_body(struct load *load, char *out, size_t size)
{
    size_t len = 0;

    for (const char *c = load->body; *c && len + 17 < size; c++) {
        if (*c == '%')
            len += (size_t)snprintf(out + len, size - len, "%s%08x", load->prefix, load->next_name);
        else
            out[len++] = *c;
    }
    load->next_name++;
    return len;
}

/* A request fits the socket's empty buffer, so that one send takes it whole. */
static void send_next(struct load *load, struct client *client)
{
    char body[REQUEST_MAX / 2], request[REQUEST_MAX];
    size_t body_len = fill_body(load, body, sizeof body);
    int len = snprintf(request, sizeof request,
                       "POST %s HTTP/1.1\r\nHost: bench\r\n%s\r\nContent-Type: "
                       "application/x-amz-json-1.1\r\nContent-Length: %zu\r\n\r\n%.*s",
                       load->path, load->header, body_len, (int)body_len, body);

    client->got = 0;
    client->sent_ns = now_ns();
    if (send(client->fd, request, (size_t)len, MSG_NOSIGNAL) != len)
        give_up("send");
}

/* The length of the whole answer once its head is there, else 0. */
static size_t answer_len(struct client *client)
{
    const char *end, *field;

    client->answer[client->got] = '\0';
    end = strstr(client->answer, "\r\n\r\n");
    if (!end)
        return 0;
    field = strcasestr(client->answer, "\r\ncontent-length:");
    if (!field || field > end) {
        errno = EPROTO;
        give_up("an answer without a length");
    }
    return (size_t)(end + 4 - client->answer) + strtoul(field + 17, NULL, 10);
}

static void answered(struct load *load, struct client *client)
{
    bool ok = strncmp(client->answer, "HTTP/1.1 200", 12) == 0;

    if (!ok) {
        load->refused++;
    } else {
        load->acknowledged++;
        if (load->latency_count < LATENCIES_MAX)
            load->latencies_us[load->latency_count++] =
                (uint32_t)((now_ns() - client->sent_ns) / 1000);
    }
    send_next(load, client);
}

static void receive(struct load *load, struct client *client)
{
    ssize_t n = recv(client->fd, client->answer + client->got, ANSWER_MAX - 1 - client->got, 0);
    size_t whole;

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        give_up("receive");
    client->got += (size_t)n;
    whole = answer_len(client);
    if (whole > 0 && client->got >= whole)
        answered(load, client);
}

static void connect_all(struct load *load)
{
    int on = 1;

    for (size_t i = 0; i < load->client_count; i++) {
        struct client *client = &load->clients[i];
        struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = client}};

        client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (client->fd < 0 ||
            connect(client->fd, (struct sockaddr *)&load->at, sizeof load->at) < 0)
            give_up("connect");
        setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, client->fd, &event) < 0)
            give_up("epoll");
    }
}

static void run_until(struct load *load, uint64_t end_ns)
{
    struct epoll_event events[64];

    while (now_ns() < end_ns) {
        int count = epoll_wait(load->epoll, events, 64, 100);

        for (int i = 0; i < count; i++)
            receive(load, events[i].data.ptr);
    }
}

static int by_value(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static void print(struct load *load, double seconds)
{
    size_t n = load->latency_count;

    if (n == 0) {
        errno = ENODATA;
        give_up("nothing was acknowledged");
    }
    qsort(load->latencies_us, n, sizeof *load->latencies_us, by_value);
    printf("{\"acknowledged\": %llu, \"refused\": %llu, \"per_s\": %.1f, \"p50_us\": %u, "
           "\"p99_us\": %u}\n",
           (unsigned long long)load->acknowledged, (unsigned long long)load->refused,
           (double)load->acknowledged / seconds, load->latencies_us[n / 2],
           load->latencies_us[n * 99 / 100]);
}

int main(int argc, char **argv)
{
    struct load load = {.path = argc > 8 ? argv[8] : "/"};
    unsigned long clients, seconds;
    uint64_t began;

    if (argc < 8 || argc > 9 || strlen(argv[5]) != 8) {
        fprintf(stderr, "usage: load ADDRESS PORT CLIENTS SECONDS PREFIX HEADER BODY [PATH]\n");
        return 2;
    }
    clients = strtoul(argv[3], NULL, 10);
    seconds = strtoul(argv[4], NULL, 10);
    load.at.sin_family = AF_INET;
    load.at.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
    if (inet_pton(AF_INET, argv[1], &load.at.sin_addr) != 1 || clients < 1 ||
        clients > CLIENTS_MAX || seconds < 1) {
        errno = EINVAL;
        give_up("arguments");
    }
    load.prefix = argv[5];
    load.header = argv[6];
    load.body = argv[7];
    load.client_count = clients;
    load.clients = mem_new_array(struct client, clients);
    load.latencies_us = mem_new_array(uint32_t, LATENCIES_MAX);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load.epoll < 0)
        give_up("epoll");
    connect_all(&load);
    began = now_ns();
    for (size_t i = 0; i < load.client_count; i++)
        send_next(&load, &load.clients[i]);
    run_until(&load, began + seconds * 1000000000u);
    print(&load, (double)(now_ns() - began) / 1e9);
    free(load.clients);
    free(load.latencies_us);
    return 0;
}
