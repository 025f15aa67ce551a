/*
 * What a frame from a peer must pass before the core sees it. The numbers are those of the rules
 * in docs/consensus.md; each is for a defect of libraft 0.22.1 that loses or forks committed
 * entries, or halts elections, when it is left to itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/manager/raft_internal.h"

static int feed(struct raft_node *node, struct raft_message *message)
{
    struct raft_event event = {.type = RAFT_RECEIVE};

    event.receive.message = message;
    return err_up(raft_node_step(node, &event));
}

/* Rule 1: an Append of an older term never reaches the core, whose answer would carry garbage
 * that a later leader takes for an acknowledgement. Our own answer counts for its term only. */
static void refuse_stale(struct raft_node *node, uint64_t to)
{
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES_RESULT, .server_id = to};
    struct wire_frame wire;
    bool known;

    message.append_entries_result.version = 2;
    message.append_entries_result.term = raft_current_term(&node->raft);
    message.append_entries_result.rejected = 1;
    known = wire_encode(&message, node->config.self, &wire);
    must(known);
    wire.append_result.stale = true;
    node->config.send(node->config.context, to, &wire.frame);
}

/* What an answer to this Append may echo. */
static void note_heard(struct raft_node *node, uint64_t from, uint64_t term, uint64_t seq)
{
    if (node->heard.id != from || node->heard.term != term) {
        node->heard.id = from;
        node->heard.term = term;
        node->heard.seq = 0;
    }
    if (seq > node->heard.seq)
        node->heard.seq = seq;
}

/* One raft_malloc'd batch with the bytes of all entries, as the core wants it. */
static struct raft_entry *entries_new(Peer__Entry *const *from, size_t count)
{
    struct raft_entry *entries = mem_new_array(struct raft_entry, count);
    size_t total = 0, used = 0;
    uint8_t *batch;

    for (size_t i = 0; i < count; i++)
        total += from[i]->data.len;
    batch = raft_malloc(total + 1);
    must(batch);
    for (size_t i = 0; i < count; i++) {
        if (from[i]->data.len > 0)
            memcpy(batch + used, from[i]->data.data, from[i]->data.len);
        entries[i].term = from[i]->term;
        entries[i].type = (enum raft_entry_type)from[i]->type;
        entries[i].buf = (struct raft_buffer){batch + used, from[i]->data.len};
        entries[i].batch = batch;
        used += from[i]->data.len;
    }
    return entries;
}

/* A part of a received Append: entries first..first+count-1 of it. */
static int feed_part(struct raft_node *node, const struct raft_message *whole,
                     const Peer__Append *append, size_t first, size_t count)
{
    struct raft_message part = *whole;
    struct raft_entry *entries = NULL;
    int r;

    if (first > 0) {
        part.append_entries.prev_log_index += first;
        part.append_entries.prev_log_term = append->entries[first - 1]->term;
    }
    if (count > 0)
        entries = entries_new(append->entries + first, count);
    part.append_entries.entries = entries;
    part.append_entries.n_entries = (unsigned)count;
    r = feed(node, &part);
    free(entries);
    return err_up(r);
}

/* Rule 4: a configuration must be the first entry of its event, or the core files it under the
 * wrong index. */
static int feed_split(struct raft_node *node, const struct raft_message *message,
                      const Peer__Append *append, size_t first)
{
    for (size_t i = first + 1; i < append->n_entries; i++) {
        int r;

        if (append->entries[i]->type != RAFT_CHANGE)
            continue;
        r = feed_part(node, message, append, first, i - first);
        if (r < 0)
            return err_up(r);
        first = i;
    }
    return err_up(feed_part(node, message, append, first, append->n_entries - first));
}

/* The library asserts what it takes for granted, and the packaged build asserts nothing: a frame
 * whose numbers contradict each other, terms that fall, kinds unknown and configurations that do
 * not decode are kept from it. */
static bool entries_make_sense(const struct raft_message *message, const Peer__Append *append)
{
    uint64_t term = append->prev_log_term;

    if ((append->prev_log_index == 0) != (append->prev_log_term == 0))
        return false;
    for (size_t i = 0; i < append->n_entries; i++) {
        const Peer__Entry *entry = append->entries[i];
        struct raft_configuration configuration;

        if (entry->term == 0 || entry->term < term || entry->term > message->append_entries.term)
            return false;
        if (entry->type < RAFT_COMMAND || entry->type > RAFT_CHANGE)
            return false;
        if (entry->type == RAFT_CHANGE) {
            if (!wire_decode_configuration((struct bytes){entry->data.data, entry->data.len},
                                           &configuration))
                return false;
            raft_configuration_close(&configuration);
        }
        term = entry->term;
    }
    return term <= message->append_entries.term;
}

