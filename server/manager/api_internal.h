/*
 * What the files of the API share: an exchange (one HTTP request and its answer), and what it
 * passes on the way. Nobody outside server/manager/api*.c includes this.
 *
 * An exchange belongs to its connection's thread. What it submits to the core is a `waiting`, on
 * the heap by itself, because it must outlive the exchange when the API closes first. Both the
 * thread and the core reach it, so `lock` guards the link between the two, and nothing is done
 * under it that could wait.
 */
#pragma once

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "proto/base/bytes.h"
#include "proto/base/list.h"
#include "proto/base/rng.h"
#include "proto/problem.h"
#include "server/manager/api.h"
#include "server/manager/api_render.h"
#include "server/manager/tokens.h"

/* One operation of ECS, or of the operator's. */
struct action {
    const char *name;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    bool write;
    int (*render)(struct render *render); /* Outcomes: enum render_outcome. NULL: it is Backup,
                                             whose answer is no message. */
    bool operators;                       /* Only on the operator's socket, under Cais. */
    /* Before validation: what the manager itself puts into the request. NULL: nothing. */
    int (*prepare)(ProtobufCMessage *request, char secret[TOKEN_SECRET_TEXT]);
};

extern const struct action actions[];
extern const size_t action_count;
enum { ACTIONS_MAX = 64 };

/* Answers by operation (the last row: none) and status, for /metrics. */
enum counted_status { COUNTED_200, COUNTED_400, COUNTED_500, COUNTED_OTHER, COUNTED_STATUSES };

struct api {
    struct api_config config;
    struct MHD_Daemon *daemon;
    atomic_size_t body_bytes; /* Of all exchanges. */
    atomic_uint_fast64_t answers[ACTIONS_MAX + 1][COUNTED_STATUSES];

    pthread_mutex_t lock; /* Guards what follows. */
    struct list waiting; /* Of struct waiting: in the core, with an exchange that waits for them. */
    size_t references;   /* The owner's, and one for each call in the core. The last one frees. */
    bool closing;
    struct rng rng; /* For request ids. */
};

/* A call in the core. */
struct waiting {
    struct call call;
    struct list link;
    struct api *api;
    struct exchange *exchange; /* NULL: cut loose, nobody waits for it any more. */
    ProtobufCMessage *request; /* Owned; the call borrows it. */
    const struct action *action;
    int rendered;               /* As action.render, when the response is there. */
    ProtobufCMessage *response; /* Owned, as is the problem. */
    Command__Problem *problem;
    char secret[TOKEN_SECRET_TEXT]; /* Of the token it makes: only its answer tells it. */
};

enum exchange_state {
    EXCHANGE_READING,  /* Head and body arrive. */
    EXCHANGE_WAITING,  /* Suspended, the core has the call. */
    EXCHANGE_RETURNED, /* The core has done with it, and waiting holds the outcome. */
    EXCHANGE_CUT_OFF,  /* The API closed first. */
};

struct exchange {
    struct api *api;
    struct MHD_Connection *connection;
    char id[37]; /* x-amzn-RequestId */
    enum exchange_state state;
    struct buffer body;
    size_t body_seen; /* Bytes that came, kept or not. */
    bool throttled;   /* No room for this body among all the others. */
    const struct action *action;
    struct waiting *waiting;
};

/* api_call.c: a POST / with its body complete, and the same exchange when the core has answered.
 * Both queue an answer, or suspend. */
enum MHD_Result exchange_begin(struct exchange *exchange);
enum MHD_Result exchange_finish(struct exchange *exchange);
void waiting_free(struct waiting *waiting);
/* call.collect of every write: the answer, from the core's transaction. */
void waiting_collect(struct call *call, const Command__CommandResult *result, struct txn *txn);

/* api_answer.c: queue an answer. */
enum MHD_Result answer_message(struct exchange *exchange, const ProtobufCMessage *message);
enum MHD_Result answer_problem(struct exchange *exchange, const Command__Problem *problem);
enum MHD_Result answer_refusal(struct exchange *exchange, Command__ErrorCode code,
                               const char *format, ...) __attribute__((format(printf, 3, 4)));
enum MHD_Result answer_text(struct exchange *exchange, unsigned status, const char *content_type,
                            struct buffer *body); /* Takes the contents of body. */
/* Whatever the response has; takes it. */
enum MHD_Result answer_with(struct exchange *exchange, unsigned status,
                            struct MHD_Response *response);
/* An HTTP error outside ECS's own list, with a JSON body; allow (may be NULL) is its Allow header.
 */
enum MHD_Result answer_http(struct exchange *exchange, unsigned status, const char *name,
                            const char *text, const char *allow);

/* api_status.c */
enum MHD_Result answer_status(struct exchange *exchange);
enum MHD_Result answer_metrics(struct exchange *exchange);

/* api_backup.c: the state, as a file. */
enum MHD_Result answer_backup(struct exchange *exchange);

/* api.c: hand a call to the core and suspend; takes request. False: closing, nothing was done and
 * the request is freed. secret (NULL: none) is TOKEN_SECRET_TEXT long; copied. */
bool exchange_submit(struct exchange *exchange, ProtobufCMessage *request, bool stale,
                     const char *secret);
