#include "server/net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/limits.h"
#include "server/net/chunks.h"

/*
 * With TLS, `waiting` holds the owner's bytes as they are; they are enciphered only as they move to
 * `sending`, in portions, so little of them is kept twice. What TLS itself has to say goes first.
 *
 * Writes collect in `waiting`. An idle handle, started by the first of them, runs before the loop
 * polls again, moves them to `sending` and writes them in one request; while that is under way new
 * ones wait. An idle handle and not a prepare handle: the loop does not block while one is active,
 * so a write made in another prepare callback, as at the end of a turn, is not left behind.
 *
 * A reason to end found inside a call of the owner is kept in `reason` and told from the same idle
 * handle.
 */

enum {
    READ_BYTES = 64 << 10,
    PROBES = 3,
    PORTION_BYTES = 256 << 10, /* What is enciphered at a time, or one chunk if that is more. */
};

struct stream {
    struct stream_owner owner;
    struct sockaddr_storage peer;
    uv_tcp_t tcp;
    uv_idle_t idle;
    uv_timer_t timer;
    uv_connect_t connecting;
    uv_write_t writing;
    struct tls *tls; /* NULL: plain. */
    uint64_t handshake_ms;
    struct chunks waiting;
    struct chunks sending;
    size_t sending_owned; /* How many of the owner's bytes that is. */
    int reason;           /* Of the end that the owner has yet to hear of. */
    bool is_connected;    /* TCP is. */
    bool is_open;         /* The owner's bytes may flow. */
    bool is_sending;
    bool is_asked;
    bool is_ended; /* The owner was told. */
    bool is_closing;
    unsigned handles; /* Not yet closed. */
    void (*closed)(void *context);
    void *closed_context;
    void (*gone)(void *context); /* Tells who accepted it; NULL: connected. */
    void *gone_context;
};

static void stream_free(struct stream *stream)
{
    if (stream->gone)
        stream->gone(stream->gone_context);
    chunks_fini(&stream->waiting);
    chunks_fini(&stream->sending);
    tls_free(stream->tls);
    free(stream);
}

static void handle_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;
    void (*closed)(void *context) = stream->closed;
    void *context = stream->closed_context;

    if (--stream->handles > 0)
        return;
    stream_free(stream);
    if (closed)
        closed(context);
}

static bool is_over(const struct stream *stream)
{
    return stream->is_ended || stream->is_closing || stream->reason < 0;
}

/* May anything be handed to the kernel? */
static bool may_send(const struct stream *stream)
{
    return stream->is_connected && !stream->is_sending && !is_over(stream);
}

/* May the owner be asked for more? */
static bool may_ask(const struct stream *stream)
{
    return stream->is_open && stream->is_asked && stream->waiting.count == 0;
}

static bool has_to_send(const struct stream *stream)
{
    return (stream->is_open && stream->waiting.count > 0) ||
           (stream->tls && tls_has_output(stream->tls));
}

static void stream_turn(uv_idle_t *idle);

static void schedule(struct stream *stream)
{
    if (!stream->is_ended && !stream->is_closing)
        must(uv_idle_start(&stream->idle, stream_turn) == 0);
}

/* The connection is over: nothing moves any more, and stream_tell() has something to tell. */
static void stream_end(struct stream *stream, int reason)
{
    must(reason < 0);
    if (is_over(stream))
        return;
    stream->reason = reason == -EPIPE ? -ECONNRESET : reason;
    uv_read_stop((uv_stream_t *)&stream->tcp);
    uv_timer_stop(&stream->timer);
}

/* From the loop only: tell the owner of the end, if there was one. */
static void stream_tell(struct stream *stream)
{
    if (stream->reason == 0 || stream->is_ended || stream->is_closing)
        return;
    stream->is_ended = true;
    uv_idle_stop(&stream->idle);
    stream->owner.ended(stream->owner.context, stream->reason);
}

static void sending_clear(struct stream *stream)
{
    chunks_clear(&stream->sending);
    stream->sending_owned = 0;
}

static void written(uv_write_t *request, int status)
{
    struct stream *stream = request->data;

    stream->is_sending = false;
    sending_clear(stream);
    if (status < 0 && !stream->is_closing)
        stream_end(stream, status);
    if (has_to_send(stream) || stream->is_asked)
        schedule(stream);
    stream_tell(stream);
}

