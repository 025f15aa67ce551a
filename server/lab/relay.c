/*
 * One function, turn(), decides: callbacks note what happened and call it. It connects when the
 * connection is due, delivers what is due, ends what has ended, and asks the loop for exactly
 * the events that can change anything.
 *
 *     WAITING ──due, no line cut──> CONNECTING ──connected──> OPEN ──both ends, or reset──> CLOSED
 *        └──caller gone─────────────────┴──refused─────────────────────────────────────────────┘
 */
#include "server/lab/relay.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"

enum { READ_BYTES = 64 << 10 };

struct side {
    struct relay *relay;
    int fd;
    uv_poll_t poll;
    int events; /* What the poll asks for now. */
    bool gone;  /* Has ended or broken while it was not being read. */
};

enum phase { WAITING, CONNECTING, OPEN, CLOSED };

struct relay {
    uv_loop_t *loop;
    enum phase phase;
    struct side sides[2];
    struct flow flows[2];
    uv_timer_t timer;
    uint64_t connect_ms;
    unsigned handles; /* Open in the loop: memory goes with the last. */
    int last_way;     /* Which side spoke last. */
    struct relay_options options;
};

static void turn(struct relay *relay);

static void let_go(struct relay *relay)
{
    must(relay->handles > 0);
    if (--relay->handles > 0)
        return;
    relay->options.ended(relay->options.owner);
    free(relay);
}

static void side_closed(uv_handle_t *handle)
{
    struct side *side = handle->data;

    let_go(side->relay);
}

static void timer_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

static void side_close(struct side *side, bool reset)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    if (side->fd < 0)
        return;
    uv_close((uv_handle_t *)&side->poll, side_closed);
    if (reset)
        setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(side->fd);
    side->fd = -1;
}

static void finish(struct relay *relay, bool reset)
{
    if (relay->phase == CLOSED)
        return;
    relay->phase = CLOSED;
    for (int way = 0; way < 2; way++) {
        flow_fini(&relay->flows[way]);
        side_close(&relay->sides[way], reset);
    }
    uv_close((uv_handle_t *)&relay->timer, timer_closed);
}

static struct flow_moment moment(const struct relay *relay)
{
    return (struct flow_moment){uv_now(relay->loop), relay->options.rng};
}

/* The receiver of this flow broke the connection: its sender hears of it over the other line,
 * as late as of anything else there. */
static void receiver_broke(struct relay *relay, int way)
{
    flow_lose(&relay->flows[way]);
    relay->sides[!way].gone = true;
    if (relay->flows[!way].end != END_RESET)
        flow_finish(&relay->flows[!way], END_RESET, moment(relay));
}

/* Send what the receiver takes now. Returns how much; if it broke, the flow has ended. */
static size_t send_some(struct relay *relay, int way, struct bytes bytes)
{
    struct flow *flow = &relay->flows[way];
    ssize_t n = send(relay->sides[!way].fd, bytes.base, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        receiver_broke(relay, way);
        return 0;
    }
    if (n < 0)
        n = 0;
    flow->blocked = (size_t)n < bytes.len;
    return (size_t)n;
}

static void take(struct relay *relay, int way, struct bytes bytes)
{
    struct flow *flow = &relay->flows[way];
    size_t sent = 0;

    relay->last_way = way;
    if (flow_is_straight(flow))
        sent = send_some(relay, way, bytes);
    if (!flow->ended && sent < bytes.len)
        flow_queue(flow, (struct bytes){(const uint8_t *)bytes.base + sent, bytes.len - sent},
                   moment(relay));
}

static bool wants(const struct relay *relay, int way)
{
    return relay->phase == OPEN && flow_accepts(&relay->flows[way]);
}

static void read_some(struct relay *relay, int way)
{
    struct flow *flow = &relay->flows[way];
    uint8_t bytes[READ_BYTES];
    ssize_t n;

    if (!wants(relay, way))
        return;
    n = recv(relay->sides[way].fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0)
        take(relay, way, (struct bytes){bytes, (size_t)n});
    else if (n == 0)
        flow_finish(flow, END_EOF, moment(relay));
    else if (errno != EAGAIN && errno != EINTR)
        flow_finish(flow, END_RESET, moment(relay));
}

