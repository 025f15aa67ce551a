/*
 * Any bytes into the server's side of a gRPC connection, in pieces, while the clock runs: no
 * must, no leak, no touch of what is gone. The first byte chooses the size of the pieces and
 * whether calls are answered at once, later, or after the session is gone. The preface of
 * HTTP/2 comes first: nobody guesses that.
 */
#include <stdint.h>
#include <string.h>

#include "proto/base/must.h"
#include "server/net/grpc_session.h"

enum { HELD_MAX = 64, ROUNDS_MAX = 64 };

struct owner {
    struct grpc_call *held[HELD_MAX];
    size_t held_count;
    unsigned manner;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void end_call(struct grpc_call *call, struct bytes message)
{
    if (message.len % 2)
        grpc_reply(call, message);
    else
        grpc_fail(call, GRPC_UNIMPLEMENTED, "an even message");
}

static void called(void *context, struct grpc_call *call, const char *path, struct bytes message)
{
    struct owner *owner = context;

    must(path[0] == '/' || path[0] == '*');
    must(!grpc_call_is_gone(call));
    if (owner->manner == 0 || owner->held_count == HELD_MAX)
        end_call(call, message);
    else
        owner->held[owner->held_count++] = call;
}

static void answered(void *context)
{
    (void)context;
}

static void end_held(struct owner *owner)
{
    for (size_t i = 0; i < owner->held_count; i++)
        end_call(owner->held[i], (struct bytes){"later", i % 6});
    owner->held_count = 0;
}

/* Let the session say what it has to say, as long as it is not too long. */
static void listen_to(struct http2 *http2)
{
    struct bytes bytes;

    for (int i = 0; i < ROUNDS_MAX && http2_next(http2, &bytes); i++)
        must(bytes.len > 0);
}

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct owner owner = {.manner = size > 0 ? data[0] % 3u : 0};
    const struct grpc_session_owner session_owner = {
        .called = called, .answered = answered, .context = &owner};
    struct grpc_session *session = grpc_session_new(&session_owner);
    struct http2 *http2 = grpc_session_http2(session);
    size_t step = size > 0 ? 1 + (size_t)data[0] * 4 : 1;
    uint64_t now_ms = 1;

    must(http2_receive(http2, (struct bytes){preface, sizeof preface}) == 0);
    for (size_t at = 1; at < size && !http2_is_over(http2); at += step, now_ms += 700) {
        struct bytes piece = {data + at, size - at < step ? size - at : step};

        if (http2_receive(http2, piece) < 0)
            break;
        grpc_session_move(session, now_ms);
        listen_to(http2);
        if (owner.manner == 1)
            end_held(&owner);
    }
    grpc_session_free(session);
    end_held(&owner);
    return 0;
}
