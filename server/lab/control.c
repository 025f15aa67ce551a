#include "server/lab/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "proto/base/err.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"

enum { BACKLOG = 16, READ_BYTES = 4096 };

struct control_call {
    struct list link;
    struct control *control;
    uv_pipe_t pipe;
    uv_write_t write;
    struct buffer question;
    char *answer;
    bool asked; /* The question is whole and with the owner, or answered. */
    bool closing;
    bool owned; /* The owner holds it and will answer. */
    char bytes[READ_BYTES];
};

struct control {
    uv_loop_t *loop;
    uv_pipe_t pipe;
    char *path;
    struct control_options options;
    struct list calls;
    size_t call_count;
    bool closed;
};

static int path_of(const char *dir, struct sockaddr_un *out)
{
    int len;

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    len = snprintf(out->sun_path, sizeof out->sun_path, "%s/control.sock", dir);
    return len < (int)sizeof out->sun_path ? 0 : err_new(-ENAMETOOLONG);
}

/* ---- calls */

static void free_when_over(struct control *control)
{
    if (!control->closed || control->call_count > 0)
        return;
    free(control->path);
    free(control);
}

static void call_free_when_over(struct control_call *call)
{
    struct control *control = call->control;

    if (call->owned)
        return; /* Its connection is gone; the answer is still to come, to nowhere. */
    list_remove(&call->link);
    buffer_fini(&call->question);
    free(call->answer);
    free(call);
    control->call_count--;
    free_when_over(control);
}

static void call_closed(uv_handle_t *handle)
{
    struct control_call *call = handle->data;

    call->closing = false;
    call_free_when_over(call);
}

static void call_close(struct control_call *call)
{
    if (uv_is_closing((uv_handle_t *)&call->pipe))
        return;
    call->closing = true;
    uv_close((uv_handle_t *)&call->pipe, call_closed);
}

static void call_written(uv_write_t *write, int status)
{
    (void)status;
    call_close(write->data);
}

void control_answer(struct control_call *call, json_t *answer)
{
    uv_buf_t buffer;
    bool gone = uv_is_closing((uv_handle_t *)&call->pipe);

    must(call->owned);
    must(answer);
    call->owned = false;
    call->answer = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    must(call->answer);
    if (gone) {
        if (!call->closing)
            call_free_when_over(call);
        return;
    }
    buffer = uv_buf_init(call->answer, (unsigned)strlen(call->answer));
    call->write.data = call;
    if (uv_write(&call->write, (uv_stream_t *)&call->pipe, &buffer, 1, call_written) < 0)
        call_close(call);
}

static void call_ask(struct control_call *call)
{
    json_t *question =
        json_loadb((char *)call->question.base, call->question.len, JSON_REJECT_DUPLICATES, NULL);
    struct control *control = call->control;

    call->asked = true;
    call->owned = true;
    if (json_is_object(question))
        control->options.asked(control->options.owner, call, question);
    else
        control_answer(call, json_pack("{s:b, s:s}", "ok", 0, "error", "not a question"));
    json_decref(question);
}

static void call_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
    struct control_call *call = handle->data;

    (void)wanted;
    *out = uv_buf_init(call->bytes, sizeof call->bytes);
}

static void call_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct control_call *call = stream->data;

    if (n == 0 || (n > 0 && call->asked)) /* What follows the question is nothing to us. */
        return;
    if (n < 0 || call->question.len + (size_t)n > CONTROL_LINE_MAX) {
        call_close(call);
        return;
    }
    buffer_append(&call->question, buffer->base, (size_t)n);
    if (memchr(buffer->base, '\n', (size_t)n))
        call_ask(call);
}

static void connected(uv_stream_t *stream, int status)
{
    struct control *control = stream->data;
    struct control_call *call;

    if (status < 0)
        return;
    call = mem_new(struct control_call);
    call->control = control;
    call->pipe.data = call;
    uv_pipe_init(control->loop, &call->pipe, 0);
    list_append(&control->calls, &call->link);
    control->call_count++;
    if (uv_accept(stream, (uv_stream_t *)&call->pipe) < 0 ||
        control->call_count > CONTROL_CALLS_MAX ||
        uv_read_start((uv_stream_t *)&call->pipe, call_alloc, call_read) < 0)
        call_close(call);
}