/* What is committed here is the same everywhere (Raft 3.6.3). A frame that says otherwise comes
 * from another history; the core would give up over it. */
static int agrees_with_committed(struct raft_node *node, const Peer__Append *append, bool *out)
{
    uint64_t ours, theirs;
    int r;

    *out = true;
    if (append->prev_log_index > node->commit_index ||
        node->commit_index - append->prev_log_index > append->n_entries)
        return 0;
    theirs = append->prev_log_index == node->commit_index
                 ? append->prev_log_term
                 : append->entries[node->commit_index - append->prev_log_index - 1]->term;
    r = raft_node_term_at(node, node->commit_index, &ours);
    *out = ours == theirs;
    return err_up(r);
}

/* Rule 3: an Append that begins below our commit index is cut to begin there. What lies below
 * is the same by Raft's own proof (5.4.3), and the core would append it a second time. */
static int feed_above_commit(struct raft_node *node, struct raft_message *message,
                             const Peer__Append *append)
{
    uint64_t below = node->commit_index - append->prev_log_index;
    uint64_t term;
    int r;

    if (below <= append->n_entries)
        return err_up(feed_split(node, message, append, below));
    r = raft_node_term_at(node, node->commit_index, &term);
    if (r < 0)
        return err_up(r);
    message->append_entries.prev_log_index = node->commit_index;
    message->append_entries.prev_log_term = term;
    return err_up(feed_part(node, message, append, 0, 0));
}

/* An Append that fits our log: the leader has entries for us after all. */
static int forget_ticket(struct raft_node *node, const Peer__Append *append)
{
    uint64_t term = 0;
    int r = 0;

    if (node->wanted.index == 0)
        return 0;
    if (append->prev_log_index > node->commit_index)
        r = raft_node_term_at(node, append->prev_log_index, &term);
    if (append->prev_log_index <= node->commit_index || term == append->prev_log_term)
        node->wanted.index = 0;
    return err_up(r);
}

static int receive_append(struct raft_node *node, struct raft_message *message,
                          const Peer__Append *append)
{
    bool agrees;
    int r;

    if (!entries_make_sense(message, append))
        return RAFT_NODE_REFUSED;
    if (message->append_entries.term < raft_current_term(&node->raft)) {
        refuse_stale(node, message->server_id);
        return 0;
    }
    /* A term has one leader: the core would write into the wrong member of a union. */
    if (message->append_entries.term == raft_current_term(&node->raft) && raft_node_leads(node))
        return RAFT_NODE_REFUSED;
    r = agrees_with_committed(node, append, &agrees);
    if (r < 0)
        return err_up(r);
    if (!agrees)
        return RAFT_NODE_REFUSED;
    node->lost_leader = 0; /* A leader speaks. */
    node->leader_heard_ms = node->now_ms;
    note_heard(node, message->server_id, message->append_entries.term, append->seq);
    r = forget_ticket(node, append);
    if (r < 0)
        return err_up(r);
    if (append->prev_log_index < node->commit_index)
        return err_up(feed_above_commit(node, message, append));
    return err_up(feed_split(node, message, append, 0));
}

/* Rule 11, the sender's half: skip our own entries of later terms than the one it named, but none
 * that it has acknowledged. */
static int lower_by_hint(struct raft_node *node, struct raft_append_entries_result *result,
                         uint64_t hint_term, uint64_t match)
{
    while (result->last_log_index > 1 && result->last_log_index > match) {
        uint64_t term;
        int r = raft_node_term_at(node, result->last_log_index, &term);

        if (r < 0)
            return err_up(r);
        if (term <= hint_term)
            return 0;
        result->last_log_index--;
    }
    return 0;
}

/* Nobody can have, or have refused, what this leader never had; and a follower that refuses an
 * entry names one before it. The core counts on both. */
static bool result_makes_sense(const struct raft_node *node,
                               const struct raft_append_entries_result *result)
{
    if (result->rejected == 0)
        return result->last_log_index <= node->last_index;
    return result->rejected <= node->last_index && result->last_log_index < result->rejected;
}

