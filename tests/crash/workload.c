/*
 * A manager's storage at work: `crash_workload DIR SEED TURNS` makes DIR/state and takes turns as
 * the core does, each one transaction with what Raft keeps and what was applied; now and then an
 * image is received meanwhile, and adopted. Says by marks what each turn will have done and when it
 * is durable; record.c, when loaded, notes all of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/base/rng.h"
#include "storage/log.h"
#include "tests/crash/adoption.h"
#include "tests/crash/story.h"
#include "tests/crash/trace.h"
#include "tests/fuzz/apply_ops.h"

enum {
    CHANCE_BYTES = 1 << 16,
    APPENDED_MAX = 12,
    BIG_BYTES = 20000, /* More than a page: as a large task definition. */
    OWNER = 7,
    FIRST_IMAGE = 2, /* After this turn, and then by chance. */
};

struct work {
    const char *dir;
    struct env *env;
    struct adoption adoption;
    bool adopted;       /* What is still in DIR/incoming is what was there before. */
    struct txn *reader; /* Held over some turns: pages it can see are not used again. */
    struct rng rng;
    uint8_t chance[CHANCE_BYTES];
    size_t map_bytes;
    uint32_t turn;
    struct log_vote vote;
    uint64_t applied;
    uint64_t last;
    uint64_t made; /* Commands, counted from 0. */
};

static bool one_in(struct work *work, unsigned n)
{
    return rng_below(&work->rng, n) == 0;
}

static int say(struct work *work, enum story_word word, const struct story_state *state)
{
    struct story_mark mark = {.word = word, .turn = work->turn, .state = *state};

    printf("%s %u %016llx\n", word == STORY_INTENDS ? "intends" : "acknowledged", work->turn,
           (unsigned long long)state->digest);
    fflush(stdout);
    if (trace_mark)
        trace_mark(&mark, sizeof mark);
    return 0;
}

static void next_command(struct work *work, struct buffer *out)
{
    struct source source = {.service_seq = 1};

    if (one_in(work, 40)) {
        size_t len = 1 + (size_t)rng_below(&work->rng, BIG_BYTES);

        buffer_clear(out);
        memset(buffer_extend(out, len), 0xff, len);
        return;
    }
    for (size_t i = 0; i < 512; i++)
        work->chance[i] = (uint8_t)rng_next(&work->rng);
    source.at = work->chance;
    source.left = 512;
    if (work->made < OPS_FURNISH)
        story_command((unsigned)work->made, out);
    else
        ops_next(&source, out);
    work->made++;
}

static int append_some(struct work *work, struct txn *txn)
{
    scope(buffer_fini) struct buffer command = {0};
    uint64_t count = rng_below(&work->rng, APPENDED_MAX + 1);
    int r = 0;

    for (uint64_t i = 0; i < count && r == 0; i++) {
        next_command(work, &command);
        r = log_append(txn, ++work->last,
                       &(struct log_entry){.term = work->vote.term,
                                           .type = 1,
                                           .data = {command.base, command.len}});
    }
    return err_up(r);
}

/* A new leader, whose log differs from ours behind what is committed. */
static int follow_another(struct work *work, struct txn *txn)
{
    uint64_t from = work->applied + 1 + rng_below(&work->rng, work->last - work->applied + 1);
    int r = log_truncate(txn, from);

    if (r < 0)
        return err_up(r);
    work->last = from - 1;
    work->vote.voted_for = 1 + rng_below(&work->rng, 3);
    work->vote.term += 1 + rng_below(&work->rng, 2);
    return err_up(log_vote_put(txn, &work->vote));
}

static int apply_some(struct work *work, struct txn *txn)
{
    work->applied += rng_below(&work->rng, work->last - work->applied + 1);
    return err_up(story_apply(txn, work->applied));
}

/* The beginning of the log, which what was applied stands for. */
static int trim(struct work *work, struct txn *txn)
{
    uint64_t removed;

    return err_up(log_trim(txn, rng_below(&work->rng, work->applied + 1), 1000, &removed));
}

static int configure(struct work *work, struct txn *txn)
{
    char text[64];

    snprintf(text, sizeof text, "configuration of turn %u", work->turn);
    return err_up(log_configuration_put(txn, (struct bytes){text, strlen(text)}));
}

static int change(struct work *work, struct txn *txn)
{
    int r = work->turn == 1 ? log_format(txn) : 0;

    if (r == 0 && work->turn == 1)
        r = log_owner(txn, OWNER);
    if (r == 0 && one_in(work, 8))
        r = follow_another(work, txn);
    if (r == 0)
        r = append_some(work, txn);
    if (r == 0)
        r = apply_some(work, txn);
    if (r == 0 && one_in(work, 12))
        r = trim(work, txn);
    if (r == 0 && one_in(work, 16))
        r = configure(work, txn);
    return err_up(r);
}

static int must_look(struct txn *txn, struct story_state *out)
{
    char *text = NULL;
    int r = story_look(txn, out, &text);

    must(text == NULL);
    return err_up(r);
}

