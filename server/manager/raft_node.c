/*
 * The driver around raft_step(): feeds the core and carries out its updates. It is opened in
 * raft_open.c; what a received frame must pass first is in raft_receive.c, time-outs are in
 * raft_campaign.c, reads in raft_reads.c.
 */
#include "server/manager/raft_node.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/manager/raft_internal.h"

int raft_node_term_at(struct raft_node *node, uint64_t index, uint64_t *out)
{
    struct log_entry entry;
    int r;

    *out = 0;
    if (index == 0)
        return 0;
    r = log_get(node->txn, index, &entry);
    if (r < 0)
        return err_up(r);
    if (r == 0)
        *out = entry.term;
    else if (index == node->applied.index)
        *out = node->applied.term; /* The tables have come without their log. */
    return 0;
}

/* ---- what the core decided */

static int store(struct raft_node *node, uint64_t index, const struct raft_entry *entries,
                 unsigned count)
{
    bool rewrites_configuration = index <= node->configuration_index;
    int r;

    must(index >= 1);
    must(index <= node->last_index + 1);
    must(index > node->applied.index);
    if (index <= node->last_index) {
        r = log_truncate(node->txn, index);
        if (r < 0)
            return err_up(r);
    }
    for (unsigned i = 0; i < count; i++) {
        struct log_entry entry = {.term = entries[i].term, .type = (uint8_t)entries[i].type};

        entry.data = (struct bytes){entries[i].buf.base, entries[i].buf.len};
        r = log_append(node->txn, index + i, &entry);
        if (r < 0)
            return err_up(r);
        if (entry.type == RAFT_CHANGE) {
            r = raft_node_configuration_set(node, index + i, entry.data);
            if (r < 0)
                return err_up(r);
            rewrites_configuration = false;
        }
    }
    node->last_index = index + count - 1;
    if (node->stored_from == 0 || index < node->stored_from)
        node->stored_from = index;
    return rewrites_configuration ? err_up(raft_node_configuration_find(node)) : 0;
}

/* The core counts entries, not bytes, and repeats to a dead peer with each heartbeat all that it
 * may. What goes beyond this is left out: the peer's next answer says how far it got. */
static size_t append_budget(const struct raft_node *node, uint64_t to)
{
    bool answers = node->now_ms < raft_node_heard_ms(node, to) + node->config.election_ms;

    return answers ? LIMIT_APPENDS_BYTES : LIMIT_PROBE_BYTES;
}

/* Send entries prev+1..prev+count, cut into frames of bounded size: each is a legal Append of its
 * own. */
static int send_append(struct raft_node *node, const struct raft_message *message)
{
    const struct raft_append_entries *append = &message->append_entries;
    uint64_t next = append->prev_log_index + 1;
    uint64_t end = next + append->n_entries;
    uint64_t prev_term = append->prev_log_term;
    size_t budget = append_budget(node, message->server_id), sent = 0;

    do {
        scope(buffer_fini) struct buffer pointers = {0};
        scope(buffer_fini) struct buffer entries = {0};
        struct wire_frame wire;
        size_t bytes = 0, count = 0;
        bool known = wire_encode(message, node->config.self, &wire);

        must(known);
        wire.append.prev_log_index = next - 1;
        wire.append.prev_log_term = prev_term;
        wire.append.seq = ++node->seq;
        for (; next < end && bytes < LIMIT_APPEND_BYTES && sent + bytes < budget; next++, count++) {
            struct log_entry entry;
            Peer__Entry *to;
            int r = log_get(node->txn, next, &entry);

            if (r != 0)
                return r < 0 ? err_up(r) : err_new(-EUCLEAN);
            to = (Peer__Entry *)(void *)buffer_extend(&entries, sizeof *to);
            peer__entry__init(to);
            to->term = entry.term;
            to->type = entry.type;
            to->data = (ProtobufCBinaryData){entry.data.len, (uint8_t *)entry.data.base};
            bytes += entry.data.len;
            prev_term = entry.term;
        }
        for (size_t i = 0; i < count; i++) {
            Peer__Entry *entry = (Peer__Entry *)(void *)entries.base + i;

            buffer_append(&pointers, &entry, sizeof entry);
        }
        wire.append.n_entries = count;
        wire.append.entries = (Peer__Entry **)(void *)pointers.base;
        node->config.send(node->config.context, message->server_id, &wire.frame);
        sent += bytes;
    } while (next < end && sent < budget);
    return 0;
}