static int receive_append_result(struct raft_node *node, struct raft_message *message,
                                 const Peer__AppendResult *frame)
{
    struct raft_append_entries_result *result = &message->append_entries_result;
    uint64_t term = raft_current_term(&node->raft);
    raft_index match = 0;
    int r;

    if (frame->stale)
        return result->term > term ? err_up(feed(node, message)) : 0;
    if (!raft_node_leads(node) || result->term != term)
        return err_up(feed(node, message));
    if (!result_makes_sense(node, result))
        return RAFT_NODE_REFUSED;
    raft_node_note_ack(node, message->server_id, frame->echo_seq);
    if (result->rejected != 0) {
        /* Rule 8: a repeated rejection would lower what has been acknowledged already. */
        if (raft_match_index(&node->raft, message->server_id, &match) == 0 &&
            (result->rejected <= match || result->last_log_index < match))
            return 0;
        if (frame->hint_term != 0) {
            r = lower_by_hint(node, result, frame->hint_term, match);
            if (r < 0)
                return err_up(r);
        }
    }
    return err_up(feed(node, message));
}

/* Is a leader there, as far as a server knows that does not vote? The core never forgets one then.
 */
static bool hears_a_leader(const struct raft_node *node)
{
    return raft_node_leader(node) != 0 && node->lost_leader == 0 &&
           node->now_ms < node->leader_heard_ms + node->config.election_ms;
}

/* Rule 10: we are no voter as far as our log goes, but may be one by an entry that we lack; without
 * our vote nobody might ever lead who could send it. Any server may vote, once a term, for a log
 * that is not behind its own (Raft 4.1). */
static int may_vote_unasked(struct raft_node *node, const struct raft_request_vote *vote, bool *out)
{
    const struct member *self = member_find(node->members, node->member_count, node->config.self);
    uint64_t term = raft_current_term(&node->raft), last_term;
    int r = raft_node_term_at(node, node->last_index, &last_term);

    *out = false;
    if (r < 0)
        return err_up(r);
    if ((self && self->role == MEMBER_VOTER) || raft_state(&node->raft) != RAFT_FOLLOWER)
        return 0;
    if ((hears_a_leader(node) && !vote->disrupt_leader) || vote->term < term)
        return 0;
    if (!vote->pre_vote && vote->term == term && raft_voted_for(&node->raft) != 0 &&
        raft_voted_for(&node->raft) != vote->candidate_id)
        return 0;
    *out = vote->last_log_term > last_term ||
           (vote->last_log_term == last_term && vote->last_log_index >= node->last_index);
    return 0;
}

static int vote_unasked(struct raft_node *node, const struct raft_request_vote *vote)
{
    struct raft_message message = {.type = RAFT_REQUEST_VOTE_RESULT,
                                   .server_id = vote->candidate_id};
    struct wire_frame wire;
    bool known;

    if (!vote->pre_vote) {
        int r = raft_node_reopen(
            node, &(struct log_vote){.term = vote->term, .voted_for = vote->candidate_id});

        if (r < 0)
            return err_up(r);
    }
    message.request_vote_result.version = 2;
    message.request_vote_result.term = vote->term;
    message.request_vote_result.vote_granted = true;
    message.request_vote_result.pre_vote = vote->pre_vote;
    known = wire_encode(&message, node->config.self, &wire);
    must(known);
    node->config.send(node->config.context, vote->candidate_id, &wire.frame);
    return 0;
}

static int receive_vote(struct raft_node *node, struct raft_message *message)
{
    bool unasked;
    int r;

    if (message->request_vote.candidate_id != message->server_id)
        return RAFT_NODE_REFUSED;
    r = may_vote_unasked(node, &message->request_vote, &unasked);
    if (r < 0)
        return err_up(r);
    if (unasked)
        return err_up(vote_unasked(node, &message->request_vote));
    /* We have lost the same leader: do not defend it (Raft 4.2.3 with 6.4 needs no lease). */
    if (node->lost_leader != 0 && raft_node_leader(node) == node->lost_leader)
        message->request_vote.disrupt_leader = true;
    return err_up(feed(node, message));
}

static int receive_vote_result(struct raft_node *node, struct raft_message *message)
{
    const struct raft_request_vote_result *result = &message->request_vote_result;

    if (result->vote_granted && result->term > raft_current_term(&node->raft) + 1)
        return RAFT_NODE_REFUSED; /* Not even a pre-vote asked for that term. */
    /* Rule 14: at any other time the core would read the wrong member of a union. */
    return raft_node_is_candidate(node) ? err_up(feed(node, message)) : 0;
}

