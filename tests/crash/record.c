/*
 * Loaded into a program (LD_PRELOAD), notes everything that it does to files under one directory,
 * for disk.c to cut the power at any point of it.
 *
 * CAIS_RECORD_UNDER is the directory, an absolute path without links; CAIS_RECORD_TO the trace.
 * One lock is held over each call and its event, so that the trace has the order of the calls.
 * A program that changes a file in a way not modelled (a writable shared mapping, links, ...)
 * leaves TRACE_UNKNOWN, and the replay says so and fails: silence would be a false proof.
 *
 * LMDB's lock file is such a mapping, and the one exception: it holds nothing that outlives
 * the processes that have it open.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/crash/trace.h"

enum { NODES_MAX = 4096 };

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int trace_fd = -1;
static struct {
    dev_t device;
    ino_t inode;
    bool free_form; /* Its contents are not followed: LMDB's lock file. */
} nodes[NODES_MAX];
static uint64_t node_count; /* A node's name in the trace is 1 + its place here. */

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void put(const void *base, size_t len)
{
    static ssize_t (*real)(int, const void *, size_t);
    const char *at = base;

    if (!real)
        real = REAL(write);
    while (len > 0) {
        ssize_t done = real(trace_fd, at, len);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            abort(); /* Half a trace would prove half of what it seems to. */
        at += done;
        len -= (size_t)done;
    }
}

static void event(struct trace_event event, const char *name, const char *to_name, const void *data)
{
    int saved = errno;

    event.name_len = name ? (uint32_t)strlen(name) : 0;
    event.to_name_len = to_name ? (uint32_t)strlen(to_name) : 0;
    put(&event, sizeof event);
    put(name, event.name_len);
    put(to_name, event.to_name_len);
    put(data, event.data_len);
    errno = saved;
}

static void unknown(const char *what)
{
    event((struct trace_event){.kind = TRACE_UNKNOWN}, what, NULL, NULL);
}

/* ---- which files are followed */

/* Backwards: an inode number may have been used before. */
static uint64_t node_find(const struct stat *stat)
{
    for (uint64_t i = node_count; i > 0; i--)
        if (nodes[i - 1].device == stat->st_dev && nodes[i - 1].inode == stat->st_ino)
            return i;
    return 0;
}

static uint64_t node_of_fd(int fd)
{
    struct stat stat;
    uint64_t node;

    if (trace_fd < 0 || fd == trace_fd || fstat(fd, &stat) < 0)
        return 0;
    node = node_find(&stat);
    return node && !nodes[node - 1].free_form ? node : 0;
}

static uint64_t node_add(const struct stat *stat, bool free_form)
{
    if (node_count == NODES_MAX)
        abort();
    nodes[node_count].device = stat->st_dev;
    nodes[node_count].inode = stat->st_ino;
    nodes[node_count].free_form = free_form;
    return ++node_count;
}

__attribute__((constructor)) static void start(void)
{
    const char *to = getenv("CAIS_RECORD_TO");
    const char *under = getenv("CAIS_RECORD_UNDER");
    struct stat stat_under;

    if (!to || !under || stat(under, &stat_under) < 0)
        return;
    trace_fd = REAL(open)(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (trace_fd < 0)
        abort();
    event((struct trace_event){.kind = TRACE_ROOT, .node = node_add(&stat_under, false)}, NULL,
          NULL, NULL);
}

/* A path's directory, and its last part; directory 0: not one that is followed. */
struct place {
    uint64_t dir;
    char path[PATH_MAX];
    const char *name; /* Within path. */
};

static uint64_t place_of(int dir_fd, const char *path, struct place *out)
{
    char base[PATH_MAX] = "", link[64];
    struct stat stat_dir;
    char *slash;

    out->dir = 0;
    if (trace_fd < 0 || !path)
        return 0;
    if (path[0] != '/' && dir_fd == AT_FDCWD && !getcwd(base, sizeof base))
        return 0;
    if (path[0] != '/' && dir_fd != AT_FDCWD) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", dir_fd);
        if (readlink(link, base, sizeof base - 1) < 0)
            return 0;
    }
    if ((size_t)snprintf(out->path, sizeof out->path, "%s%s%s", base, base[0] ? "/" : "", path) >=
        sizeof out->path)
        return 0;
    slash = strrchr(out->path, '/');
    if (!slash)
        return 0;
    *slash = '\0';
    if (stat(out->path, &stat_dir) == 0)
        out->dir = node_find(&stat_dir);
    *slash = '/';
    out->name = slash + 1;
    return out->dir;
}

/* ---- opening and making */

static bool is_lock_file(const char *name)
{
    return strcmp(name, "lock.mdb") == 0;
}

