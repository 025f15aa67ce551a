/*
 * DIR/lab.json: what lab this is, and which processes are its own.
 *
 * Written as a whole at each change, so that a reader sees one state or the next. It is how a lab
 * that was taken down comes back as it was, and how the processes of one whose daemon was
 * killed are found. It stays when the lab is taken down; a directory with one is a lab's.
 */
#pragma once

#include "proto/base/scope.h"
#include "server/lab/layout.h"
#include "server/lab/proc.h"

enum record_outcome {
    RECORD_ABSENT = 1,  /* No lab.json: no lab. */
    RECORD_DAMAGED = 2, /* There, but not what we wrote. */
};

struct record {
    struct layout_options options;
    struct proc daemon; /* pid 0: the lab is down. */
    struct proc *nodes; /* In the layout's order; pid 0: not running. */
    size_t node_count;
};

/* One for a lab with these options, nothing running. */
struct record *record_new(const struct layout_options *options);
void record_free(struct record *record);

int record_load(const char *dir, struct record **out);
int record_save(const char *dir, const struct record *record);

SCOPED(struct record *, record_free);