/* Rule 11: name the last entry that can match, by its term, so that a deposed leader's stray
 * entries cost one round trip a term, not one each. */
static int lower_hint(struct raft_node *node, const struct raft_event *event,
                      Peer__AppendResult *result)
{
    const struct raft_message *cause;
    uint64_t term;
    int r;

    if (result->rejected == 0 || event->type != RAFT_RECEIVE)
        return 0;
    cause = event->receive.message;
    if (cause->type != RAFT_APPEND_ENTRIES)
        return 0;
    for (;; result->last_log_index--) {
        r = raft_node_term_at(node, result->last_log_index, &term);
        if (r < 0)
            return err_up(r);
        if (result->last_log_index <= node->applied.index ||
            term <= cause->append_entries.prev_log_term)
            break;
    }
    result->hint_term = term;
    return 0;
}

/* What can be fetched from us is as new as our tables, not as the core's last snapshot. */
static int send_ticket(struct raft_node *node, const struct raft_message *message)
{
    struct wire_frame wire;
    struct bytes configuration;
    bool known = wire_encode(message, node->config.self, &wire);
    int r = log_configuration_get(node->txn, &configuration);

    must(known);
    if (r != 0)
        return r < 0 ? err_up(r) : err_new(-EUCLEAN);
    wire.install.last_index = node->applied.index;
    wire.install.last_term = node->applied.term;
    wire.install.configuration_index = node->applied.configuration_index;
    wire.install.configuration =
        (ProtobufCBinaryData){configuration.len, (uint8_t *)configuration.base};
    node->promised_image = true;
    node->config.send(node->config.context, message->server_id, &wire.frame);
    return 0;
}

static int send_message(struct raft_node *node, const struct raft_message *message,
                        const struct raft_event *event)
{
    struct wire_frame wire;
    uint64_t term = raft_current_term(&node->raft);
    int r;

    if (message->type == RAFT_APPEND_ENTRIES)
        return err_up(send_append(node, message));
    if (message->type == RAFT_INSTALL_SNAPSHOT)
        return err_up(send_ticket(node, message));
    if (!wire_encode(message, node->config.self, &wire))
        return err_new(-EPROTO);
    if (message->type == RAFT_APPEND_ENTRIES_RESULT) {
        r = lower_hint(node, event, &wire.append_result);
        if (r < 0)
            return err_up(r);
        if (node->heard.id == message->server_id && node->heard.term == wire.append_result.term)
            wire.append_result.echo_seq = node->heard.seq;
    }
    if (message->type == RAFT_REQUEST_VOTE_RESULT && wire.vote_result.pre_vote &&
        !wire.vote_result.vote_granted && term > wire.vote_result.term)
        wire.vote_result.term = term; /* Rule 9: else the newest log could wait for ever. */
    node->config.send(node->config.context, message->server_id, &wire.frame);
    return 0;
}

int raft_node_submit_entries(struct raft_node *node, struct raft_entry *entries, unsigned count)
{
    struct raft_event event = {.type = RAFT_SUBMIT};

    event.submit.entries = entries;
    event.submit.n = count;
    return err_up(raft_node_step(node, &event));
}

/* Rule 2: nothing is read and no membership changed before an entry of the own term is committed.
 */