/* One turn: one transaction, promised and kept. */
static int turn(struct work *work)
{
    scope(txn_abort) struct txn *txn = NULL;
    struct story_state state;
    int r = env_write(work->env, &txn);

    if (r < 0)
        return err_up(r);
    work->turn++;
    r = change(work, txn);
    if (r < 0)
        return err_up(r);
    r = must_look(txn, &state);
    if (r < 0)
        return err_up(r);
    say(work, STORY_INTENDS, &state);
    r = txn_commit(steal(txn));
    return r < 0 ? err_up(r) : say(work, STORY_ACKNOWLEDGED, &state);
}

static void read_for_a_while(struct work *work)
{
    if (!one_in(work, 10))
        return;
    if (work->reader)
        txn_abort(steal(work->reader));
    else
        must(env_read(work->env, &work->reader) == 0);
}

/* ---- images */

static int look_at_next(struct work *work, struct story_state *out)
{
    scope(txn_abort) struct txn *txn = NULL;
    int r = env_read(work->adoption.next, &txn);

    return r < 0 ? err_up(r) : err_up(must_look(txn, out));
}

/* A manager's own term and vote come with it. Sometimes they do not here: their commit would make
 * durable what should be so already. */
static int finish(struct work *work)
{
    int r = adoption_finish(&work->adoption);

    if (r < 0)
        return err_up(r);
    if (!one_in(work, 3))
        return err_up(adoption_own(&work->adoption, OWNER, &work->vote));
    work->vote = (struct log_vote){0};
    return 0;
}

static int adopt(struct work *work)
{
    struct story_state state;
    int r = finish(work);

    if (r == 0)
        r = look_at_next(work, &state);
    if (r < 0)
        return err_up(r);
    txn_abort(steal(work->reader));
    say(work, STORY_INTENDS, &state);
    r = env_adopt(work->env, work->adoption.next);
    if (r < 0)
        return err_up(r);
    work->applied = work->last = work->adoption.index;
    work->adopted = true;
    return say(work, STORY_ACKNOWLEDGED, &state);
}

/* One step of what is under way. */
static int receive(struct work *work)
{
    struct adoption *adoption = &work->adoption;

    if (!adoption->incoming)
        return work->turn == FIRST_IMAGE || one_in(work, 12)
                   ? err_up(adoption_begin(adoption, work->env, work->dir))
                   : 0;
    if (work->adopted || one_in(work, 20)) { /* Or whoever sent it is gone. */
        work->adopted = false;
        return err_up(adoption_end(adoption));
    }
    if (adoption->written == adoption->chunk_count)
        return err_up(adopt(work));
    return err_up(
        adoption_write(adoption, 1 + (size_t)rng_below(&work->rng, adoption->chunk_count)));
}

static int open_again(struct work *work)
{
    txn_abort(steal(work->reader));
    adoption_drop(&work->adoption);
    work->adopted = false;
    env_free(steal(work->env));
    return err_up(story_start(work->dir, work->map_bytes, &work->env));
}

static int between_turns(struct work *work)
{
    int r = receive(work);

    if (r < 0)
        return err_up(r);
    read_for_a_while(work);
    if (one_in(work, 50))
        return err_up(open_again(work));
    if (!work->reader && one_in(work, 100))
        return err_up(env_grow(work->env, work->map_bytes += 1 << 20));
    return 0;
}

static int run(struct work *work, uint32_t turns)
{
    int r = story_start(work->dir, work->map_bytes, &work->env);

    while (r == 0 && work->turn < turns) {
        r = turn(work);
        if (r == 0)
            r = between_turns(work);
    }
    return err_up(r);
}

/* Say what is there, and go on with it. */
static int look(const char *dir)
{
    scope(env_free) struct env *env = NULL;
    scope(txn_abort) struct txn *txn = NULL;
    struct story_state state = {0};
    char *text = NULL;
    int r = story_start(dir, STORY_MAP_BYTES, &env);

    if (r == 0)
        r = env_read(env, &txn);
    if (r == 0)
        r = story_look(txn, &state, &text);
    txn_abort(steal(txn));
    if (r == 0)
        r = story_go_on(env, &text);
    free(text);
    if (r < 0)
        return err_up(r);
    printf("found %016llx%s\n", (unsigned long long)state.digest,
           state.last == 0 && state.term == 0 && state.applied == 0 ? " nothing" : "");
    return 0;
}

int main(int argc, char **argv)
{
    struct work *work = mem_new(struct work);
    int r;

    if (argc != 4 && !(argc == 3 && strcmp(argv[2], "look") == 0)) {
        fprintf(stderr, "usage: crash_workload DIR SEED TURNS, or DIR look\n");
        return 2;
    }
    work->dir = argv[1];
    work->map_bytes = STORY_MAP_BYTES;
    rng_seed(&work->rng, strtoull(argv[2], NULL, 10));
    r = argc == 3 ? look(argv[1]) : run(work, (uint32_t)strtoul(argv[3], NULL, 10));
    if (r < 0)
        fprintf(stderr, "workload: turn %u: %s (%s)\n", work->turn, strerror(-r), err_trace());
    txn_abort(work->reader);
    adoption_drop(&work->adoption);
    env_free(work->env);
    free(work);
    return r < 0;
}
