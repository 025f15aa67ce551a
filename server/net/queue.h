/*
 * A bounded queue from any thread to a uv loop.
 *
 * Producers push links under a mutex; the loop is woken once and takes all that waits. What
 * comes from one thread arrives in the order it was pushed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "proto/base/list.h"

struct queue;

struct queue_config {
    size_t max; /* Links that may wait at a time. */

    /* On the loop's thread: all that waited, oldest first. The head is borrowed; the links on
     * it are the callback's, which must take every one off (or splice them away). */
    void (*took)(void *context, struct list *items);
    void *context;
};

/* Gives *out; release it with queue_close(), and then queue_free(). */
int queue_open(uv_loop_t *loop, const struct queue_config *config, struct queue **out);

/* Hand a link to the loop. From any thread. Takes it on true. False: the queue is full or closed,
 * and the link is still the caller's. */
bool queue_push(struct queue *queue, struct list *item);

/* Close, on the loop's thread: pushes fail from now on. What still waits is taken in a later
 * iteration of the loop, by a last `took`; then closed (may be NULL) is called. */
void queue_close(struct queue *queue, void (*closed)(void *context), void *context);

/* Return the memory, once closed was called and no thread pushes any more. NULL is fine. */
void queue_free(struct queue *queue);
