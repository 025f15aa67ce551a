#include "server/lab/home.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "server/cli/task_files.h"
#include "server/cli/verb.h"
#include "server/lab/launch.h"
#include "server/lab/machine.h"

enum { STEP_MS = 10, FILES_OPEN = 32 };

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_nsec = ms * 1000000L};

    nanosleep(&pause, NULL);
}

char *home_dir(const char *program, const char *asked)
{
    char *dir = asked ? mem_string(asked) : task_files_lab_dir();
    char *here, *absolute;

    if (!dir || !*dir) {
        free(dir);
        verb_failed(program, asked ? "--dir is empty" : "HOME is not set: say --dir");
        return NULL;
    }
    for (size_t len = strlen(dir); len > 1 && dir[len - 1] == '/'; len--)
        dir[len - 1] = '\0';
    if (*dir == '/')
        return dir;
    here = getcwd(NULL, 0);
    absolute = here ? mem_format("%s/%s", here, dir) : NULL;
    if (!here)
        verb_failed(program, "the working directory: %s", strerror(errno));
    free(here);
    free(dir);
    return absolute;
}

static bool is_empty(DIR *folder)
{
    struct dirent *entry;

    while ((entry = readdir(folder))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return false;
    }
    return true;
}

int home_look(const char *dir)
{
    scope(record_free) struct record *record = NULL;
    DIR *folder = opendir(dir);
    bool empty;

    if (!folder)
        return errno == ENOENT ? 0 : err_new(-errno);
    empty = is_empty(folder);
    closedir(folder);
    return empty || record_load(dir, &record) == 0 ? 0 : HOME_OTHER;
}

int home_make(const char *dir, size_t *out_made)
{
    char *path = mem_string(dir);
    size_t made = 0;
    int r = 0;

    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        if (mkdir(path, slash ? 0755 : 0700) == 0)
            made++;
        else if (errno != EEXIST)
            r = -errno;
        if (slash)
            *slash = '/';
        if (!slash || r < 0)
            break;
    }
    free(path);
    if (r == 0 && access(dir, R_OK | W_OK | X_OK) < 0)
        r = -errno;
    if (r < 0) {
        home_unmake(dir, made);
        return err_new(r);
    }
    *out_made = made;
    return 0;
}

/* From the innermost outwards; those that were never made are not there, and do not count. */
void home_unmake(const char *dir, size_t made)
{
    char *path = mem_string(dir);

    while (made > 0) {
        char *slash = strrchr(path, '/');

        if (rmdir(path) == 0)
            made--;
        else if (errno != ENOENT && errno != ENOTDIR)
            break;
        if (!slash || slash == path)
            break;
        *slash = '\0';
    }
    free(path);
}

int home_lock(const char *dir, int *out_fd)
{
    char *path = mem_format("%s/lab.lock", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : 0;

    free(path);
    if (r < 0)
        return err_new(r);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        r = -errno;
        close(fd);
        return r == -EWOULDBLOCK ? HOME_HELD : err_new(r);
    }
    *out_fd = fd;
    return 0;
}

int home_wait_free(const char *dir, unsigned bound_ms)
{
    for (unsigned waited = 0; waited <= bound_ms; waited += STEP_MS) {
        int fd = -1;
        int r = home_lock(dir, &fd);

        if (r == 0)
            close(fd);
        if (r != HOME_HELD)
            return r < 0 ? err_up(r) : 0;
        pause_ms(STEP_MS);
    }
    return err_new(-ETIMEDOUT);
}

static int remove_any(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_inner(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return at->level > 0 ? remove_any(path, st, kind, at) : 0;
}

/* Links are removed, not followed, and other file systems are left alone. */
static int remove_tree(const char *dir, __nftw_func_t each)
{
    int r = nftw(dir, each, FILES_OPEN, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);

    if (r == -1)
        r = errno == ENOENT ? 0 : -errno;
    return err_new(r);
}

int home_empty(const char *dir)
{
    return err_up(remove_tree(dir, remove_inner));
}

int home_purge(const char *dir)
{
    return err_up(remove_tree(dir, remove_any));
}

bool home_is_lost(const char *dir)
{
    char *path = mem_format("%s/lab.json", dir);
    bool lost = access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR);

    free(path);
    return lost;
}

/* ---- what a killed daemon left */

static bool has_tasks(const struct layout *layout, const char *dir)
{
    size_t count = 0;

    for (size_t i = layout->manager_count; i < layout->node_count; i++) {
        char *worker_dir = launch_dir(layout, i, dir);

        count += machine_task_count(worker_dir);
        free(worker_dir);
    }
    return count > 0;
}

bool home_has_remains(const char *dir, const struct record *record)
{
    scope(layout_free) struct layout *layout = layout_new(&record->options);

    for (size_t i = 0; i < record->node_count; i++) {
        if (proc_state(&record->nodes[i]) != PROC_GONE)
            return true;
    }
    return has_tasks(layout, dir);
}

void home_kill_remains(const char *dir, const struct record *record)
{
    scope(layout_free) struct layout *layout = layout_new(&record->options);

    for (size_t i = 0; i < record->node_count; i++)
        proc_signal(&record->nodes[i], SIGKILL);
    for (size_t i = 0; i < record->node_count; i++) {
        for (int step = 0; step < 100 && proc_state(&record->nodes[i]) != PROC_GONE; step++)
            pause_ms(STEP_MS);
    }
    for (size_t i = layout->manager_count; i < layout->node_count; i++) {
        char *worker_dir = launch_dir(layout, i, dir);

        machine_destroy_tasks(worker_dir);
        free(worker_dir);
    }
    machine_destroy_strays(dir);
}
