#include "server/cli/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "proto/base/err.h"
#include "server/cli/answer.h"
#include "server/net/address.h"
#include "server/net/local.h"

enum { READ_BYTES = 16 << 10 };

struct connection {
    int fd;
    int64_t deadline_ms;
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int wait_for(const struct connection *connection, short events)
{
    struct pollfd p = {.fd = connection->fd, .events = events};

    for (;;) {
        int64_t left = connection->deadline_ms - now_ms();
        int n = poll(&p, 1, left > 0 ? (int)left : 0);

        if (n > 0)
            return 0;
        if (n == 0)
            return err_new(-ETIMEDOUT);
        if (errno != EINTR)
            return err_new(-errno);
    }
}

static void connection_fini_scoped(struct connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
}

static int dial(struct connection *connection, const struct sockaddr_storage *to)
{
    socklen_t size =
        to->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int error = 0;
    socklen_t error_size = sizeof error;
    int r;

    connection->fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        return err_new(-errno);
    if (connect(connection->fd, (const struct sockaddr *)to, size) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return err_new(-errno);
    r = wait_for(connection, POLLOUT);
    if (r < 0)
        return err_up(r);
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &error_size);
    return err_new(-error);
}

static int send_all(const struct connection *connection, struct bytes bytes)
{
    const char *at = bytes.base;
    size_t left = bytes.len;

    while (left > 0) {
        ssize_t n = send(connection->fd, at, left, MSG_NOSIGNAL);
        int r = n < 0 && errno == EAGAIN ? wait_for(connection, POLLOUT) : 0;

        if (r < 0)
            return err_up(r);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_new(-errno);
        if (n > 0) {
            at += n;
            left -= (size_t)n;
        }
    }
    return 0;
}

static int receive_answer(const struct connection *connection, struct answer *answer)
{
    uint8_t bytes[READ_BYTES];

    for (;;) {
        int r = wait_for(connection, POLLIN);
        ssize_t n;

        if (r < 0)
            return err_up(r);
        n = recv(connection->fd, bytes, sizeof bytes, 0);
        if (n == 0)
            return err_up(answer_end(answer));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return err_new(-errno);
        r = answer_take(answer, bytes, (size_t)n);
        if (r != ANSWER_PARTIAL)
            return err_up(r);
    }
}

static int ask(const struct connection *connection, struct bytes request, struct client_answer *out)
{
    scope(answer_fini) struct answer answer = {0};
    int r = send_all(connection, request);

    if (r < 0)
        return err_up(r);
    r = receive_answer(connection, &answer);
    if (r < 0)
        return err_up(r);
    r = answer_json(&answer, &out->body);
    if (r < 0)
        return err_up(r);
    out->status = answer.status;
    return 0;
}

static int exchange(const char *host, struct bytes request, unsigned timeout_ms,
                    struct client_answer *out)
{
    scope(connection_fini) struct connection connection = {-1, now_ms() + timeout_ms};
    struct sockaddr_storage to;
    int r = address_parse(host, &to, NULL);

    if (r < 0)
        return err_up(r);
    r = dial(&connection, &to);
    if (r < 0)
        return err_up(r);
    return err_up(ask(&connection, request, out));
}

/* HOST:PORT of http://HOST:PORT or http://HOST:PORT/, in *out. */
static int read_endpoint(const char *endpoint, struct buffer *out)
{
    static const char scheme[] = "http://";
    size_t len;

    if (strncmp(endpoint, scheme, strlen(scheme)) != 0)
        return err_new(-EINVAL);
    endpoint += strlen(scheme);
    len = strcspn(endpoint, "/");
    if (len == 0 || (endpoint[len] && endpoint[len + 1]))
        return err_new(-EINVAL);
    buffer_append(out, endpoint, len);
    return 0;
}

int client_get(const char *endpoint, const char *path, unsigned timeout_ms,
               struct client_answer *out)
{
    scope(buffer_fini) struct buffer host = {0};
    scope(buffer_fini) struct buffer request = {0};
    int r = read_endpoint(endpoint, &host);

    if (r < 0)
        return err_up(r);
    buffer_append_format(&request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path,
                         buffer_text(&host));
    return err_up(
        exchange(buffer_text(&host), (struct bytes){request.base, request.len}, timeout_ms, out));
}

/* The headers of Signature Version 4, in form. */
static void add_signature(struct buffer *out)
{
    static const char zeroes[] = "0000000000000000000000000000000000000000000000000000000000000000";
    char date[sizeof "20000101T000000Z"];
    time_t now = time(NULL);
    struct tm utc;

    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", &utc);
    buffer_append_format(out,
                         "X-Amz-Date: %s\r\n"
                         "Authorization: AWS4-HMAC-SHA256 "
                         "Credential=cais/%.8s/us-east-1/ecs/aws4_request, "
                         "SignedHeaders=host;x-amz-date, Signature=%s\r\n",
                         date, date, zeroes);
}

int client_ecs(const char *endpoint, const char *action, const json_t *request, unsigned timeout_ms,
               struct client_answer *out)
{
    scope(buffer_fini) struct buffer host = {0};
    scope(buffer_fini) struct buffer bytes = {0};
    char *body = json_dumps(request, JSON_COMPACT);
    int r = read_endpoint(endpoint, &host);

