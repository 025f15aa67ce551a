/*
 * The ECS API over keep-alive HTTP/1.1, as an SDK speaks it. The signature has the right form and
 * is nobody's.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/net/address.h"
#include "server/net/stream.h"
#include "tests/bench/load.h"

enum { ANSWER_MAX = 4 << 20, FAILURE_CHARS = 400 };

#define SCOPE  "20260101/us-east-1/ecs/aws4_request"
#define ZEROES "0000000000000000000000000000000000000000000000000000000000000000"

struct operation {
    const char *name;
    const char *action;
    bool stale;
    const char *default_argument;
};

struct http_caller {
    const struct load_target *target;
    const struct operation *operation;
    unsigned client;
    struct stream *stream;
    struct buffer request;
    struct buffer answer;
    bool is_calling;
    void *context;
};

static const struct operation operations[] = {
    {"register", "RegisterTaskDefinition", false, NULL},
    {"create", "CreateCluster", false, NULL},
    {"run", "RunTask", false, "bench"},
    {"describe", "DescribeClusters", false, "default"},
    {"stale", "DescribeClusters", true, "default"},
    {"describe-tasks", "DescribeTasks", false, NULL},
};

static const char *const operation_names[] = {"register", "create",         "run", "describe",
                                              "stale",    "describe-tasks", NULL};

/* ---- what is said */

/* A revision of a family that is the client's own, padded to the size of a small write. */
static void body_register(struct buffer *body, const struct http_caller *caller)
{
    static const char end[] = "\"}]}]}";

    buffer_append_format(body,
                         "{\"family\":\"bench-%s-%u\",\"containerDefinitions\":[{\"name\":\"web\","
                         "\"image\":\"busybox\",\"cpu\":64,\"memory\":32,\"environment\":[{"
                         "\"name\":\"PADDING\",\"value\":\"",
                         caller->target->prefix, caller->client);
    while (body->len + sizeof end - 1 < LOAD_PAYLOAD_BYTES)
        buffer_append(body, "x", 1);
    buffer_append_text(body, end);
}

static void make_body(struct buffer *body, const struct http_caller *caller, uint64_t number)
{
    const char *argument =
        caller->target->argument ? caller->target->argument : caller->operation->default_argument;
    const char *action = caller->operation->action;

    if (strcmp(action, "RegisterTaskDefinition") == 0)
        body_register(body, caller);
    else if (strcmp(action, "CreateCluster") == 0)
        buffer_append_format(body, "{\"clusterName\":\"bench-%s-%llu\"}", caller->target->prefix,
                             (unsigned long long)number);
    else if (strcmp(action, "RunTask") == 0)
        buffer_append_format(body, "{\"taskDefinition\":\"%s\",\"count\":1}", argument);
    else if (strcmp(action, "DescribeTasks") == 0)
        buffer_append_format(body, "{\"tasks\":[\"%s\"]}", argument);
    else
        buffer_append_format(body, "{\"clusters\":[\"%s\"]}", argument);
}

static void make_request(struct http_caller *caller, uint64_t number)
{
    scope(buffer_fini) struct buffer body = {0};
    char host[ADDRESS_TEXT];

    make_body(&body, caller, number);
    buffer_append_format(
        &caller->request,
        "POST / HTTP/1.1\r\n"
        "Host: %s\r\n"
        "User-Agent: cais-bench\r\n"
        "Content-Type: application/x-amz-json-1.1\r\n"
        "X-Amz-Target: AmazonEC2ContainerServiceV20141113.%s\r\n"
        "X-Amz-Date: 20260101T000000Z\r\n"
        "Authorization: AWS4-HMAC-SHA256 Credential=bench/" SCOPE
        ", SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=" ZEROES "\r\n"
        "%sContent-Length: %zu\r\n\r\n",
        address_format(&caller->target->to, host), caller->operation->action,
        caller->operation->stale ? "X-Cais-Consistency: stale\r\n" : "", body.len);
    buffer_append(&caller->request, body.base, body.len);
}

/* ---- what is answered */

static void finish(struct http_caller *caller, const char *failure)
{
    caller->is_calling = false;
    caller->target->done(caller->context, failure);
}

/* The head's length, 0 while it is not whole. Its end is no NUL: text is the whole answer's. */
static size_t head_len(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");

    return end ? (size_t)(end + 4 - text) : 0;
}

/* The value of Content-Length in a whole head; false if there is none. */
static bool content_len(const char *head, size_t len, size_t *out)
{
    static const char name[] = "\r\ncontent-length:";
    const char *field = strcasestr(head, name);
    char *end;

    if (!field || field >= head + len)
        return false;
    errno = 0;
    *out = strtoul(field + sizeof name - 1, &end, 10);
    return *end == '\r' && errno == 0 && *out < ANSWER_MAX;
}

/* 200, and nothing in the list of what could not be done or found. */
static bool is_acknowledged(const char *answer, const char *body)
{
    const char *failures = strstr(body, "\"failures\":");

    return strncmp(answer, "HTTP/1.1 200", 12) == 0 &&
           (!failures || strncmp(failures, "\"failures\":[]", 13) == 0);
}

static void answered(struct http_caller *caller, const char *answer, const char *body)
{
    char failure[FAILURE_CHARS];

    if (is_acknowledged(answer, body)) {
        finish(caller, NULL);
        return;
    }
    snprintf(failure, sizeof failure, "%.12s %s", answer, body);
    finish(caller, failure);
}

static void received(void *context, struct bytes bytes)
{
    struct http_caller *caller = context;
    const char *text;
    size_t head, content;

    buffer_append(&caller->answer, bytes.base, bytes.len);
    text = buffer_text(&caller->answer);
    head = head_len(text);
    if (!caller->is_calling || caller->answer.len > ANSWER_MAX)
        finish(caller, "the server says more than was asked");
    else if (head > 0 && !content_len(text, head, &content))
        finish(caller, "an answer without a length");
    else if (head > 0 && caller->answer.len >= head + content)
        answered(caller, text, text + head);
}

static void ended(void *context, int reason)
{
    finish(context, reason == STREAM_EOF ? "the server closed the connection" : strerror(-reason));
}

/* ---- callers */

static const struct operation *operation_named(const char *name)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (strcmp(operations[i].name, name) == 0)
            return &operations[i];
    must(!"an operation that is not listed");
}

static void *http_open(const struct load_target *target, unsigned client, void *context)
{
    struct http_caller *caller = mem_new(struct http_caller);
    struct stream_connect_config config = {
        .to = &target->to, .owner = {.received = received, .ended = ended, .context = caller}};
    int r;

    caller->target = target;
    caller->operation = operation_named(target->operation);
    caller->client = client;
    caller->context = context;
    r = stream_connect(target->loop, &config, &caller->stream);
    if (r == 0)
        return caller;
    free(caller);
    errno = -r;
    return NULL;
}

static void http_call(void *held, uint64_t number)
{
    struct http_caller *caller = held;

    buffer_clear(&caller->answer);
    buffer_clear(&caller->request);
    make_request(caller, number);
    caller->is_calling = true;
    worked(stream_write(caller->stream, (struct bytes){caller->request.base, caller->request.len}));
}

static void http_freed(void *held)
{
    struct http_caller *caller = held;

    buffer_fini(&caller->request);
    buffer_fini(&caller->answer);
    free(caller);
}

static void http_close(void *held)
{
    struct http_caller *caller = held;

    stream_close(caller->stream, http_freed, caller);
}

const struct load_protocol load_http = {"http", operation_names, http_open, http_call, http_close};
