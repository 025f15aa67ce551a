#include "server/lab/front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/limits.h"
#include "server/lab/gate.h"
#include "server/lab/relay.h"
#include "server/net/log.h"

enum {
    TICK_MS = 250,
    TICK_FAST_MS = 50, /* While nobody leads: a client waits, or will. */
    LEAVE_MS = 500,    /* For a client to read why it is turned away. */
    STRAY_MS = 1500,   /* A manager without a leader, beside one that leads. */
    WAITING_MAX = 4096,
};

enum client_state { CLIENT_WAITING, CLIENT_LEAVING, CLIENT_JOINED };

struct client {
    struct list link;
    struct front *front;
    enum client_state state;
    int fd;               /* Of one that is not joined. */
    uint64_t deadline_ms; /* Likewise. */
    size_t manager;       /* Of one that is. */
    struct relay *relay;
};

struct server {
    struct front *front;
    bool running;
    struct probe *probe;
    uint64_t stray_ms; /* Since when it is cut off, as far as we see; 0: it is not. */
};

struct front {
    uv_loop_t *loop;
    const struct layout *layout;
    unsigned wait_ms;
    struct gate *gate;
    uv_timer_t timer;
    struct server servers[LIMIT_MANAGERS];
    struct list joined;
    struct list held; /* Waiting or leaving, oldest first. */
    size_t joined_count;
    size_t held_count;
    bool closing;
    bool timer_closed;
};

static void free_when_over(struct front *front)
{
    if (front->closing && front->timer_closed && front->joined_count == 0)
        free(front);
}

/* ---- who serves */

const struct health *front_health(const struct front *front, size_t manager)
{
    must(manager < front->layout->manager_count);
    return probe_health(front->servers[manager].probe);
}

int front_leader(const struct front *front)
{
    int best = FRONT_NONE;

    for (size_t i = 0; i < front->layout->manager_count; i++) {
        const struct health *health = front_health(front, i);

        if (!front->servers[i].running || strcmp(health->role, "leader") != 0 || !health->ready)
            continue;
        if (best == FRONT_NONE || health->term > front_health(front, (size_t)best)->term)
            best = (int)i;
    }
    return best;
}

/* Nobody leads and time is up: who answers, and better who knows of a leader. */
static int second_best(const struct front *front)
{
    int best = FRONT_NONE;

    for (size_t i = 0; i < front->layout->manager_count; i++) {
        const struct health *health = front_health(front, i);

        if (!front->servers[i].running || !health->answering)
            continue;
        if (best == FRONT_NONE ||
            (health->leader > 0 && front_health(front, (size_t)best)->leader == 0))
            best = (int)i;
    }
    return best;
}

/* ---- clients */

static void client_ended(void *owner)
{
    struct client *client = owner;
    struct front *front = client->front;

    list_remove(&client->link);
    free(client);
    front->joined_count--;
    free_when_over(front);
}

static void release_held(struct client *client)
{
    list_remove(&client->link);
    client->front->held_count--;
}

static void close_held(struct client *client)
{
    release_held(client);
    close(client->fd);
    free(client);
}

/* Takes the client off the held ones and passes its connection to the manager. */
static void join(struct client *client, size_t manager)
{
    struct front *front = client->front;
    struct relay_options options = {
        .caller = client->fd,
        .target = layout_real(front->layout, manager, 0),
        .ended = client_ended,
        .owner = client,
    };
    int r;

    release_held(client);
    r = relay_open(front->loop, &options, &client->relay);
    if (r < 0) {
        log_error("front.failed error=\"%s\" trace=\"%s\"", strerror(-r), err_trace());
        free(client);
        return;
    }
    client->state = CLIENT_JOINED;
    client->manager = manager;
    list_append(&front->joined, &client->link);
    front->joined_count++;
}

/* Read away what has come. Returns if the client has ended its side. */
static bool drain(int fd)
{
    char bytes[16 << 10];
    ssize_t n;

    do
        n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    while (n > 0);
    return n == 0 || (errno != EAGAIN && errno != EINTR);
}