static int note_open(int fd, const struct place *place, bool was_there, int flags)
{
    struct stat stat;
    uint64_t node;

    if (fd < 0 || !place->dir || fstat(fd, &stat) < 0 || S_ISDIR(stat.st_mode))
        return fd;
    if (flags & (O_TMPFILE & ~O_DIRECTORY))
        unknown("O_TMPFILE");
    if (!was_there) {
        node = node_add(&stat, is_lock_file(place->name));
        event((struct trace_event){.kind = TRACE_FILE, .node = node, .other = place->dir},
              place->name, NULL, NULL);
    } else if (flags & O_TRUNC) {
        event((struct trace_event){.kind = TRACE_SIZE, .node = node_find(&stat)}, NULL, NULL, NULL);
    }
    return fd;
}

static int open_any(int dir_fd, const char *path, int flags, mode_t mode)
{
    struct place place;
    struct stat stat;
    bool was_there;
    int fd;

    pthread_mutex_lock(&lock);
    place_of(dir_fd, path, &place);
    was_there = place.dir && fstatat(dir_fd, path, &stat, 0) == 0;
    fd = note_open(REAL(openat)(dir_fd, path, flags, mode), &place, was_there, flags);
    pthread_mutex_unlock(&lock);
    return fd;
}

static mode_t mode_in(int flags, va_list args)
{
    return flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? (mode_t)va_arg(args, int) : 0;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list args;                                                                              \
        mode_t mode;                                                                               \
                                                                                                   \
        va_start(args, flags);                                                                     \
        mode = mode_in(flags, args);                                                               \
        va_end(args);                                                                              \
        return open_any(AT_FDCWD, path, flags, mode);                                              \
    }
