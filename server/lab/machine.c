#include "server/lab/machine.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include "server/cli/task_files.h"
#include "server/lab/proc.h"

enum {
    STEP_MS = 2,
    STEPS_MAX = 200, /* A process that does not die of SIGKILL in this time is the kernel's. */
};

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_nsec = ms * 1000000L};

    nanosleep(&pause, NULL);
}

static void count_one(void *context, const char *path)
{
    size_t *count = context;

    *count += task_files_supervisor(path) > 0;
}

size_t machine_task_count(const char *worker_dir)
{
    size_t count = 0;

    task_files_each(worker_dir, count_one, &count);
    return count;
}

/* The supervisor of a task, if it holds the lock still after its identity was taken: then the
 * identity is its own. */
static bool identify(const char *path, struct proc *out)
{
    pid_t pid = task_files_supervisor(path);

    return pid > 0 && proc_identify(pid, out) == 0 && task_files_supervisor(path) == pid;
}

static void stop_one(void *context, const char *path)
{
    struct proc shim;
    size_t *count = context;

    if (identify(path, &shim) && proc_signal(&shim, SIGTERM) == 0)
        ++*count;
}

size_t machine_stop_tasks(const char *worker_dir)
{
    size_t count = 0;

    task_files_each(worker_dir, stop_one, &count);
    return count;
}

/* Stopped, a supervisor notices nothing and keeps what it adopts: what is under it can be
 * killed to the last before it goes itself. */
static bool destroy(const struct proc *shim)
{
    if (proc_signal(shim, SIGSTOP) < 0)
        return false;
    for (int i = 0; i < STEPS_MAX && proc_signal_descendants(shim, SIGKILL) > 0; i++)
        pause_ms(STEP_MS);
    proc_signal(shim, SIGKILL);
    for (int i = 0; i < STEPS_MAX && proc_state(shim) != PROC_GONE; i++)
        pause_ms(STEP_MS);
    return true;
}

static void destroy_one(void *context, const char *path)
{
    struct proc shim;
    size_t *count = context;

    if (identify(path, &shim) && destroy(&shim))
        ++*count;
}

size_t machine_destroy_tasks(const char *worker_dir)
{
    size_t count = 0;

    task_files_each(worker_dir, destroy_one, &count);
    return count;
}

/* ---- strays */

struct hunt {
    const char *dir;
    size_t count;
};

/* `cais shim DIR/...`: is that what this process was started as? */
static bool supervises_below(pid_t pid, const char *dir)
{
    char words[PROC_COMMAND_SIZE];
    const char *verb, *path;

    if (proc_command(pid, words) < 0)
        return false;
    verb = words + strlen(words) + 1; /* Past the end comes one more NUL, at least. */
    path = verb + strlen(verb) + 1;
    return strcmp(verb, "shim") == 0 && strncmp(path, dir, strlen(dir)) == 0 &&
           path[strlen(dir)] == '/';
}

static void destroy_stray(void *context, pid_t pid)
{
    struct hunt *hunt = context;
    struct proc shim;

    if (proc_identify(pid, &shim) == 0 && supervises_below(pid, hunt->dir) && destroy(&shim))
        hunt->count++;
}

size_t machine_destroy_strays(const char *dir)
{
    struct hunt hunt = {dir, 0};

    proc_each(destroy_stray, &hunt);
    return hunt.count;
}