static int lead(struct raft_node *node)
{
    uint64_t term;
    uint8_t zeroes[8] = {0};
    struct raft_entry barrier = {.type = RAFT_BARRIER};
    int r = raft_node_term_at(node, node->last_index, &term);

    if (r < 0)
        return err_up(r);
    if (term == raft_current_term(&node->raft)) { /* The core has made a barrier itself. */
        node->term_first = node->last_index;
        return 0;
    }
    barrier.term = raft_current_term(&node->raft);
    barrier.buf = (struct raft_buffer){zeroes, sizeof zeroes};
    barrier.batch = zeroes;
    node->term_first = node->last_index + 1;
    return err_up(raft_node_submit_entries(node, &barrier, 1));
}

static int carry_out(struct raft_node *node, const struct raft_event *event,
                     const struct raft_update *update)
{
    int r;

    if (update->flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR))
        node->term_dirty = true;
    if (update->flags & RAFT_UPDATE_SNAPSHOT)
        return err_new(-EPROTO);
    if (update->flags & RAFT_UPDATE_ENTRIES) {
        r = store(node, update->entries.index, update->entries.batch, update->entries.n);
        if (event->type != RAFT_SUBMIT) /* A received batch, or the core's own barrier. */
            raft_free(update->entries.batch[0].batch);
        if (r < 0)
            return err_up(r);
    }
    if (update->flags & RAFT_UPDATE_MESSAGES) {
        for (unsigned i = 0; i < update->messages.n; i++) {
            r = send_message(node, &update->messages.batch[i], event);
            if (r < 0)
                return err_up(r);
        }
    }
    return 0;
}

int raft_node_step(struct raft_node *node, struct raft_event *event)
{
    struct raft_update update;
    bool state_changed;
    int r;

    event->time = node->now_ms + node->skew_ms;
    r = raft_step(&node->raft, event, &update);
    if (r != 0)
        return err_new(-EPROTO);
    state_changed = update.flags & (RAFT_UPDATE_STATE);
    r = carry_out(node, event, &update);
    if (r < 0)
        return err_up(r);
    if (raft_commit_index(&node->raft) > node->commit_index)
        node->commit_index = raft_commit_index(&node->raft);
    if (!state_changed)
        return 0;
    node->term_first = 0;
    node->transfer.to = 0;
    raft_node_forget_acks(node);
    return raft_node_leads(node) ? err_up(lead(node)) : 0;
}

/* ---- the turn */

int raft_node_begin(struct raft_node *node, struct txn *txn, uint64_t now_ms)
{
    struct raft_event event = {.type = RAFT_PERSISTED_ENTRIES};

    must(!node->txn);
    must(now_ms >= node->now_ms);
    node->txn = txn;
    node->now_ms = now_ms;
    if (node->owed == 0)
        return 0;
    event.persisted_entries.index = node->owed;
    node->owed = 0;
    return err_up(raft_node_step(node, &event));
}

int raft_node_end(struct raft_node *node)
{
    struct log_vote vote;
    int r = 0;

    must(node->txn);
    r = raft_node_pump_transfer(node);
    if (r == 0)
        r = raft_node_tell_commits(node);
    if (r == 0 && node->stored_from != 0)
        r = raft_node_trim(node);
    if (r < 0)
        return err_up(r);
    if (node->term_dirty) {
        vote.term = raft_current_term(&node->raft);
        vote.voted_for = raft_voted_for(&node->raft);
        r = log_vote_put(node->txn, &vote);
    }
    if (r == 0 && node->applied_dirty)
        r = log_applied_put(node->txn, &node->applied);
    if (r < 0)
        return err_up(r);
    node->may_send_early = !node->term_dirty && !raft_node_is_sole_voter(node);
    node->must_commit = node->term_dirty || node->stored_from != 0 || node->promised_image;
    node->owed = node->stored_from ? node->last_index : 0;
    node->stored_from = 0;
    node->promised_image = false;
    node->term_dirty = false;
    node->applied_dirty = false;
    node->txn = NULL;
    return 0;
}

bool raft_node_owes(const struct raft_node *node)
{
    return node->owed != 0;
}

bool raft_node_must_commit(const struct raft_node *node)
{
    return node->must_commit;
}

bool raft_node_may_send_early(const struct raft_node *node)
{
    return node->may_send_early;
}

