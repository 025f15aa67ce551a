/*
 * Life of an exchange
 *
 *     READING ── exchange_begin ──> answered at once (refused)
 *        │
 *        └─> WAITING (suspended) ── core: waiting_done ──> RETURNED ── exchange_finish ──> answered
 *                  └──────────────── api_close ─────────> CUT_OFF ── connection closed
 *
 * The connection is suspended before the core hears of the call: resuming one that is not yet
 * suspended would be lost. A suspended connection cannot end, so the exchange of a client that
 * went away lives until the core is done, and is freed once, by exchange_ended().
 */
#include "server/manager/api.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/limits.h"
#include "proto/message.h"
#include "server/manager/api_internal.h"
#include "server/net/local.h"
#include "server/net/log.h"

enum {
    THREADS = 2,
    BACKLOG = 1024,
    OPERATOR_BACKLOG = 16,
    OPERATOR_CONNECTIONS = 32,
    LOG_CHARS = 300,
    SWALLOWED_BODIES = 8, /* Times LIMIT_BODY_BYTES: read on that far, so that 413 is heard. */
};

/* ---- the API's memory: the owner and the calls in the core share it */

static void api_free(struct api *api)
{
    must(list_is_empty(&api->waiting));
    pthread_mutex_destroy(&api->lock);
    free(api);
}

static void api_release(struct api *api)
{
    bool last;

    pthread_mutex_lock(&api->lock);
    must(api->references > 0);
    last = --api->references == 0;
    pthread_mutex_unlock(&api->lock);
    if (last)
        api_free(api);
}

/* ---- bodies */

/* The bodies of all exchanges share a budget: what one client may send, all may not at once. */
static void drop_body(struct exchange *exchange)
{
    atomic_fetch_sub(&exchange->api->body_bytes, exchange->body.len);
    buffer_fini(&exchange->body);
    exchange->body = (struct buffer){0};
}

/* ---- calls in the core */

void waiting_free(struct waiting *waiting)
{
    if (!waiting)
        return;
    message_free(waiting->request);
    message_free(waiting->response);
    problem_free(waiting->problem);
    explicit_bzero(waiting->secret, sizeof waiting->secret);
    if (waiting->call.result)
        command__command_result__free_unpacked(waiting->call.result, NULL);
    free(waiting);
}

/* On the core's thread: hand the call back. */
static void waiting_done(struct call *call)
{
    struct waiting *waiting = list_entry(call, struct waiting, call);
    struct api *api = waiting->api;
    bool cut_loose;

    pthread_mutex_lock(&api->lock);
    cut_loose = !waiting->exchange;
    if (!cut_loose) {
        list_remove(&waiting->link);
        waiting->exchange->state = EXCHANGE_RETURNED;
        MHD_resume_connection(waiting->exchange->connection);
    }
    pthread_mutex_unlock(&api->lock);
    if (cut_loose)
        waiting_free(waiting);
    api_release(api);
}

bool exchange_submit(struct exchange *exchange, ProtobufCMessage *request, bool stale,
                     const char *secret)
{
    struct api *api = exchange->api;
    struct waiting *waiting = mem_new(struct waiting);
    bool closing;

    if (secret)
        memcpy(waiting->secret, secret, sizeof waiting->secret);

    waiting->api = api;
    waiting->exchange = exchange;
    waiting->request = request;
    waiting->action = exchange->action;
    waiting->call = (struct call){.action = exchange->action->name,
                                  .write = exchange->action->write,
                                  .stale = stale,
                                  .request = request,
                                  .collect = waiting_collect,
                                  .done = waiting_done};
    list_init(&waiting->call.link);
    list_init(&waiting->link);
    drop_body(exchange); /* The request says it all. */

    pthread_mutex_lock(&api->lock);
    closing = api->closing;
    if (!closing) {
        list_append(&api->waiting, &waiting->link);
        api->references++;
        exchange->waiting = waiting;
        exchange->state = EXCHANGE_WAITING;
        MHD_suspend_connection(exchange->connection);
    }
    pthread_mutex_unlock(&api->lock);
    if (closing) {
        waiting_free(waiting);
        return false;
    }
    api->config.door.submit(api->config.door.core, &waiting->call);
    return true;
}

static void cut_loose_all(struct api *api)
{
    pthread_mutex_lock(&api->lock);
    api->closing = true;
    list_each (link, &api->waiting) {
        struct waiting *waiting = list_entry(link, struct waiting, link);
        struct exchange *exchange = waiting->exchange;

        list_remove(link);
        waiting->exchange = NULL;
        exchange->waiting = NULL;
        exchange->state = EXCHANGE_CUT_OFF;
        MHD_resume_connection(exchange->connection);
    }
    pthread_mutex_unlock(&api->lock);
}

/* ---- exchanges */

static struct exchange *exchange_new(struct api *api, struct MHD_Connection *connection)
{
    struct exchange *exchange = mem_new(struct exchange);

    exchange->api = api;
    exchange->connection = connection;
    pthread_mutex_lock(&api->lock);
    rng_uuid(&api->rng, exchange->id);
    pthread_mutex_unlock(&api->lock);
    return exchange;
}

static enum MHD_Result take_body(struct exchange *exchange, const char *data, size_t len)
{
    exchange->body_seen += len;
    if (exchange->body_seen > SWALLOWED_BODIES * (size_t)LIMIT_BODY_BYTES)
        return MHD_NO;
    if (exchange->body_seen > LIMIT_BODY_BYTES || exchange->throttled) {
        drop_body(exchange);
        return MHD_YES;
    }
    if (atomic_fetch_add(&exchange->api->body_bytes, len) + len > LIMIT_API_BODIES_BYTES) {
        atomic_fetch_sub(&exchange->api->body_bytes, len);
        exchange->throttled = true;
        drop_body(exchange);
        return MHD_YES;
    }
    buffer_append(&exchange->body, data, len);
    return MHD_YES;
}

