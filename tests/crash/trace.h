/*
 * What a program did to the files under one directory, in order: written by record.c, which is
 * loaded into the program, and replayed by disk.c.
 *
 * A file of events, each a header and its bytes: a first name, a second name, data. Files and
 * directories are named by inode, so that a rename moves what was written with what it was
 * written to. Machine byte order: a trace is read where it was made.
 */
#pragma once

#include <stdint.h>

enum trace_kind {
    TRACE_ROOT = 1, /* node: the directory that is watched; empty at this time. */
    TRACE_FILE,     /* node: made in directory `other` under name. */
    TRACE_DIR,      /* The same for a directory. */
    TRACE_UNLINK,   /* name in directory node, a file or an empty directory. */
    TRACE_RENAME,   /* name in directory node becomes to_name in directory other. */
    TRACE_EXCHANGE, /* The same two change places. */
    TRACE_WRITE,    /* data at offset of node: begun. */
    TRACE_WRITTEN,  /* That write returned, through a descriptor that makes it durable. */
    TRACE_SIZE,     /* node has `offset` bytes from now on. */
    TRACE_SYNC,     /* fsync, fdatasync or msync of node returned. */
    TRACE_MARK,     /* data: what the program says of itself. */
    TRACE_UNKNOWN,  /* name: something that the model of the disk does not know. */
};

struct trace_event {
    uint32_t kind;
    uint32_t name_len;
    uint32_t to_name_len;
    uint32_t data_len;
    uint64_t node;
    uint64_t other;
    uint64_t offset;
};

/* What the program calls to leave a mark; absent unless record.c is loaded. */
void trace_mark(const void *data, uint32_t len) __attribute__((weak));
