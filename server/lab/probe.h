/*
 * A probe: asks one manager, over a connection that is kept, how it is.
 *
 * The owner decides when (probe_ask() at each tick); the probe keeps one question open at a
 * time, so a manager that does not answer costs nothing but its deadline.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum {
    PROBE_DEADLINE_MS = 1000, /* Three ticks missed, and one for a machine that is busy. */
    PROBE_ROLE_SIZE = 16,
};

struct probe;

/* What the manager said last; all zeroes while it does not answer. */
struct health {
    bool answering;
    bool ready;      /* It leads and can serve. */
    uint64_t leader; /* Whom it takes for the leader, by id; 0: it knows of none. */
    uint64_t term;
    char role[PROBE_ROLE_SIZE];   /* leader, follower, candidate. */
    char member[PROBE_ROLE_SIZE]; /* voter, standby, none; "" if it does not say. */
};

struct probe_options {
    struct sockaddr_in at;      /* Its API. */
    void (*heard)(void *owner); /* An answer came, or the hope for one ended. */
    void *owner;
};

/* Gives; nothing is asked yet. */
struct probe *probe_new(uv_loop_t *loop, const struct probe_options *options);

/* Takes the probe; its memory goes in a later turn of the loop. `heard` is not called again. */
void probe_close(struct probe *probe);

/* Ask, unless a question is open; give up on one that is open for too long. */
void probe_ask(struct probe *probe);

/* The process is gone: forget what it said. */
void probe_forget(struct probe *probe);

/* Borrowed until the next turn of the loop. */
const struct health *probe_health(const struct probe *probe);

/* Read the body of an answer; false if it is not what a manager says. */
bool probe_read(const char *body, size_t len, struct health *out);
