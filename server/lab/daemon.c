#include "server/lab/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/lab/control.h"
#include "server/lab/home.h"
#include "server/lab/launch.h"
#include "server/lab/machine.h"
#include "server/lab/orders.h"
#include "server/net/log.h"

enum {
    STEP_MS = 20,
    NODES_MS = 3000, /* For nodes to end of SIGTERM; then SIGKILL. */
    TASKS_MS = 3000, /* For tasks, likewise. */
    WATCH_MS = 2000,
};

/* Going down: nodes first, so that no agent starts anything any more, then tasks. */
enum down_phase { DOWN_NODES, DOWN_TASKS };

struct down {
    struct daemon *daemon;
    enum down_phase phase;
    uint64_t deadline_ms;
    uv_timer_t timer;
    struct control_call *call; /* NULL if a signal asked. */
};

char *daemon_node_dir(const struct daemon *daemon, size_t node)
{
    return launch_dir(daemon->layout, node, daemon->dir);
}

/* ---- going down */

static void close_all(struct daemon *daemon)
{
    control_close(daemon->control);
    front_close(daemon->front);
    fabric_close(daemon->fabric);
    daemon->control = NULL;
    daemon->front = NULL;
    daemon->fabric = NULL;
    uv_close((uv_handle_t *)&daemon->watch, NULL);
    for (size_t i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&daemon->signals[i], NULL);
}

static void down_done(struct down *down)
{
    struct daemon *daemon = down->daemon;

    if (down->call)
        control_answer(down->call, json_pack("{s:b, s:[s]}", "ok", 1, "said", "the lab is down"));
    uv_close((uv_handle_t *)&down->timer, NULL);
    close_all(daemon);
}

static size_t for_workers(const struct daemon *daemon, size_t (*what)(const char *worker_dir))
{
    size_t sum = 0;

    for (size_t i = daemon->layout->manager_count; i < daemon->layout->node_count; i++) {
        char *dir = daemon_node_dir(daemon, i);

        sum += what(dir);
        free(dir);
    }
    return sum;
}

static void end_nodes(struct daemon *daemon, int signal)
{
    for (size_t i = 0; i < daemon->layout->node_count; i++) {
        if (supervisor_state(daemon->supervisor, i) == PROC_GONE)
            continue;
        supervisor_signal(daemon->supervisor, i, signal);
        supervisor_signal(daemon->supervisor, i, SIGCONT); /* A stopped one hears nothing. */
    }
}

static void down_ticked(uv_timer_t *timer)
{
    struct down *down = timer->data;
    struct daemon *daemon = down->daemon;
    bool late = uv_now(&daemon->loop) >= down->deadline_ms;

    if (down->phase == DOWN_NODES) {
        if (supervisor_running(daemon->supervisor) > 0) {
            if (late)
                end_nodes(daemon, SIGKILL);
            return;
        }
        down->phase = DOWN_TASKS;
        down->deadline_ms = uv_now(&daemon->loop) + TASKS_MS;
        for_workers(daemon, machine_stop_tasks);
        return;
    }
    if (late)
        for_workers(daemon, machine_destroy_tasks);
    if (for_workers(daemon, machine_task_count) > 0)
        return;
    machine_destroy_strays(daemon->dir);
    down_done(down);
}

void daemon_go_down(struct daemon *daemon, struct control_call *call)
{
    struct down *down = mem_new(struct down);

    must(!daemon->down);
    log_info("lab.down");
    daemon->down = down;
    down->daemon = daemon;
    down->call = call;
    down->deadline_ms = uv_now(&daemon->loop) + NODES_MS;
    uv_timer_init(&daemon->loop, &down->timer);
    down->timer.data = down;
    uv_timer_start(&down->timer, down_ticked, STEP_MS, STEP_MS);
    end_nodes(daemon, SIGTERM);
}

static void signalled(uv_signal_t *handle, int signal)
{
    struct daemon *daemon = handle->data;

    (void)signal;
    if (!daemon->down)
        daemon_go_down(daemon, NULL);
}

static void watched(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;

    if (daemon->down || !home_is_lost(daemon->dir))
        return;
    log_error("lab.lost dir=\"%s\"", daemon->dir);
    daemon_go_down(daemon, NULL);
}

/* ---- coming up */

static void node_changed(void *owner, size_t node, bool running)
{
    struct daemon *daemon = owner;

    if (daemon->front && daemon->layout->nodes[node].manager)
        front_set_running(daemon->front, node, running);
}

static void asked(void *owner, struct control_call *call, const json_t *question)
{
    orders_take(owner, call, question);
}

