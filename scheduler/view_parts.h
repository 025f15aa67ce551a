/*
 * What a view is made of. For the scheduler's own modules.
 *
 *     cluster ── workers                 worker <── spot ──> deployment <── service
 *        └────── services that wait        └────── task ──────┘
 *
 * A spot is a deployment's presence on a worker. Workers, services and deployments that are not
 * `known` are places for records that did not come yet or left before their tasks did; they go with
 * the last task and flight that names them.
 */
#pragma once

#include "proto/base/list.h"
#include "scheduler/mark.h"
#include "scheduler/need.h"
#include "scheduler/seqmap.h"
#include "scheduler/view.h"

struct cluster {
    uint64_t seq;
    struct worker **workers; /* The known ones, in no order. */
    size_t worker_count;
    size_t worker_cap;
    size_t service_count;
    struct list waiting; /* Services for which there was no room. */
};

/* First what the search for room reads. */
struct worker {
    uint64_t seq;
    bool known;
    bool active;
    bool connected;
    uint32_t zone; /* Index into view.zones. */
    uint32_t cpu;
    uint32_t memory;
    uint32_t cpu_used;
    uint32_t memory_used;
    uint64_t cpu_held; /* By flights. */
    uint64_t memory_held;
    uint32_t tasks;  /* PENDING and RUNNING. */
    uint32_t flying; /* Tasks in flight to it. */
    struct port_set ports_used;
    struct port_set ports_held;
    size_t task_refs;        /* Tasks of any phase. */
    struct cluster *cluster; /* NULL until known. */
    size_t slot;             /* In cluster->workers. */
    char id[33];
};

struct spot {
    struct list link; /* deployment->spots */
    struct worker *worker;
    uint32_t tasks; /* PENDING and RUNNING. */
    size_t refs;    /* Tasks of any phase. */
};

struct deployment {
    uint64_t seq;
    struct list link; /* service->deployments */
    struct service *service;
    bool known;
    bool listed; /* Scratch of view_put_service(). */
    bool completed;
    char *id;
    struct need need;
    uint64_t start_after_ms;
    struct list tasks;
    uint32_t count[VIEW_TASK_PHASES]; /* Tasks by phase. */
    struct list spots;
    struct seqmap spot_by_worker;
};

/* There was no room for its tasks. */
struct shortage {
    bool here;
    bool said;
    bool room; /* A worker changed so that a task may fit. */
    uint64_t since_ms;
    uint64_t said_ms;
    uint64_t retry_ms;
};

struct service {
    uint64_t seq;
    struct cluster *cluster; /* NULL until known. */
    bool known;
    enum view_service_status status;
    char *name;
    uint32_t desired_count;
    uint32_t minimum_healthy_percent;
    uint32_t maximum_percent;
    bool steady;
    struct list deployments;    /* In ascending seq. */
    struct deployment *primary; /* NULL until known. */
    uint32_t flights;           /* Items in flight; while there are any nothing is planned. */
    uint64_t hold_until_ms;     /* Nor before this. */
    struct service_mark mark;
    struct list waiting; /* cluster->waiting, while shortage.here. */
    struct shortage shortage;
    bool stuck_said; /* Its percentages let a deployment neither start nor stop. */
};

struct task {
    uint64_t seq;
    enum view_phase phase;
    struct worker *worker;
    struct deployment *deployment; /* NULL: standalone, as is spot. */
    struct spot *spot;
    struct list link; /* deployment->tasks */
};

struct view {
    struct seqmap clusters;
    struct seqmap workers;
    struct seqmap services;
    struct seqmap tasks;
    struct seqmap flights;
    uint64_t last_token;
    char **zones; /* Names; 0 is "", where workers not known are. */
    size_t zone_count;
    struct marks marks;
};

/* Find, or make an empty place. */
struct worker *view_worker_at(struct view *view, uint64_t seq);
struct service *view_service_at(struct view *view, uint64_t seq);
struct deployment *view_deployment_at(struct service *service, uint64_t seq);
struct cluster *view_cluster_at(struct view *view, uint64_t seq);

/* NULL if there is none. */
struct deployment *view_deployment(struct service *service, uint64_t seq);

/* Free it if it is not known and nothing names it (a cluster: has no worker and no service). */
void view_worker_drop(struct view *view, struct worker *worker);
void view_service_drop(struct view *view, struct service *service);
void view_deployment_drop(struct deployment *deployment);
void view_cluster_drop(struct view *view, struct cluster *cluster);

/* Whatever may have made room on a worker: mark the waiting services it could help. */
void view_worker_changed(struct view *view, struct worker *worker);

/* There is no room for its tasks, or that is over. */
void view_service_wait(struct service *service);
void view_service_unwait(struct service *service);

/* Free everything; for view_free(). */
void view_services_free(struct view *view);
void view_tasks_free(struct view *view);
