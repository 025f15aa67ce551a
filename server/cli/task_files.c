#include "server/cli/task_files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/arn.h"
#include "proto/base/mem.h"
#include "proto/base/scope.h"

static void folder_close(DIR *folder)
{
    if (folder)
        closedir(folder);
}

static void text_free(char *text)
{
    free(text);
}

SCOPED(DIR *, folder_close);
SCOPED(char *, text_free);

char *task_files_lab_dir(void)
{
    const char *own = getenv("CAIS_LAB_DIR");
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");

    if (own && *own)
        return mem_string(own);
    if (state && *state == '/')
        return mem_format("%s/cais/lab", state);
    if (home && *home == '/')
        return mem_format("%s/.local/state/cais/lab", home);
    return NULL;
}

/* ---- finding */

struct search {
    const char *prefix;
    struct task_files *out;
    int outcome;
};

static void consider(struct search *search, const char *id, const char *path, bool ended)
{
    if (strncmp(id, search->prefix, strlen(search->prefix)) != 0)
        return;
    if (search->outcome == 0 && strcmp(search->out->id, id) == 0)
        return; /* The same task twice: it was moved while we looked. */
    if (search->outcome != TASK_FILES_ABSENT) {
        search->outcome = TASK_FILES_AMBIGUOUS;
        return;
    }
    *search->out = (struct task_files){mem_string(id), mem_string(path), ended};
    search->outcome = 0;
}

static void search_folder(struct search *search, const char *worker_dir, bool ended)
{
    scope(text_free) char *path = mem_format("%s/%s", worker_dir, ended ? "ended" : "tasks");
    scope(folder_close) DIR *folder = opendir(path);
    struct dirent *entry;

    while (folder && (entry = readdir(folder))) {
        scope(text_free) char *task = NULL;

        if (!id_is_valid(entry->d_name))
            continue;
        task = mem_format("%s/%s", path, entry->d_name);
        consider(search, entry->d_name, task, ended);
    }
}

static void search_worker(struct search *search, const char *worker_dir)
{
    search_folder(search, worker_dir, false);
    search_folder(search, worker_dir, true);
}

static bool is_id_beginning(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)text[i]) && (text[i] < 'a' || text[i] > 'f'))
            return false;
    }
    return len > 0 && len <= ARN_ID_CHARS;
}

int task_files_find(const char *dir, const char *task, struct task_files *out)
{
    const char *slash = strrchr(task, '/');
    struct task_files found = {0};
    struct search search = {slash ? slash + 1 : task, &found, TASK_FILES_ABSENT};
    scope(folder_close) DIR *folder = NULL;
    struct dirent *entry;

    if (!is_id_beginning(search.prefix))
        return TASK_FILES_ABSENT;
    search_worker(&search, dir);
    folder = opendir(dir);
    while (folder && (entry = readdir(folder))) {
        scope(text_free) char *worker = mem_format("%s/%s", dir, entry->d_name);

        if (entry->d_name[0] != '.')
            search_worker(&search, worker);
    }
    if (search.outcome == 0)
        *out = found;
    else
        task_files_fini(&found);
    return search.outcome;
}

void task_files_fini(struct task_files *files)
{
    free(files->id);
    free(files->path);
    *files = (struct task_files){0};
}

/* ---- looking */

void task_files_each(const char *worker_dir, void (*each)(void *context, const char *path),
                     void *context)
{
    scope(text_free) char *path = mem_format("%s/tasks", worker_dir);
    scope(folder_close) DIR *folder = opendir(path);
    struct dirent *entry;

    while (folder && (entry = readdir(folder))) {
        scope(text_free) char *task = mem_format("%s/%s", path, entry->d_name);

        if (id_is_valid(entry->d_name))
            each(context, task);
    }
}

pid_t task_files_supervisor(const char *path)
{
    scope(text_free) char *file = mem_format("%s/lock", path);
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return 0;
    r = fcntl(fd, F_GETLK, &lock);
    close(fd);
    return r == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}
