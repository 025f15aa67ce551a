/*
 * A worker's call on its way through the core; the worker RPC's counterpart of call.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/list.h"
#include "proto/worker.pb-c.h"

enum rpc_kind {
    RPC_REGISTER,
    RPC_PULL,
    RPC_REPORT,
};

struct rpc {
    struct list link; /* The core's while it has the call. */
    enum rpc_kind kind;
    ProtobufCMessage *request;     /* Of the kind's type; borrowed until done. */
    void (*done)(struct rpc *rpc); /* On the core's thread, once; must only hand over. */
    ProtobufCMessage *response;    /* Set before done. Gives. */

    /* The core's own. */
    uint64_t worker_seq;
    uint64_t deadline_ms;
};
