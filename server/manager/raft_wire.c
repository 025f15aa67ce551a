#include "server/manager/raft_wire.h"

#include <limits.h>
#include <string.h>

#include "proto/limits.h"
#include "server/manager/member.h"

/* Versions of the messages that this manager understands: what raft.h of 0.22.1 defines. A newer
 * one would mean a peer with another library. */
enum {
    VERSION_MAX = 2,
    VOTE_RESULT_VERSION = 2, /* An older one would let a pre-vote pass for a vote. */
};

/* Terms grow by elections; whoever claims more than this would make the next one wrap around. */
static const uint64_t TERM_MAX = UINT64_MAX / 2;

/* A configuration as raft_configuration_encode() writes it: a format, how many, and for each its
 * id, its address with a NUL, and its role. */
enum {
    CONFIGURATION_FORMAT = 1,
    CONFIGURATION_HEAD = 1 + 8,
};

static void frame_init(struct wire_frame *out, uint64_t from)
{
    memset(out, 0, sizeof *out);
    peer__peer_frame__init(&out->frame);
    out->frame.from = from;
}

static void encode_vote(const struct raft_request_vote *from, struct wire_frame *out)
{
    peer__vote__init(&out->vote);
    out->vote.version = from->version;
    out->vote.term = from->term;
    out->vote.candidate_id = from->candidate_id;
    out->vote.last_log_index = from->last_log_index;
    out->vote.last_log_term = from->last_log_term;
    out->vote.disrupt_leader = from->disrupt_leader;
    out->vote.pre_vote = from->pre_vote;
    out->frame.body_case = PEER__PEER_FRAME__BODY_VOTE;
    out->frame.vote = &out->vote;
}

static void encode_vote_result(const struct raft_request_vote_result *from, struct wire_frame *out)
{
    peer__vote_result__init(&out->vote_result);
    out->vote_result.version = from->version;
    out->vote_result.term = from->term;
    out->vote_result.vote_granted = from->vote_granted;
    out->vote_result.pre_vote = from->pre_vote;
    out->vote_result.features = from->features;
    out->vote_result.capacity = from->capacity;
    out->frame.body_case = PEER__PEER_FRAME__BODY_VOTE_RESULT;
    out->frame.vote_result = &out->vote_result;
}

static void encode_append(const struct raft_append_entries *from, struct wire_frame *out)
{
    peer__append__init(&out->append);
    out->append.version = from->version;
    out->append.term = from->term;
    out->append.prev_log_index = from->prev_log_index;
    out->append.prev_log_term = from->prev_log_term;
    out->append.leader_commit = from->leader_commit;
    out->frame.body_case = PEER__PEER_FRAME__BODY_APPEND;
    out->frame.append = &out->append;
}

static void encode_append_result(const struct raft_append_entries_result *from,
                                 struct wire_frame *out)
{
    peer__append_result__init(&out->append_result);
    out->append_result.version = from->version;
    out->append_result.term = from->term;
    out->append_result.rejected = from->rejected;
    out->append_result.last_log_index = from->last_log_index;
    out->append_result.features = from->features;
    out->append_result.capacity = from->capacity;
    out->frame.body_case = PEER__PEER_FRAME__BODY_APPEND_RESULT;
    out->frame.append_result = &out->append_result;
}

static void encode_timeout_now(const struct raft_timeout_now *from, struct wire_frame *out)
{
    peer__timeout_now__init(&out->timeout_now);
    out->timeout_now.version = from->version;
    out->timeout_now.term = from->term;
    out->timeout_now.last_log_index = from->last_log_index;
    out->timeout_now.last_log_term = from->last_log_term;
    out->frame.body_case = PEER__PEER_FRAME__BODY_TIMEOUT_NOW;
    out->frame.timeout_now = &out->timeout_now;
}

static void encode_install(const struct raft_install_snapshot *from, struct wire_frame *out)
{
    peer__install__init(&out->install);
    out->install.version = from->version;
    out->install.term = from->term;
    out->install.last_index = from->last_index;
    out->install.last_term = from->last_term;
    out->install.configuration_index = from->conf_index;
    out->frame.body_case = PEER__PEER_FRAME__BODY_INSTALL;
    out->frame.install = &out->install;
}

