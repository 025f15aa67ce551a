#include "tests/crash/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"

enum {
    SECTOR = 512,
    PATH_BYTES = 512,
};

/* A change that is not durable, to a file or to a directory. */
struct change {
    enum trace_kind kind;
    bool durable; /* Returned through O_DSYNC, while older changes are still pending. */
    uint64_t offset;
    uint8_t *data;
    size_t len;
    uint64_t node; /* TRACE_FILE and TRACE_DIR: what is made. */
    char *name;
    char *to_name;
};

struct entry {
    char *name;
    uint64_t node;
};

struct node {
    bool is_dir;
    struct buffer bytes;   /* Durable contents of a file. */
    struct entry *entries; /* Durable contents of a directory. */
    size_t entry_count;
    struct change *changes; /* In the order they were made. */
    size_t change_count;
};

struct disk {
    enum disk_mutant mutant;
    struct node *nodes; /* A node's name in the trace is 1 + its place here. */
    size_t node_count;
    size_t pending;
};

struct disk *disk_new(enum disk_mutant mutant)
{
    struct disk *disk = mem_new(struct disk);

    disk->mutant = mutant;
    return disk;
}

static void change_fini(struct change *change)
{
    free(change->data);
    free(change->name);
    free(change->to_name);
}

static void entries_free(struct entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(entries[i].name);
    free(entries);
}

static void node_fini(struct node *node)
{
    buffer_fini(&node->bytes);
    entries_free(node->entries, node->entry_count);
    for (size_t i = 0; i < node->change_count; i++)
        change_fini(&node->changes[i]);
    free(node->changes);
}

void disk_free(struct disk *disk)
{
    if (!disk)
        return;
    for (size_t i = 0; i < disk->node_count; i++)
        node_fini(&disk->nodes[i]);
    free(disk->nodes);
    free(disk);
}

size_t disk_pending(const struct disk *disk)
{
    return disk->pending;
}

/* ---- directories */

static struct entry *entry_find(const struct node *dir, const char *name)
{
    for (size_t i = 0; i < dir->entry_count; i++)
        if (strcmp(dir->entries[i].name, name) == 0)
            return &dir->entries[i];
    return NULL;
}

static void entry_set(struct node *dir, const char *name, uint64_t node)
{
    struct entry *entry = entry_find(dir, name);

    if (entry) {
        entry->node = node;
        return;
    }
    dir->entries = mem_resize(dir->entries, dir->entry_count + 1, sizeof *dir->entries);
    dir->entries[dir->entry_count++] = (struct entry){mem_string(name), node};
}

/* The node it was; 0 if there was none. */
static uint64_t entry_remove(struct node *dir, const char *name)
{
    struct entry *entry = entry_find(dir, name);
    uint64_t node;

    if (!entry)
        return 0;
    node = entry->node;
    free(entry->name);
    *entry = dir->entries[--dir->entry_count];
    return node;
}

static void dir_change(struct node *dir, const struct change *change)
{
    struct entry *entry;
    uint64_t moved;

    switch (change->kind) {
    case TRACE_FILE:
    case TRACE_DIR:
        entry_set(dir, change->name, change->node);
        break;
    case TRACE_UNLINK:
        entry_remove(dir, change->name);
        break;
    case TRACE_RENAME:
        moved = entry_remove(dir, change->name);
        if (moved)
            entry_set(dir, change->to_name, moved);
        break;
    default:
        must(change->kind == TRACE_EXCHANGE);
        entry = entry_find(dir, change->name);
        moved = entry ? entry->node : 0;
        entry = entry_find(dir, change->to_name);
        if (!moved || !entry)
            break;
        entry_set(dir, change->name, entry->node);
        entry_set(dir, change->to_name, moved);
    }
}

/* ---- files */

static void file_size(struct buffer *bytes, size_t size)
{
    if (size > bytes->len)
        memset(buffer_extend(bytes, size - bytes->len), 0, size - bytes->len);
    bytes->len = size;
}

