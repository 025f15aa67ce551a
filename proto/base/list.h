/*
 * Intrusive doubly linked lists: a struct carries its own link, so being on a list costs
 * no allocation and leaving one costs no search.
 *
 *     struct call { struct list link; ... };
 *     list_each(link, &core->calls) { struct call *call = list_entry(link, struct call, link); ...
 * }
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

#define list_entry(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Walk a list. The body may remove the current link, and no other. */
#define list_each(link, head)                                                                      \
    for (struct list *link = (head)->next, *link##_next = (link)->next; (link) != (head);          \
         (link) = link##_next, link##_next = (link)->next)

/* An empty head, or a link on no list. */
static inline void list_init(struct list *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

/* Append to the end of the list. The link must be on no list. */
static inline void list_append(struct list *head, struct list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

/* Leave the list; harmless for an initialised link that is on none. */
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Move all links of one list to the end of another. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}
