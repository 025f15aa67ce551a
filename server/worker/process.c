#include "server/worker/process.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#include "proto/base/bytes.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "server/worker/release.h"

enum {
    STAT_BYTES = 1024,
    STAT_PARENT = 4, /* Fields as proc(5) numbers them. */
    STAT_START = 22,
    ENVIRONMENT_MAX_BYTES =
        4 << 20, /* execve(2) takes no more than 6 MiB in all; no real one is near. */
};

/* One field of /proc/PID/stat after the name, which may hold anything, blanks and ')' too. */
static int stat_field(pid_t pid, int field, uint64_t *out)
{
    char path[64], line[STAT_BYTES];
    scope(file_close) int fd = -1;
    ssize_t len;
    char *at;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    len = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    if (len <= 0)
        return -ESRCH;
    line[len] = '\0';
    at = strrchr(line, ')');
    for (int i = 2; at && i < field; i++)
        at = strchr(at + 1, ' ');
    if (!at || sscanf(at, " %lu", out) != 1)
        return -ESRCH;
    return 0;
}

int process_start_time(pid_t pid, uint64_t *out)
{
    return err_new(stat_field(pid, STAT_START, out));
}

int process_parent(pid_t pid, pid_t *out)
{
    uint64_t parent;
    int r = stat_field(pid, STAT_PARENT, &parent);

    if (r < 0)
        return err_new(r);
    *out = (pid_t)parent;
    return 0;
}

void process_each(void (*each)(void *context, pid_t pid), void *context)
{
    scope(folder_close) DIR *folder = opendir("/proc");
    struct dirent *entry;

    while (folder && (entry = readdir(folder)))
        if (isdigit((unsigned char)entry->d_name[0]))
            each(context, (pid_t)strtol(entry->d_name, NULL, 10));
}

int process_open(pid_t pid, uint64_t start_time, int *out_fd)
{
    scope(file_close) int fd = pidfd_open(pid, 0);
    uint64_t now;
    int r;

    if (fd < 0)
        return err_new(-errno);
    r = process_start_time(pid, &now);
    if (r < 0)
        return err_up(r);
    if (now != start_time)
        return err_new(-ESRCH);
    *out_fd = fd;
    fd = -1;
    return 0;
}

/* ---- by environment */

static bool holds(const struct buffer *environment, const char *marker)
{
    size_t len = strlen(marker) + 1;

    for (size_t at = 0; at + len <= environment->len;) {
        const char *entry = (const char *)environment->base + at;
        const char *end = memchr(entry, '\0', environment->len - at);

        if (!end)
            return false;
        if (!memcmp(entry, marker, len))
            return true;
        at += (size_t)(end - entry) + 1;
    }
    return false;
}

static bool is_marked(pid_t pid, const char *marker)
{
    scope(buffer_fini) struct buffer environment = {0};
    scope(file_close) int fd = -1;
    char path[64];
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    do {
        n = read(fd, buffer_extend(&environment, STAT_BYTES), STAT_BYTES);
        environment.len -= STAT_BYTES - (n > 0 ? (size_t)n : 0);
    } while (n > 0 && environment.len < ENVIRONMENT_MAX_BYTES);
    return holds(&environment, marker);
}

struct hunt {
    const char *marker;
    size_t killed;
};

static void kill_if_marked(void *context, pid_t pid)
{
    struct hunt *hunt = context;
    scope(file_close) int fd = -1;

    if (pid == getpid() || !is_marked(pid, hunt->marker))
        return;
    fd = pidfd_open(pid, 0);
    if (fd < 0 || !is_marked(pid, hunt->marker)) /* Again: now it is the one the pidfd holds. */
        return;
    if (pidfd_send_signal(fd, SIGKILL, NULL, 0) == 0)
        hunt->killed++;
}

size_t process_kill_marked(const char *marker)
{
    struct hunt hunt = {.marker = marker};

    process_each(kill_if_marked, &hunt);
    return hunt.killed;
}