static void file_write(struct buffer *bytes, size_t offset, const uint8_t *data, size_t len)
{
    if (offset + len > bytes->len)
        file_size(bytes, offset + len);
    if (len > 0)
        memcpy(bytes->base + offset, data, len);
}

static void file_change(struct buffer *bytes, const struct change *change)
{
    if (change->kind == TRACE_SIZE)
        file_size(bytes, change->offset);
    else
        file_write(bytes, change->offset, change->data, change->len);
}

/* ---- the trace */

static void settle(struct disk *disk, struct node *node)
{
    for (size_t i = 0; i < node->change_count; i++) {
        if (node->is_dir)
            dir_change(node, &node->changes[i]);
        else
            file_change(&node->bytes, &node->changes[i]);
        change_fini(&node->changes[i]);
    }
    disk->pending -= node->change_count;
    node->change_count = 0;
}

static void sync_node(struct disk *disk, struct node *node)
{
    if (disk->mutant == DISK_NO_SYNC && !node->is_dir)
        return;
    if (disk->mutant == DISK_NO_DIR_SYNC && node->is_dir)
        return;
    settle(disk, node);
}

/* The last `count` writes returned through O_DSYNC. */
static void written(struct disk *disk, struct node *node, uint64_t count)
{
    bool all = true;

    if (disk->mutant == DISK_NO_SYNC || disk->mutant == DISK_NO_META_SYNC)
        return;
    for (size_t i = 0; i < node->change_count; i++) {
        node->changes[i].durable |= i + count >= node->change_count;
        all &= node->changes[i].durable;
    }
    if (all)
        settle(disk, node);
}

static void node_add(struct disk *disk, bool is_dir)
{
    disk->nodes = mem_resize(disk->nodes, disk->node_count + 1, sizeof *disk->nodes);
    disk->nodes[disk->node_count++] = (struct node){.is_dir = is_dir};
}

static void change_add(struct disk *disk, uint64_t node, const struct trace_event *event,
                       struct disk_bytes bytes)
{
    struct node *of = &disk->nodes[node - 1];

    of->changes = mem_resize(of->changes, of->change_count + 1, sizeof *of->changes);
    of->changes[of->change_count++] = (struct change){
        .kind = event->kind,
        .offset = event->offset,
        .data = mem_copy(bytes.data, event->data_len),
        .len = event->data_len,
        .node = event->node,
        .name = mem_string(bytes.name),
        .to_name = mem_string(bytes.to_name),
    };
    disk->pending++;
}

static bool node_is_there(const struct disk *disk, uint64_t node)
{
    return node > 0 && node <= disk->node_count;
}

static const char *feed_new(struct disk *disk, const struct trace_event *event,
                            struct disk_bytes bytes)
{
    if (event->node != disk->node_count + 1)
        return "nodes are not numbered in order";
    if (event->kind != TRACE_ROOT && !node_is_there(disk, event->other))
        return "made in a directory that is not there";
    node_add(disk, event->kind != TRACE_FILE);
    if (event->kind != TRACE_ROOT)
        change_add(disk, event->other, event, bytes);
    return NULL;
}

const char *disk_feed(struct disk *disk, const struct trace_event *event, struct disk_bytes bytes)
{
    if (event->kind == TRACE_ROOT || event->kind == TRACE_FILE || event->kind == TRACE_DIR)
        return feed_new(disk, event, bytes);
    if (event->kind == TRACE_MARK)
        return NULL;
    if (event->kind == TRACE_UNKNOWN)
        return "the program did something that is not modelled";
    if (!node_is_there(disk, event->node))
        return "a change to what is not there";
    switch (event->kind) {
    case TRACE_RENAME:
    case TRACE_EXCHANGE:
        if (event->node != event->other)
            return "a rename between directories is not modelled";
        __attribute__((fallthrough));
    case TRACE_UNLINK:
    case TRACE_WRITE:
    case TRACE_SIZE:
        change_add(disk, event->node, event, bytes);
        return NULL;
    case TRACE_WRITTEN:
        written(disk, &disk->nodes[event->node - 1], event->offset);
        return NULL;
    case TRACE_SYNC:
        sync_node(disk, &disk->nodes[event->node - 1]);
        return NULL;
    default:
        return "an unknown event";
    }
}

