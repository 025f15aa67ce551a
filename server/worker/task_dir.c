#include "server/worker/task_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/arn.h"
#include "proto/base/bytes.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/unpacking.h"
#include "server/worker/release.h"

enum { READ_STEP = 4096 };

static int make(const char *path)
{
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return err_new(-errno);
    return 0;
}

int task_dir_init(const char *dir)
{
    scope(text_free) char *tasks = mem_format("%s/tasks", dir);
    scope(text_free) char *ended = mem_format("%s/ended", dir);
    int r = make(dir);

    if (r < 0)
        return err_up(r);
    r = make(tasks);
    if (r < 0)
        return err_up(r);
    return err_up(make(ended));
}

char *task_dir_path(const char *dir, const char *task_id)
{
    return mem_format("%s/tasks/%s", dir, task_id);
}

int task_dir_make(const char *dir, const char *task_id)
{
    scope(text_free) char *path = task_dir_path(dir, task_id);
    scope(text_free) char *work = mem_format("%s/work", path);
    int r = make(path);

    if (r < 0)
        return err_up(r);
    return err_up(make(work));
}

/* ---- removing */

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Symbolic links are removed, not followed, and other file systems are left alone. */
static int remove_tree(const char *path)
{
    int r;

    errno = 0;
    r = nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    if (r == -1 && errno)
        r = errno == ENOENT ? 0 : -errno;
    return err_new(r);
}

static bool is_log(const char *name)
{
    size_t len = strlen(name);

    return len > 4 && !strcmp(name + len - 4, ".log") && strcmp(name, "shim.log");
}

static int remove_all_but_logs(const char *path)
{
    scope(folder_close) DIR *folder = opendir(path);
    struct dirent *entry;

    if (!folder)
        return errno == ENOENT ? 0 : err_new(-errno);
    while ((entry = readdir(folder))) {
        scope(text_free) char *inner = mem_format("%s/%s", path, entry->d_name);
        int r;

        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || is_log(entry->d_name))
            continue;
        r = remove_tree(inner);
        if (r < 0)
            return err_up(r);
    }
    return 0;
}