/* Encipher a portion of what waits. Negative: TLS failed. */
static int encipher(struct stream *stream, struct buffer *out)
{
    size_t count = 0, bytes = 0;
    int r = 0;

    while (r == 0 && count < stream->waiting.count && bytes < PORTION_BYTES) {
        const struct buffer *chunk = &stream->waiting.all[count++];

        bytes += chunk->len;
        r = tls_write(stream->tls, (struct bytes){chunk->base, chunk->len});
    }
    chunks_drop(&stream->waiting, count);
    stream->sending_owned = bytes;
    tls_take_output(stream->tls, out);
    return r;
}

/* Move what waits, or a portion of it, to what is sent. Negative: TLS failed. */
static int sending_begin(struct stream *stream)
{
    struct chunks empty = stream->sending;
    struct buffer out = {0};
    int r = 0;

    must(empty.count == 0);
    if (!stream->tls) {
        stream->sending = stream->waiting;
        stream->sending_owned = stream->sending.bytes;
        stream->waiting = empty;
        return 0;
    }
    if (stream->is_open)
        r = encipher(stream, &out);
    else
        tls_take_output(stream->tls, &out);
    chunks_take(&stream->sending, &out);
    return r;
}

/* Hand the kernel what it takes at once. Returns how many pieces it took whole; the first of the
 * others is shortened by what is gone of it. Negative: the connection failed. */
static int offer(struct stream *stream, uv_buf_t *pieces, unsigned count)
{
    int r = uv_try_write((uv_stream_t *)&stream->tcp, pieces, count);
    size_t gone = r > 0 ? (size_t)r : 0;
    int whole = 0;

    if (r < 0 && r != UV_EAGAIN)
        return r;
    while (gone > 0 && gone >= pieces[whole].len)
        gone -= pieces[whole++].len;
    if (gone > 0) {
        pieces[whole].base += gone;
        pieces[whole].len -= gone;
    }
    return whole;
}

/* Send a portion. True: all of it is gone, and there may be more. */
static bool send_portion(struct stream *stream)
{
    uv_buf_t *pieces;
    unsigned count;
    int r = sending_begin(stream), taken;

    pieces = chunks_pieces(&stream->sending);
    count = (unsigned)stream->sending.count;
    taken = offer(stream, pieces, count);
    if (taken >= 0 && (unsigned)taken < count) {
        stream->is_sending = true;
        taken = uv_write(&stream->writing, (uv_stream_t *)&stream->tcp, pieces + taken,
                         count - (unsigned)taken, written);
        if (taken < 0)
            stream->is_sending = false;
    }
    free(pieces);
    if (taken < 0 || r < 0)
        stream_end(stream, r < 0 ? r : taken);
    if (!stream->is_sending)
        sending_clear(stream);
    return may_send(stream);
}

/* The one place where bytes leave, as stream_read() is where they come in. */
static void stream_flush(struct stream *stream)
{
    while (has_to_send(stream) && send_portion(stream))
        ;
}

void stream_push(struct stream *stream)
{
    if (may_send(stream))
        stream_flush(stream);
}

static void stream_turn(uv_idle_t *idle)
{
    struct stream *stream = idle->data;

    if (may_send(stream) && may_ask(stream)) {
        stream->is_asked = false;
        stream->owner.writable(stream->owner.context);
    }
    uv_idle_stop(idle);
    if (may_send(stream)) {
        stream_flush(stream);
        if (stream->is_open && stream->is_asked && !stream->is_sending)
            schedule(stream);
    }
    stream_tell(stream);
}

static void stream_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)handle;
    (void)suggested;
    *out = uv_buf_init(mem_resize(NULL, READ_BYTES, 1), READ_BYTES);
}

/* The owner's bytes may flow from now on. */
static void stream_opened(struct stream *stream)
{
    stream->is_open = true;
    uv_timer_stop(&stream->timer);
    if (stream->waiting.count > 0 || stream->is_asked)
        schedule(stream);
    if (stream->owner.opened)
        stream->owner.opened(stream->owner.context);
}

/* Give the owner what was deciphered. Negative: TLS failed, or the peer said goodbye. */
static int decipher(struct stream *stream)
{
    uint8_t *room = mem_resize(NULL, READ_BYTES, 1);
    int got = 1;

    while (got > 0 && !is_over(stream)) {
        got = tls_read(stream->tls, room, READ_BYTES);
        if (got > 0)
            stream->owner.received(stream->owner.context, (struct bytes){room, (size_t)got});
    }
    free(room);
    return got < 0 ? got : 0;
}

