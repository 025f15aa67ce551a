/*
 * What goes one way through a relay: bytes under way on a line, and how they end. Sans-IO: it
 * knows what is due when, and the relay moves it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/bytes.h"
#include "proto/base/list.h"

struct rng;

/* The state of one direction. Zeroes: a good line. */
struct line {
    bool cut; /* Nothing moves: what is under way is held. */
    unsigned delay_ms;
    unsigned jitter_ms; /* Added to the delay: 0 to this much. */
};

enum flow_end {
    END_NONE,
    END_EOF,   /* Comes out after everything before it. */
    END_RESET, /* Comes out when it is due, whatever the receiver has not read. */
};

/* The time now, and chance for jitter (NULL will do if no line has any). */
struct flow_moment {
    uint64_t now_ms;
    struct rng *rng;
};

struct flow {
    struct line line;
    struct list chunks;
    size_t queued;   /* Bytes under way. */
    uint64_t due_ms; /* Of what entered last, the end included: order is kept. */
    enum flow_end end;
    bool ended;   /* The end has come out; nothing follows. */
    bool blocked; /* The receiver takes nothing now: the relay's to set. */
};

void flow_init(struct flow *flow, struct line line);
void flow_fini(struct flow *flow);

/* May more bytes enter? Not over a cut line, after the end, or beyond what a line holds. */
bool flow_accepts(const struct flow *flow);

/* Does what enters now come out now? Then it need not be queued. */
bool flow_is_straight(const struct flow *flow);

/* Bytes, or the end, enter. Copies. */
void flow_queue(struct flow *flow, struct bytes bytes, struct flow_moment at);
void flow_finish(struct flow *flow, enum flow_end end, struct flow_moment at);

/* The receiver is gone: what is under way is lost, and that is the end. */
void flow_lose(struct flow *flow);

/* What is due now, in one piece; len 0 if nothing. Borrowed until the next call. */
struct bytes flow_head(const struct flow *flow, uint64_t now_ms);
void flow_advance(struct flow *flow, size_t len);

/* The end, if it is due to come out now. */
enum flow_end flow_end_due(const struct flow *flow, uint64_t now_ms);

/* When something is due next without anything else happening; UINT64_MAX for never. */
uint64_t flow_next_ms(const struct flow *flow);
