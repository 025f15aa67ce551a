/*
 * Orders: what the verbs ask of a running lab, as the daemon carries them out.
 *
 * A question is {"verb": NAME, "args": [...], flags...}. The answer is {"ok": true, ...} with
 * "said", lines for the user, or "status"; or {"ok": false, "error": sentence}.
 */
#pragma once

#include <jansson.h>

struct daemon;
struct control_call;

/* Carry out an order and answer the call, now or (down) when it is done. Borrows the question. */
void orders_take(struct daemon *daemon, struct control_call *call, const json_t *question);
