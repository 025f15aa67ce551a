/*
 * A worker's directory with one task in it, for tests that run real supervisors. The test program
 * itself serves as `cais`: its main() hands "shim" to shim_main().
 */
#pragma once

#include <check.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "server/worker/clock.h"
#include "server/worker/process.h"
#include "server/worker/shim.h"
#include "server/worker/task_dir.h"

#define TASK_ID "0123456789abcdef0123456789abcdef"

enum { PATIENCE_MS = 20000 };

/* In the environment of every process that a test starts: its own, so that tests that run side by
 * side do not end each other's. */
static char bench_mark[96];

static inline const char *bench_mark_value(void)
{
    return strchr(bench_mark, '=') + 1;
}

struct bench {
    char dir[64];
    char *task; /* DIR/tasks/ID */
    int agent;  /* The socket that supervisors poke. */
    int shim;   /* pidfd */
};

static inline int bench_remove_entry(const char *path, const struct stat *st, int kind,
                                     struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static inline void bench_remove(const char *dir)
{
    nftw(dir, bench_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void bench_open(struct bench *bench)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    snprintf(bench->dir, sizeof bench->dir, "/tmp/cais-shim-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(bench->dir));
    snprintf(bench_mark, sizeof bench_mark, "BENCH=%s", bench->dir);
    ck_assert_int_eq(task_dir_init(bench->dir), 0);
    ck_assert_int_eq(task_dir_make(bench->dir, TASK_ID), 0);
    bench->task = task_dir_path(bench->dir, TASK_ID);
    bench->shim = -1;
    bench->agent = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(at.sun_path, sizeof at.sun_path, "%s/agent.sock", bench->dir);
    ck_assert_int_eq(bind(bench->agent, (struct sockaddr *)&at, sizeof at), 0);
}

static inline bool bench_is_ended(int pidfd, int timeout_ms)
{
    struct pollfd waiting = {.fd = pidfd, .events = POLLIN};

    return poll(&waiting, 1, timeout_ms) == 1;
}

/* Kill whoever supervises the task, and wait until it is gone. */
static inline void bench_kill_holder(struct bench *bench)
{
    pid_t holder = task_dir_holder(bench->task);
    int pidfd = holder > 0 ? pidfd_open(holder, 0) : -1;

    if (pidfd < 0)
        return;
    if (task_dir_holder(bench->task) == holder)
        pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    bench_is_ended(pidfd, PATIENCE_MS);
    close(pidfd);
}

static inline void bench_close(struct bench *bench)
{
    bench_kill_holder(bench);
    if (bench->shim >= 0)
        close(bench->shim);
    process_kill_marked(bench_mark);
    close(bench->agent);
    bench_remove(bench->dir);
    free(bench->task);
}

/* One container: a shell script in the task's work/ directory. Gives. */
static inline Supervise__Container *bench_container(const char *name, const char *script,
                                                    bool essential, uint32_t stop_timeout_ms)
{
    Supervise__Container *container = mem_new(Supervise__Container);

    supervise__container__init(container);
    container->name = mem_string(name);
    container->argv = mem_new_array(char *, 3);
    container->argv[container->n_argv++] = mem_string("/bin/sh");
    container->argv[container->n_argv++] = mem_string("-c");
    container->argv[container->n_argv++] = mem_string(script);
    container->environment = mem_new_array(char *, 2);
    container->environment[container->n_environment++] = mem_string("PATH=/usr/bin:/bin");
    container->environment[container->n_environment++] = mem_string(bench_mark);
    container->directory = mem_string("work");
    container->essential = essential;
    container->stop_timeout_ms = stop_timeout_ms;
    return container;
}

/* Write the spec and start its supervisor. Takes the containers. */
static inline void bench_run(struct bench *bench, Supervise__Container **containers, size_t count)
{
    Supervise__Spec *spec = mem_new(Supervise__Spec);

    supervise__spec__init(spec);
    spec->task_id = mem_string(TASK_ID);
    spec->containers = mem_new_array(Supervise__Container *, count);
    spec->n_containers = count;
    memcpy(spec->containers, containers, count * sizeof *containers);
    ck_assert_int_eq(task_dir_write_spec(bench->task, spec), 0);
    supervise__spec__free_unpacked(spec, NULL);
    ck_assert_int_eq(shim_spawn(bench->task, &bench->shim), 0);
}

static inline void bench_run_one(struct bench *bench, const char *script, uint32_t stop_timeout_ms)
{
    Supervise__Container *container = bench_container("main", script, true, stop_timeout_ms);

    bench_run(bench, &container, 1);
}

/* Wait until the state file says this or more. Gives the state. */
static inline Supervise__State *bench_await(struct bench *bench, State__TaskState state)
{
    uint64_t deadline = clock_steady_ms() + PATIENCE_MS;

    for (;;) {
        struct pollfd waiting = {.fd = bench->agent, .events = POLLIN};
        Supervise__State *found;
        char poke[64];

        if (task_dir_read_state(bench->task, &found) == 0) {
            if (found->report->state >= state)
                return found;
            supervise__state__free_unpacked(found, NULL);
        }
        ck_assert_msg(clock_steady_ms() < deadline, "the task did not get to state %d", state);
        if (poll(&waiting, 1, PATIENCE_MS) == 1)
            ck_assert_int_gt(recv(bench->agent, poke, sizeof poke, 0), 0);
    }
}

/* The text of a file in the task's directory, once it has any. Gives. */
static inline char *bench_file(struct bench *bench, const char *name)
{
    uint64_t deadline = clock_steady_ms() + PATIENCE_MS;
    char path[256], text[4096];

    snprintf(path, sizeof path, "%s/%s", bench->task, name);
    for (;;) {
        FILE *file = fopen(path, "re");
        size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;

        if (file)
            fclose(file);
        text[n] = '\0';
        if (n > 0 && text[n - 1] == '\n')
            return mem_string(text);
        ck_assert_msg(clock_steady_ms() < deadline, "nothing in %s", name);
        poll(NULL, 0, 2);
    }
}

/* A pid that a script wrote to a file of its working directory. */
static inline pid_t bench_pid(struct bench *bench, const char *name)
{
    char *text = bench_file(bench, name);
    pid_t pid = (pid_t)strtol(text, NULL, 10);

    free(text);
    ck_assert_int_gt(pid, 0);
    return pid;
}

/* Wait until no such process is left. */
static inline void bench_await_gone(pid_t pid)
{
    int pidfd = pidfd_open(pid, 0);

    if (pidfd < 0)
        return;
    ck_assert_msg(bench_is_ended(pidfd, PATIENCE_MS), "process %d is still there", (int)pid);
    close(pidfd);
}