/* Rule 15: the core is never fed an InstallSnapshot, which nothing takes back. It is a ticket:
 * whoever owns this node fetches an image meanwhile, and opens the node again from it. */
static int receive_install(struct raft_node *node, const struct raft_install_snapshot *install,
                           const Peer__PeerFrame *frame)
{
    ProtobufCBinaryData encoded = frame->install->configuration;
    struct raft_configuration configuration;
    bool installs;
    int r;

    if (!wire_decode_configuration((struct bytes){encoded.data, encoded.len}, &configuration))
        return RAFT_NODE_REFUSED;
    raft_configuration_close(&configuration);
    if (install->term < raft_current_term(&node->raft)) {
        refuse_stale(node, frame->from);
        return 0;
    }
    if (install->term == raft_current_term(&node->raft) && raft_node_leads(node))
        return RAFT_NODE_REFUSED;
    r = raft_node_installs(node, install->last_index, install->last_term, &installs);
    if (r < 0 || !installs)
        return err_up(r);
    if (node->wanted.index != 0 && node->wanted.leader == frame->from &&
        node->wanted.term == install->term)
        return 0; /* It repeats itself with every heartbeat. */
    node->wanted.leader = frame->from;
    node->wanted.term = install->term;
    node->wanted.index = install->last_index;
    return 0;
}

static void receive_ping(struct raft_node *node, uint64_t from, const Peer__Ping *ping)
{
    struct wire_frame pong;

    if (ping->term < raft_current_term(&node->raft))
        return; /* A newer term is known: it must not be confirmed. */
    wire_encode_pong(node->config.self, ping->term, ping->seq, &pong);
    node->config.send(node->config.context, from, &pong.frame);
}

/* An answer counts only if we asked for it. Whoever else speaks may be a leader, or a candidate, of
 * a configuration that we have not heard of (Raft 4.1); that it is a manager of this cluster has
 * been seen to when it connected. */
static bool may_speak(const struct raft_node *node, const Peer__PeerFrame *frame)
{
    switch (frame->body_case) {
    case PEER__PEER_FRAME__BODY_APPEND_RESULT:
    case PEER__PEER_FRAME__BODY_VOTE_RESULT:
    case PEER__PEER_FRAME__BODY_PONG:
        return frame->from != node->config.self &&
               member_find(node->members, node->member_count, frame->from);
    default:
        return frame->from != node->config.self && member_id_is_valid(frame->from);
    }
}

int raft_node_receive(struct raft_node *node, const Peer__PeerFrame *frame)
{
    struct raft_message message;
    char address[24];

    must(node->txn);
    if (!may_speak(node, frame))
        return RAFT_NODE_REFUSED;
    raft_node_note_contact(node, frame->from);
    if (frame->body_case == PEER__PEER_FRAME__BODY_PING) {
        receive_ping(node, frame->from, frame->ping);
        return 0;
    }
    if (frame->body_case == PEER__PEER_FRAME__BODY_PONG) {
        if (frame->pong->term == raft_current_term(&node->raft))
            raft_node_note_ack(node, frame->from, frame->pong->seq);
        return 0;
    }
    if (!wire_is_raft(frame))
        return 0;
    snprintf(address, sizeof address, "%llu", (unsigned long long)frame->from);
    if (!wire_decode(frame, address, &message))
        return RAFT_NODE_REFUSED;
    switch (message.type) {
    case RAFT_APPEND_ENTRIES:
        return receive_append(node, &message, frame->append);
    case RAFT_APPEND_ENTRIES_RESULT:
        return receive_append_result(node, &message, frame->append_result);
    case RAFT_REQUEST_VOTE:
        return receive_vote(node, &message);
    case RAFT_REQUEST_VOTE_RESULT:
        return receive_vote_result(node, &message);
    case RAFT_TIMEOUT_NOW:
        /* Rule 5: a sole voter needs no leave to lead, and the core would take this term for it. */
        return raft_node_is_sole_voter(node) ? 0 : err_up(feed(node, &message));
    case RAFT_INSTALL_SNAPSHOT:
        return receive_install(node, &message.install_snapshot, frame);
    default:
        return err_up(feed(node, &message));
    }
}
