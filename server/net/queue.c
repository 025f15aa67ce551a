#include "server/net/queue.h"

#include <stdlib.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"

struct queue {
    struct queue_config config;
    uv_async_t wake;
    void (*closed)(void *context);
    void *closed_context;

    uv_mutex_t mutex; /* Guards what follows, and that a closed handle is never woken. */
    struct list items;
    size_t count;
    bool is_closed;
};

static void deliver(struct queue *queue)
{
    struct list items;

    list_init(&items);
    uv_mutex_lock(&queue->mutex);
    list_splice(&items, &queue->items);
    queue->count = 0;
    uv_mutex_unlock(&queue->mutex);
    if (list_is_empty(&items))
        return;
    queue->config.took(queue->config.context, &items);
    must(list_is_empty(&items));
}

static void woken(uv_async_t *wake)
{
    struct queue *queue = wake->data;

    if (!uv_is_closing((uv_handle_t *)wake))
        deliver(queue);
}

int queue_open(uv_loop_t *loop, const struct queue_config *config, struct queue **out)
{
    struct queue *queue = mem_new(struct queue);
    int r;

    must(config->took);
    queue->config = *config;
    queue->wake.data = queue;
    list_init(&queue->items);
    r = uv_async_init(loop, &queue->wake, woken);
    if (r < 0) {
        free(queue);
        return err_new(r);
    }
    must(uv_mutex_init(&queue->mutex) == 0);
    *out = queue;
    return 0;
}

bool queue_push(struct queue *queue, struct list *item)
{
    bool room;

    uv_mutex_lock(&queue->mutex);
    room = !queue->is_closed && queue->count < queue->config.max;
    if (room) {
        list_append(&queue->items, item);
        if (queue->count++ == 0) /* Whoever finds it empty wakes; the others ride along. */
            must(uv_async_send(&queue->wake) == 0);
    }
    uv_mutex_unlock(&queue->mutex);
    return room;
}

static void wake_closed(uv_handle_t *handle)
{
    struct queue *queue = handle->data;

    deliver(queue);
    if (queue->closed)
        queue->closed(queue->closed_context);
}

void queue_close(struct queue *queue, void (*closed)(void *context), void *context)
{
    uv_mutex_lock(&queue->mutex);
    must(!queue->is_closed);
    queue->is_closed = true;
    uv_mutex_unlock(&queue->mutex);
    queue->closed = closed;
    queue->closed_context = context;
    uv_close((uv_handle_t *)&queue->wake, wake_closed);
}

void queue_free(struct queue *queue)
{
    if (!queue)
        return;
    must(queue->is_closed);
    must(list_is_empty(&queue->items));
    uv_mutex_destroy(&queue->mutex);
    free(queue);
}