static void deliver_bytes(struct relay *relay, int way, uint64_t now)
{
    struct flow *flow = &relay->flows[way];
    struct bytes head = flow_head(flow, now);

    while (head.len > 0 && !flow->blocked) {
        size_t sent = send_some(relay, way, head);

        if (sent > 0)
            flow_advance(flow, sent);
        head = flow_head(flow, now);
    }
}

static void deliver(struct relay *relay, int way)
{
    struct flow *flow = &relay->flows[way];
    uint64_t now = uv_now(relay->loop);

    if (flow_end_due(flow, now) == END_RESET) {
        finish(relay, true);
        return;
    }
    deliver_bytes(relay, way, now);
    if (flow_end_due(flow, now) == END_EOF) {
        shutdown(relay->sides[!way].fd, SHUT_WR);
        flow->ended = true;
    }
}

static bool is_cut(const struct relay *relay)
{
    return relay->flows[RELAY_OUT].line.cut || relay->flows[RELAY_BACK].line.cut;
}

/* A side broke. What it sent before is still read, unless the other side is not taking it. */
static void side_broke(struct relay *relay, int way)
{
    struct flow *flow = &relay->flows[way];

    relay->sides[way].events = 0; /* libuv stops a poll that reports an error. */
    relay->sides[way].gone = true;
    if (way == RELAY_OUT && relay->phase != OPEN)
        finish(relay, true);
    if (relay->phase == OPEN && !wants(relay, way) && !flow->line.cut && flow->end == END_NONE)
        flow_finish(flow, END_RESET, moment(relay));
}

static void connected(struct relay *relay)
{
    int error = 0;
    socklen_t size = sizeof error;

    getsockopt(relay->sides[RELAY_BACK].fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error)
        finish(relay, true);
    else
        relay->phase = OPEN;
}

static void side_happened(uv_poll_t *poll, int status, int events)
{
    struct side *side = poll->data;
    struct relay *relay = side->relay;
    int way = side == &relay->sides[RELAY_BACK];

    if (status < 0) {
        side_broke(relay, way);
        events |= UV_READABLE | UV_WRITABLE;
    }
    if (events & UV_DISCONNECT)
        side->gone = true;
    if (events & UV_WRITABLE)
        relay->flows[!way].blocked = false;
    if (relay->phase == CONNECTING && way == RELAY_BACK && (events & UV_WRITABLE))
        connected(relay);
    else if (events & UV_READABLE)
        read_some(relay, way);
    turn(relay);
}

static int side_open(struct relay *relay, int way, int fd)
{
    struct side *side = &relay->sides[way];
    int on = 1;
    int r;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    r = uv_poll_init_socket(relay->loop, &side->poll, fd);
    if (r < 0)
        return err_new(r);
    side->poll.data = side;
    side->relay = relay;
    side->fd = fd;
    relay->handles++;
    return 0;
}

static int bind_source(int fd, struct sockaddr_in source)
{
    int on = 1;

    if (source.sin_family == 0)
        return 0;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&source, sizeof source) < 0)
        return err_new(-errno);
    return 0;
}

static int dial(struct relay *relay)
{
    const struct sockaddr_in *target = &relay->options.target;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r;

    if (fd < 0)
        return err_new(-errno);
    r = bind_source(fd, relay->options.source);
    if (r == 0 && connect(fd, (const struct sockaddr *)target, sizeof *target) < 0 &&
        errno != EINPROGRESS)
        r = err_new(-errno);
    if (r == 0)
        r = side_open(relay, RELAY_BACK, fd);
    if (r < 0)
        close(fd);
    return err_up(r);
}

static void connect_when_due(struct relay *relay)
{
    if (relay->phase != WAITING || is_cut(relay) || relay->connect_ms > uv_now(relay->loop))
        return;
    relay->phase = CONNECTING;
    if (dial(relay) < 0)
        finish(relay, true); /* Refused at once: so is the caller. */
}