static char *failure(const char *what, int r)
{
    log_error("lab.failed what=\"%s\" error=\"%s\" trace=\"%s\"", what, strerror(-r), err_trace());
    return mem_format("%s: %s", what, strerror(-r));
}

static void catch_signals(struct daemon *daemon)
{
    static const int numbers[] = {SIGTERM, SIGINT};

    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(&daemon->loop, &daemon->signals[i]);
        daemon->signals[i].data = daemon;
        uv_signal_start(&daemon->signals[i], signalled, numbers[i]);
    }
}

static void watch_home(struct daemon *daemon)
{
    uv_timer_init(&daemon->loop, &daemon->watch);
    daemon->watch.data = daemon;
    uv_timer_start(&daemon->watch, watched, WATCH_MS, WATCH_MS);
}

static void make_supervisor(struct daemon *daemon)
{
    struct supervisor_options options = {
        .layout = daemon->layout,
        .dir = daemon->dir,
        .binary = daemon->binary,
        .record = daemon->record,
        .changed = node_changed,
        .owner = daemon,
    };

    daemon->supervisor = supervisor_new(&daemon->loop, &options);
}

static char *start_nodes(struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->layout->node_count; i++) {
        int r = supervisor_start(daemon->supervisor, i);

        if (r < 0)
            return failure(daemon->layout->nodes[i].name, r);
    }
    return NULL;
}

/* Gives what went wrong, as a sentence; NULL if the lab runs. */
static char *come_up(struct daemon *daemon)
{
    struct control_options control = {daemon->dir, asked, daemon};
    int r = control_open(&daemon->loop, &control, &daemon->control);

    if (r < 0)
        return failure("the control socket", r);
    r = fabric_open(&daemon->loop, daemon->layout, daemon->faults, uv_hrtime(), &daemon->fabric);
    if (r < 0)
        return failure("the fabric", r);
    r = front_open(&daemon->loop, daemon->layout, FRONT_WAIT_MS, &daemon->front);
    if (r < 0)
        return failure("the endpoint", r);
    r = proc_identify(getpid(), &daemon->record->daemon);
    if (r < 0)
        return failure("the daemon", r);
    return start_nodes(daemon);
}

static void tell(int fd, const char *problem)
{
    json_t *json =
        problem ? json_pack("{s:b, s:s}", "ok", 0, "error", problem) : json_pack("{s:b}", "ok", 1);

    json_dumpfd(json, fd, JSON_COMPACT);
    json_decref(json);
    close(fd);
}

/* Each relay takes two descriptors, and a node inherits the limit. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Where this program is; a lab's nodes are the same one. */
static int find_binary(char *out, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", out, size - 1);

    if (len < 0)
        return err_new(-errno);
    out[len] = '\0';
    return 0;
}

static int run(struct daemon *daemon, int ready_fd)
{
    char *problem;

    uv_loop_init(&daemon->loop);
    catch_signals(daemon);
    watch_home(daemon);
    daemon->layout = layout_new(&daemon->record->options);
    daemon->faults = faults_new(daemon->layout);
    make_supervisor(daemon);
    problem = come_up(daemon);
    if (problem) {
        daemon_go_down(daemon, NULL);
    } else {
        log_info("lab.up managers=%u workers=%u zones=%u", daemon->layout->options.managers,
                 daemon->layout->options.workers, daemon->layout->options.zones);
        tell(ready_fd, NULL);
    }
    uv_run(&daemon->loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&daemon->loop) == 0);
    if (problem)
        tell(ready_fd, problem);
    supervisor_free(daemon->supervisor);
    faults_free(daemon->faults);
    layout_free(daemon->layout);
    free(daemon->down);
    free(problem);
    return problem ? 1 : 0;
}

int daemon_run(const char *dir, int ready_fd)
{
    scope(record_free) struct record *record = NULL;
    char binary[4096];
    struct daemon daemon = {.dir = dir, .binary = binary};
    int code;
    int r;

    log_setup("lab", LOG_INFO);
    raise_file_limit();
    fcntl(ready_fd, F_SETFD, FD_CLOEXEC);
    if (record_load(dir, &record) != 0 || find_binary(binary, sizeof binary) < 0) {
        tell(ready_fd, "the lab's record cannot be read");
        return 1;
    }
    daemon.record = record;
    code = run(&daemon, ready_fd);
    record->daemon = (struct proc){0};
    r = record_save(dir, record);
    if (r < 0)
        log_error("lab.unsaved error=\"%s\" trace=\"%s\"", strerror(-r), err_trace());
    return code;
}
