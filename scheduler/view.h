/*
 * The scheduler's picture of clusters: workers, services, and the tasks that are not STOPPED.
 *
 * Every manager keeps one, long-lived, and feeds it what applied commands changed, so that a new
 * leader plans in its first turn. The tables are the truth: a record put here replaces the one of
 * the same seq. Records may come in any order; what is named but not yet known (a task's
 * worker, say) gets an empty place that a later put fills.
 *
 * A put that changes something marks the services it concerns; schedule() looks at marked ones
 * only. A view is used by one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/scope.h"

struct view;

/* A fixed host port. */
struct view_port {
    uint16_t number;
    bool udp;
};

/* A container instance, with what its tasks take of it (state.Worker, state.WorkerUsage). */
struct view_worker {
    uint64_t seq;
    uint64_t cluster_seq;
    const char *id;   /* 32 hex digits. */
    const char *zone; /* "" is a zone like any other. */
    bool active;      /* Its status is ACTIVE. */
    bool connected;
    uint32_t cpu;
    uint32_t memory;
    uint32_t cpu_used;
    uint32_t memory_used;
    const struct view_port *ports_used;
    size_t port_count;
};

enum view_service_status {
    VIEW_SERVICE_ACTIVE,
    VIEW_SERVICE_DRAINING, /* Deleted: its tasks are stopped, then it is noted as gone. */
    VIEW_SERVICE_INACTIVE, /* Nothing is planned for it. */
};

struct view_deployment {
    uint64_t seq;
    const char *id; /* "ecs-svc/N" */
    bool primary;
    bool completed; /* Its rollout is COMPLETED. */
    uint32_t cpu;   /* What one of its tasks takes. */
    uint32_t memory;
    const struct view_port *ports;
    size_t port_count;
    uint64_t start_after_ms; /* No new task before: back-off after failed starts. 0: at once. */
};

struct view_service {
    uint64_t seq;
    uint64_t cluster_seq;
    const char *name;
    enum view_service_status status;
    uint32_t desired_count;
    uint32_t minimum_healthy_percent;
    uint32_t maximum_percent; /* Below 100 counts as 100: the service could never be complete. */
    bool steady;              /* state.Service.steady */
    const struct view_deployment *deployments; /* All of them; at most one primary. */
    size_t deployment_count;
};

/* What of a task's life matters for planning. Derive it with view_task_phase(). */
enum view_phase {
    VIEW_TASK_PENDING,  /* Desired RUNNING, not there yet. */
    VIEW_TASK_RUNNING,  /* Desired RUNNING, and so it is. */
    VIEW_TASK_STOPPING, /* Told to stop, or ending by itself. Still takes its place on the worker.
                         */
    VIEW_TASK_STOPPED,
    VIEW_TASK_PHASES,
};

struct view_task {
    uint64_t seq;
    uint64_t worker_seq;
    uint64_t service_seq;    /* 0: standalone. */
    uint64_t deployment_seq; /* 0: standalone. */
    enum view_phase phase;
};

/* The phase of a task by its state (state.TaskState as a number) and desire. */
enum view_phase view_task_phase(int state, bool desired_stopped);

/* Gives. */
struct view *view_new(void);
void view_free(struct view *view);

/* Put a record in, new or instead of the one with its seq. Copies. */
void view_put_worker(struct view *view, const struct view_worker *worker);
void view_put_service(struct view *view, const struct view_service *service);
/* A task put as VIEW_TASK_STOPPED is removed. */
void view_put_task(struct view *view, const struct view_task *task);

/* Take a record out. An unknown seq is fine. */
void view_remove_worker(struct view *view, uint64_t worker_seq);
void view_remove_service(struct view *view, uint64_t service_seq);
void view_remove_task(struct view *view, uint64_t task_seq);

/*
 * Flights: what is planned and not yet applied.
 *
 * place() and each item of a plan have a token. Under it the view holds the room that the starts
 * will take on the workers, and keeps schedule() from planning again for the service. When the
 * command made of it was applied or refused, first feed the view what that changed, then release
 * the token. retry_ms: 0 to look at the service again at the next schedule(), or a time before
 * which that is not wanted (a command was refused, and would be again). An unknown token, also 0,
 * is fine.
 */
void view_release(struct view *view, uint64_t token, uint64_t retry_ms);

/* Release every token: the manager no longer leads, none of its commands will be heard of. */
void view_release_all(struct view *view);

/* How much there is, for metrics and tests. Tasks are those not STOPPED. */
struct view_size {
    size_t clusters;
    size_t workers;
    size_t services;
    size_t tasks;
    size_t flights;
    size_t marked; /* Services the next schedule() will look at. */
};
void view_size(const struct view *view, struct view_size *out);

SCOPED(struct view *, view_free);
