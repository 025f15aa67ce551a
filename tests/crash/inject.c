/*
 * Loaded into a program (LD_PRELOAD), lets the k-th call of a kind fail.
 *
 * CAIS_INJECT is KIND:ERRNO:K, K counted from 1. For all kinds but memory only calls on files under
 * CAIS_INJECT_UNDER count, an absolute path without links. When it happens "injected" is written
 * to CAIS_INJECT_TOLD, so that who started the program knows whether there were K calls at all.
 * With K = 0 none fails, and their number is written there when the program ends.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char kind[16];
static int error;
static unsigned long countdown;
static bool only_counts;
static const char *under;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void)
{
    const char *plan = getenv("CAIS_INJECT");
    unsigned long k;
    int e;

    under = getenv("CAIS_INJECT_UNDER");
    if (!plan || !under || sscanf(plan, "%15[a-z]:%d:%lu", kind, &e, &k) != 3)
        return;
    error = e;
    only_counts = k == 0;
    __atomic_store_n(&countdown, k, __ATOMIC_SEQ_CST);
}

static void tell(const char *text, size_t len)
{
    const char *told = getenv("CAIS_INJECT_TOLD");
    int fd = told ? REAL(open)(told, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd < 0)
        return;
    if (REAL(write)(fd, text, len) != (ssize_t)len)
        abort();
    close(fd);
}

__attribute__((destructor)) static void end(void)
{
    char text[32];
    bool counts = error != 0 && only_counts;

    error = 0;
    if (counts)
        tell(text, (size_t)snprintf(text, sizeof text, "%lu\n", -countdown));
}

/* Of the calls of this kind that count, is this the one? errno is then set. */
static bool fails(const char *what, bool counts)
{
    if (error == 0 || !counts || strcmp(what, kind) != 0)
        return false;
    if (__atomic_fetch_sub(&countdown, 1, __ATOMIC_SEQ_CST) != 1)
        return false;
    tell("injected\n", 9);
    errno = error;
    return true;
}

static bool is_under(const char *path)
{
    return under && strncmp(path, under, strlen(under)) == 0;
}

static bool path_counts(const char *path)
{
    return is_under(path) || path[0] != '/' || strncmp(path, "/proc/self/fd/", 14) == 0;
}

static bool fd_counts(int fd)
{
    char link[64], path[PATH_MAX] = "";

    if (fd < 0 || error == 0)
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, path, sizeof path - 1) > 0 && is_under(path);
}

#define FAILING(type, name, parameters, what, counts, failure, call)                               \
    type name parameters                                                                           \
    {                                                                                              \
        return fails(what, counts) ? (failure) : REAL(name) call;                                  \
    }

FAILING(ssize_t, write, (int fd, const void *base, size_t len), "write", fd_counts(fd), -1,
        (fd, base, len))
FAILING(ssize_t, writev, (int fd, const struct iovec *parts, int count), "write", fd_counts(fd), -1,
        (fd, parts, count))
FAILING(ssize_t, pwrite, (int fd, const void *base, size_t len, off_t at), "write", fd_counts(fd),
        -1, (fd, base, len, at))
FAILING(ssize_t, pwrite64, (int fd, const void *base, size_t len, off64_t at), "write",
        fd_counts(fd), -1, (fd, base, len, at))
FAILING(ssize_t, pwritev, (int fd, const struct iovec *parts, int count, off_t at), "write",
        fd_counts(fd), -1, (fd, parts, count, at))
FAILING(ssize_t, pwritev64, (int fd, const struct iovec *parts, int count, off64_t at), "write",
        fd_counts(fd), -1, (fd, parts, count, at))
FAILING(ssize_t, pread, (int fd, void *base, size_t len, off_t at), "read", fd_counts(fd), -1,
        (fd, base, len, at))
FAILING(ssize_t, pread64, (int fd, void *base, size_t len, off64_t at), "read", fd_counts(fd), -1,
        (fd, base, len, at))
FAILING(int, fsync, (int fd), "sync", fd_counts(fd), -1, (fd))
FAILING(int, fdatasync, (int fd), "sync", fd_counts(fd), -1, (fd))
FAILING(int, ftruncate, (int fd, off_t size), "size", fd_counts(fd), -1, (fd, size))
FAILING(int, ftruncate64, (int fd, off64_t size), "size", fd_counts(fd), -1, (fd, size))
FAILING(int, renameat, (int from_dir, const char *from, int to_dir, const char *to), "rename",
        path_counts(from), -1, (from_dir, from, to_dir, to))
FAILING(int, rename, (const char *from, const char *to), "rename", path_counts(from), -1,
        (from, to))
FAILING(int, renameat2,
        (int from_dir, const char *from, int to_dir, const char *to, unsigned flags), "rename",
        path_counts(from), -1, (from_dir, from, to_dir, to, flags))
FAILING(int, mkdir, (const char *path, mode_t mode), "open", path_counts(path), -1, (path, mode))
FAILING(FILE *, fopen, (const char *path, const char *mode), "open", path_counts(path), NULL,
        (path, mode))
FAILING(int, fflush, (FILE * file), "write", file &&fd_counts(fileno(file)), EOF, (file))
FAILING(void *, mmap, (void *at, size_t len, int protection, int flags, int fd, off_t offset),
        "map", fd_counts(fd), MAP_FAILED, (at, len, protection, flags, fd, offset))
FAILING(void *, mmap64, (void *at, size_t len, int protection, int flags, int fd, off64_t offset),
        "map", fd_counts(fd), MAP_FAILED, (at, len, protection, flags, fd, offset))

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list args;                                                                              \
        int mode;                                                                                  \
                                                                                                   \
        va_start(args, flags);                                                                     \
        mode = flags & O_CREAT ? va_arg(args, int) : 0;                                            \
        va_end(args);                                                                              \
        return fails("open", path_counts(path)) ? -1 : REAL(name)(path, flags, mode);              \
    }
OPEN(open)
OPEN(open64)

/* glibc's own names: dlsym() may itself ask for memory. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
    return fails("memory", true) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails("memory", true) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails("memory", true) ? NULL : __libc_realloc(old, size);
}