/* ---- life */

static void control_closed(uv_handle_t *handle)
{
    struct control *control = handle->data;

    control->closed = true;
    free_when_over(control);
}

static int bind_and_listen(struct control *control)
{
    int r;

    unlink(control->path); /* Of a lab that was killed: who opens this holds the lab's lock. */
    r = uv_pipe_bind(&control->pipe, control->path);
    if (r < 0)
        return err_new(r);
    chmod(control->path, 0600);
    return err_new(uv_listen((uv_stream_t *)&control->pipe, BACKLOG, connected));
}

int control_open(uv_loop_t *loop, const struct control_options *options, struct control **out)
{
    struct sockaddr_un at;
    struct control *control;
    int r = path_of(options->dir, &at);

    if (r < 0)
        return err_up(r);
    control = mem_new(struct control);
    control->loop = loop;
    control->options = *options;
    control->path = mem_string(at.sun_path);
    control->pipe.data = control;
    list_init(&control->calls);
    uv_pipe_init(loop, &control->pipe, 0);
    r = bind_and_listen(control);
    if (r < 0) {
        control_close(control);
        return err_up(r);
    }
    *out = control;
    return 0;
}

void control_close(struct control *control)
{
    if (!control)
        return;
    unlink(control->path);
    uv_close((uv_handle_t *)&control->pipe, control_closed);
    list_each (link, &control->calls) {
        struct control_call *call = list_entry(link, struct control_call, link);

        if (!call->answer) /* An answer on its way closes its call itself. */
            call_close(call);
    }
}

/* ---- the verbs' side */

static int dial(const char *dir, unsigned timeout_ms, int *out_fd)
{
    struct timeval bound = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    struct sockaddr_un at;
    int r = path_of(dir, &at);
    int fd;

    if (r < 0)
        return err_up(r);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_new(-errno);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound);
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) < 0) {
        r = -errno;
        close(fd);
        if (r == -ENOENT || r == -ECONNREFUSED || r == -ENOTDIR)
            return CONTROL_ABSENT;
        return err_new(r);
    }
    *out_fd = fd;
    return 0;
}

static int send_question(int fd, const json_t *question)
{
    char *text = json_dumps(question, JSON_COMPACT);
    struct buffer line = {0};
    ssize_t n;

    must(text);
    buffer_append_format(&line, "%s\n", text);
    n = send(fd, line.base, line.len, MSG_NOSIGNAL);
    free(text);
    buffer_fini(&line);
    if (n < 0)
        return err_new(errno == EPIPE ? -ECONNRESET : -errno);
    return 0;
}

/* The answer ends with the connection. */
static int receive_answer(int fd, json_t **out)
{
    scope(buffer_fini) struct buffer text = {0};
    ssize_t n;

    do {
        n = recv(fd, buffer_extend(&text, READ_BYTES), READ_BYTES, 0);
        text.len -= READ_BYTES - (n > 0 ? (size_t)n : 0);
    } while (n > 0 && text.len <= CONTROL_LINE_MAX);
    if (n < 0)
        return err_new(errno == EAGAIN ? -ETIMEDOUT : -errno);
    *out = text.len ? json_loadb((char *)text.base, text.len, 0, NULL) : NULL;
    return *out ? 0 : err_new(-ECONNRESET);
}

int control_ask(const char *dir, const json_t *question, unsigned timeout_ms, json_t **out)
{
    int fd = -1;
    int r = dial(dir, timeout_ms, &fd);

    if (r != 0)
        return r < 0 ? err_up(r) : r;
    r = send_question(fd, question);
    if (r == 0)
        r = receive_answer(fd, out);
    close(fd);
    return err_up(r);
}
