#include "storage/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"

int directory_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;

    if (fd >= 0)
        close(fd);
    return err_new(r);
}

/* The directory it is in: not path/.., for path may be a link. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent = mem_string(slash ? path : ".");

    if (slash)
        parent[slash == path ? 1 : slash - path] = '\0';
    return parent;
}

static int sync_name(const char *path)
{
    char *parent = parent_of(path);
    int r = directory_sync(parent);

    free(parent);
    return err_up(r);
}

static int make_above(const char *path)
{
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : err_new(-errno);
    return err_up(sync_name(path));
}

/* Synced even if it is there: whoever made it may have ended before. */
static int make_last(const char *path)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_new(-errno);
    return err_up(sync_name(path));
}

int directory_make(const char *path)
{
    char *copy = mem_string(path);
    int r = 0;

    for (size_t len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
        copy[len - 1] = '\0';
    for (char *at = copy + 1; r == 0 && *at; at++) {
        if (*at != '/' || at[-1] == '/')
            continue;
        *at = '\0';
        r = make_above(copy);
        *at = '/';
    }
    if (r == 0)
        r = make_last(copy);
    free(copy);
    return err_up(r);
}
