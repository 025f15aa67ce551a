#include "server/lab/status.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/cli/table.h"
#include "server/lab/daemon.h"
#include "server/lab/machine.h"

static const char *state_of(const struct daemon *daemon, size_t node)
{
    switch (supervisor_state(daemon->supervisor, node)) {
    case PROC_RUNNING:
        return "running";
    case PROC_STOPPED:
        return "stopped";
    default:
        return "dead";
    }
}

static json_t *pid_of(const struct daemon *daemon, size_t node)
{
    pid_t pid = supervisor_pid(daemon->supervisor, node);

    return pid > 0 ? json_integer(pid) : json_null();
}

/* As the manager said last, which is over when it is stopped. */
static const char *role_of(const struct daemon *daemon, size_t node)
{
    const struct health *health = front_health(daemon->front, node);
    bool runs = supervisor_state(daemon->supervisor, node) == PROC_RUNNING;

    return runs && health->answering ? health->role : "unknown";
}

/* Likewise: does it vote? */
static const char *member_of(const struct daemon *daemon, size_t node)
{
    const struct health *health = front_health(daemon->front, node);
    bool runs = supervisor_state(daemon->supervisor, node) == PROC_RUNNING;

    return runs && health->answering && *health->member ? health->member : "unknown";
}

static json_t *manager_json(const struct daemon *daemon, size_t node)
{
    const struct layout *layout = daemon->layout;
    char host[INET_ADDRSTRLEN];
    char *api;
    json_t *one;

    inet_ntop(AF_INET, &layout->nodes[node].real, host, sizeof host);
    api = mem_format("%s:%u", host, layout->options.api_port);
    one = json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:s}", "name", layout->nodes[node].name, "zone",
                    layout_zone_of(layout, node), "pid", pid_of(daemon, node), "state",
                    state_of(daemon, node), "api", api, "role", role_of(daemon, node), "member",
                    member_of(daemon, node));
    free(api);
    return one;
}

static json_t *worker_json(const struct daemon *daemon, size_t node)
{
    const struct layout *layout = daemon->layout;
    char *dir = daemon_node_dir(daemon, node);
    json_t *one = json_pack("{s:s, s:s, s:o, s:s, s:I}", "name", layout->nodes[node].name, "zone",
                            layout_zone_of(layout, node), "pid", pid_of(daemon, node), "state",
                            state_of(daemon, node), "tasks", (json_int_t)machine_task_count(dir));

    free(dir);
    return one;
}

/* The latest term that any manager speaks of. */
static uint64_t term_of(const struct daemon *daemon)
{
    uint64_t term = 0;

    for (size_t i = 0; i < daemon->layout->manager_count; i++) {
        const struct health *health = front_health(daemon->front, i);

        term = health->term > term ? health->term : term;
    }
    return term;
}

json_t *status_of(const struct daemon *daemon)
{
    const struct layout *layout = daemon->layout;
    char *endpoint = mem_format("http://%s:%u", layout->options.api_host, layout->options.api_port);
    int leader = front_leader(daemon->front);
    json_t *managers = json_array();
    json_t *workers = json_array();
    json_t *status;

    for (size_t i = 0; i < layout->node_count; i++) {
        if (layout->nodes[i].manager)
            json_array_append_new(managers, manager_json(daemon, i));
        else
            json_array_append_new(workers, worker_json(daemon, i));
    }
    status = json_pack("{s:s, s:s?, s:I, s:o, s:o, s:o}", "endpoint", endpoint, "leader",
                       leader == FRONT_NONE ? NULL : layout->nodes[leader].name, "term",
                       (json_int_t)term_of(daemon), "managers", managers, "workers", workers,
                       "faults", faults_describe(daemon->faults));
    must(status);
    free(endpoint);
    return status;
}

/* ---- for people */

static const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void add_number(struct table *table, const json_t *object, const char *key)
{
    const json_t *number = json_object_get(object, key);

    if (json_is_integer(number))
        table_add_number(table, json_integer_value(number));
    else
        table_add(table, NULL);
}

/* leader, voter, stand-by: in one word what a manager is. */
static const char *standing(const json_t *manager)
{
    const char *role = text(manager, "role"), *member = text(manager, "member");

    if (strcmp(role, "leader") == 0 || !member)
        return role;
    return strcmp(member, "standby") == 0 ? "stand-by" : member;
}

static void print_managers(const json_t *managers, FILE *to)
{
    scope(table_free) struct table *table =
        table_new("MANAGER", "ZONE", "STATE", "ROLE", "PID", "API", NULL);
    const json_t *one;
    size_t i;

    json_array_foreach(managers, i, one)
    {
        table_add(table, text(one, "name"));
        table_add(table, text(one, "zone"));
        table_add(table, text(one, "state"));
        table_add(table, standing(one));
        add_number(table, one, "pid");
        table_add(table, text(one, "api"));
    }
    table_print(table, to);
}

static void print_workers(const json_t *workers, FILE *to)
{
    scope(table_free) struct table *table =
        table_new("WORKER", "ZONE", "STATE", "TASKS", "PID", NULL);
    const json_t *one;
    size_t i;

    json_array_foreach(workers, i, one)
    {
        table_add(table, text(one, "name"));
        table_add(table, text(one, "zone"));
        table_add(table, text(one, "state"));
        add_number(table, one, "tasks");
        add_number(table, one, "pid");
    }
    table_print(table, to);
}

static void print_fault(const json_t *fault, FILE *to)
{
    const char *kind = text(fault, "kind");
    bool one_way = json_is_true(json_object_get(fault, "one_way"));

    if (text(fault, "zone")) {
        fprintf(to, "  %s %s\n", kind, text(fault, "zone"));
        return;
    }
    fprintf(to, "  %s %s %s", kind, text(fault, "a"), text(fault, "b"));
    if (json_object_get(fault, "delay_ms"))
        fprintf(to, " %" JSON_INTEGER_FORMAT " %" JSON_INTEGER_FORMAT,
                json_integer_value(json_object_get(fault, "delay_ms")),
                json_integer_value(json_object_get(fault, "jitter_ms")));
    fprintf(to, "%s\n", one_way ? " (one way)" : "");
}

void status_print(const json_t *status, FILE *to)
{
    const json_t *faults = json_object_get(status, "faults"), *fault;
    const char *leader = text(status, "leader");
    size_t i;

    fprintf(to, "%s: leader %s, term %" JSON_INTEGER_FORMAT "\n\n", text(status, "endpoint"),
            leader ? leader : "none", json_integer_value(json_object_get(status, "term")));
    print_managers(json_object_get(status, "managers"), to);
    if (json_array_size(json_object_get(status, "workers")) > 0) {
        fputc('\n', to);
        print_workers(json_object_get(status, "workers"), to);
    }
    if (json_array_size(faults) > 0)
        fputs("\nfaults\n", to);
    json_array_foreach(faults, i, fault) print_fault(fault, to);
}
