#include "server/lab/orders.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/lab/control.h"
#include "server/lab/daemon.h"
#include "server/lab/machine.h"
#include "server/lab/status.h"
#include "server/net/log.h"

enum { ARGS_MAX = 4, DELAY_MAX_MS = 60 * 1000 };

/* One order being carried out: what was asked, and what to answer. */
struct order {
    struct daemon *daemon;
    const char *verb;
    const char *args[ARGS_MAX];
    size_t arg_count;
    bool one_way;
    bool tasks;
    json_t *said;
    char *error; /* The first one. */
};

static void say(struct order *order, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void refuse(struct order *order, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct order *order, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    json_array_append_new(order->said, json_vsprintf(format, args));
    va_end(args);
}

static void refuse(struct order *order, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    int len;

    va_start(args, format);
    len = vasprintf(&text, format, args);
    va_end(args);
    must(len >= 0);
    if (order->error)
        free(text);
    else
        order->error = text;
}

static const char *name_of(const struct order *order, size_t node)
{
    return order->daemon->layout->nodes[node].name;
}

/* ---- processes */

/* Gives an array of marks, by node; NULL, with the order refused, if the word means nobody. */
static bool *targets(struct order *order)
{
    struct daemon *daemon = order->daemon;
    const char *word = order->args[0];
    bool *members = mem_new_array(bool, daemon->layout->node_count);
    int leader = front_leader(daemon->front);

    if (strcmp(word, "leader") == 0 && leader != FRONT_NONE) {
        members[leader] = true;
        return members;
    }
    if (strcmp(word, "leader") == 0)
        refuse(order, "there is no leader now");
    else if (strcmp(word, "*") != 0 && layout_select(daemon->layout, word, members) == 0)
        return members;
    else
        refuse(order, "%s: no such node or zone; expected a node, leader or zone:ZONE", word);
    free(members);
    return NULL;
}

static size_t destroy_tasks(struct order *order, size_t node)
{
    char *dir = daemon_node_dir(order->daemon, node);
    size_t count = machine_destroy_tasks(dir);

    free(dir);
    return count;
}

/* What may be done to one node: 1 done, 0 not applicable in its state (why says so). */
typedef bool (*node_action)(struct order *order, size_t node, const char **out_why);

static bool kill_node(struct order *order, size_t node, const char **out_why)
{
    bool lives = supervisor_state(order->daemon->supervisor, node) != PROC_GONE;
    pid_t pid = supervisor_pid(order->daemon->supervisor, node);
    size_t tasks = 0;

    if (lives && supervisor_signal(order->daemon->supervisor, node, SIGKILL) == 0)
        say(order, "%s killed (pid %d)", name_of(order, node), (int)pid);
    if (order->tasks && !order->daemon->layout->nodes[node].manager)
        tasks = destroy_tasks(order, node);
    if (tasks > 0)
        say(order, "%s lost %zu tasks", name_of(order, node), tasks);
    *out_why = "is dead already";
    return lives || tasks > 0;
}

static bool signal_node(struct order *order, size_t node, enum proc_state when, int signal)
{
    struct supervisor *supervisor = order->daemon->supervisor;

    return supervisor_state(supervisor, node) == when &&
           supervisor_signal(supervisor, node, signal) == 0;
}

static bool stop_node(struct order *order, size_t node, const char **out_why)
{
    *out_why = supervisor_state(order->daemon->supervisor, node) == PROC_STOPPED
                   ? "is stopped already"
                   : "is dead";
    if (!signal_node(order, node, PROC_RUNNING, SIGSTOP))
        return false;
    say(order, "%s stopped (pid %d)", name_of(order, node),
        (int)supervisor_pid(order->daemon->supervisor, node));
    return true;
}

static bool cont_node(struct order *order, size_t node, const char **out_why)
{
    *out_why = supervisor_state(order->daemon->supervisor, node) == PROC_RUNNING
                   ? "is not stopped"
                   : "is dead: start it";
    if (!signal_node(order, node, PROC_STOPPED, SIGCONT))
        return false;
    say(order, "%s goes on (pid %d)", name_of(order, node),
        (int)supervisor_pid(order->daemon->supervisor, node));
    return true;
}

static bool start_node(struct order *order, size_t node, const char **out_why)
{
    struct daemon *daemon = order->daemon;
    enum proc_state state = supervisor_state(daemon->supervisor, node);
    int r;

    *out_why = state == PROC_STOPPED ? "is stopped: use cont" : "is running already";
    if (state != PROC_GONE || supervisor_pid(daemon->supervisor, node) > 0)
        return false;
    *out_why = "is in a zone without power: use restore-zone";
    if (faults_is_dark(daemon->faults, daemon->layout->nodes[node].zone))
        return false;
    r = supervisor_start(daemon->supervisor, node);
    if (r < 0)
        refuse(order, "%s cannot be started: %s", name_of(order, node), strerror(-r));
    else
        say(order, "%s started (pid %d)", name_of(order, node),
            (int)supervisor_pid(daemon->supervisor, node));
    return true;
}

/* Do it to every target that it applies to; to none is an error that says why. */
static void act(struct order *order, node_action action)
{
    bool *members = targets(order);
    const char *why = NULL;
    size_t done = 0, last = 0, count = 0;

    if (!members)
        return;
    for (size_t i = 0; i < order->daemon->layout->node_count; i++) {
        if (!members[i])
            continue;
        done += action(order, i, &why);
        last = i;
        count++;
    }
    if (done == 0 && count == 1)
        refuse(order, "%s %s", name_of(order, last), why);
    else if (done == 0)
        refuse(order, "%s: nothing there to %s", order->args[0], order->verb);
    free(members);
}

static void order_kill(struct order *order)
{
    act(order, kill_node);
}

static void order_stop(struct order *order)
{
    act(order, stop_node);
}

static void order_cont(struct order *order)
{
    act(order, cont_node);
}

static void order_start(struct order *order)
{
    act(order, start_node);
}

/* ---- links */

static struct faults_between between(const struct order *order)
{
    return (struct faults_between){order->args[0], order->args[1], order->one_way};
}

static bool takes(struct order *order, int outcome)
{
    switch (outcome) {
    case FAULTS_UNKNOWN_A:
    case FAULTS_UNKNOWN_B:
        refuse(order, "%s: no such node or zone; expected a node, zone:ZONE or *",
               order->args[outcome == FAULTS_UNKNOWN_B]);
        return false;
    case FAULTS_NO_LINK:
        refuse(order, "no link runs between %s and %s", order->args[0], order->args[1]);
        return false;
    case FAULTS_TOO_MANY:
        refuse(order, "there are %d faults already; heal some", FAULTS_MAX);
        return false;
    default:
        fabric_refresh(order->daemon->fabric);
        return true;
    }
}

static void order_cut(struct order *order)
{
    if (takes(order, faults_cut(order->daemon->faults, between(order))))
        say(order, "cut: %s %s %s", order->args[0], order->one_way ? "->" : "<->", order->args[1]);
}

static void order_heal(struct order *order)
{
    if (order->arg_count == 1) {
        refuse(order, "heal takes two names, or none for everything");
        return;
    }
    if (order->arg_count == 0) {
        faults_heal_all(order->daemon->faults);
        fabric_refresh(order->daemon->fabric);
        say(order, "every link is healed");
        return;
    }
    if (takes(order, faults_heal(order->daemon->faults, between(order))))
        say(order, "healed: %s %s %s", order->args[0], order->one_way ? "->" : "<->",
            order->args[1]);
}

static bool read_ms(struct order *order, const char *text, unsigned *out)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || value > DELAY_MAX_MS) {
        refuse(order, "%s: expected milliseconds, 0 to %d", text, DELAY_MAX_MS);
        return false;
    }
    *out = (unsigned)value;
    return true;
}

