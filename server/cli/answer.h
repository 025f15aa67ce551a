/*
 * An HTTP/1.1 answer, read piece by piece, sans-IO: bytes in, status and body out.
 *
 * Enough for talking to our own managers and what stands before them: a length or the end of
 * the connection delimits the body; chunked bodies are refused.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/base/bytes.h"

enum {
    ANSWER_HEAD_MAX = 16 << 10,
    ANSWER_BODY_MAX = 32 << 20, /* A page of a hundred tasks with all they hold is far below. */
};

enum answer_outcome {
    ANSWER_PARTIAL = 1, /* More bytes are needed. */
};

/* All zeroes is one that has read nothing. */
struct answer {
    struct buffer bytes;
    size_t head_len; /* 0: not all of it is there. */
    size_t body_len;
    bool until_end;   /* No length was given: the connection's end is the body's. */
    bool keeps_alive; /* The connection may carry another. */
    int status;
};

/* Take what was received. Returns 0 when the answer is whole, ANSWER_PARTIAL, or -EPROTO. */
int answer_take(struct answer *answer, const void *base, size_t len);

/* The connection has ended. Returns 0 if that makes the answer whole, else -EPROTO. */
int answer_end(struct answer *answer);

/* The body of a whole answer, as JSON; -EPROTO if it is none. Gives. */
int answer_json(const struct answer *answer, json_t **out);

void answer_fini(struct answer *answer);

static inline void answer_fini_scoped(struct answer *answer)
{
    answer_fini(answer);
}