/* Bytes of the network, by way of TLS. Whatever it has to answer leaves at once, an alert too. */
static void stream_feed(struct stream *stream, struct bytes bytes)
{
    int r = tls_feed(stream->tls, bytes);

    if (r == 0 && tls_is_open(stream->tls) && !stream->is_open)
        stream_opened(stream);
    if (r == 0)
        r = decipher(stream);
    if (may_send(stream) && tls_has_output(stream->tls))
        stream_flush(stream);
    if (r < 0)
        stream_end(stream, r);
}

static void stream_read(uv_stream_t *tcp, ssize_t got, const uv_buf_t *room)
{
    struct stream *stream = tcp->data;

    if (got < 0)
        stream_end(stream, (int)got);
    if (got > 0 && !is_over(stream)) {
        struct bytes bytes = {room->base, (size_t)got};

        if (stream->tls)
            stream_feed(stream, bytes);
        else
            stream->owner.received(stream->owner.context, bytes);
    }
    free(room->base);
    stream_tell(stream);
}

/* TCP stands: read, and begin the handshake if there is one. */
static void stream_start(struct stream *stream)
{
    int r = uv_read_start((uv_stream_t *)&stream->tcp, stream_room, stream_read);

    stream->is_connected = true;
    stream->is_open = !stream->tls;
    if (r < 0)
        stream_end(stream, r);
    if (r < 0 || has_to_send(stream) || stream->is_asked)
        schedule(stream);
}

static void stream_connected(uv_connect_t *request, int status)
{
    struct stream *stream = request->data;

    if (is_over(stream))
        return;
    if (status < 0) {
        stream_end(stream, status);
        stream_tell(stream);
        return;
    }
    stream_start(stream);
    if (!stream->tls)
        stream_opened(stream);
}

static void stream_expired(uv_timer_t *timer)
{
    struct stream *stream = timer->data;

    stream_end(stream, -ETIMEDOUT);
    stream_tell(stream);
}

/* A stream around a new socket of this family, or around none yet (AF_UNSPEC). */
static int stream_new(uv_loop_t *loop, unsigned family, struct stream **out)
{
    struct stream *stream = mem_new(struct stream);
    int r = uv_tcp_init_ex(loop, &stream->tcp, family);

    signal(SIGPIPE, SIG_IGN); /* libuv writes with writev(), which can be told in no other way. */
    if (r < 0) {
        free(stream);
        return err_new(r);
    }
    must(uv_idle_init(loop, &stream->idle) == 0);
    must(uv_timer_init(loop, &stream->timer) == 0);
    stream->handles = 3;
    stream->tcp.data = stream->idle.data = stream->timer.data = stream;
    stream->connecting.data = stream->writing.data = stream;
    *out = stream;
    return 0;
}

static int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) < 0 ? err_new(-errno) : 0;
}

static int set_options(uv_tcp_t *tcp)
{
    uv_os_fd_t fd;
    int r = uv_fileno((uv_handle_t *)tcp, &fd);

    if (r < 0)
        return err_new(r);
    r = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (r == 0)
        r = set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (r == 0)
        r = set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, STREAM_DEAD_MS / 1000 / 2);
    if (r == 0)
        r = set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, STREAM_DEAD_MS / 1000 / 2 / PROBES);
    if (r == 0)
        r = set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
    if (r == 0)
        r = set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, STREAM_DEAD_MS);
    return err_up(r);
}

/* Leave from this address. The kernel chooses the port when it knows the other end too: so a port
 * is taken for a pair, and not from all connections of the address. */
static int bind_source(struct stream *stream, const struct sockaddr_storage *source)
{
    uv_os_fd_t fd;
    int r = uv_fileno((uv_handle_t *)&stream->tcp, &fd);

    if (r == 0)
        r = set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (r == 0)
        r = uv_tcp_bind(&stream->tcp, (const struct sockaddr *)source, 0);
    return r < 0 ? err_new(r) : 0;
}

int stream_connect(uv_loop_t *loop, const struct stream_connect_config *config, struct stream **out)
{
    struct stream *stream = NULL;
    int r = stream_new(loop, config->to->ss_family, &stream);

    if (r < 0)
        return err_up(r);
    must(config->owner.received);
    must(config->owner.ended);
    stream->owner = config->owner;
    stream->peer = *config->to;
    r = set_options(&stream->tcp);
    if (r == 0 && config->source)
        r = bind_source(stream, config->source);
    if (r < 0) {
        stream_close(stream, NULL, NULL);
        return err_up(r);
    }
    r = uv_tcp_connect(&stream->connecting, &stream->tcp, (const struct sockaddr *)&stream->peer,
                       stream_connected);
    if (r < 0) {
        stream_end(stream, r);
        schedule(stream);
    } else if (config->timeout_ms > 0 || config->tls) {
        uint64_t timeout_ms = config->timeout_ms > 0 ? config->timeout_ms : STREAM_DEAD_MS;

        uv_timer_start(&stream->timer, stream_expired, timeout_ms, 0);
    }
    if (config->tls)
        stream->tls = tls_dial(config->tls);
    *out = stream;
    return 0;
}

