/*
 * Opening the core from what is durable, or from the first configuration.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/manager/raft_internal.h"

enum {
    INFLIGHT_ENTRIES = 2048, /* Per follower; the ceiling of entries in a round trip. */
};

/* The first configuration: as the first entry of all, or behind tables that were restored. */
static int bootstrap(struct raft_node *node, uint64_t term)
{
    struct raft_buffer encoded;
    struct log_entry entry = {.term = term, .type = RAFT_CHANGE};
    struct log_vote vote = {.term = term};
    int r;

    raft_node_configuration_encode(node->config.first, node->config.first_count, &encoded);
    entry.data = (struct bytes){encoded.base, encoded.len};
    node->first_index = node->last_index = node->applied.index + 1;
    r = log_append(node->txn, node->first_index, &entry);
    if (r == 0)
        r = log_vote_put(node->txn, &vote);
    raft_free(encoded.base);
    return err_up(r);
}

/* The term was put beyond all that the backup knew when it was restored. */
static int bootstrap_restored(struct raft_node *node)
{
    struct log_vote vote;
    int r = log_vote_get(node->txn, &vote);

    if (r < 0)
        return err_up(r);
    if (vote.term <= node->applied.term)
        return err_new(-EUCLEAN);
    r = log_restored_put(node->txn, NULL);
    return r < 0 ? err_up(r) : err_up(bootstrap(node, vote.term));
}

struct loading {
    struct raft_entry *entries;
    uint64_t first;
};

/* The core reads only types and terms, and the bytes of configurations. */
static int load_entry(void *context, uint64_t index, const struct log_entry *entry)
{
    struct loading *loading = context;
    struct raft_entry *to = &loading->entries[index - loading->first];

    to->term = entry->term;
    to->type = (enum raft_entry_type)entry->type;
    to->buf = (struct raft_buffer){(void *)entry->data.base, entry->data.len};
    to->batch = (void *)entry->data.base;
    return 0;
}

static int start_metadata(struct raft_node *node, struct raft_snapshot_metadata *out)
{
    struct bytes stored;
    int r = log_configuration_get(node->txn, &stored);

    if (r != 0)
        return r < 0 ? err_up(r) : err_new(-EUCLEAN);
    r = raft_node_configuration_decode(stored, &out->configuration); /* Moves into the core. */
    if (r < 0)
        return err_up(r);
    out->index = node->applied.index;
    out->term = node->applied.term;
    out->configuration_index = node->applied.configuration_index;
    return 0;
}

static int start(struct raft_node *node, const struct log_vote *vote)
{
    struct raft_event event = {.type = RAFT_START};
    struct raft_snapshot_metadata metadata = {0};
    struct loading loading = {.first = node->first_index};
    int r;

    event.start.term = vote->term;
    event.start.voted_for = vote->voted_for;
    if (raft_node_is_sole_voter(node)) { /* Rule 5: it would lead the same term twice. */
        event.start.term++;
        event.start.voted_for = node->config.self;
        node->term_dirty = true;
    }
    event.start.start_index = node->first_index;
    event.start.n_entries = (unsigned)(node->last_index - node->first_index + 1);
    loading.entries = mem_new_array(struct raft_entry, event.start.n_entries);
    event.start.entries = loading.entries;
    r = log_walk(node->txn, node->first_index, load_entry, &loading);
    if (r == 0 && node->applied.index > 0) {
        r = start_metadata(node, &metadata);
        event.start.metadata = &metadata;
    }
    if (r == 0)
        r = raft_node_step(node, &event);
    free(loading.entries);
    return err_up(r);
}

/* Nothing is kept but the tables, or nothing at all: then the next entry comes first. */
static int load_empty(struct raft_node *node)
{
    const char *cluster;
    int r = log_restored_get(node->txn, &cluster);

    if (r < 0)
        return err_up(r);
    if (node->config.first_count > 0 && r == 0)
        return err_up(bootstrap_restored(node));
    if (node->config.first_count > 0 && node->applied.index == 0)
        return err_up(bootstrap(node, 1));
    node->last_index = node->applied.index;
    node->first_index = node->applied.index + 1;
    return 0;
}

/* What is kept of the log: first..last_index. */
static int load_bounds(struct raft_node *node)
{
    int r = log_applied_get(node->txn, &node->applied);

    if (r == 0)
        r = log_bounds(node->txn, &node->first_index, &node->last_index);
    if (r < 0)
        return err_up(r);
    if (r == LOG_ABSENT)
        return err_up(load_empty(node));
    if (node->applied.index > node->last_index || node->first_index > node->applied.index + 1)
        return err_new(-EUCLEAN); /* The tables and the log do not meet. */
    return 0;
}

static int load(struct raft_node *node)
{
    struct log_vote vote = {0};
    int r = load_bounds(node);

    if (r == 0)
        r = log_vote_get(node->txn, &vote);
    if (r == 0 && node->last_index > 0)
        r = raft_node_configuration_find(node);
    if (r < 0)
        return err_up(r);
    node->commit_index = node->applied.index;
    node->configured_index = node->applied.index;
    node->trim_to = node->first_index - 1;
    return err_up(start(node, &vote));
}

static int init_core(struct raft_node *node)
{
    struct raft *raft = &node->raft;

    raft_node_stop_without_memory();
    if (raft_version_number() != RAFT_VERSION_NUMBER)
        return err_new(-ELIBBAD); /* Ownership rules differ between releases: docs/consensus.md. */
    if (raft_init(raft, NULL, NULL, node->config.self, node->address) != 0)
        return err_new(-ENOMEM);
    raft->tracer = NULL; /* The default one formats every step into one static buffer. */
    raft_seed(raft, (unsigned)rng_next(&node->rng));
    raft_set_election_timeout(raft, node->config.election_ms);
    raft_set_heartbeat_timeout(raft, node->config.heartbeat_ms);
    raft_set_pre_vote(raft, true);
    raft_set_max_inflight_entries(raft, INFLIGHT_ENTRIES);
    return 0;
}

int raft_node_reopen(struct raft_node *node, const struct log_vote *vote)
{
    int r;

    raft_close(&node->raft, NULL);
    r = init_core(node);
    if (r < 0)
        return err_up(r);
    node->term_dirty = true;
    node->stored_from = 0; /* What is stored in this turn the core takes for durable: so it is, when
                              anything leaves. */
    node->trim_to = node->first_index - 1;
    node->wanted.index = 0;
    node->heard.id = 0;
    return err_up(start(node, vote));
}

int raft_node_open(const struct raft_node_config *config, struct txn *txn, uint64_t now_ms,
                   struct raft_node **out)
{
    struct raft_node *node = mem_new(struct raft_node);
    int r;

    must(member_id_is_valid(config->self));
    must(config->first_count <= LIMIT_MANAGERS);
    node->config = *config;
    node->txn = txn;
    node->now_ms = now_ms;
    node->hold_index = UINT64_MAX;
    if (node->config.keep_entries == 0)
        node->config.keep_entries = LIMIT_KEPT_ENTRIES;
    rng_seed(&node->rng, config->seed);
    snprintf(node->address, sizeof node->address, "%llu", (unsigned long long)config->self);
    r = init_core(node);
    if (r < 0) {
        free(node);
        return err_up(r);
    }
    r = load(node);
    if (r == 0)
        r = raft_node_end(node);
    if (r < 0) {
        raft_node_free(node);
        return err_up(r);
    }
    *out = node;
    return 0;
}

void raft_node_free(struct raft_node *node)
{
    if (!node)
        return;
    raft_close(&node->raft, NULL);
    free(node);
}