static void turn_away(struct client *client)
{
    static const char body[] =
        "{\"__type\":\"ServerException\",\"message\":\"No manager of the lab is able to serve.\"}";
    char text[512];
    int len = snprintf(text, sizeof text,
                       "HTTP/1.1 503 Service Unavailable\r\n"
                       "Content-Type: application/x-amz-json-1.1\r\n"
                       "Connection: close\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       sizeof body - 1, body);

    must(len < (int)sizeof text);
    drain(client->fd);
    send(client->fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(client->fd, SHUT_WR);
    client->state = CLIENT_LEAVING;
    client->deadline_ms = uv_now(client->front->loop) + LEAVE_MS;
}

static void look_after(struct client *client, int leader)
{
    uint64_t now = uv_now(client->front->loop);
    int other;

    if (client->state == CLIENT_LEAVING) {
        if (drain(client->fd) || now >= client->deadline_ms)
            close_held(client);
        return;
    }
    if (leader != FRONT_NONE) {
        join(client, (size_t)leader);
        return;
    }
    if (now < client->deadline_ms)
        return;
    other = second_best(client->front);
    if (other != FRONT_NONE)
        join(client, (size_t)other);
    else
        turn_away(client);
}

static void look_after_held(struct front *front)
{
    int leader = front_leader(front);

    list_each (link, &front->held)
        look_after(list_entry(link, struct client, link), leader);
}

static void accepted(void *owner, int fd, const struct sockaddr_in *from)
{
    struct front *front = owner;
    struct client *client;

    (void)from;
    if (front->held_count >= WAITING_MAX) {
        gate_refuse(fd);
        return;
    }
    client = mem_new(struct client);
    client->front = front;
    client->fd = fd;
    client->deadline_ms = uv_now(front->loop) + front->wait_ms;
    list_append(&front->held, &client->link);
    front->held_count++;
    look_after(client, front_leader(front));
}

static void break_connections(struct front *front, size_t manager, bool quiet_only)
{
    list_each (link, &front->joined) {
        struct client *client = list_entry(link, struct client, link);

        if (client->manager == manager && (!quiet_only || relay_is_quiet(client->relay)))
            relay_reset(client->relay);
    }
}

/* ---- managers */

static void heard(void *owner)
{
    struct server *server = owner;
    struct front *front = server->front;
    size_t manager = (size_t)(server - front->servers);

    if (!probe_health(server->probe)->answering)
        break_connections(front, manager, false);
    if (!front->closing)
        look_after_held(front);
}

static void look_for_stray(struct front *front, size_t manager, int leader)
{
    struct server *server = &front->servers[manager];
    const struct health *health = probe_health(server->probe);
    uint64_t now = uv_now(front->loop);

    if (leader == FRONT_NONE || !server->running || health->leader > 0) {
        server->stray_ms = 0;
        return;
    }
    if (server->stray_ms == 0)
        server->stray_ms = now;
    if (now - server->stray_ms >= STRAY_MS)
        break_connections(front, manager, true);
}

static void ticked(uv_timer_t *timer)
{
    struct front *front = timer->data;
    int leader;

    for (size_t i = 0; i < front->layout->manager_count; i++) {
        if (front->servers[i].running)
            probe_ask(front->servers[i].probe);
    }
    leader = front_leader(front);
    for (size_t i = 0; i < front->layout->manager_count; i++)
        look_for_stray(front, i, leader);
    look_after_held(front);
    uv_timer_start(timer, ticked, leader == FRONT_NONE ? TICK_FAST_MS : TICK_MS, 0);
}

void front_set_running(struct front *front, size_t manager, bool running)
{
    struct server *server = &front->servers[manager];

    must(manager < front->layout->manager_count);
    server->running = running;
    if (!running)
        probe_forget(server->probe);
    uv_timer_start(&front->timer, ticked, TICK_FAST_MS, 0); /* Somebody may have to lead. */
}

/* ---- life */

static struct sockaddr_in endpoint(const struct layout *layout)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)layout->options.api_port),
    };

    must(inet_pton(AF_INET, layout->options.api_host, &at.sin_addr) == 1);
    return at;
}

int front_open(uv_loop_t *loop, const struct layout *layout, unsigned wait_ms, struct front **out)
{
    struct front *front = mem_new(struct front);
    struct gate_options gate = {endpoint(layout), accepted, front};
    int r = gate_open(loop, &gate, &front->gate);

    if (r < 0) {
        free(front);
        return err_up(r);
    }
    front->loop = loop;
    front->layout = layout;
    front->wait_ms = wait_ms;
    list_init(&front->joined);
    list_init(&front->held);
    uv_timer_init(loop, &front->timer);
    front->timer.data = front;
    for (size_t i = 0; i < layout->manager_count; i++) {
        struct server *server = &front->servers[i];
        struct probe_options probe = {layout_real(layout, i, 0), heard, server};

        server->front = front;
        server->probe = probe_new(loop, &probe);
    }
    uv_timer_start(&front->timer, ticked, 0, 0);
    *out = front;
    return 0;
}

static void timer_closed(uv_handle_t *handle)
{
    struct front *front = handle->data;

    front->timer_closed = true;
    free_when_over(front);
}

void front_close(struct front *front)
{
    if (!front)
        return;
    front->closing = true;
    gate_close(front->gate);
    for (size_t i = 0; i < front->layout->manager_count; i++)
        probe_close(front->servers[i].probe);
    list_each (link, &front->held)
        close_held(list_entry(link, struct client, link));
    list_each (link, &front->joined)
        relay_reset(list_entry(link, struct client, link)->relay);
    uv_close((uv_handle_t *)&front->timer, timer_closed);
}
