#include "server/manager/manage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/problem.h"
#include "server/manager/core_internal.h"

enum {
    ANSWERS_WITHIN_MS = 2000,   /* Heard of since: it counts as reachable. */
    PROMOTE_LAG_ENTRIES = 1000, /* Further behind, a new voter would hold up every commit. */
};

#define REFUSED COMMAND__ERROR_CODE__ERROR_CLIENT

/* ---- what may be done */

char *manage_names(const struct member *members, size_t count)
{
    struct buffer out = {0};

    for (size_t i = 0; i < count; i++)
        buffer_append_format(&out, "%s%s",
                             i == 0           ? ""
                             : i + 1 == count ? " and "
                                              : ", ",
                             members[i].name);
    buffer_append(&out, "", 1);
    return (char *)out.base;
}

char *manage_objection(const struct manage_view *view, size_t target, enum manage_change change)
{
    static const char *const doing[] = {"removing", "promoting", "demoting"};
    size_t voters = 0, answering = 0;

    for (size_t i = 0; i < view->count; i++) {
        bool votes = i == target ? change == MANAGE_PROMOTE : view->members[i].role == MEMBER_VOTER;

        voters += votes;
        answering += votes && view->answers[i];
    }
    if (view->members[target].role != MEMBER_VOTER && change != MANAGE_PROMOTE)
        return NULL;
    if (voters == 0)
        return mem_format("%s %s would leave nobody to vote", doing[change],
                          view->members[target].name);
    if (answering > voters / 2)
        return NULL;
    return mem_format("%s %s would leave %zu of %zu voters reachable, fewer than a majority: bring "
                      "another back%s",
                      doing[change], view->members[target].name, answering, voters,
                      change == MANAGE_PROMOTE ? "" : ", or use --force");
}

/* ---- the leader's part */

static void refuse(struct core *core, struct call *call, Command__Problem *problem)
{
    call->result = mem_new(Command__CommandResult);
    command__command_result__init(call->result);
    call->result->problem = problem;
    call_finish(core, call, CALL_DONE);
}

static void finish(struct core *core, struct call *call, const ProtobufCMessage *response)
{
    call->result = mem_new(Command__CommandResult);
    command__command_result__init(call->result);
    if (response) {
        call->result->answer.len = protobuf_c_message_get_packed_size(response);
        call->result->answer.data = mem_zeroed(1, call->result->answer.len + 1);
        protobuf_c_message_pack(response, call->result->answer.data);
    }
    call_collect(core, call, call->result);
    call_finish(core, call, CALL_DONE);
}

static uint64_t silent_ms(const struct core *core, const struct member *member)
{
    uint64_t heard = raft_node_heard_ms(core->raft, member->id);

    if (member->id == raft_node_id(core->raft))
        return 0;
    return core->now_ms > heard ? core->now_ms - heard : 0;
}

static size_t find(const struct member *members, size_t count, const char *name)
{
    size_t i = 0;

    while (i < count && strcmp(members[i].name, name) != 0)
        i++;
    return i;
}

static void refuse_unknown(struct core *core, struct call *call, const char *name)
{
    size_t count;
    const struct member *members = raft_node_members(core->raft, &count, NULL);
    char *names = manage_names(members, count);

    refuse(core, call,
           problem_new(COMMAND__ERROR_CODE__ERROR_RESOURCE_NOT_FOUND,
                       "there is no manager \"%s\": there %s %s", name, count == 1 ? "is" : "are",
                       names));
    free(names);
}

/* ---- ListManagers */

static Operator__Manager *describe(const struct core *core, const struct member *member)
{
    Operator__Manager *out = mem_new(Operator__Manager);
    uint64_t last = raft_node_last_index(core->raft);
    uint64_t match = raft_node_match(core->raft, member->id);
    char address[MEMBER_ADDRESS];

    operator__manager__init(out);
    out->leader = member->id == raft_node_id(core->raft);
    if (out->leader)
        match = last;
    out->name = mem_string(member->name);
    out->id = mem_format("%016llx", (unsigned long long)member->id);
    out->zone = mem_string(member->zone);
    out->address = mem_string(member_address(member, member->peer_port, address));
    out->role = mem_string(member->role == MEMBER_VOTER ? "voter" : "standby");
    out->has_leader = out->has_silent_ms = out->has_match_index = out->has_lag = true;
    out->silent_ms = (int64_t)silent_ms(core, member);
    out->match_index = (int64_t)match;
    out->lag = last > match ? (int64_t)(last - match) : 0;
    return out;
}