static void order_delay(struct order *order)
{
    unsigned delay_ms, jitter_ms = 0;

    if (!read_ms(order, order->args[2], &delay_ms))
        return;
    if (order->arg_count == 4 && !read_ms(order, order->args[3], &jitter_ms))
        return;
    if (takes(order, faults_delay(order->daemon->faults, between(order), delay_ms, jitter_ms)))
        say(order, "delay: %s %s %s, %u ms + 0..%u ms", order->args[0],
            order->one_way ? "->" : "<->", order->args[1], delay_ms, jitter_ms);
}

static void order_reset(struct order *order)
{
    struct daemon *daemon = order->daemon;
    size_t n = daemon->layout->node_count;
    bool *pairs = mem_new_array(bool, n *n);

    if (takes(order, faults_pairs(daemon->layout, between(order), pairs)))
        say(order, "%zu connections reset", fabric_reset(daemon->fabric, pairs));
    free(pairs);
}

/* ---- zones */

static bool find_zone(struct order *order, unsigned *out)
{
    if (layout_find_zone(order->daemon->layout, order->args[0], out) == 0)
        return true;
    refuse(order, "%s: no such zone", order->args[0]);
    return false;
}

/* The lines go dark first: nobody may hear the processes die. */
static void order_fail_zone(struct order *order)
{
    struct daemon *daemon = order->daemon;
    const char *why;
    unsigned zone;

    if (!find_zone(order, &zone))
        return;
    if (faults_is_dark(daemon->faults, zone)) {
        refuse(order, "%s has failed already", daemon->layout->zones[zone]);
        return;
    }
    faults_set_dark(daemon->faults, zone, true);
    fabric_refresh(daemon->fabric);
    order->tasks = true;
    for (size_t i = 0; i < daemon->layout->node_count; i++) {
        if (daemon->layout->nodes[i].zone == zone)
            kill_node(order, i, &why);
    }
    say(order, "%s has no power", daemon->layout->zones[zone]);
}