size_t raft_node_room(const struct raft_node *node)
{
    uint64_t waiting = node->last_index - node->commit_index;

    if (!raft_node_leads(node) || raft_node_transferring(node) || waiting >= LIMIT_UNCOMMITTED)
        return 0;
    return LIMIT_UNCOMMITTED - waiting;
}

int raft_node_submit(struct raft_node *node, const struct bytes *commands, size_t count,
                     uint64_t *out_first)
{
    struct raft_entry *entries;
    int r;

    must(count > 0);
    if (!raft_node_leads(node))
        return RAFT_NODE_NOT_LEADER;
    if (count > raft_node_room(node))
        return RAFT_NODE_BUSY;
    entries = mem_new_array(struct raft_entry, count);
    for (size_t i = 0; i < count; i++) {
        entries[i].term = raft_current_term(&node->raft);
        entries[i].type = RAFT_COMMAND;
        entries[i].buf = (struct raft_buffer){(void *)commands[i].base, commands[i].len};
        entries[i].batch = (void *)commands[0].base;
    }
    *out_first = node->last_index + 1;
    r = raft_node_submit_entries(node, entries, (unsigned)count);
    free(entries);
    return err_up(r);
}

/* Tell the core of every committed configuration, in order, as soon as it is committed; keep it
 * beside the tables. */
static int feed_configuration(struct raft_node *node, uint64_t index, struct bytes bytes)
{
    struct raft_event event = {.type = RAFT_CONFIGURATION};
    int r = log_configuration_put(node->txn, bytes);

    if (r < 0)
        return err_up(r);
    node->applied.configuration_index = index;
    node->configured_index = index;
    event.configuration.index = index;
    r = raft_node_configuration_decode(bytes, &event.configuration.conf); /* Moves into the core. */
    if (r < 0)
        return err_up(r);
    return err_up(raft_node_step(node, &event));
}

int raft_node_next(struct raft_node *node, uint64_t *out_index, struct log_entry *out)
{
    while (node->applied.index < node->commit_index && node->applied.index < node->last_index) {
        uint64_t index = node->applied.index + 1;
        int r = log_get(node->txn, index, out);

        if (r != 0)
            return r < 0 ? err_up(r) : err_new(-EUCLEAN);
        node->applied.index = index;
        node->applied.term = out->term;
        node->applied_dirty = true;
        if (out->type == RAFT_COMMAND) {
            *out_index = index;
            return 0;
        }
        if (out->type == RAFT_CHANGE) {
            scope(buffer_fini) struct buffer copy = {
                0}; /* The put below moves the borrowed bytes. */

            buffer_append(&copy, out->data.base, out->data.len);
            r = feed_configuration(node, index, (struct bytes){copy.base, copy.len});
            if (r < 0)
                return err_up(r);
        }
    }
    return RAFT_NODE_NONE;
}

/* ---- questions */

bool raft_node_leads(const struct raft_node *node)
{
    return raft_state((struct raft *)&node->raft) == RAFT_LEADER;
}

bool raft_node_ready(const struct raft_node *node)
{
    return raft_node_leads(node) && node->term_first != 0 &&
           node->applied.index >= node->term_first;
}

bool raft_node_is_candidate(const struct raft_node *node)
{
    return raft_state((struct raft *)&node->raft) == RAFT_CANDIDATE;
}

uint64_t raft_node_leader(const struct raft_node *node)
{
    raft_id id = 0;
    const char *address;

    raft_leader((struct raft *)&node->raft, &id, &address);
    return id;
}

uint64_t raft_node_term(const struct raft_node *node)
{
    return raft_current_term((struct raft *)&node->raft);
}

uint64_t raft_node_first_index(const struct raft_node *node)
{
    return node->first_index;
}

uint64_t raft_node_last_index(const struct raft_node *node)
{
    return node->last_index;
}

uint64_t raft_node_commit_index(const struct raft_node *node)
{
    return node->commit_index;
}

uint64_t raft_node_applied_index(const struct raft_node *node)
{
    return node->applied.index;
}