bool wire_encode(const struct raft_message *message, uint64_t from, struct wire_frame *out)
{
    frame_init(out, from);
    switch (message->type) {
    case RAFT_REQUEST_VOTE:
        encode_vote(&message->request_vote, out);
        return true;
    case RAFT_REQUEST_VOTE_RESULT:
        encode_vote_result(&message->request_vote_result, out);
        return true;
    case RAFT_APPEND_ENTRIES:
        encode_append(&message->append_entries, out);
        return true;
    case RAFT_APPEND_ENTRIES_RESULT:
        encode_append_result(&message->append_entries_result, out);
        return true;
    case RAFT_TIMEOUT_NOW:
        encode_timeout_now(&message->timeout_now, out);
        return true;
    case RAFT_INSTALL_SNAPSHOT:
        encode_install(&message->install_snapshot, out);
        return true;
    default:
        return false;
    }
}

void wire_encode_ping(uint64_t from, uint64_t term, uint64_t seq, struct wire_frame *out)
{
    frame_init(out, from);
    peer__ping__init(&out->ping);
    out->ping.term = term;
    out->ping.seq = seq;
    out->frame.body_case = PEER__PEER_FRAME__BODY_PING;
    out->frame.ping = &out->ping;
}

void wire_encode_pong(uint64_t from, uint64_t term, uint64_t seq, struct wire_frame *out)
{
    frame_init(out, from);
    peer__pong__init(&out->pong);
    out->pong.term = term;
    out->pong.seq = seq;
    out->frame.body_case = PEER__PEER_FRAME__BODY_PONG;
    out->frame.pong = &out->pong;
}

static bool decode_vote(const Peer__Vote *from, struct raft_message *out)
{
    out->type = RAFT_REQUEST_VOTE;
    out->request_vote = (struct raft_request_vote){
        .version = (unsigned char)from->version,
        .term = from->term,
        .candidate_id = from->candidate_id,
        .last_log_index = from->last_log_index,
        .last_log_term = from->last_log_term,
        .disrupt_leader = from->disrupt_leader,
        .pre_vote = from->pre_vote,
    };
    return from->version <= VERSION_MAX && from->term <= TERM_MAX;
}

static bool decode_vote_result(const Peer__VoteResult *from, struct raft_message *out)
{
    out->type = RAFT_REQUEST_VOTE_RESULT;
    out->request_vote_result = (struct raft_request_vote_result){
        .version = (unsigned char)from->version,
        .term = from->term,
        .vote_granted = from->vote_granted,
        .pre_vote = from->pre_vote,
        .features = (unsigned short)from->features,
        .capacity = (unsigned short)from->capacity,
    };
    return from->version == VOTE_RESULT_VERSION && from->term <= TERM_MAX &&
           from->features <= USHRT_MAX && from->capacity <= USHRT_MAX;
}

static bool decode_append(const Peer__Append *from, struct raft_message *out)
{
    out->type = RAFT_APPEND_ENTRIES;
    out->append_entries = (struct raft_append_entries){
        .version = (unsigned char)from->version,
        .term = from->term,
        .prev_log_index = from->prev_log_index,
        .prev_log_term = from->prev_log_term,
        .leader_commit = from->leader_commit,
    };
    return from->version <= VERSION_MAX && from->term <= TERM_MAX &&
           from->prev_log_index < UINT64_MAX - UINT_MAX;
}

static bool decode_append_result(const Peer__AppendResult *from, struct raft_message *out)
{
    out->type = RAFT_APPEND_ENTRIES_RESULT;
    out->append_entries_result = (struct raft_append_entries_result){
        .version = (unsigned char)from->version,
        .term = from->term,
        .rejected = from->rejected,
        .last_log_index = from->last_log_index,
        .features = (unsigned short)from->features,
        .capacity = (unsigned short)from->capacity,
    };
    return from->version <= VERSION_MAX && from->term <= TERM_MAX && from->features <= USHRT_MAX &&
           from->capacity <= USHRT_MAX;
}

