#include "server/worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/unpacking.h"
#include "server/net/address.h"
#include "server/net/log.h"
#include "server/worker/agent.h"
#include "server/worker/clock.h"
#include "server/worker/release.h"
#include "server/worker/report.h"
#include "server/worker/session.h"
#include "server/worker/task_dir.h"
#include "server/worker/worker_store.h"

enum {
    BOOT_ID_BYTES = 40,
    STORE_AGAIN_MS = 1000, /* After a commit that failed. */
};

struct worker {
    Worker__RegisterRequest identity;
    struct store *store;
    struct agent *agent;
    struct runtime *runtime;
    struct session *session;
    uv_prepare_t turn; /* Runs when the loop has done all it can and is about to wait. */
    uv_timer_t again;
    bool store_fails; /* Logged once. */
    int open_handles;
    char boot_id[BOOT_ID_BYTES];
};

/* ---- memory */

/* False: it could not be made durable; nothing may follow from it. */
static bool commit(struct worker *worker)
{
    int r = store_commit(worker->store);

    if (r < 0 && !worker->store_fails)
        log_error("worker.store_failed error=\"%s\" trace=\"%s\"", strerror(-r), err_trace());
    worker->store_fails = r < 0;
    return r == 0;
}

static void note(struct worker *worker, const Command__TaskReport *report)
{
    if (!agent_observe(worker->agent, report))
        return;
    store_put_report(worker->store, report);
    if (report->state == STATE__TASK_STATE__TASK_STOPPED)
        log_info("task.stopped task=%s reason=\"%s\"", report->task_id, report->reason);
    else if (report->state == STATE__TASK_STATE__TASK_RUNNING)
        log_info("task.running task=%s", report->task_id);
}

/* ---- the end of a turn */

/* The loop wakes for it, and a turn ends. */
static void try_again(uv_timer_t *timer)
{
    (void)timer;
}

static void take_turn(uv_prepare_t *prepare)
{
    struct worker *worker = prepare->data;
    Command__TaskReport *report;

    while ((report = worker->runtime->ops->next(worker->runtime))) {
        note(worker, report);
        report_free(report);
    }
    if (commit(worker))
        session_report(worker->session);
    else if (!uv_is_active((uv_handle_t *)&worker->again))
        uv_timer_start(&worker->again, try_again, STORE_AGAIN_MS, 0);
}

/* ---- orders */

static void heard_term(void *context, uint64_t term)
{
    struct worker *worker = context;

    store_put_term(worker->store, term);
}

static void remember_task(struct worker *worker, const struct agent_action *action)
{
    Supervise__Task task = SUPERVISE__TASK__INIT;

    task.boot_id = worker->boot_id;
    task.assignment = (Worker__Assignment *)action->assignment;
    store_put_task(worker->store, &task);
    store_put_definition(worker->store, action->definition);
}

static void remember(struct worker *worker, const struct agent_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct agent_action *action = &plan->actions[i];

        if (action->verb == AGENT_START)
            remember_task(worker, action);
        else if (action->verb == AGENT_FORGET)
            store_drop_task(worker->store, action->task_id);
    }
}

static void act(struct worker *worker, const struct agent_plan *plan)
{
    struct runtime *runtime = worker->runtime;

    for (size_t i = 0; i < plan->count; i++) {
        const struct agent_action *action = &plan->actions[i];

        if (action->verb == AGENT_START) {
            log_info("task.start task=%s definition=%s:%u", action->task_id,
                     action->definition->family, action->definition->revision);
            runtime->ops->start(runtime, action->assignment, action->definition->spec);
        } else if (action->verb == AGENT_STOP) {
            log_info("task.stop task=%s", action->task_id);
            runtime->ops->stop(runtime, action->task_id);
        } else if (action->verb == AGENT_FORGET) {
            runtime->ops->forget(runtime, action->task_id);
        }
    }
}

static int pulled(void *context, uint64_t pull, const Worker__PullResponse *response)
{
    struct worker *worker = context;
    struct agent_plan plan = {0};
    int r = 0;

    agent_decide(worker->agent, pull, response, &plan);
    if (plan.malformed)
        log_error("worker.orders_malformed count=%zu", plan.malformed);
    remember(worker, &plan);
    if (commit(worker)) {
        act(worker, &plan);
        agent_carry_out(worker->agent, &plan, clock_wall_ms());
    } else {
        r = -EIO;
    }
    agent_plan_fini(&plan);
    return r;
}

