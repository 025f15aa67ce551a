/*
 * After the majority is lost for good: one manager goes on alone, from what it has.
 */
#include <errno.h>

#include "proto/base/err.h"
#include "proto/base/must.h"
#include "server/manager/raft_internal.h"

/* Terms that others may have reached meanwhile: what they promised, and what workers have obeyed,
 * must be older than whatever comes now. */
static const uint64_t TERMS_SKIPPED = 1 << 20;

static int last_entry(struct txn *txn, uint64_t *out_index, uint64_t *out_term)
{
    struct log_applied applied;
    struct log_entry entry;
    uint64_t first;
    int r = log_bounds(txn, &first, out_index);

    if (r < 0)
        return err_up(r);
    if (r == 0) {
        r = log_get(txn, *out_index, &entry);
        if (r != 0)
            return r < 0 ? err_up(r) : err_new(-EUCLEAN);
        *out_term = entry.term;
        return 0;
    }
    r = log_applied_get(txn, &applied);
    *out_index = applied.index;
    *out_term = applied.term;
    return err_up(r);
}

int raft_node_recover(struct txn *txn, const struct member *self, uint64_t *out_index)
{
    struct member alone = *self;
    struct raft_buffer encoded;
    struct log_entry entry = {.type = RAFT_CHANGE};
    struct log_vote vote = {0};
    uint64_t index, term;
    int r = last_entry(txn, &index, &term);

    if (r == 0)
        r = log_vote_get(txn, &vote);
    if (r < 0)
        return err_up(r);
    if (index == 0)
        return RAFT_NODE_ABSENT;
    entry.term = (vote.term > term ? vote.term : term) + TERMS_SKIPPED;
    alone.role = MEMBER_VOTER;
    raft_node_configuration_encode(&alone, 1, &encoded);
    entry.data = (struct bytes){encoded.base, encoded.len};
    r = log_append(txn, index + 1, &entry);
    raft_free(encoded.base);
    if (r == 0)
        r = log_vote_put(txn, &(struct log_vote){.term = entry.term, .voted_for = self->id});
    if (r < 0)
        return err_up(r);
    *out_index = index + 1;
    return 0;
}
