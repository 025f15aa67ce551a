/*
 * From a backup to a directory that a manager can begin from.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "storage/backup_inner.h"
#include "storage/tables.h"
#include "storage/verify.h"

/* Mapped while it is filled; it grows on its own, and a manager maps what it wants. */
static const size_t MAP_BYTES = (size_t)256 << 20;

struct restore {
    const char *dir;
    int dir_fd; /* Locked. */
    bool made;  /* The directory was not there. */
    char *incoming;
    char *state;
    struct snapshot_writer *writer;
    struct env *env;
};

static void restore_fini(struct restore *restore)
{
    snapshot_writer_free(restore->writer);
    env_free(restore->env);
    if (restore->dir_fd >= 0)
        close(restore->dir_fd);
    free(restore->incoming);
    free(restore->state);
}

/* ---- the directory */

static bool is_there(int dir_fd, const char *name)
{
    struct stat found;

    return fstatat(dir_fd, name, &found, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Its name must survive a power cut too. */
static int sync_parent(const struct restore *restore)
{
    int fd = openat(restore->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;

    if (fd >= 0)
        close(fd);
    return err_new(r);
}

static int open_directory(struct restore *restore)
{
    if (mkdir(restore->dir, 0700) == 0)
        restore->made = true;
    else if (errno != EEXIST)
        return err_new(-errno);
    restore->dir_fd = open(restore->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (restore->dir_fd < 0)
        return err_new(-errno);
    if (flock(restore->dir_fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? BACKUP_BUSY : err_new(-errno);
    if (is_there(restore->dir_fd, "state") || is_there(restore->dir_fd, "data.mdb"))
        return BACKUP_EXISTS;
    return restore->made ? err_up(sync_parent(restore)) : 0;
}

/* ---- what is built in it */

static int each_chunk(void *context, struct bytes chunk, uint32_t crc)
{
    struct restore *restore = context;
    int r = snapshot_write(restore->writer, chunk, crc);

    if (r == SNAPSHOT_BAD)
        return BACKUP_BAD;
    return err_up(r);
}

/* No manager's number may pass the largest there is. */
static bool is_possible(const struct log_applied *applied)
{
    return applied->index > 0 && applied->index < INT64_MAX && applied->term > 0 &&
           applied->term < INT64_MAX && applied->configuration_index <= applied->index;
}

static int mark(struct txn *txn, const struct backup_report *report)
{
    struct log_vote vote = {.term = report->applied.term + BACKUP_TERMS};
    int r = log_vote_put(txn, &vote);

    return r < 0 ? err_up(r) : err_up(log_restored_put(txn, report->cluster));
}

static int verify(struct txn *txn, struct backup_report *report)
{
    struct storage_report found = {0};
    int r = storage_verify(txn, &found);

    if (r == 0 && found.problem)
        report->problem = mem_format("what it holds is damaged: %s", found.problem);
    storage_report_fini(&found);
    if (r < 0)
        return err_up(r);
    return report->problem ? BACKUP_BAD : 0;
}

static int finish(struct restore *restore, struct backup_report *report)
{
    scope(txn_abort) struct txn *txn = NULL;
    int r = env_write(restore->env, &txn);

    if (r == 0)
        r = mark(txn, report);
    if (r == 0)
        r = verify(txn, report);
    if (r != 0)
        return r < 0 ? err_up(r) : r;
    return err_up(txn_commit(steal(txn)));
}

static int build(struct restore *restore, int fd, struct backup_report *report)
{
    int r;

    if (mkdir(restore->incoming, 0700) < 0)
        return err_new(-errno);
    r = snapshot_writer_open(restore->incoming, MAP_BYTES, &restore->writer);
    if (r < 0)
        return err_up(r);
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_new(-errno);
    backup_report_fini(report);
    r = backup_scan(fd, each_chunk, restore, report);
    if (r != 0)
        return r < 0 ? err_up(r) : r;
    r = is_possible(&report->applied) ? snapshot_finish(restore->writer, &restore->env)
                                      : SNAPSHOT_BAD;
    if (r == SNAPSHOT_BAD) {
        report->problem = mem_string("its image is not complete");
        return BACKUP_BAD;
    }
    r = r < 0 ? err_up(r) : finish(restore, report);
    return r < 0 ? err_up(r) : r;
}

static int restore_in(struct restore *restore, int fd, struct backup_report *report)
{
    int r = env_remove(restore->incoming); /* Of an attempt that was cut short. */

    if (r < 0)
        return err_up(r);
    r = build(restore, fd, report);
    snapshot_writer_free(steal(restore->writer));
    env_free(steal(restore->env));
    if (r == 0)
        r = env_place(restore->incoming, restore->state);
    if (r != 0)
        env_remove(restore->incoming); /* Or else the next attempt does. */
    return r == -EEXIST ? BACKUP_EXISTS : r < 0 ? err_up(r) : r;
}

int backup_restore(int fd, const char *dir, struct backup_report *out)
{
    struct restore restore = {
        .dir = dir,
        .dir_fd = -1,
        .incoming = mem_format("%s/incoming", dir),
        .state = mem_format("%s/state", dir),
    };
    int r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;

    *out = (struct backup_report){0};
    r = r < 0 ? err_new(r) : backup_verify(fd, out);
    if (r == 0)
        r = open_directory(&restore);
    if (r == 0)
        r = restore_in(&restore, fd, out);
    if (r != 0 && restore.made)
        rmdir(dir);
    restore_fini(&restore);
    return r < 0 ? err_up(r) : r;
}