static bool is_older(struct timespec a, struct timespec b)
{
    return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

/* How many directories ended/ holds. Gives *out_oldest, NULL if there is none. */
static int survey_ended(const char *ended, size_t *out_count, char **out_oldest)
{
    scope(folder_close) DIR *folder = opendir(ended);
    scope(text_free) char *oldest = NULL;
    struct timespec since = {0};
    struct dirent *entry;
    size_t count = 0;

    if (!folder)
        return err_new(-errno);
    while ((entry = readdir(folder))) {
        struct stat st;

        if (!id_is_valid(entry->d_name) || fstatat(dirfd(folder), entry->d_name, &st, 0) < 0)
            continue;
        count++;
        if (oldest && !is_older(st.st_mtim, since))
            continue;
        since = st.st_mtim;
        free(oldest);
        oldest = mem_format("%s/%s", ended, entry->d_name);
    }
    *out_count = count;
    *out_oldest = steal(oldest);
    return 0;
}

static int prune_ended(const char *dir)
{
    scope(text_free) char *ended = mem_format("%s/ended", dir);

    for (;;) {
        scope(text_free) char *oldest = NULL;
        size_t count;
        int r = survey_ended(ended, &count, &oldest);

        if (r < 0)
            return err_up(r);
        if (count <= ENDED_KEPT)
            return 0;
        r = remove_tree(oldest);
        if (r < 0)
            return err_up(r);
    }
}

int task_dir_retire(const char *dir, const char *task_id)
{
    scope(text_free) char *path = task_dir_path(dir, task_id);
    scope(text_free) char *to = mem_format("%s/ended/%s", dir, task_id);
    int r = remove_all_but_logs(path);

    if (r < 0)
        return err_up(r);
    if (rmdir(path) == 0 || errno == ENOENT) /* There were no logs. */
        return 0;
    if (rename(path, to) < 0)
        return err_new(-errno);
    return err_up(prune_ended(dir));
}

int task_dir_each(const char *dir, void (*each)(void *context, const char *task_id), void *context)
{
    scope(text_free) char *tasks = mem_format("%s/tasks", dir);
    scope(folder_close) DIR *folder = opendir(tasks);
    struct dirent *entry;

    if (!folder)
        return err_new(-errno);
    while ((entry = readdir(folder)))
        if (id_is_valid(entry->d_name))
            each(context, entry->d_name);
    return 0;
}

/* ---- spec and state */

static int read_file(const char *path, const char *name, struct buffer *out)
{
    scope(text_free) char *file = mem_format("%s/%s", path, name);
    scope(file_close) int fd = open(file, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? TASK_DIR_ABSENT : err_new(-errno);
    for (;;) {
        ssize_t n = read(fd, buffer_extend(out, READ_STEP), READ_STEP);

        out->len -= READ_STEP - (n > 0 ? (size_t)n : 0);
        if (n < 0)
            return err_new(-errno);
        if (n == 0)
            return 0;
        if (out->len > TASK_FILE_MAX_BYTES)
            return TASK_DIR_DAMAGED;
    }
}

static int read_message(const char *path, const char *name, const ProtobufCMessageDescriptor *type,
                        ProtobufCMessage **out)
{
    scope(buffer_fini) struct buffer bytes = {0};
    ProtobufCMessage *message;
    int r = read_file(path, name, &bytes);

    if (r != 0)
        return r < 0 ? err_up(r) : r;
    message = bytes.len ? protobuf_c_message_unpack(type, &unpacking, bytes.len, bytes.base) : NULL;
    if (!message)
        return TASK_DIR_DAMAGED;
    *out = message;
    return 0;
}

static int write_all(int fd, const uint8_t *base, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, base, len);

        if (n < 0 && errno != EINTR)
            return err_new(-errno);
        if (n > 0) {
            base += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

/* No fsync: these files are for the life of the processes they tell of. After a power cut the
 * boot id says that nothing of them is left. */
static int write_message(const char *path, const char *name, const ProtobufCMessage *message)
{
    scope(text_free) char *file = mem_format("%s/%s", path, name);
    scope(text_free) char *draft = mem_format("%s/.%s.%d", path, name, (int)getpid());
    scope(buffer_fini) struct buffer bytes = {0};
    scope(file_close) int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    int r;

    if (fd < 0)
        return err_new(-errno);
    protobuf_c_message_pack(message,
                            buffer_extend(&bytes, protobuf_c_message_get_packed_size(message)));
    r = write_all(fd, bytes.base, bytes.len);
    if (r == 0 && rename(draft, file) < 0)
        r = err_new(-errno);
    if (r < 0)
        unlink(draft);
    return err_up(r);
}

int task_dir_read_spec(const char *path, Supervise__Spec **out)
{
    ProtobufCMessage *message;
    int r = read_message(path, "spec", &supervise__spec__descriptor, &message);

    if (r == 0)
        *out = (Supervise__Spec *)message;
    return r < 0 ? err_up(r) : r;
}

int task_dir_write_spec(const char *path, const Supervise__Spec *spec)
{
    return err_up(write_message(path, "spec", &spec->base));
}

int task_dir_read_state(const char *path, Supervise__State **out)
{
    ProtobufCMessage *message;
    int r = read_message(path, "state", &supervise__state__descriptor, &message);
    Supervise__State *state;

    if (r != 0)
        return r < 0 ? err_up(r) : r;
    state = (Supervise__State *)message;
    if (!state->report) {
        supervise__state__free_unpacked(state, NULL);
        return TASK_DIR_DAMAGED;
    }
    *out = state;
    return 0;
}

int task_dir_write_state(const char *path, const Supervise__State *state)
{
    return err_up(write_message(path, "state", &state->base));
}

/* ---- the lock: a POSIX record lock, because the kernel tells who holds it */

int task_dir_lock(const char *path, int *out_fd)
{
    scope(text_free) char *file = mem_format("%s/lock", path);
    scope(file_close) int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fd < 0)
        return err_new(-errno);
    if (fcntl(fd, F_SETLK, &lock) < 0)
        return errno == EAGAIN || errno == EACCES ? TASK_DIR_HELD : err_new(-errno);
    *out_fd = fd;
    fd = -1;
    return 0;
}

pid_t task_dir_holder(const char *path)
{
    scope(text_free) char *file = mem_format("%s/lock", path);
    scope(file_close) int fd = open(file, O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
        return 0;
    return lock.l_pid;
}
