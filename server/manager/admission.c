/*
 * Newcomers, as the manager they ask: the leader looks at their token and makes them members, and
 * answers when the configuration that says so is committed. Everybody else says where the leader
 * is.
 *
 * Asking again is harmless: a newcomer is known by its key.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "server/manager/core_internal.h"
#include "server/manager/peers.h"
#include "server/manager/tokens.h"
#include "server/net/authority.h"
#include "server/net/log.h"
#include "server/net/token.h"
#include "storage/tables.h"

enum { NEWCOMERS_MAX = 16 };

/* One who waits. */
struct newcomer {
    struct list link; /* Of core.newcomers, then of core.admitted. */
    uint64_t guest;
    Peer__PeerFrame *asked;
    Peer__PeerFrame *answer; /* NULL: not yet. */
};

void core_join(struct core *core, uint64_t guest, Peer__PeerFrame *frame)
{
    struct newcomer *newcomer = mem_new(struct newcomer);

    newcomer->guest = guest;
    newcomer->asked = frame;
    list_append(&core->newcomers, &newcomer->link);
}

/* ---- answers */

static Peer__Joined *answer(struct core *core, struct newcomer *newcomer)
{
    Peer__PeerFrame *frame = mem_new(Peer__PeerFrame);

    peer__peer_frame__init(frame);
    frame->from = core->config.id;
    frame->body_case = PEER__PEER_FRAME__BODY_JOINED;
    frame->joined = mem_new(Peer__Joined);
    peer__joined__init(frame->joined);
    newcomer->answer = frame;
    return frame->joined;
}

/* Takes the text. Returns 0: it is decided. */
static int refuse(struct core *core, struct newcomer *newcomer, char *problem)
{
    Peer__Joined *joined = answer(core, newcomer);

    joined->problem = problem;
    joined->is_final = true;
    return 0;
}

static void send_to_leader(struct core *core, struct newcomer *newcomer)
{
    size_t count;
    const struct member *members = raft_node_members(core->raft, &count, NULL);
    const struct member *leader = member_find(members, count, raft_node_leader(core->raft));
    Peer__Joined *joined = answer(core, newcomer);
    char text[MEMBER_ADDRESS];

    if (leader && leader->id != core->config.id)
        joined->leader = mem_string(member_address(leader, leader->peer_port, text));
    else
        joined->problem = mem_string("there is no leader now");
}

static struct bytes bytes_of(const ProtobufCBinaryData *data)
{
    return (struct bytes){data->data, data->len};
}

/* Takes the buffer. */
static void put_buffer(ProtobufCBinaryData *out, struct buffer *buffer)
{
    out->len = buffer->len;
    out->data = buffer->len > 0 ? mem_copy(buffer->base, buffer->len) : NULL;
    buffer_fini(buffer);
}

/* A certificate for who is a member now. What was asked for was looked at before. */
static void sign(struct core *core, const State__Settings *settings, struct newcomer *newcomer,
                 uint64_t id, struct buffer *out)
{
    scope(authority_free) struct authority *authority = NULL;
    const struct authority_grant grant = {
        .cluster = core->config.cluster,
        .role = IDENTITY_MANAGER,
        .id = id,
        .now_s = (int64_t)(core->wall_ms / 1000),
    };

    if (authority_open(bytes_of(&settings->ca_certificate), bytes_of(&settings->ca_key),
                       &authority) != 0 ||
        authority_issue(authority, &grant, bytes_of(&newcomer->asked->join->request), out) != 0)
        log_error("authority.useless help=\"the settings of the cluster hold no authority\"");
}

static int welcome(struct core *core, struct newcomer *newcomer, uint64_t id)
{
    State__Settings *settings = NULL;
    struct buffer certificate = {0};
    Peer__Joined *joined;
    int r = table_settings(core->txn, &settings);

    if (r != 0)
        return r < 0 ? err_up(r) : 0; /* Not begun yet: again in a later turn. */
    joined = answer(core, newcomer);
    joined->id = id;
    joined->cluster = mem_string(core->config.cluster);
    if (settings->ca_certificate.len > 0) {
        sign(core, settings, newcomer, id, &certificate);
        joined->ca.len = settings->ca_certificate.len;
        joined->ca.data = mem_copy(settings->ca_certificate.data, settings->ca_certificate.len);
    }
    put_buffer(&joined->certificate, &certificate);
    state__settings__free_unpacked(settings, NULL);
    return 0;
}

/* Does it ask for a certificate of the key that its record names? */
static bool asks_for(const Peer__Join *join, const struct member *wanted)
{
    char key[IDENTITY_KEY_CHARS + 1];

    return authority_request_key(bytes_of(&join->request), key) == 0 &&
           strcmp(key, wanted->key) == 0;
}

/* ---- the leader's decision */

static const struct member *find_key(const struct member *members, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (*key && strcmp(members[i].key, key) == 0)
            return &members[i];
    return NULL;
}