static void list_managers(struct core *core, struct call *call)
{
    Operator__ListManagersResponse response = OPERATOR__LIST_MANAGERS_RESPONSE__INIT;
    Operator__Manager *managers[LIMIT_MANAGERS];
    size_t count;
    const struct member *members = raft_node_members(core->raft, &count, NULL);

    response.has_term = response.has_last_index = response.has_applied_index = true;
    response.term = (int64_t)core->term;
    response.last_index = (int64_t)raft_node_last_index(core->raft);
    response.applied_index = (int64_t)raft_node_applied_index(core->raft);
    for (size_t i = 0; i < count && i < LIMIT_MANAGERS; i++) {
        managers[i] = describe(core, &members[i]);
        if (managers[i]->leader)
            response.leader = managers[i]->name;
        response.n_managers++;
    }
    response.managers = managers;
    finish(core, call, &response.base);
    for (size_t i = 0; i < response.n_managers; i++)
        operator__manager__free_unpacked(managers[i], NULL);
}

/* ---- changes of members */

/* The name of another role than it has; it waits to be committed. */
static int begun(struct core *core, struct call *call, int r)
{
    switch (r) {
    case 0:
        call->term = core->term;
        list_append(&core->managing, &call->link);
        return 0;
    case RAFT_NODE_EXISTS:
        finish(core, call, NULL);
        return 0;
    case RAFT_NODE_BUSY:
        refuse(
            core, call,
            problem_new(COMMAND__ERROR_CODE__ERROR_CONFLICT, "a change is under way: try again"));
        return 0;
    case RAFT_NODE_LAST_VOTER:
        refuse(core, call, problem_new(REFUSED, "it is the last one that votes"));
        return 0;
    case RAFT_NODE_NOT_LEADER:
        call_finish(core, call, CALL_NO_LEADER);
        return 0;
    default:
        if (r > 0)
            refuse(core, call, problem_new(REFUSED, "the members have changed: try again"));
        return r < 0 ? err_up(r) : 0;
    }
}

static int change_members(struct core *core, struct call *call, const char *name, bool force,
                          enum manage_change change)
{
    bool answers[LIMIT_MANAGERS] = {0};
    size_t count;
    const struct member *members = raft_node_members(core->raft, &count, NULL);
    struct manage_view view = {members, answers, count};
    size_t target = find(members, count, name);
    uint64_t id;
    char *why;

    if (target == count) {
        refuse_unknown(core, call, name);
        return 0;
    }
    for (size_t i = 0; i < count && i < LIMIT_MANAGERS; i++)
        answers[i] = silent_ms(core, &members[i]) < ANSWERS_WITHIN_MS;
    id = members[target].id;
    why = force ? NULL : manage_objection(&view, target, change);
    if (!why && change == MANAGE_PROMOTE && members[target].role != MEMBER_VOTER &&
        raft_node_match(core->raft, id) + PROMOTE_LAG_ENTRIES < raft_node_last_index(core->raft))
        why = mem_format("%s has not caught up yet: try again", name);
    if (why) {
        refuse(core, call, problem_new(REFUSED, "%s", why));
        free(why);
        return 0;
    }
    if (change == MANAGE_REMOVE)
        return begun(core, call, raft_node_remove(core->raft, id, &call->index));
    return begun(core, call,
                 raft_node_assign(core->raft, id,
                                  change == MANAGE_PROMOTE ? MEMBER_VOTER : MEMBER_STANDBY,
                                  &call->index));
}

/* ---- TransferLeadership */

static char *objection_to_lead(const struct core *core, const struct member *member)
{
    uint64_t silent = silent_ms(core, member);

    if (member->role != MEMBER_VOTER)
        return mem_format("%s is a stand-by: it has to be promoted before it can lead",
                          member->name);
    if (silent >= ANSWERS_WITHIN_MS)
        return mem_format("%s has been silent for %llu s: it could not take over", member->name,
                          (unsigned long long)silent / 1000);
    return NULL;
}

static void answer_leader(struct core *core, struct call *call, const char *name)
{
    Operator__TransferLeadershipResponse response = OPERATOR__TRANSFER_LEADERSHIP_RESPONSE__INIT;

    response.leader = (char *)name;
    finish(core, call, &response.base);
}

