/*
 * The lab's daemon: one process, one loop, that holds a running lab together: the fabric, the
 * front, the supervisor and the control socket.
 *
 * `cais lab up` starts it as `cais lab daemon`, detached, with its output in DIR/lab.log. It
 * ends when it is told to go down, by a verb or by SIGTERM, and takes everything it started
 * with it: workers' tasks too. It goes down by itself when its directory is removed: nobody could
 * tell it to any more.
 */
#pragma once

#include <stddef.h>

#include "server/lab/fabric.h"
#include "server/lab/faults.h"
#include "server/lab/front.h"
#include "server/lab/layout.h"
#include "server/lab/record.h"
#include "server/lab/supervisor.h"

struct down;

/* What the orders (server/lab/orders.h) act upon. */
struct daemon {
    uv_loop_t loop;
    const char *dir;
    const char *binary;
    struct record *record;
    struct layout *layout;
    struct faults *faults;
    struct fabric *fabric;
    struct front *front;
    struct supervisor *supervisor;
    struct control *control;
    struct down *down; /* Under way; NULL otherwise. */
    uv_signal_t signals[2];
    uv_timer_t watch; /* Over the directory. */
};

/* Run the lab whose record is in the directory, until it is taken down. Once it runs, or cannot,
 * one line of JSON goes to ready_fd, {"ok":true} or {"ok":false,"error":...}, which is closed.
 * Returns the exit code. */
int daemon_run(const char *dir, int ready_fd);

/* Take everything down: nodes, then tasks, then the daemon itself. The call, if any, is
 * answered when nothing is left. */
struct control_call;
void daemon_go_down(struct daemon *daemon, struct control_call *call);

/* DIR/<name> of a node. Gives. */
char *daemon_node_dir(const struct daemon *daemon, size_t node);