    if (r == 0) {
        buffer_append_format(&bytes,
                             "POST / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"
                             "Content-Type: application/x-amz-json-1.1\r\n"
                             "X-Amz-Target: AmazonEC2ContainerServiceV20141113.%s\r\n",
                             buffer_text(&host), action);
        add_signature(&bytes);
        buffer_append_format(&bytes, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
        r = exchange(buffer_text(&host), (struct bytes){bytes.base, bytes.len}, timeout_ms, out);
    }
    free(body);
    return err_up(r);
}

int client_operator(const char *dir, const char *action, const json_t *request, unsigned timeout_ms,
                    struct client_answer *out)
{
    scope(connection_fini) struct connection connection = {-1, now_ms() + timeout_ms};
    scope(buffer_fini) struct buffer bytes = {0};
    char *body = json_dumps(request, JSON_COMPACT);
    int r;

    buffer_append_format(&bytes,
                         "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                         "Content-Type: application/x-amz-json-1.1\r\n"
                         "X-Amz-Target: Cais.%s\r\nContent-Length: %zu\r\n\r\n%s",
                         action, strlen(body), body);
    free(body);
    r = local_dial(dir, OPERATOR_SOCKET, &connection.fd);
    if (r < 0)
        return err_up(r);
    return err_up(ask(&connection, (struct bytes){bytes.base, bytes.len}, out));
}

/* ---- an answer that is taken as it comes */

enum { HEAD_MAX = 16 << 10 };

/* More bytes behind what the buffer holds; 0 of them: the end. */
static int receive_more(struct connection *connection, unsigned timeout_ms, struct buffer *out)
{
    for (;;) {
        uint8_t bytes[READ_BYTES];
        ssize_t n;
        int r;

        connection->deadline_ms = now_ms() + timeout_ms;
        r = wait_for(connection, POLLIN);
        if (r < 0)
            return err_up(r);
        n = recv(connection->fd, bytes, sizeof bytes, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return err_new(-errno);
        buffer_append(out, bytes, (size_t)n);
        return 0;
    }
}

/* The head, and perhaps some of the body behind it. */
static int receive_head(struct connection *connection, unsigned timeout_ms, struct buffer *out,
                        size_t *out_head)
{
    for (;;) {
        size_t before = out->len;
        const char *text, *end;
        int r = receive_more(connection, timeout_ms, out);

        if (r < 0)
            return err_up(r);
        text = buffer_text(out);
        end = strstr(text, "\r\n\r\n");
        if (end) {
            *out_head = (size_t)(end - text) + 4;
            return 0;
        }
        if (out->len == before || out->len > HEAD_MAX)
            return err_new(-EPROTO);
    }
}

static int take_all(struct connection *connection, unsigned timeout_ms, struct buffer *bytes,
                    int (*take)(void *context, struct bytes bytes), void *context)
{
    int r = 0;

    while (r == 0 && bytes->len > 0) {
        r = take(context, (struct bytes){bytes->base, bytes->len});
        buffer_clear(bytes);
        if (r == 0)
            r = receive_more(connection, timeout_ms, bytes);
    }
    return err_up(r);
}

static int refused(struct connection *connection, const struct buffer *bytes,
                   struct client_answer *out)
{
    scope(answer_fini) struct answer answer = {0};
    int r = answer_take(&answer, bytes->base, bytes->len);

    if (r == ANSWER_PARTIAL)
        r = receive_answer(connection, &answer);
    if (r == 0)
        r = answer_json(&answer, &out->body);
    if (r < 0)
        return err_up(r);
    out->status = answer.status;
    return 0;
}

static int receive_stream(struct connection *connection, unsigned timeout_ms,
                          int (*take)(void *context, struct bytes bytes), void *context,
                          struct client_answer *out)
{
    scope(buffer_fini) struct buffer bytes = {0};
    size_t head = 0;
    int r = receive_head(connection, timeout_ms, &bytes, &head);

    if (r < 0)
        return err_up(r);
    if (bytes.len < 12 || memcmp(bytes.base + 8, " 200", 4) != 0)
        return err_up(refused(connection, &bytes, out));
    *out = (struct client_answer){.status = 200};
    buffer_consume(&bytes, head);
    if (bytes.len == 0)
        r = receive_more(connection, timeout_ms, &bytes);
    return r < 0 ? err_up(r) : err_up(take_all(connection, timeout_ms, &bytes, take, context));
}

int client_operator_stream(const char *dir, const char *action, bool stale, unsigned timeout_ms,
                           int (*take)(void *context, struct bytes bytes), void *context,
                           struct client_answer *out)
{
    scope(connection_fini) struct connection connection = {-1, now_ms() + timeout_ms};
    scope(buffer_fini) struct buffer request = {0};
    int r;

    buffer_append_format(&request, /* 1.0: the end of the connection ends the body. */
                         "POST / HTTP/1.0\r\nContent-Type: application/x-amz-json-1.1\r\n"
                         "X-Amz-Target: Cais.%s\r\n%sContent-Length: 2\r\n\r\n{}",
                         action, stale ? "X-Cais-Consistency: stale\r\n" : "");
    r = local_dial(dir, OPERATOR_SOCKET, &connection.fd);
    if (r == 0)
        r = send_all(&connection, (struct bytes){request.base, request.len});
    if (r < 0)
        return err_up(r);
    return err_up(receive_stream(&connection, timeout_ms, take, context, out));
}

const char *client_reason(int r)
{
    switch (r) {
    case -EINVAL:
        return "expected an endpoint such as http://127.0.0.1:4510";
    case -ENXIO:
        return "no such host";
    case -EPROTO:
        return "what answers there is no manager";
    case -ETIMEDOUT:
        return "no answer in time";
    default:
        return strerror(-r);
    }
}