static int side_events(const struct relay *relay, int way)
{
    const struct side *side = &relay->sides[way];
    const struct flow *in = &relay->flows[!way];
    int events = 0;

    if (relay->phase == CONNECTING && way == RELAY_BACK)
        return UV_WRITABLE;
    if (wants(relay, way))
        events |= UV_READABLE;
    else if (!side->gone && relay->flows[way].end == END_NONE)
        events |= UV_DISCONNECT;
    if (in->blocked && !in->line.cut && !in->ended)
        events |= UV_WRITABLE;
    return events;
}

static void side_arm(struct relay *relay, int way)
{
    struct side *side = &relay->sides[way];
    int events = side->fd < 0 ? 0 : side_events(relay, way);

    if (events == side->events)
        return;
    side->events = events;
    if (events)
        uv_poll_start(&side->poll, events, side_happened);
    else
        uv_poll_stop(&side->poll);
}

static void timer_rang(uv_timer_t *timer)
{
    turn(timer->data);
}

static void timer_arm(struct relay *relay)
{
    uint64_t out = flow_next_ms(&relay->flows[RELAY_OUT]);
    uint64_t back = flow_next_ms(&relay->flows[RELAY_BACK]);
    uint64_t next = out < back ? out : back;
    uint64_t now = uv_now(relay->loop);

    if (relay->phase != OPEN)
        next = relay->phase == WAITING && !is_cut(relay) ? relay->connect_ms : UINT64_MAX;
    if (next == UINT64_MAX)
        uv_timer_stop(&relay->timer);
    else
        uv_timer_start(&relay->timer, timer_rang, next > now ? next - now : 0, 0);
}

/* Everyone who knows of the connection has left while the line was cut: nobody is there to be
 * told when it is mended. */
static bool is_abandoned(const struct relay *relay)
{
    if (!is_cut(relay) || !relay->sides[RELAY_OUT].gone)
        return false;
    return relay->phase == WAITING || (relay->phase == OPEN && relay->sides[RELAY_BACK].gone);
}

static void turn(struct relay *relay)
{
    connect_when_due(relay);
    for (int way = 0; way < 2 && relay->phase == OPEN; way++)
        deliver(relay, way);
    if (relay->phase == OPEN && relay->flows[0].ended && relay->flows[1].ended)
        finish(relay, false);
    if (is_abandoned(relay))
        finish(relay, true);
    if (relay->phase == CLOSED)
        return;
    side_arm(relay, RELAY_OUT);
    side_arm(relay, RELAY_BACK);
    timer_arm(relay);
}

int relay_open(uv_loop_t *loop, const struct relay_options *options, struct relay **out)
{
    struct relay *relay = mem_new(struct relay);
    int r;

    relay->loop = loop;
    relay->options = *options;
    relay->sides[RELAY_BACK].fd = -1;
    for (int way = 0; way < 2; way++)
        flow_init(&relay->flows[way], options->lines[way]);
    r = side_open(relay, RELAY_OUT, options->caller);
    if (r < 0) {
        close(options->caller);
        free(relay);
        return err_up(r);
    }
    uv_timer_init(loop, &relay->timer);
    relay->timer.data = relay;
    relay->handles++;
    relay->connect_ms = uv_now(loop) + options->lines[RELAY_OUT].delay_ms;
    *out = relay;
    turn(relay);
    return 0;
}

void relay_set_line(struct relay *relay, int way, struct line line)
{
    must(way == RELAY_OUT || way == RELAY_BACK);
    relay->flows[way].line = line;
    if (relay->phase != CLOSED)
        turn(relay);
}

void relay_reset(struct relay *relay)
{
    finish(relay, true);
}

bool relay_is_quiet(const struct relay *relay)
{
    return relay->phase == OPEN && relay->last_way == RELAY_BACK &&
           relay->flows[RELAY_OUT].queued == 0 && relay->flows[RELAY_BACK].queued == 0;
}