static bool decode_timeout_now(const Peer__TimeoutNow *from, struct raft_message *out)
{
    out->type = RAFT_TIMEOUT_NOW;
    out->timeout_now = (struct raft_timeout_now){
        .version = (unsigned char)from->version,
        .term = from->term,
        .last_log_index = from->last_log_index,
        .last_log_term = from->last_log_term,
    };
    return from->version <= VERSION_MAX && from->term <= TERM_MAX;
}

static bool decode_install(const Peer__Install *from, struct raft_message *out)
{
    out->type = RAFT_INSTALL_SNAPSHOT;
    out->install_snapshot = (struct raft_install_snapshot){
        .version = (unsigned char)from->version,
        .term = from->term,
        .last_index = from->last_index,
        .last_term = from->last_term,
        .conf_index = from->configuration_index,
    };
    return from->version <= VERSION_MAX && from->term <= TERM_MAX && from->last_index > 0 &&
           from->last_term > 0 && from->last_term <= from->term && from->configuration_index > 0 &&
           from->configuration_index <= from->last_index;
}

bool wire_is_raft(const Peer__PeerFrame *frame)
{
    switch (frame->body_case) {
    case PEER__PEER_FRAME__BODY_VOTE:
    case PEER__PEER_FRAME__BODY_VOTE_RESULT:
    case PEER__PEER_FRAME__BODY_APPEND:
    case PEER__PEER_FRAME__BODY_APPEND_RESULT:
    case PEER__PEER_FRAME__BODY_TIMEOUT_NOW:
    case PEER__PEER_FRAME__BODY_INSTALL:
        return true;
    default:
        return false;
    }
}

/* Walks it as the library's decoder does, within its bounds. */
static bool configuration_is_whole(struct bytes bytes)
{
    const uint8_t *at = bytes.base;
    size_t left = bytes.len;
    uint64_t count = 0;

    if (left < CONFIGURATION_HEAD || at[0] != CONFIGURATION_FORMAT)
        return false;
    for (int i = 8; i > 0; i--) /* Little-endian. */
        count = count << 8 | at[i];
    at += CONFIGURATION_HEAD;
    left -= CONFIGURATION_HEAD;
    if (count == 0 || count > LIMIT_MANAGERS)
        return false;
    for (; count > 0; count--) {
        static const uint8_t no_id[8];
        size_t len = left > 8 ? strnlen((const char *)at + 8, left - 8) : 0;

        if (left < 8 + len + 2 || memcmp(at, no_id, 8) == 0) /* The NUL and the role. */
            return false;
        at += 8 + len + 2;
        left -= 8 + len + 2;
    }
    return true;
}

static bool is_member(const struct raft_server *server)
{
    struct member member;

    return member_id_is_valid(server->id) && member_parse(server->address, &member) == 0;
}

bool wire_decode_configuration(struct bytes bytes, struct raft_configuration *out)
{
    struct raft_buffer buffer = {.base = (void *)bytes.base, .len = bytes.len};

    if (!configuration_is_whole(bytes) || raft_configuration_decode(&buffer, out) != 0)
        return false;
    for (unsigned i = 0; i < out->n; i++) {
        if (is_member(&out->servers[i]))
            continue;
        raft_configuration_close(out);
        return false;
    }
    return true;
}

bool wire_decode(const Peer__PeerFrame *frame, const char *address, struct raft_message *out)
{
    memset(out, 0, sizeof *out);
    out->server_id = frame->from;
    out->server_address = address;
    switch (frame->body_case) {
    case PEER__PEER_FRAME__BODY_VOTE:
        return decode_vote(frame->vote, out);
    case PEER__PEER_FRAME__BODY_VOTE_RESULT:
        return decode_vote_result(frame->vote_result, out);
    case PEER__PEER_FRAME__BODY_APPEND:
        return decode_append(frame->append, out);
    case PEER__PEER_FRAME__BODY_APPEND_RESULT:
        return decode_append_result(frame->append_result, out);
    case PEER__PEER_FRAME__BODY_TIMEOUT_NOW:
        return decode_timeout_now(frame->timeout_now, out);
    case PEER__PEER_FRAME__BODY_INSTALL:
        return decode_install(frame->install, out);
    default:
        return false;
    }
}