static void exchange_ended(void *context, struct MHD_Connection *connection, void **held,
                           enum MHD_RequestTerminationCode how)
{
    struct exchange *exchange = *held;

    (void)context;
    (void)connection;
    (void)how;
    if (!exchange)
        return;
    must(exchange->state != EXCHANGE_WAITING);
    waiting_free(exchange->waiting);
    drop_body(exchange);
    free(exchange);
    *held = NULL;
}

/* ---- what libmicrohttpd calls */

static enum MHD_Result answer_get(struct exchange *exchange, const char *method,
                                  enum MHD_Result (*answer)(struct exchange *))
{
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer_http(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "MethodNotAllowed",
                           "Only GET is answered here.", "GET, HEAD");
    return answer(exchange);
}

static enum MHD_Result route(struct exchange *exchange, const char *url, const char *method)
{
    if (strcmp(url, "/cais/status") == 0)
        return answer_get(exchange, method, answer_status);
    if (strcmp(url, "/metrics") == 0)
        return answer_get(exchange, method, answer_metrics);
    if (strcmp(url, "/") != 0)
        return answer_http(exchange, MHD_HTTP_NOT_FOUND, "NotFound",
                           "There is nothing here: POST / is the ECS API.", NULL);
    if (strcmp(method, MHD_HTTP_METHOD_POST) != 0)
        return answer_http(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "MethodNotAllowed",
                           "The ECS API is POST / with X-Amz-Target.", "POST");
    return exchange_begin(exchange);
}

/* First with the head, then with each piece of the body, then without more; after a suspension
 * once more without more. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **held)
{
    struct exchange *exchange = *held;

    (void)version;
    if (!exchange) {
        *held = exchange_new(context, connection);
        return MHD_YES;
    }
    if (*data_len > 0) {
        size_t len = *data_len;

        *data_len = 0;
        return take_body(exchange, data, len);
    }
    switch (exchange->state) {
    case EXCHANGE_READING:
        return route(exchange, url, method);
    case EXCHANGE_WAITING:
        return MHD_YES;
    case EXCHANGE_RETURNED:
        return exchange_finish(exchange);
    case EXCHANGE_CUT_OFF:
        break;
    }
    return MHD_NO;
}

static void on_library_message(void *context, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* What the library complains of is mostly clients that went away. */
static void on_library_message(void *context, const char *format, va_list args)
{
    char text[LOG_CHARS];

    (void)context;
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\r\n")] = '\0';
    log_info("api.http message=\"%s\"", text);
}

/* ---- open and close */

static socklen_t address_len(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in);
}

static int listen_on(const struct sockaddr *address, int *out)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    int r;

    if (fd < 0)
        return err_new(-errno);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, address, address_len(address)) < 0 || listen(fd, BACKLOG) < 0) {
        r = -errno;
        close(fd);
        return err_new(r);
    }
    *out = fd;
    return 0;
}

/* One thread is enough for the operator, who has no address to count connections by. */
static int start_operator(struct api *api)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    int fd = -1;
    int r = local_listen(api->config.operator_dir, OPERATOR_SOCKET, OPERATOR_BACKLOG, &fd);

    if (r < 0)
        return err_up(r);
    api->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, api, MHD_OPTION_EXTERNAL_LOGGER, on_library_message, api,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, OPERATOR_CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, LIMIT_API_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)LIMIT_API_HEAD_BYTES, MHD_OPTION_NOTIFY_COMPLETED, exchange_ended, NULL,
        MHD_OPTION_END);
    return api->daemon ? 0 : err_new(-ENOMEM);
}

static int start(struct api *api)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    int fd = -1;
    int r;

    if (api->config.listen->sa_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    r = listen_on(api->config.listen, &fd);
    if (r < 0)
        return err_up(r);
    api->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, api, MHD_OPTION_EXTERNAL_LOGGER, on_library_message, api,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
        MHD_OPTION_CONNECTION_LIMIT, LIMIT_API_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        LIMIT_API_PER_ADDRESS, MHD_OPTION_CONNECTION_TIMEOUT, LIMIT_API_IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)LIMIT_API_HEAD_BYTES,
        MHD_OPTION_NOTIFY_COMPLETED, exchange_ended, NULL, MHD_OPTION_END);
    /* The socket is the daemon's now; one that failed to start has closed it or not, which
     * cannot be told, so that it is left alone. */
    return api->daemon ? 0 : err_new(-ENOMEM);
}

static int seed(struct rng *rng)
{
    uint64_t value;

    if (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value)
        return err_new(-EIO);
    rng_seed(rng, value);
    return 0;
}

int api_open(const struct api_config *config, struct api **out)
{
    struct api *api = mem_new(struct api);
    int r;

    must(action_count <= ACTIONS_MAX);
    api->config = *config;
    api->references = 1;
    list_init(&api->waiting);
    pthread_mutex_init(&api->lock, NULL);
    r = seed(&api->rng);
    if (r == 0)
        r = config->listen ? start(api) : start_operator(api);
    if (r < 0) {
        api_free(api);
        return err_up(r);
    }
    *out = api;
    return 0;
}

void api_close(struct api *api)
{
    if (!api)
        return;
    cut_loose_all(api);
    MHD_stop_daemon(api->daemon);
    if (!api->config.listen)
        local_remove(api->config.operator_dir, OPERATOR_SOCKET);
    api_release(api);
}

uint16_t api_port(const struct api *api)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(api->daemon, MHD_DAEMON_INFO_BIND_PORT);

    return info ? info->port : 0;
}
