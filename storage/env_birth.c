#include "storage/env_birth.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "storage/env.h"

static const char unborn[] = "birth.mdb";

static int errno_of(int rc)
{
    return rc > 0 ? -rc : rc < 0 ? -EIO : 0;
}

static int write_empty(int dir_fd)
{
    char path[64];
    MDB_env *mdb;
    int r = errno_of(mdb_env_create(&mdb));

    if (r < 0)
        return err_new(r);
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir_fd, unborn);
    r = errno_of(mdb_env_open(mdb, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0600));
    if (r == 0)
        r = errno_of(mdb_env_sync(mdb, 1));
    mdb_env_close(mdb);
    return err_new(r);
}

int env_birth(int dir_fd)
{
    struct stat stat;
    int r;

    if (fstatat(dir_fd, "data.mdb", &stat, 0) == 0 && stat.st_size > 0)
        return 0;
    if (unlinkat(dir_fd, unborn, 0) < 0 && errno != ENOENT) /* Of an attempt that was cut short. */
        return err_new(-errno);
    r = write_empty(dir_fd);
    if (r < 0)
        return err_up(r);
    if (renameat(dir_fd, unborn, dir_fd, "data.mdb") < 0 || fsync(dir_fd) < 0)
        return err_new(-errno);
    return 0;
}

int env_remove(const char *dir)
{
    static const char *const files[] = {"data.mdb", "lock.mdb", "birth.mdb"};
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = 0;

    if (fd < 0)
        return errno == ENOENT ? 0 : err_new(-errno);
    for (size_t i = 0; r == 0 && i < sizeof files / sizeof *files; i++)
        if (unlinkat(fd, files[i], 0) < 0 && errno != ENOENT)
            r = err_new(-errno);
    close(fd);
    if (r == 0 && rmdir(dir) < 0)
        r = err_new(-errno);
    return r;
}