static int begin_transfer(struct core *core, struct call *call, uint64_t to)
{
    int r = proposals_submit(core); /* What came before: nothing more is taken from then on. */

    if (r == 0)
        r = raft_node_transfer(core->raft, to);
    if (r == RAFT_NODE_ABSENT) {
        refuse(core, call, problem_new(REFUSED, "there is no other voter that could lead"));
        return 0;
    }
    call->transfers = r == 0;
    return err_up(begun(core, call, r));
}

static int transfer(struct core *core, struct call *call,
                    const Operator__TransferLeadershipRequest *request)
{
    size_t count, target;
    const struct member *members = raft_node_members(core->raft, &count, NULL);
    char *why;

    if (!request->name)
        return err_up(begin_transfer(core, call, 0));
    target = find(members, count, request->name);
    if (target == count) {
        refuse_unknown(core, call, request->name);
        return 0;
    }
    if (members[target].id == raft_node_id(core->raft)) {
        answer_leader(core, call, request->name); /* It leads. */
        return 0;
    }
    why = objection_to_lead(core, &members[target]);
    if (!why)
        return err_up(begin_transfer(core, call, members[target].id));
    refuse(core, call, problem_new(REFUSED, "%s", why));
    free(why);
    return 0;
}

/* Another leads: that is what was asked for, unless somebody else was meant. */
static void check_transfer(struct core *core, struct call *call)
{
    uint64_t leader = raft_node_leader(core->raft);
    size_t count;
    const struct member *members = raft_node_members(core->raft, &count, NULL);
    const struct member *member = member_find(members, count, leader);

    if (member && leader != raft_node_id(core->raft)) {
        list_remove(&call->link);
        answer_leader(core, call, member->name);
    } else if (core->ready && !raft_node_transferring(core->raft)) {
        list_remove(&call->link);
        refuse(core, call, problem_new(REFUSED, "nobody took over in time: this manager leads on"));
    }
}

/* ---- the actions */

const ProtobufCMessageDescriptor *manage_request(const char *action)
{
    static const struct {
        const char *action;
        const ProtobufCMessageDescriptor *request;
    } kinds[] = {
        {"ListManagers", &operator__list_managers_request__descriptor},
        {"RemoveManager", &operator__remove_manager_request__descriptor},
        {"TransferLeadership", &operator__transfer_leadership_request__descriptor},
        {"PromoteManager", &operator__promote_manager_request__descriptor},
        {"DemoteManager", &operator__demote_manager_request__descriptor},
    };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].action, action) == 0)
            return kinds[i].request;
    return NULL;
}

int manage_begin(struct core *core, struct call *call)
{
    const ProtobufCMessageDescriptor *type = call->request->descriptor;

    call->index = 0; /* Nobody waits for the tables: they do not change. */
    if (type == &operator__remove_manager_request__descriptor) {
        const Operator__RemoveManagerRequest *request =
            (const Operator__RemoveManagerRequest *)call->request;

        return err_up(change_members(core, call, request->name, request->force, MANAGE_REMOVE));
    }
    if (type == &operator__promote_manager_request__descriptor) {
        const Operator__PromoteManagerRequest *request =
            (const Operator__PromoteManagerRequest *)call->request;

        return err_up(change_members(core, call, request->name, false, MANAGE_PROMOTE));
    }
    if (type == &operator__demote_manager_request__descriptor) {
        const Operator__DemoteManagerRequest *request =
            (const Operator__DemoteManagerRequest *)call->request;

        return err_up(change_members(core, call, request->name, request->force, MANAGE_DEMOTE));
    }
    if (type == &operator__transfer_leadership_request__descriptor)
        return err_up(
            transfer(core, call, (const Operator__TransferLeadershipRequest *)call->request));
    list_managers(core, call);
    return 0;
}

/* A leader that leaves steps down when its leaving is committed, maybe a turn before it is applied:
 * so only another term leaves it in doubt. */
static void check_change(struct core *core, struct call *call)
{
    if (raft_node_applied_index(core->raft) >= call->index && core->term == call->term) {
        list_remove(&call->link);
        call->index = 0;
        finish(core, call, NULL);
    } else if (core->term != call->term) {
        list_remove(&call->link);
        call_finish(core, call, CALL_UNKNOWN);
    }
}

void manage_turn(struct core *core)
{
    list_each (link, &core->managing) {
        struct call *call = list_entry(link, struct call, link);

        if (call->transfers)
            check_transfer(core, call);
        else
            check_change(core, call);
    }
}
