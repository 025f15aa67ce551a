/*
 * The managers a worker may turn to, and which is next.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proto/base/rng.h"

enum { DIRECTORY_MAX = 16 };

struct directory_entry {
    char *text; /* As given: "host:port". */
    struct sockaddr_storage address;
    uint64_t shunned_until_ms; /* It was silent: not to be tried before. */
};

struct directory {
    struct directory_entry entries[DIRECTORY_MAX];
    size_t count;
    size_t at;    /* The one in use: in turn, or followed. */
    size_t turn;  /* Whose turn it was last. */
    size_t tried; /* How many turns there were in this round. */
};

void directory_init(struct directory *directory);
void directory_fini(struct directory *directory);

/* Add a manager unless it is there or the directory is full. Copies. */
void directory_add(struct directory *directory, const char *text,
                   const struct sockaddr_storage *address);

/* Begin a round at a random one. */
void directory_shuffle(struct directory *directory, struct rng *rng);

/* Move on to the next one that is not shunned now. False: the round is over, all were tried; the
 * next call begins a new one. If all are shunned none is. */
bool directory_next(struct directory *directory, uint64_t now_ms);

/* Move to the one a manager named as the leader; it is added if its host is numeric. False: no
 * such, shunned, or the one in use. */
bool directory_follow(struct directory *directory, const char *text, uint64_t now_ms);

/* The one in use answered as the leader: the next round begins after it, and ends with it. */
void directory_settle(struct directory *directory);

/* The one in use was silent. */
void directory_shun(struct directory *directory, uint64_t until_ms);

static inline const struct directory_entry *directory_current(const struct directory *directory)
{
    return &directory->entries[directory->at];
}
