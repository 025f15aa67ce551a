#include "server/lab/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "server/net/log.h"

enum {
    BACKLOG = 512,
    REST_MS = 100, /* Out of descriptors: accepting again at once would only spin. */
};

struct gate {
    int fd;
    uv_poll_t poll;
    uv_timer_t rest;
    unsigned handles;
    struct gate_options options;
};

static int listen_at(const struct sockaddr_in *at, int *out_fd)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    int r;

    if (fd < 0)
        return err_new(-errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)at, sizeof *at) < 0 || listen(fd, BACKLOG) < 0) {
        r = -errno;
        close(fd);
        return err_new(r);
    }
    *out_fd = fd;
    return 0;
}

static void readable(uv_poll_t *poll, int status, int events);

static void rested(uv_timer_t *timer)
{
    struct gate *gate = timer->data;

    uv_poll_start(&gate->poll, UV_READABLE, readable);
}

static void readable(uv_poll_t *poll, int status, int events)
{
    struct gate *gate = poll->data;

    (void)status;
    (void)events;
    for (;;) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        int fd = accept4(gate->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            gate->options.accepted(gate->options.owner, fd, &from);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_warning("gate.full error=\"%s\"", strerror(errno));
            uv_poll_stop(&gate->poll);
            uv_timer_start(&gate->rest, rested, REST_MS, 0);
        }
        return;
    }
}

int gate_open(uv_loop_t *loop, const struct gate_options *options, struct gate **out)
{
    struct gate *gate;
    int fd;
    int r = listen_at(&options->at, &fd);

    if (r < 0)
        return err_up(r);
    gate = mem_new(struct gate);
    r = uv_poll_init_socket(loop, &gate->poll, fd);
    if (r < 0) {
        close(fd);
        free(gate);
        return err_new(r);
    }
    uv_timer_init(loop, &gate->rest);
    gate->fd = fd;
    gate->options = *options;
    gate->handles = 2;
    gate->poll.data = gate;
    gate->rest.data = gate;
    uv_poll_start(&gate->poll, UV_READABLE, readable);
    *out = gate;
    return 0;
}

static void closed(uv_handle_t *handle)
{
    struct gate *gate = handle->data;

    if (--gate->handles == 0)
        free(gate);
}

void gate_close(struct gate *gate)
{
    if (!gate)
        return;
    uv_close((uv_handle_t *)&gate->poll, closed);
    uv_close((uv_handle_t *)&gate->rest, closed);
    close(gate->fd);
}

int gate_try(const struct sockaddr_in *at)
{
    int fd;
    int r = listen_at(at, &fd);

    if (r < 0)
        return err_up(r);
    close(fd);
    return 0;
}

void gate_refuse(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}