/* ---- after a restart */

/* Tasks that were to be started when the last agent ended. */
struct unstarted {
    struct list link;
    Worker__Assignment *assignment;
};

struct adoption {
    struct worker *worker;
    struct list unstarted;
};

static Worker__Assignment *copy_assignment(const Worker__Assignment *from)
{
    size_t len = worker__assignment__get_packed_size(from);
    uint8_t *packed = mem_zeroed(1, len + 1);
    Worker__Assignment *copy;

    worker__assignment__pack(from, packed);
    copy = worker__assignment__unpack(&unpacking, len, packed);
    free(packed);
    must(copy);
    return copy;
}

static void adopt_unstarted(struct adoption *adoption, const Supervise__Task *task)
{
    struct worker *worker = adoption->worker;
    const char *id = task->assignment->task_id;
    struct unstarted *unstarted;

    if (strcmp(task->boot_id, worker->boot_id)) {
        Command__TaskReport *report =
            report_stopped(id, STATE__STOP_CODE__STOP_ESSENTIAL_CONTAINER_EXITED,
                           "The worker's machine was restarted", clock_wall_ms());

        note(worker, report);
        report_free(report);
        return;
    }
    unstarted = mem_new(struct unstarted);
    unstarted->assignment = copy_assignment(task->assignment);
    list_append(&adoption->unstarted, &unstarted->link);
}

static void adopt_task(void *context, const Supervise__Task *task,
                       const Command__TaskReport *report)
{
    struct adoption *adoption = context;
    struct runtime *runtime = adoption->worker->runtime;
    const char *id = task->assignment->task_id;

    agent_adopt(adoption->worker->agent, id, report);
    if (report && report->state == STATE__TASK_STATE__TASK_STOPPED)
        return;
    if (runtime->ops->adopt(runtime, id, report) == RUNTIME_UNKNOWN)
        adopt_unstarted(adoption, task);
    else
        log_info("task.adopted task=%s", id);
}

static void start_unstarted(struct worker *worker, const Worker__Assignment *assignment)
{
    Worker__Definition *definition;
    int r =
        store_get_definition(worker->store, assignment->family, assignment->revision, &definition);

    if (r == 0 && definition->spec) {
        log_info("task.start task=%s definition=%s:%u", assignment->task_id, assignment->family,
                 assignment->revision);
        worker->runtime->ops->start(worker->runtime, assignment, definition->spec);
    } else {
        Command__TaskReport *report = report_stopped(
            assignment->task_id, STATE__STOP_CODE__STOP_TASK_FAILED_TO_START,
            "CannotStartContainerError: the worker has lost its task definition", clock_wall_ms());

        note(worker, report);
        report_free(report);
    }
    if (r == 0)
        worker__definition__free_unpacked(definition, NULL);
}

static int adopt_all(struct worker *worker)
{
    struct adoption adoption = {.worker = worker};
    int r;

    list_init(&adoption.unstarted);
    r = store_each_task(worker->store, adopt_task, &adoption);
    list_each (link, &adoption.unstarted) {
        struct unstarted *unstarted = list_entry(link, struct unstarted, link);

        if (r == 0)
            start_unstarted(worker, unstarted->assignment);
        worker__assignment__free_unpacked(unstarted->assignment, NULL);
        list_remove(link);
        free(unstarted);
    }
    if (r < 0)
        return err_up(r);
    worker->runtime->ops->sweep(worker->runtime);
    return 0;
}

/* ---- opening */

static void read_boot_id(struct worker *worker)
{
    scope(file_close) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, worker->boot_id, sizeof worker->boot_id - 1);

    worker->boot_id[n > 0 ? n : 0] = '\0';
    worker->boot_id[strcspn(worker->boot_id, "\n")] = '\0';
}

static Ecs__Attribute *copy_attribute(const Ecs__Attribute *from)
{
    Ecs__Attribute *attribute = mem_new(Ecs__Attribute);

    ecs__attribute__init(attribute);
    attribute->name = mem_string(from->name);
    attribute->value = mem_string(from->value);
    return attribute;
}

