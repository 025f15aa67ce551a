/*
 * What workers are answered: that they should ask elsewhere or register, or what they should run.
 */
#pragma once

#include "server/manager/core_internal.h"

/* Answers that carry no work. Give; who leads and the term are filled in. */
Worker__RegisterResponse *dispatch_register_response(const struct core *core,
                                                     Worker__Outcome outcome);
Worker__PullResponse *dispatch_pull_response(const struct core *core, Worker__Outcome outcome);

/* End a call with nothing but an outcome. */
void dispatch_answer_plainly(struct core *core, struct rpc *rpc, Worker__Outcome outcome);

/* End a Pull with all that changed for the worker after version `since` (0: with everything), as of
 * `version`, within the turn's transaction. */
int dispatch_answer_pull(struct core *core, struct rpc *rpc, uint64_t worker_seq, uint64_t since,
                         uint64_t version);
