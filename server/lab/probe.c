#include "server/lab/probe.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/cli/answer.h"

enum { READ_BYTES = 4096 };

/* One connection. It outlives the probe's interest in it until the loop has closed it. */
struct line_in_use {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct probe *probe; /* NULL once dropped. */
    struct answer answer;
    bool used; /* Has carried an answer: its end now says nothing about the manager. */
    char bytes[READ_BYTES];
};

struct probe {
    uv_loop_t *loop;
    struct probe_options options;
    struct line_in_use *line;
    bool asking;
    uint64_t asked_ms;
    struct health health;
};

static void line_closed(uv_handle_t *handle)
{
    struct line_in_use *line = handle->data;

    answer_fini(&line->answer);
    free(line);
}

static void drop_line(struct probe *probe)
{
    struct line_in_use *line = probe->line;

    probe->asking = false;
    probe->line = NULL;
    if (!line)
        return;
    line->probe = NULL;
    uv_close((uv_handle_t *)&line->tcp, line_closed);
}

static void heard(struct probe *probe, const struct health *health)
{
    probe->health = *health;
    probe->options.heard(probe->options.owner);
}

static void fail(struct probe *probe)
{
    const struct health none = {0};

    drop_line(probe);
    heard(probe, &none);
}

bool probe_read(const char *body, size_t len, struct health *out)
{
    json_t *json = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const char *role = json_string_value(json_object_get(json, "role"));
    const char *member = json_string_value(json_object_get(json, "member"));
    const json_t *leader = json_object_get(json, "leader");
    const json_t *term = json_object_get(json, "term");
    bool whole = role && strlen(role) < PROBE_ROLE_SIZE && json_is_integer(leader) &&
                 json_is_integer(term) && json_integer_value(leader) >= 0 &&
                 json_integer_value(term) >= 0;

    if (whole) {
        *out = (struct health){
            .answering = true,
            .ready = json_is_true(json_object_get(json, "ready")),
            .leader = (uint64_t)json_integer_value(leader),
            .term = (uint64_t)json_integer_value(term),
        };
        snprintf(out->role, sizeof out->role, "%s", role);
        if (member && strlen(member) < sizeof out->member)
            snprintf(out->member, sizeof out->member, "%s", member);
    }
    json_decref(json);
    return whole;
}

static void finish(struct probe *probe)
{
    struct line_in_use *line = probe->line;
    const struct answer *answer = &line->answer;
    const char *body = (const char *)answer->bytes.base + answer->head_len;
    bool keep = answer->keeps_alive;
    struct health health;

    if (answer->status != 200 || !probe_read(body, answer->body_len, &health)) {
        fail(probe);
        return;
    }
    probe->asking = false;
    line->used = true;
    answer_fini(&line->answer);
    if (!keep)
        drop_line(probe);
    heard(probe, &health);
}

static void line_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
    struct line_in_use *line = handle->data;

    (void)wanted;
    *out = uv_buf_init(line->bytes, sizeof line->bytes);
}

static void line_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct line_in_use *line = stream->data;
    struct probe *probe = line->probe;
    int r;

    if (!probe || n == 0)
        return;
    if (n < 0 && line->used) { /* It closes connections that rest: ask over a new one. */
        drop_line(probe);
        return;
    }
    r = n < 0 || !probe->asking ? -EPROTO : answer_take(&line->answer, buffer->base, (size_t)n);
    if (r == 0)
        finish(probe);
    else if (r < 0)
        fail(probe);
}

static void line_wrote(uv_write_t *write, int status)
{
    (void)write;
    (void)status; /* A failure shows in reading, too. */
}

static void line_ask(struct line_in_use *line)
{
    static char request[] = "GET /cais/status HTTP/1.1\r\nHost: lab\r\n\r\n";
    uv_buf_t buffer = uv_buf_init(request, sizeof request - 1);

    if (uv_write(&line->write, (uv_stream_t *)&line->tcp, &buffer, 1, line_wrote) < 0)
        fail(line->probe);
}

static void line_connected(uv_connect_t *connect, int status)
{
    struct line_in_use *line = connect->data;

    if (!line->probe)
        return;
    if (status < 0 || uv_read_start((uv_stream_t *)&line->tcp, line_alloc, line_read) < 0)
        fail(line->probe);
    else
        line_ask(line);
}

static void line_open(struct probe *probe)
{
    struct line_in_use *line = mem_new(struct line_in_use);
    const struct sockaddr *at = (const struct sockaddr *)&probe->options.at;
    int r = uv_tcp_init(probe->loop, &line->tcp);

    must(r == 0);
    line->tcp.data = line;
    line->connect.data = line;
    line->probe = probe;
    probe->line = line;
    if (uv_tcp_connect(&line->connect, &line->tcp, at, line_connected) < 0)
        fail(probe);
}

struct probe *probe_new(uv_loop_t *loop, const struct probe_options *options)
{
    struct probe *probe = mem_new(struct probe);

    probe->loop = loop;
    probe->options = *options;
    return probe;
}

void probe_close(struct probe *probe)
{
    drop_line(probe);
    free(probe);
}

void probe_ask(struct probe *probe)
{
    uint64_t now = uv_now(probe->loop);

    if (probe->asking) {
        if (now - probe->asked_ms >= PROBE_DEADLINE_MS)
            fail(probe);
        return;
    }
    probe->asking = true;
    probe->asked_ms = now;
    if (probe->line)
        line_ask(probe->line);
    else
        line_open(probe);
}

void probe_forget(struct probe *probe)
{
    fail(probe);
}

const struct health *probe_health(const struct probe *probe)
{
    return &probe->health;
}
