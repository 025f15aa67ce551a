/*
 * The link to whichever manager leads: register, report, pull, and find the next one.
 *
 *   apart ──> registering ──> reporting ──> pulling ──┐
 *     ▲            │              │            │      │ the answer is obeyed, the next Pull sent
 *     └────────────┴──────────────┴────────────┘ <────┘
 *      lost, silent, NOT_LEADER, an older term
 *
 * Managers are tried in turn from a random one on; a hint at the leader is followed at once. As
 * long as an election may be going on the rounds come quickly (ROUND_EARLY_MS), then ever more
 * slowly, with jitter. A manager that was silent is left out for a while, as one that was stopped
 * still accepts connections.
 *
 * After a Register everything known is reported before the first Pull, which asks for everything:
 * a worker that comes back says what it did, and then obeys. One Pull always waits at the manager.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "proto/worker.pb-c.h"
#include "server/worker/agent.h"

enum session_time {
    CONNECT_TIMEOUT_MS = 500,
    REGISTER_TIMEOUT_MS = 1500,
    REPORT_TIMEOUT_MS = 5000,
    PULL_MARGIN_MS = 1000, /* Beyond the manager's heartbeat_ms. */
    HEARTBEAT_DEFAULT_MS = 1000,
    ROUND_FIRST_MS = 50,
    ROUND_EARLY_MS = 100,
    ROUND_MOST_MS = 2000,
    ROUNDS_EARLY = 20,
    SHUN_MS = 2000,
};

struct session;

struct session_config {
    uv_loop_t *loop;
    const char *const *managers;              /* "host:port", as the operator gave them. Copied. */
    const struct sockaddr_storage *addresses; /* The same, resolved. Copied. */
    size_t manager_count;
    struct sockaddr_storage source;          /* Where connections come from. */
    const Worker__RegisterRequest *identity; /* Borrowed until session_close(). */
    struct agent *agent;                     /* Likewise. */
    uint64_t seed;                           /* For jitter and the first manager. */

    /* A leader of a new term answered: remember it, durably, before anything else. */
    void (*heard_term)(void *context, uint64_t term);

    /* An answer to a Pull is to be obeyed. < 0: it could not be; the same is asked again later. */
    int (*pulled)(void *context, uint64_t pull, const Worker__PullResponse *response);
    void *context;
};

/* Begin. Gives *out. */
int session_open(const struct session_config *config, struct session **out);

/* Let go of the loop. Takes session; its memory goes in the loop's time. */
void session_close(struct session *session);

/* At the end of each turn: send what the agent has to report. */
void session_report(struct session *session);

/* Registered with a leader, as far as is known. */
bool session_is_registered(const struct session *session);