/* What was connected before the power went finds no one it knows: it is reset, then the lines
 * are lit and the machines start. */
static void order_restore_zone(struct order *order)
{
    struct daemon *daemon = order->daemon;
    const char *why;
    unsigned zone;

    if (!find_zone(order, &zone))
        return;
    if (!faults_is_dark(daemon->faults, zone)) {
        refuse(order, "%s has not failed", daemon->layout->zones[zone]);
        return;
    }
    faults_set_dark(daemon->faults, zone, false);
    for (size_t i = 0; i < daemon->layout->node_count; i++) {
        if (daemon->layout->nodes[i].zone == zone)
            fabric_reset_node(daemon->fabric, i);
    }
    fabric_refresh(daemon->fabric);
    for (size_t i = 0; i < daemon->layout->node_count; i++) {
        if (daemon->layout->nodes[i].zone == zone)
            start_node(order, i, &why);
    }
}

/* ---- the table */

static const struct {
    const char *verb;
    size_t least, most; /* Arguments. */
    void (*carry_out)(struct order *order);
} orders[] = {
    {"kill", 1, 1, order_kill},
    {"stop", 1, 1, order_stop},
    {"cont", 1, 1, order_cont},
    {"start", 1, 1, order_start},
    {"cut", 2, 2, order_cut},
    {"heal", 0, 2, order_heal},
    {"delay", 3, 4, order_delay},
    {"reset", 2, 2, order_reset},
    {"fail-zone", 1, 1, order_fail_zone},
    {"restore-zone", 1, 1, order_restore_zone},
};

static bool read_order(struct order *order, const json_t *question)
{
    const json_t *args = json_object_get(question, "args"), *arg;
    size_t i;

    order->verb = json_string_value(json_object_get(question, "verb"));
    order->one_way = json_is_true(json_object_get(question, "one_way"));
    order->tasks = json_is_true(json_object_get(question, "tasks"));
    if (!order->verb || json_array_size(args) > ARGS_MAX)
        return false;
    json_array_foreach(args, i, arg)
    {
        if (!json_is_string(arg))
            return false;
        order->args[order->arg_count++] = json_string_value(arg);
    }
    return true;
}

static void carry_out(struct order *order)
{
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        if (strcmp(orders[i].verb, order->verb) != 0)
            continue;
        if (order->arg_count < orders[i].least || order->arg_count > orders[i].most)
            refuse(order, "%s: wrong number of arguments", order->verb);
        else
            orders[i].carry_out(order);
        return;
    }
    refuse(order, "%s: unknown verb", order->verb);
}

static void log_order(const struct order *order)
{
    log_info("lab.order verb=%s a=\"%s\" b=\"%s\" outcome=\"%s\"", order->verb,
             order->arg_count > 0 ? order->args[0] : "", order->arg_count > 1 ? order->args[1] : "",
             order->error ? order->error : "done");
}

void orders_take(struct daemon *daemon, struct control_call *call, const json_t *question)
{
    struct order order = {.daemon = daemon, .said = json_array()};
    json_t *answer;

    if (!read_order(&order, question)) {
        order.verb = "?";
        refuse(&order, "not an order");
    } else if (daemon->down) {
        refuse(&order, "the lab is being taken down");
    } else if (strcmp(order.verb, "down") == 0) {
        json_decref(order.said);
        daemon_go_down(daemon, call);
        return;
    } else if (strcmp(order.verb, "status") == 0) {
        json_decref(order.said);
        control_answer(call, json_pack("{s:b, s:o}", "ok", 1, "status", status_of(daemon)));
        return;
    } else {
        carry_out(&order);
    }
    log_order(&order);
    if (order.error)
        answer = json_pack("{s:b, s:s, s:o}", "ok", 0, "error", order.error, "said", order.said);
    else
        answer = json_pack("{s:b, s:o}", "ok", 1, "said", order.said);
    control_answer(call, answer);
    free(order.error);
}
