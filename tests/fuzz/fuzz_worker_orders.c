/* Whatever a manager answers to a Pull, the worker decides, composes and carries on. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "proto/base/must.h"
#include "server/worker/agent.h"
#include "server/worker/compose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t choose_port(void *context, bool udp)
{
    (void)context, (void)udp;
    return 61000;
}

static void compose(const struct agent_action *action)
{
    struct compose in = {
        .assignment = action->assignment,
        .definition = action->definition->spec,
        .task_path = "/tasks/x",
        .address = "127.0.0.1",
        .zone = "z",
        .choose_port = choose_port,
    };
    struct cgroup_limits limits;
    Supervise__Spec *spec = NULL;
    char *problem = NULL;

    compose_limits(&in, &limits);
    if (compose_spec(&in, &spec, &problem) == 0) {
        must(spec->n_containers > 0);
        supervise__spec__free_unpacked(spec, NULL);
    } else {
        must(problem);
    }
    free(problem);
}

static void obey(struct agent *agent, const Worker__PullResponse *response)
{
    struct agent_plan plan = {0};

    agent_decide(agent, agent_pull(agent), response, &plan);
    for (size_t i = 0; i < plan.count; i++)
        if (plan.actions[i].verb == AGENT_START)
            compose(&plan.actions[i]);
    agent_carry_out(agent, &plan, 1);
    agent_plan_fini(&plan);
}

static void report(struct agent *agent)
{
    Command__TaskReport *reports[64];
    size_t count = agent_has_reports(agent) ? agent_take_reports(agent, reports, 64) : 0;

    for (size_t i = 0; i < count; i++)
        command__task_report__free_unpacked(reports[i], NULL);
    if (count)
        agent_reported(agent, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Worker__PullResponse *response = worker__pull_response__unpack(NULL, size, data);
    struct agent *agent;

    if (!response)
        return 0;
    agent = agent_new(0);
    for (int i = 0; i < 3; i++) {
        obey(agent, response);
        report(agent);
        response->complete = !response->complete;
    }
    agent_free(agent);
    worker__pull_response__free_unpacked(response, NULL);
    return 0;
}