#define OPENAT(name)                                                                               \
    int name(int dir_fd, const char *path, int flags, ...)                                         \
    {                                                                                              \
        va_list args;                                                                              \
        mode_t mode;                                                                               \
                                                                                                   \
        va_start(args, flags);                                                                     \
        mode = mode_in(flags, args);                                                               \
        va_end(args);                                                                              \
        return open_any(dir_fd, path, flags, mode);                                                \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int mkdirat(int dir_fd, const char *path, mode_t mode)
{
    struct place place;
    struct stat stat_new;
    int r;

    pthread_mutex_lock(&lock);
    place_of(dir_fd, path, &place);
    r = REAL(mkdirat)(dir_fd, path, mode);
    if (r == 0 && place.dir && stat(place.path, &stat_new) == 0)
        event((struct trace_event){.kind = TRACE_DIR,
                                   .node = node_add(&stat_new, false),
                                   .other = place.dir},
              place.name, NULL, NULL);
    pthread_mutex_unlock(&lock);
    return r;
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

/* ---- names */

int unlinkat(int dir_fd, const char *path, int flags)
{
    struct place place;
    int r;

    pthread_mutex_lock(&lock);
    place_of(dir_fd, path, &place);
    r = REAL(unlinkat)(dir_fd, path, flags);
    if (r == 0 && place.dir)
        event((struct trace_event){.kind = TRACE_UNLINK, .node = place.dir}, place.name, NULL,
              NULL);
    pthread_mutex_unlock(&lock);
    return r;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    struct place a, b;
    int r;

    pthread_mutex_lock(&lock);
    place_of(from_fd, from, &a);
    place_of(to_fd, to, &b);
    r = REAL(renameat2)(from_fd, from, to_fd, to, flags);
    if (r == 0 && (!a.dir != !b.dir))
        unknown("a rename into or out of the directory");
    else if (r == 0 && a.dir)
        event((struct trace_event){.kind = flags & RENAME_EXCHANGE ? TRACE_EXCHANGE : TRACE_RENAME,
                                   .node = a.dir,
                                   .other = b.dir},
              a.name, b.name, NULL);
    pthread_mutex_unlock(&lock);
    return r;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return renameat2(from_fd, from, to_fd, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int link(const char *from, const char *to)
{
    struct place place;

    if (place_of(AT_FDCWD, to, &place))
        unknown("link");
    return REAL(link)(from, to);
}

/* ---- contents */

static off_t write_begun(int fd, uint64_t node, const struct iovec *parts, int count, off_t offset)
{
    struct stat stat;
    off_t at = offset >= 0 ? offset : lseek(fd, 0, SEEK_CUR);

    if (offset < 0 && fcntl(fd, F_GETFL) & O_APPEND && fstat(fd, &stat) == 0)
        at = stat.st_size;
    for (int i = 0; i < count; i++) {
        event((struct trace_event){.kind = TRACE_WRITE,
                                   .node = node,
                                   .offset = (uint64_t)at,
                                   .data_len = (uint32_t)parts[i].iov_len},
              NULL, NULL, parts[i].iov_base);
        at += (off_t)parts[i].iov_len;
    }
    return at;
}

/* Offset -1: where the descriptor stands. */
static ssize_t write_any(int fd, const struct iovec *parts, int count, off_t offset)
{
    uint64_t node;
    ssize_t wanted = 0, done;

    pthread_mutex_lock(&lock);
    node = node_of_fd(fd);
    for (int i = 0; i < count; i++)
        wanted += (ssize_t)parts[i].iov_len;
    if (node)
        write_begun(fd, node, parts, count, offset);
    done = offset >= 0 ? REAL(pwritev)(fd, parts, count, offset) : REAL(writev)(fd, parts, count);
    if (node && done != wanted)
        unknown("a write that failed or fell short");
    else if (node && fcntl(fd, F_GETFL) & (O_DSYNC | O_SYNC))
        event((struct trace_event){.kind = TRACE_WRITTEN, .node = node, .offset = (uint64_t)count},
              NULL, NULL, NULL);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int fd, const void *base, size_t len)
{
    return write_any(fd, &(struct iovec){(void *)base, len}, 1, -1);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return write_any(fd, parts, count, -1);
}

#define PWRITE(name, type)                                                                         \
    ssize_t name(int fd, const void *base, size_t len, type offset)                                \
    {                                                                                              \
        return write_any(fd, &(struct iovec){(void *)base, len}, 1, offset);                       \
    }
#define PWRITEV(name, type)                                                                        \
    ssize_t name(int fd, const struct iovec *parts, int count, type offset)                        \
    {                                                                                              \
        return write_any(fd, parts, count, offset);                                                \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
PWRITEV(pwritev, off_t)
PWRITEV(pwritev64, off64_t)

static int resize_any(int fd, off_t size)
{
    uint64_t node;
    int r;

    pthread_mutex_lock(&lock);
    node = node_of_fd(fd);
    r = REAL(ftruncate)(fd, size);
    if (r == 0 && node)
        event((struct trace_event){.kind = TRACE_SIZE, .node = node, .offset = (uint64_t)size},
              NULL, NULL, NULL);
    pthread_mutex_unlock(&lock);
    return r;
}

int ftruncate(int fd, off_t size)
{
    return resize_any(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    return resize_any(fd, size);
}

#define REFUSED(condition, what, call)                                                             \
    {                                                                                              \
        pthread_mutex_lock(&lock);                                                                 \
        if (condition)                                                                             \
            unknown(what);                                                                         \
        pthread_mutex_unlock(&lock);                                                               \
        return call;                                                                               \
    }

int fallocate(int fd, int mode, off_t offset, off_t len)
    REFUSED(node_of_fd(fd), "fallocate", REAL(fallocate)(fd, mode, offset, len))

        int posix_fallocate(int fd, off_t offset, off_t len)
            REFUSED(node_of_fd(fd), "posix_fallocate", REAL(posix_fallocate)(fd, offset, len))

                int truncate(const char *path, off_t size)
                    REFUSED(place_of(AT_FDCWD, path, &(struct place){0}), "truncate",
                            REAL(truncate)(path, size))

                        ssize_t
    copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t len, unsigned flags)
        REFUSED(node_of_fd(to), "copy_file_range",
                REAL(copy_file_range)(from, from_at, to, to_at, len, flags))

#define WRITES(protection, flags) (((protection)&PROT_WRITE) && ((flags)&MAP_SHARED))

            void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
                REFUSED(WRITES(protection, flags) && fd >= 0 && node_of_fd(fd),
                        "a writable shared mapping",
                        REAL(mmap)(at, len, protection, flags, fd, offset))

                    void *mmap64(void *at, size_t len, int protection, int flags, int fd,
                                 off64_t offset)
                        REFUSED(WRITES(protection, flags) && fd >= 0 && node_of_fd(fd),
                                "a writable shared mapping",
                                REAL(mmap64)(at, len, protection, flags, fd, offset))

    /* ---- what makes it durable */

    static int note_sync(int fd, int r)
{
    uint64_t node = node_of_fd(fd);

    if (r == 0 && node)
        event((struct trace_event){.kind = TRACE_SYNC, .node = node}, NULL, NULL, NULL);
    return r;
}

#define SYNC(name)                                                                                 \
    int name(int fd)                                                                               \
    {                                                                                              \
        int r;                                                                                     \
                                                                                                   \
        pthread_mutex_lock(&lock);                                                                 \
        r = note_sync(fd, REAL(name)(fd));                                                         \
        pthread_mutex_unlock(&lock);                                                               \
        return r;                                                                                  \
    }
SYNC(fsync)
SYNC(fdatasync)

/* ---- marks */

void trace_mark(const void *data, uint32_t len)
{
    if (trace_fd < 0)
        return;
    pthread_mutex_lock(&lock);
    event((struct trace_event){.kind = TRACE_MARK, .data_len = len}, NULL, NULL, data);
    pthread_mutex_unlock(&lock);
}