/* What stands in the way of a newcomer with this record, as a sentence; NULL if nothing. Gives. */
static char *obstacle(const struct core *core, const struct member *wanted)
{
    size_t count;
    const struct member *members = raft_node_members(core->raft, &count, NULL);
    char text[MEMBER_ADDRESS];

    for (size_t i = 0; i < count; i++) {
        if (strcmp(members[i].name, wanted->name) == 0)
            return mem_format("there is a manager called %s already: remove it first, or choose "
                              "another name",
                              wanted->name);
        if (strcmp(members[i].host, wanted->host) == 0 && members[i].peer_port == wanted->peer_port)
            return mem_format("the manager %s is known to be at %s already", members[i].name,
                              member_address(wanted, wanted->peer_port, text));
    }
    if (count == LIMIT_MANAGERS)
        return mem_format("there are %u managers, and there cannot be more", LIMIT_MANAGERS);
    return NULL;
}

static int add(struct core *core, struct newcomer *newcomer, struct member *wanted)
{
    char *problem = obstacle(core, wanted);
    uint64_t index;
    int r;

    if (problem)
        return refuse(core, newcomer, problem);
    do
        wanted->id = rng_next(&core->rng) & INT64_MAX;
    while (!member_id_is_valid(wanted->id));
    r = raft_node_add(core->raft, wanted, &index);
    if (r == 0)
        log_info("member.added id=%llu name=%s zone=%s host=%s", (unsigned long long)wanted->id,
                 wanted->name, wanted->zone, wanted->host);
    return r < 0 ? err_up(r) : 0; /* Busy: again in a later turn. */
}

static int check_token(struct core *core, const char *text, const char **out_problem)
{
    struct token token;
    int r;

    *out_problem = "this is not a manager's token";
    if (token_parse(text, &token) != 0 || token.role != TOKEN_MANAGER)
        return 0;
    r = tokens_check(core->txn, token.id, (struct bytes){token.secret, sizeof token.secret},
                     STATE__TOKEN_ROLE__TOKEN_MANAGER, core->wall_ms);
    if (r < 0)
        return err_up(r);
    *out_problem = r > 0 ? tokens_reason(r) : NULL;
    return 0;
}

static int decide(struct core *core, struct newcomer *newcomer)
{
    const Peer__Join *join = newcomer->asked->join;
    struct member wanted = {.role = MEMBER_STANDBY};
    const struct member *members, *known;
    const char *problem;
    uint64_t index;
    size_t count;
    int r;

    if (join->version != PEERS_VERSION)
        return refuse(core, newcomer, mem_string("it speaks another version"));
    if (member_parse(join->record, &wanted) != 0 || !*wanted.key)
        return refuse(core, newcomer, mem_string("its record cannot be read"));
    if (!asks_for(join, &wanted))
        return refuse(core, newcomer, mem_string("it does not prove that its key is its own"));
    r = check_token(core, join->token, &problem);
    if (r < 0)
        return err_up(r);
    if (problem)
        return refuse(core, newcomer, mem_string(problem));
    members = raft_node_members(core->raft, &count, &index);
    known = find_key(members, count, wanted.key);
    if (!known)
        return err_up(add(core, newcomer, &wanted));
    if (index <= raft_node_commit_index(core->raft))
        return err_up(welcome(core, newcomer, known->id));
    return 0;
}

int admission_turn(struct core *core)
{
    size_t waiting = 0;

    list_each (link, &core->newcomers) {
        struct newcomer *newcomer = list_entry(link, struct newcomer, link);
        int r = 0;

        if (!raft_node_leads(core->raft))
            send_to_leader(core, newcomer);
        else if (waiting == NEWCOMERS_MAX)
            answer(core, newcomer)->problem = mem_string("too many ask at once");
        else if (core->ready)
            r = decide(core, newcomer);
        if (r < 0)
            return err_up(r);
        waiting += newcomer->answer == NULL;
        if (!newcomer->answer)
            continue;
        list_remove(link);
        list_append(&core->admitted, link);
    }
    return 0;
}

/* ---- after the commit */

static void newcomer_free(struct newcomer *newcomer)
{
    peer__peer_frame__free_unpacked(newcomer->asked, NULL);
    if (newcomer->answer)
        peer__peer_frame__free_unpacked(newcomer->answer, NULL);
    free(newcomer);
}

static void tell(struct core *core, const struct newcomer *newcomer)
{
    size_t len = peer__peer_frame__get_packed_size(newcomer->answer);
    uint8_t *packed = mem_new_array(uint8_t, len);

    peer__peer_frame__pack(newcomer->answer, packed);
    core->config.answer(core->config.context, newcomer->guest, (struct bytes){packed, len});
    free(packed);
}

void admission_finish(struct core *core)
{
    list_each (link, &core->admitted) {
        struct newcomer *newcomer = list_entry(link, struct newcomer, link);

        list_remove(link);
        tell(core, newcomer);
        newcomer_free(newcomer);
    }
}

void admission_stop(struct core *core)
{
    struct list *lists[] = {&core->newcomers, &core->admitted};

    for (size_t i = 0; i < 2; i++) {
        list_each (link, lists[i]) {
            list_remove(link);
            newcomer_free(list_entry(link, struct newcomer, link));
        }
    }
}