static void fill_identity(struct worker *worker, const struct worker_config *config)
{
    Worker__RegisterRequest *identity = &worker->identity;
    struct rng rng;

    worker__register_request__init(identity);
    rng_seed(&rng, config->seed);
    identity->worker_id = mem_string(store_worker_id(worker->store));
    identity->session = rng_next(&rng) | 1; /* Never 0, which is "none" to a manager. */
    identity->cluster = mem_string(config->cluster);
    identity->name = mem_string(config->name);
    identity->zone = mem_string(config->zone);
    identity->address = mem_string(config->address);
    identity->cpu = config->cpu;
    identity->memory = config->memory;
    identity->version = mem_string(CAIS_VERSION);
    identity->attributes = mem_new_array(Ecs__Attribute *, config->attribute_count);
    for (size_t i = 0; i < config->attribute_count; i++)
        identity->attributes[identity->n_attributes++] = copy_attribute(config->attributes[i]);
}

static void free_identity(Worker__RegisterRequest *identity)
{
    for (size_t i = 0; i < identity->n_attributes; i++)
        ecs__attribute__free_unpacked(identity->attributes[i], NULL);
    free(identity->attributes);
    free(identity->worker_id);
    free(identity->cluster);
    free(identity->name);
    free(identity->zone);
    free(identity->address);
    free(identity->version);
}

static void worker_free(struct worker *worker)
{
    agent_free(worker->agent);
    store_free(worker->store);
    if (worker->identity.base.descriptor)
        free_identity(&worker->identity);
    free(worker);
}

static void handle_closed(uv_handle_t *handle)
{
    struct worker *worker = handle->data;

    if (--worker->open_handles == 0)
        worker_free(worker);
}

static int start_session(struct worker *worker, uv_loop_t *loop, const struct worker_config *config)
{
    struct session_config session = {
        .loop = loop,
        .managers = config->managers,
        .addresses = config->addresses,
        .manager_count = config->manager_count,
        .identity = &worker->identity,
        .agent = worker->agent,
        .seed = config->seed,
        .heard_term = heard_term,
        .pulled = pulled,
        .context = worker,
    };
    scope(text_free) char *source =
        mem_format(strchr(config->address, ':') ? "[%s]:0" : "%s:0", config->address);
    int r = address_parse(source, &session.source, NULL);

    return r < 0 ? err_up(r) : err_up(session_open(&session, &worker->session));
}

static int open_parts(struct worker *worker, uv_loop_t *loop, const struct worker_config *config)
{
    struct runtime_config runtime = {
        .dir = config->dir,
        .address = config->address,
        .zone = config->zone,
        .cgroups = config->cgroups,
        .seed = config->seed,
    };
    int r = task_dir_init(config->dir);

    if (r < 0)
        return err_up(r);
    r = store_open(config->dir, config->seed, &worker->store);
    if (r < 0)
        return err_up(r);
    read_boot_id(worker);
    fill_identity(worker, config);
    worker->agent = agent_new(store_term(worker->store));
    r = config->open_runtime(loop, &runtime, &worker->runtime);
    if (r < 0)
        return err_up(r);
    r = adopt_all(worker);
    if (r == 0)
        r = start_session(worker, loop, config);
    if (r < 0)
        worker->runtime->ops->close(worker->runtime);
    return err_up(r);
}

int worker_open(uv_loop_t *loop, const struct worker_config *config, struct worker **out)
{
    struct worker *worker = mem_new(struct worker);
    int r = open_parts(worker, loop, config);

    if (r < 0) {
        worker_free(worker);
        return err_up(r);
    }
    uv_prepare_init(loop, &worker->turn);
    uv_timer_init(loop, &worker->again);
    worker->open_handles = 2;
    worker->turn.data = worker;
    worker->again.data = worker;
    uv_prepare_start(&worker->turn, take_turn);
    *out = worker;
    return 0;
}

void worker_close(struct worker *worker)
{
    session_close(worker->session);
    worker->runtime->ops->close(worker->runtime);
    uv_close((uv_handle_t *)&worker->turn, handle_closed);
    uv_close((uv_handle_t *)&worker->again, handle_closed);
}
