#include "server/lab/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"

/* One line of /proc/PID/stat, as far as we need it. */
struct stat_line {
    struct proc proc;
    pid_t parent;
    char state;
    bool marked;
};

/* Up to size bytes of /proc/PID/name. Returns how many, or -ESRCH. */
static ssize_t read_proc(pid_t pid, const char *name, char *out, size_t size)
{
    char path[64];
    ssize_t len;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -ESRCH;
    len = read(fd, out, size);
    close(fd);
    return len > 0 ? len : -ESRCH;
}

static int read_stat(pid_t pid, struct stat_line *out)
{
    char line[1024];
    ssize_t len = read_proc(pid, "stat", line, sizeof line - 1);
    char *after_name;

    if (len < 0)
        return -ESRCH;
    line[len] = '\0';
    after_name = strrchr(line, ')'); /* A name may hold anything, blanks and ')' too. */
    if (!after_name)
        return -ESRCH;
    *out = (struct stat_line){.proc.pid = pid};
    if (sscanf(after_name + 1,
               " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
               "%" SCNu64,
               &out->state, &out->parent, &out->proc.start_time) != 3)
        return -ESRCH;
    return 0;
}

int proc_identify(pid_t pid, struct proc *out)
{
    struct stat_line line;
    int r = read_stat(pid, &line);

    if (r < 0)
        return err_new(r);
    *out = line.proc;
    return 0;
}

enum proc_state proc_state(const struct proc *proc)
{
    struct stat_line line;

    if (proc->pid <= 0 || read_stat(proc->pid, &line) < 0)
        return PROC_GONE;
    if (line.proc.start_time != proc->start_time || line.state == 'Z' || line.state == 'X')
        return PROC_GONE;
    return line.state == 'T' ? PROC_STOPPED : PROC_RUNNING;
}

int proc_signal(const struct proc *proc, int signal)
{
    int fd = proc->pid > 0 ? pidfd_open(proc->pid, 0) : -1;
    int r = 0;

    if (fd < 0)
        return err_new(-ESRCH);
    /* The identity is checked after the pidfd is held: what was seen is what is signalled. */
    if (proc_state(proc) == PROC_GONE)
        r = -ESRCH;
    else if (pidfd_send_signal(fd, signal, NULL, 0) < 0)
        r = -errno;
    close(fd);
    return err_new(r);
}

void proc_each(void (*each)(void *context, pid_t pid), void *context)
{
    DIR *folder = opendir("/proc");
    struct dirent *entry;

    while (folder && (entry = readdir(folder))) {
        if (isdigit((unsigned char)entry->d_name[0]))
            each(context, (pid_t)strtol(entry->d_name, NULL, 10));
    }
    if (folder)
        closedir(folder);
}

int proc_command(pid_t pid, char out[PROC_COMMAND_SIZE])
{
    memset(out, 0, PROC_COMMAND_SIZE);
    if (read_proc(pid, "cmdline", out, PROC_COMMAND_SIZE - 4) < 0)
        return err_new(-ESRCH);
    return 0;
}

/* ---- descendants */

struct census {
    struct stat_line *list;
    size_t count;
};

static void census_add(void *context, pid_t pid)
{
    struct census *census = context;
    struct stat_line line;

    if (read_stat(pid, &line) < 0)
        return;
    census->list = mem_resize(census->list, census->count + 1, sizeof *census->list);
    census->list[census->count++] = line;
}

/* Mark the children of one process. Returns if there were unmarked ones. */
static bool mark_children(struct census *census, pid_t parent)
{
    bool any = false;

    for (size_t i = 0; i < census->count; i++) {
        if (census->list[i].parent != parent || census->list[i].marked)
            continue;
        census->list[i].marked = true;
        any = true;
    }
    return any;
}

static void mark_descendants(struct census *census, pid_t ancestor)
{
    bool again = mark_children(census, ancestor);

    while (again) {
        again = false;
        for (size_t i = 0; i < census->count; i++) {
            if (census->list[i].marked && mark_children(census, census->list[i].proc.pid))
                again = true;
        }
    }
}

size_t proc_signal_descendants(const struct proc *proc, int signal)
{
    struct census census = {0};
    size_t alive = 0;

    proc_each(census_add, &census);
    mark_descendants(&census, proc->pid);
    for (size_t i = 0; i < census.count; i++) {
        const struct stat_line *line = &census.list[i];

        if (line->marked && line->state != 'Z' && proc_signal(&line->proc, signal) == 0)
            alive++;
    }
    free(census.list);
    return alive;
}
