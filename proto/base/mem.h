/*
 * Memory. Running out stops the process: an apply that fails on one manager and not on
 * the others would leave them with different states, and a restart replays it cleanly.
 * In return, every size that came from outside is held to a named limit first.
 */
#pragma once

#include <stddef.h>

#define mem_new(type)          ((type *)mem_zeroed(1, sizeof(type)))
#define mem_new_array(type, n) ((type *)mem_zeroed((n), sizeof(type)))

/* Zeroed memory, or the process stops. Gives; release with free(). */
void *mem_zeroed(size_t count, size_t size) __attribute__((returns_nonnull));

/* Grow or shrink to count elements of size; new space is not zeroed. Takes old, gives. */
void *mem_resize(void *old, size_t count, size_t size) __attribute__((returns_nonnull));

/* Copies. NULL stays NULL. */
void *mem_copy(const void *from, size_t len);
char *mem_string(const char *text);

/* printf into a string of its own. Gives. */
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What a library gave that fails only for want of memory: NULL stops the process (decision 0001).
 */
void mem_must_have(const void *memory);