int stream_accept(uv_tcp_t *listening, struct tls_identity *tls, uint64_t handshake_ms,
                  void (*gone)(void *context), void *context, struct stream **out)
{
    struct stream *stream = NULL;
    int len = sizeof stream->peer;
    int r = stream_new(listening->loop, AF_UNSPEC, &stream);

    if (r < 0)
        return err_up(r);
    r = uv_accept((uv_stream_t *)listening, (uv_stream_t *)&stream->tcp);
    if (r == 0)
        r = set_options(&stream->tcp);
    if (r == 0)
        r = uv_tcp_getpeername(&stream->tcp, (struct sockaddr *)&stream->peer, &len);
    if (r < 0) {
        stream_close(stream, NULL, NULL);
        return err_new(r);
    }
    stream->gone = gone;
    stream->gone_context = context;
    stream->tls = tls ? tls_answer(tls) : NULL;
    stream->handshake_ms = handshake_ms;
    *out = stream;
    return 0;
}

void stream_own(struct stream *stream, const struct stream_owner *owner)
{
    must(stream->gone);
    must(!stream->is_connected);
    must(owner->received);
    must(owner->ended);
    stream->owner = *owner;
    if (stream->tls)
        uv_timer_start(&stream->timer, stream_expired, stream->handshake_ms, 0);
    stream_start(stream);
}

/* All that is queued, and goodbye, as far as the kernel takes it now. */
static void stream_say_goodbye(struct stream *stream)
{
    if (may_send(stream))
        stream_flush(stream);
    if (!may_send(stream) || !stream->tls)
        return;
    tls_finish(stream->tls);
    stream_flush(stream);
}

void stream_close(struct stream *stream, void (*closed)(void *context), void *context)
{
    must(!stream->is_closing);
    stream_say_goodbye(stream);
    stream->is_closing = true;
    stream->closed = closed;
    stream->closed_context = context;
    uv_close((uv_handle_t *)&stream->tcp, handle_closed);
    uv_close((uv_handle_t *)&stream->idle, handle_closed);
    uv_close((uv_handle_t *)&stream->timer, handle_closed);
}

/* Whether len more bytes may be queued: 0, or -ENOBUFS. */
static int stream_admit(struct stream *stream, size_t len)
{
    must(!stream->is_closing);
    if (len > LIMIT_STREAM_QUEUED_BYTES - stream_queued(stream))
        return err_new(-ENOBUFS);
    if (stream->is_open && !stream->is_sending)
        schedule(stream);
    return 0;
}

int stream_write(struct stream *stream, struct bytes bytes)
{
    int r;

    if (is_over(stream) || bytes.len == 0)
        return 0;
    r = stream_admit(stream, bytes.len);
    if (r < 0)
        return err_up(r);
    chunks_append(&stream->waiting, bytes);
    return 0;
}

int stream_write_buffer(struct stream *stream, struct buffer *buffer)
{
    int r = is_over(stream) || buffer->len == 0 ? 0 : stream_admit(stream, buffer->len);

    if (r < 0 || is_over(stream) || buffer->len == 0) {
        buffer_fini(buffer);
        return err_up(r);
    }
    chunks_take(&stream->waiting, buffer);
    return 0;
}

size_t stream_queued(const struct stream *stream)
{
    return stream->waiting.bytes + stream->sending_owned;
}

void stream_ask(struct stream *stream)
{
    must(stream->owner.writable);
    must(!stream->is_closing);
    stream->is_asked = true;
    if (stream->is_open && !stream->is_sending)
        schedule(stream);
}

const struct sockaddr_storage *stream_peer(const struct stream *stream)
{
    return &stream->peer;
}

enum tls_protocol stream_protocol(const struct stream *stream)
{
    return stream->tls && stream->is_open ? tls_protocol(stream->tls) : TLS_NONE;
}

const struct identity *stream_identity(const struct stream *stream)
{
    return stream->tls && stream->is_open ? tls_peer(stream->tls) : NULL;
}

const char *stream_error(const struct stream *stream, int reason)
{
    const char *text = stream->tls ? tls_reason(stream->tls) : "";

    return text[0] ? text : uv_strerror(reason);
}
