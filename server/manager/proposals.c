/*
 * The first door: commands that ask for a change. All that a turn asks for goes into the log as
 * one submission; when an entry comes back through apply, whoever asked hears what it came to.
 */
#include <errno.h>
#include <stdlib.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/manager/core_internal.h"

Command__Command *command_new(const struct core *core)
{
    Command__Command *command = mem_new(Command__Command);

    command__command__init(command);
    command->time_ms = core->wall_ms;
    return command;
}

struct proposal *propose(struct core *core, Command__Command *command,
                         void (*applied)(struct core *core, struct proposal *proposal,
                                         const Command__CommandResult *result))
{
    struct proposal *proposal = mem_new(struct proposal);
    size_t len = command__command__get_packed_size(command);

    command__command__pack(command, buffer_extend(&proposal->command, len));
    command__command__free_unpacked(command, NULL);
    proposal->applied = applied;
    list_append(&core->proposing, &proposal->link);
    return proposal;
}

void proposal_free(struct proposal *proposal)
{
    buffer_fini(&proposal->command);
    if (proposal->result)
        command__command_result__free_unpacked(proposal->result, NULL);
    free(proposal);
}

/* Move the first proposals, as many as the log takes, to `fitting`; the others are finished. A
 * command beyond the limit would not fit a frame: no follower could ever have it. */
static size_t choose(struct core *core, struct list *fitting)
{
    size_t room = raft_node_room(core->raft), count = 0;

    list_each (link, &core->proposing) {
        struct proposal *proposal = list_entry(link, struct proposal, link);
        bool fits = count < room && proposal->command.len <= LIMIT_COMMAND_BYTES;

        list_remove(link);
        list_append(fits ? fitting : &core->finished, link);
        count += fits;
    }
    return count;
}

static int submit(struct core *core, struct list *fitting, size_t count)
{
    struct bytes *commands = mem_new_array(struct bytes, count);
    uint64_t first = 0;
    size_t i = 0;
    int r;

    list_each (link, fitting) {
        struct proposal *proposal = list_entry(link, struct proposal, link);

        commands[i++] = (struct bytes){proposal->command.base, proposal->command.len};
    }
    r = raft_node_submit(core->raft, commands, count, &first);
    free(commands);
    if (r != 0) { /* Not leader any more: nothing was submitted. */
        list_splice(&core->finished, fitting);
        return r < 0 ? err_up(r) : 0;
    }
    list_each (link, fitting) {
        struct proposal *proposal = list_entry(link, struct proposal, link);

        proposal->index = first++;
        proposal->submitted = true;
        buffer_fini(&proposal->command);
        proposal->command = (struct buffer){0};
    }
    list_splice(&core->proposed, fitting);
    return 0;
}

int proposals_submit(struct core *core)
{
    struct list fitting;
    size_t count;

    list_init(&fitting);
    count = choose(core, &fitting);
    return count > 0 ? err_up(submit(core, &fitting, count)) : 0;
}

void proposals_applied(struct core *core, uint64_t index, Command__CommandResult *result)
{
    struct proposal *first;

    if (!list_is_empty(&core->proposed)) {
        first = list_entry(core->proposed.next, struct proposal, link);
        must(first->index >= index); /* Applied in order; abandoned when leadership is lost. */
        if (first->index == index) {
            first->result = result;
            if (first->call) {
                call_index_known(core, first->call, index);
                call_collect(core, first->call, result);
            }
            list_remove(&first->link);
            list_append(&core->finished, &first->link);
            return;
        }
    }
    if (result)
        command__command_result__free_unpacked(result, NULL);
}

void proposals_abandon(struct core *core)
{
    list_splice(&core->finished, &core->proposed);
    list_splice(&core->finished, &core->proposing);
}

void proposals_finish(struct core *core)
{
    list_each (link, &core->finished) {
        struct proposal *proposal = list_entry(link, struct proposal, link);

        list_remove(link);
        proposal->applied(core, proposal,
                          core->shutting && proposal->rpc ? NULL : proposal->result);
        proposal_free(proposal);
    }
}
