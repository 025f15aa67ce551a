#include "server/lab/ready.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/limits.h"
#include "server/cli/client.h"
#include "server/lab/control.h"
#include "server/lab/home.h"

enum {
    STEP_MS = 50,
    ASK_MS = 5000,
    DOWN_MS = 30 * 1000,
    ENDED_MS = 5000,
    LINE_SIZE = 512,
    LOCK_FD = 3, /* In the daemon; any number above the standard three will do. */
    READY_FD = 4,
    VOTERS = 3, /* What managers take for a cluster of enough. */
};

/* ---- signals */

static void held_signals(sigset_t *out)
{
    sigemptyset(out);
    sigaddset(out, SIGINT);
    sigaddset(out, SIGTERM);
    sigaddset(out, SIGHUP);
}

void ready_hold_signals(void)
{
    sigset_t set;

    held_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Returns if one of them came meanwhile. */
static bool pause_step(void)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    sigset_t set;

    held_signals(&set);
    return sigtimedwait(&set, NULL, &step) > 0;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- starting the daemon */

/* The lock and the pipe get descriptors of their own in the daemon; as they are moved from
 * numbers that may be those very ones, they are first put out of the way. */
static int move_fds(posix_spawn_file_actions_t *actions, int lock_fd, int ready_fd, int *out_lock,
                    int *out_ready)
{
    *out_lock = fcntl(lock_fd, F_DUPFD_CLOEXEC, READY_FD + 1);
    *out_ready = fcntl(ready_fd, F_DUPFD_CLOEXEC, READY_FD + 1);
    if (*out_lock < 0 || *out_ready < 0)
        return err_new(-errno);
    posix_spawn_file_actions_adddup2(actions, *out_lock, LOCK_FD);
    posix_spawn_file_actions_adddup2(actions, *out_ready, READY_FD);
    return 0;
}

static void spawn_attributes(posix_spawnattr_t *out)
{
    sigset_t none;

    sigemptyset(&none);
    posix_spawnattr_init(out);
    posix_spawnattr_setsigmask(out, &none);
    posix_spawnattr_setflags(out, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
}

static int spawn_daemon(const char *dir, posix_spawn_file_actions_t *actions)
{
    char *log = mem_format("%s/lab.log", dir);
    char *const argv[] = {(char *)"cais",  (char *)"lab", (char *)"daemon",
                          (char *)"--dir", (char *)dir,   NULL};
    posix_spawnattr_t attributes;
    pid_t pid;
    int error;

    spawn_attributes(&attributes);
    posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND,
                                     0600);
    posix_spawn_file_actions_adddup2(actions, STDOUT_FILENO, STDERR_FILENO);
    error = posix_spawn(&pid, "/proc/self/exe", actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    free(log);
    return err_new(-error);
}

static int spawn_with(const char *dir, int lock_fd, int ready_fd)
{
    posix_spawn_file_actions_t actions;
    int lock = -1, ready = -1;
    int r;

    posix_spawn_file_actions_init(&actions);
    r = move_fds(&actions, lock_fd, ready_fd, &lock, &ready);
    if (r == 0)
        r = spawn_daemon(dir, &actions);
    if (lock >= 0)
        close(lock);
    if (ready >= 0)
        close(ready);
    posix_spawn_file_actions_destroy(&actions);
    return err_up(r);
}

/* What the daemon says once it runs, or cannot. Gives the problem; NULL if there is none. */
static char *hear(int fd)
{
    char line[LINE_SIZE];
    size_t len = 0;
    ssize_t n;
    json_t *json;
    char *problem = NULL;

    while (len < sizeof line && (n = read(fd, line + len, sizeof line - len)) > 0)
        len += (size_t)n;
    json = json_loadb(line, len, 0, NULL);
    if (!json)
        problem = mem_string("the lab's daemon ended without a word; lab.log may tell");
    else if (!json_is_true(json_object_get(json, "ok")))
        problem = mem_string(json_string_value(json_object_get(json, "error")));
    json_decref(json);
    return problem;
}

int ready_start_daemon(const char *dir, int lock_fd, char **out_problem)
{
    int ends[2];
    int r;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_new(-errno);
    r = spawn_with(dir, lock_fd, ends[1]);
    close(ends[1]);
    if (r == 0)
        *out_problem = hear(ends[0]);
    close(ends[0]);
    return err_up(r);
}

/* ---- waiting */

/* Gives the lab's status; NULL if it does not answer. */
static json_t *ask_status(const char *dir)
{
    json_t *question = json_pack("{s:s}", "verb", "status");
    json_t *answer = NULL;
    json_t *status = NULL;

    if (control_ask(dir, question, ASK_MS, &answer) == 0)
        status = json_incref(json_object_get(answer, "status"));
    json_decref(question);
    json_decref(answer);
    return status;
}

/* The name of a node that is dead; NULL if all live. Borrowed from the list. */
static const char *dead_node(const json_t *nodes)
{
    const json_t *node;
    size_t i;

    json_array_foreach(nodes, i, node)
    {
        if (strcmp(json_string_value(json_object_get(node, "state")), "dead") == 0)
            return json_string_value(json_object_get(node, "name"));
    }
    return NULL;
}

/* The last line of a node's output: what it said before it ended. Gives. */
static char *last_words(const char *dir, const char *node)
{
    char *path = mem_format("%s/%s/log", dir, node);
    char text[LINE_SIZE] = "";
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;

    while (file && getline(&line, &size, file) > 0)
        snprintf(text, sizeof text, "%s", line);
    if (file)
        fclose(file);
    free(line);
    free(path);
    text[strcspn(text, "\n")] = '\0';
    return mem_string(text);
}

static char *tell_dead(const char *dir, const char *node)
{
    char *words = last_words(dir, node);
    char *problem = mem_format("%s ended right after it was started%s%s", node,
                               *words ? "; the last it said: " : "", words);

    free(words);
    return problem;
}

/* How many of these container instances are ACTIVE and connected. */
static size_t count_active(const char *endpoint, json_t *arns)
{
    json_t *request = json_pack("{s:s, s:O}", "cluster", "default", "containerInstances", arns);
    struct client_answer answer = {0};
    size_t count = 0, i;
    const json_t *one;

    if (client_ecs(endpoint, "DescribeContainerInstances", request, ASK_MS, &answer) == 0) {
        json_array_foreach(json_object_get(answer.body, "containerInstances"), i, one)
        {
            const char *status = json_string_value(json_object_get(one, "status"));

            count += status && strcmp(status, "ACTIVE") == 0 &&
                     json_is_true(json_object_get(one, "agentConnected"));
        }
    }
    json_decref(request);
    json_decref(answer.body);
    return count;
}

/* One page of the cluster's container instances. Returns how many are active; *token is where
 * the next page begins, NULL after the last. Takes and gives the token. */
static size_t active_on_page(const char *endpoint, char **token)
{
    json_t *request = json_pack("{s:s, s:i, s:s*}", "cluster", "default", "maxResults", LIMIT_PAGE,
                                "nextToken", *token);
    struct client_answer answer = {0};
    json_t *arns = NULL;
    size_t count = 0;

    free(*token);
    *token = NULL;
    if (client_ecs(endpoint, "ListContainerInstances", request, ASK_MS, &answer) == 0 &&
        answer.status == 200) {
        arns = json_object_get(answer.body, "containerInstanceArns");
        *token = mem_string(json_string_value(json_object_get(answer.body, "nextToken")));
    }
    if (json_array_size(arns) > 0)
        count = count_active(endpoint, arns);
    json_decref(request);
    json_decref(answer.body);
    return count;
}

static size_t active_workers(const char *endpoint)
{
    char *token = NULL;
    size_t count = 0;

    do
        count += active_on_page(endpoint, &token);
    while (token);
    return count;
}

/* What is still missing, and whether that can be waited for. */
struct progress {
    bool leads;
    size_t members, voters; /* Managers that have joined; and those of them that vote. */
    size_t active;
    char *failed; /* A sentence: nothing to wait for. */
};

static void count_members(const json_t *managers, struct progress *out)
{
    const json_t *one;
    size_t i;

    out->members = out->voters = 0;
    json_array_foreach(managers, i, one)
    {
        const char *member = json_string_value(json_object_get(one, "member"));

        out->voters += strcmp(member, "voter") == 0;
        out->members += strcmp(member, "voter") == 0 || strcmp(member, "standby") == 0;
    }
}

/* So many vote in the end. */
static size_t voters_of(const struct layout *layout)
{
    return layout->manager_count < VOTERS ? 1 : VOTERS;
}

static bool is_whole(const struct layout *layout, const struct progress *progress)
{
    return progress->leads && progress->members == layout->manager_count &&
           progress->voters >= voters_of(layout);
}

static void look(const char *dir, const struct layout *layout, struct progress *out)
{
    json_t *status = ask_status(dir);
    const char *dead = dead_node(json_object_get(status, "managers"));

    if (!dead)
        dead = dead_node(json_object_get(status, "workers"));
    if (!status)
        out->failed = mem_string("the lab's daemon does not answer; lab.log may tell why");
    else if (dead)
        out->failed = tell_dead(dir, dead);
    else
        out->leads = json_is_string(json_object_get(status, "leader"));
    if (out->leads && layout->node_count > layout->manager_count)
        out->active = active_workers(json_string_value(json_object_get(status, "endpoint")));
    count_members(json_object_get(status, "managers"), out);
    json_decref(status);
}

char *ready_wait(const char *dir, const struct layout *layout)
{
    int64_t deadline = now_ms() + READY_BOUND_MS;
    size_t workers = layout->node_count - layout->manager_count;
    struct progress progress = {0};

    while (!progress.failed) {
        look(dir, layout, &progress);
        if (progress.failed || (is_whole(layout, &progress) && progress.active >= workers))
            break;
        if (pause_step())
            progress.failed = mem_string("interrupted");
        else if (now_ms() >= deadline && !progress.leads)
            progress.failed = mem_format("no leader after %d s", READY_BOUND_MS / 1000);
        else if (now_ms() >= deadline && !is_whole(layout, &progress))
            progress.failed = mem_format(
                "%zu of %zu managers have joined, and %zu vote, after %d s", progress.members,
                layout->manager_count, progress.voters, READY_BOUND_MS / 1000);
        else if (now_ms() >= deadline)
            progress.failed = mem_format("%zu of %zu workers are ACTIVE after %d s",
                                         progress.active, workers, READY_BOUND_MS / 1000);
    }
    return progress.failed;
}

void ready_end_daemon(const char *dir)
{
    json_t *question = json_pack("{s:s}", "verb", "down");
    json_t *answer = NULL;

    control_ask(dir, question, DOWN_MS, &answer);
    json_decref(question);
    json_decref(answer);
    home_wait_free(dir, ENDED_MS);
}
