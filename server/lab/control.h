/*
 * The lab's control socket: DIR/control.sock, one JSON object a line, a question and its answer.
 *
 * Who may enter the directory may command the lab; the file's mode says so too. The lab's
 * side lives in the loop, the verbs' side blocks.
 */
#pragma once

#include <jansson.h>
#include <uv.h>

struct control;
struct control_call;

enum {
    CONTROL_LINE_MAX = 1 << 20, /* The status of a thousand workers is a quarter of this. */
    CONTROL_CALLS_MAX = 64,
};

struct control_options {
    const char *dir; /* Copies. */
    /* A question: an object. Borrows it. The call is to be answered, now or later. */
    void (*asked)(void *owner, struct control_call *call, const json_t *question);
    void *owner;
};

/* Listen. -ENAMETOOLONG: the directory's path is too long for a socket in it. Gives *out. */
int control_open(uv_loop_t *loop, const struct control_options *options, struct control **out);

/* Remove the socket and end every call, once what was answered has left. Takes the control; its
 * memory goes in a later turn of the loop. NULL is fine. */
void control_close(struct control *control);

/* Answer a call, once. Takes the answer. */
void control_answer(struct control_call *call, json_t *answer);

/* ---- the verbs' side */

enum control_outcome {
    CONTROL_ABSENT = 1, /* No lab runs in this directory. */
};

/* Ask the lab in the directory. Borrows the question, gives the answer. -ETIMEDOUT;
 * -ECONNRESET: the lab ended meanwhile. */
int control_ask(const char *dir, const json_t *question, unsigned timeout_ms, json_t **out);