/* ---- one state */

/* What is being written, and how it is decided what is there. */
struct writing {
    const struct disk *disk;
    enum disk_choice choice;
    struct rng *rng;
    unsigned percent; /* DISK_CHANCE: how much of what is pending is there. */
};

static bool is_there(struct writing *w)
{
    if (w->choice != DISK_CHANCE)
        return w->choice == DISK_EVERYTHING;
    return rng_below(w->rng, 100) < w->percent;
}

/* Any sectors of it. Where one is missing the old contents stay, and the file is no longer for it
 * unless a later sector made it so. */
static void write_torn(struct writing *w, struct buffer *bytes, const struct change *change)
{
    size_t at = 0;

    while (at < change->len) {
        size_t len = SECTOR - (change->offset + at) % SECTOR;

        if (len > change->len - at)
            len = change->len - at;
        if (rng_below(w->rng, 2))
            file_write(bytes, change->offset + at, change->data + at, len);
        at += len;
    }
}

static void pending_write(struct writing *w, struct buffer *bytes, const struct change *change)
{
    if (w->choice == DISK_CHANCE && !change->durable && change->kind == TRACE_WRITE &&
        rng_below(w->rng, 4) == 0)
        write_torn(w, bytes, change);
    else if (change->durable || is_there(w))
        file_change(bytes, change);
}

static int write_file(struct writing *w, const struct node *node, const char *path)
{
    scope(buffer_fini) struct buffer bytes = {0};
    int fd, r = 0;

    if (node->bytes.len > 0)
        buffer_append(&bytes, node->bytes.base, node->bytes.len);
    for (size_t i = 0; i < node->change_count; i++)
        pending_write(w, &bytes, &node->changes[i]);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_new(-errno);
    if (bytes.len > 0 && pwrite(fd, bytes.base, bytes.len, 0) != (ssize_t)bytes.len)
        r = err_new(-EIO);
    close(fd);
    return r;
}

static int write_dir(struct writing *w, const struct node *node, const char *path);

static int write_entry(struct writing *w, const struct entry *entry, const char *dir)
{
    const struct node *node = &w->disk->nodes[entry->node - 1];
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "%s/%s", dir, entry->name);
    if (!node->is_dir)
        return err_up(write_file(w, node, path));
    if (mkdir(path, 0700) < 0)
        return err_new(-errno);
    return err_up(write_dir(w, node, path));
}

/* The changes to it up to some point. */
static size_t names_there(struct writing *w, const struct node *node)
{
    if (w->choice == DISK_CHANCE)
        return (size_t)rng_below(w->rng, node->change_count + 1);
    return w->choice == DISK_EVERYTHING ? node->change_count : 0;
}

static int write_dir(struct writing *w, const struct node *node, const char *path)
{
    struct node there = {.is_dir = true};
    size_t count = names_there(w, node);
    int r = 0;

    for (size_t i = 0; i < node->entry_count; i++)
        entry_set(&there, node->entries[i].name, node->entries[i].node);
    for (size_t i = 0; i < count; i++)
        dir_change(&there, &node->changes[i]);
    for (size_t i = 0; i < there.entry_count && r == 0; i++)
        r = write_entry(w, &there.entries[i], path);
    entries_free(there.entries, there.entry_count);
    return r < 0 ? err_up(r) : 0;
}

int disk_write(const struct disk *disk, enum disk_choice choice, struct rng *rng, const char *path)
{
    static const unsigned percents[] = {5, 50, 50, 95};
    struct writing w = {disk, choice, rng, percents[rng_below(rng, 4)]};

    must(disk->node_count > 0);
    return err_up(write_dir(&w, &disk->nodes[0], path));
}
