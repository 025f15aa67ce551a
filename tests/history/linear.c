#include "tests/history/linear.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/base/rng.h"

/*
 * Invocations and returns lie in a list in the order of time. From its front, an operation whose
 * invocation is met before any return may be next; it is then lifted out with its return. At a
 * return nothing more can be next: the last one lifted goes back, and its successor is tried.
 * What was lifted, as a set, and the object's value make a state: none is searched twice.
 */
struct moment {
    size_t op;
    bool is_return;
    uint64_t at;
    struct moment *prev, *next;
};

struct hash {
    uint64_t a, b;
};

struct step {
    struct moment *moment;
    uint64_t value; /* Of the object, before. */
};

struct search {
    const struct linear_op *ops;
    size_t count;
    struct moment *moments; /* 2 for each op: its invocation, its return. */
    struct moment head;
    struct hash *keys; /* One for each op: a set is the exclusive or of its members'. */
    struct hash lifted;
    bool *is_lifted;
    struct step *steps;
    size_t depth;
    size_t owed; /* Operations that returned and are not lifted. */
    uint64_t value;
    struct hash *seen; /* Open addressing; both 0: free. */
    size_t seen_count, seen_cap;
    size_t stuck;
    size_t stuck_owed;
};

/* ---- what was tried */

static bool seen_put(struct hash *seen, size_t cap, struct hash hash)
{
    for (size_t i = hash.a & (cap - 1);; i = (i + 1) & (cap - 1)) {
        if (seen[i].a == 0 && seen[i].b == 0) {
            seen[i] = hash;
            return true;
        }
        if (seen[i].a == hash.a && seen[i].b == hash.b)
            return false;
    }
}

static void seen_grow(struct search *s)
{
    size_t cap = s->seen_cap ? s->seen_cap * 2 : 1024;
    struct hash *seen = mem_new_array(struct hash, cap);

    for (size_t i = 0; i < s->seen_cap; i++)
        if (s->seen[i].a || s->seen[i].b)
            seen_put(seen, cap, s->seen[i]);
    free(s->seen);
    s->seen = seen;
    s->seen_cap = cap;
}

static bool is_new(struct search *s, struct hash lifted, uint64_t value)
{
    uint64_t mixed = (value + 1) * UINT64_C(0x9e3779b97f4a7c15);

    lifted.a ^= mixed ^ mixed >> 29;
    lifted.b ^= (mixed ^ mixed >> 32) * UINT64_C(0xbf58476d1ce4e5b9);
    if (s->seen_count * 2 >= s->seen_cap)
        seen_grow(s);
    if (!seen_put(s->seen, s->seen_cap, lifted))
        return false;
    s->seen_count++;
    return true;
}

/* ---- the list */

static void unlink_moment(struct moment *moment)
{
    if (moment->prev)
        moment->prev->next = moment->next;
    if (moment->next)
        moment->next->prev = moment->prev;
}

static void relink_moment(struct moment *moment)
{
    if (moment->prev)
        moment->prev->next = moment;
    if (moment->next)
        moment->next->prev = moment;
}

static bool returns(const struct linear_op *op)
{
    return op->returned != LINEAR_UNKNOWN;
}

static void toggle(struct search *s, size_t op)
{
    s->is_lifted[op] = !s->is_lifted[op];
    s->lifted.a ^= s->keys[op].a;
    s->lifted.b ^= s->keys[op].b;
}

static void lift(struct search *s, struct moment *moment, uint64_t value)
{
    s->steps[s->depth++] = (struct step){moment, s->value};
    s->value = value;
    toggle(s, moment->op);
    unlink_moment(moment);
    if (returns(&s->ops[moment->op])) {
        unlink_moment(&s->moments[2 * moment->op + 1]);
        s->owed--;
    }
}

/* Gives what was lifted last. */
static struct moment *put_back(struct search *s)
{
    struct step *step = &s->steps[--s->depth];

    s->value = step->value;
    toggle(s, step->moment->op);
    if (returns(&s->ops[step->moment->op])) {
        relink_moment(&s->moments[2 * step->moment->op + 1]);
        s->owed++;
    }
    relink_moment(step->moment);
    return step->moment;
}

/* ---- the models */

static bool fits(const struct linear_op *op, uint64_t value, uint64_t *out)
{
    switch (op->kind) {
    case LINEAR_WRITE:
        *out = op->value;
        return true;
    case LINEAR_READ:
        *out = value;
        return value == op->value;
    default:
        *out = value + 1;
        return !returns(op) || *out == op->value;
    }
}

/* Of operations that are the same and never returned, the one begun first stands for all. */
static bool stands_behind(const struct search *s, const struct moment *moment)
{
    const struct linear_op *op = &s->ops[moment->op];

    if (returns(op))
        return false;
    for (const struct moment *m = moment->prev; m != &s->head; m = m->prev) {
        const struct linear_op *other = &s->ops[m->op];

        if (!m->is_return && !returns(other) && other->kind == op->kind &&
            (op->kind == LINEAR_ADD || other->value == op->value))
            return true;
    }
    return false;
}

/* ---- the search */

static void note_stuck(struct search *s, size_t op)
{
    if (s->owed <= s->stuck_owed) {
        s->stuck_owed = s->owed;
        s->stuck = op;
    }
}

static enum linear_verdict run(struct search *s, uint64_t steps_max)
{
    struct moment *at = s->head.next;
    uint64_t value;

    for (uint64_t steps = 0; s->owed > 0; steps++) {
        if (steps == steps_max)
            return LINEAR_UNDECIDED;
        must(at != NULL); /* A return is owed, and lies ahead. */
        if (at->is_return) {
            note_stuck(s, at->op);
            if (s->depth == 0)
                return LINEAR_NO;
            at = put_back(s)->next;
            continue;
        }
        if (fits(&s->ops[at->op], s->value, &value) && !stands_behind(s, at) &&
            is_new(s,
                   (struct hash){s->lifted.a ^ s->keys[at->op].a, s->lifted.b ^ s->keys[at->op].b},
                   value)) {
            lift(s, at, value);
            at = s->head.next;
        } else {
            at = at->next;
        }
    }
    return LINEAR_YES;
}

/* ---- making ready */

static int compare(const void *a, const void *b)
{
    const struct moment *x = *(struct moment *const *)a, *y = *(struct moment *const *)b;

    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->is_return - y->is_return; /* At one time: as if they overlapped. */
}

static void make_list(struct search *s)
{
    struct moment **order = mem_new_array(struct moment *, 2 * s->count + 1);
    size_t count = 0;

    for (size_t i = 0; i < s->count; i++) {
        s->moments[2 * i] = (struct moment){.op = i, .at = s->ops[i].invoked};
        s->moments[2 * i + 1] =
            (struct moment){.op = i, .at = s->ops[i].returned, .is_return = true};
        order[count++] = &s->moments[2 * i];
        if (returns(&s->ops[i]))
            order[count++] = &s->moments[2 * i + 1];
    }
    qsort(order, count, sizeof(struct moment *), compare);
    for (size_t i = 0; i < count; i++) {
        order[i]->prev = i > 0 ? order[i - 1] : &s->head;
        order[i]->prev->next = order[i];
    }
    free(order);
}

/* How often this value is written; and when a read of it returned first, if one did. */
static size_t writes_of(const struct linear_op *ops, size_t count, uint64_t value,
                        uint64_t *out_read)
{
    size_t writes = 0;

    *out_read = LINEAR_UNKNOWN;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].value != value || ops[i].kind == LINEAR_ADD)
            continue;
        writes += ops[i].kind == LINEAR_WRITE;
        if (ops[i].kind == LINEAR_READ && ops[i].returned < *out_read)
            *out_read = ops[i].returned;
    }
    return writes;
}

/* A write of unknown outcome, the only one of its value: if that was read, it was done by then;
 * if not, nothing tells whether it was, and it need not be looked at. Both take it out of the
 * search, which they would otherwise double, each of them. */
static size_t decide_unknown(struct linear_op *ops, size_t count, size_t *origin, uint64_t initial)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        struct linear_op op = ops[i];
        uint64_t read;

        if (!returns(&op) && op.kind == LINEAR_READ)
            continue;
        if (!returns(&op) && op.kind == LINEAR_WRITE && op.value != initial &&
            writes_of(ops + i, count - i, op.value, &read) +
                    writes_of(ops, kept, op.value, &(uint64_t){0}) ==
                1) {
            uint64_t before;

            writes_of(ops, kept, op.value, &before);
            op.returned = before < read ? before : read;
            if (!returns(&op))
                continue;
            if (op.returned < op.invoked)
                op.returned = op.invoked + 1; /* Read before it was written: found by the search. */
        }
        origin[kept] = origin[i];
        ops[kept++] = op;
    }
    return kept;
}

enum linear_verdict linear_check(const struct linear_op *ops, size_t count, uint64_t initial,
                                 uint64_t steps_max, size_t *out_stuck)
{
    struct linear_op *copy = mem_new_array(struct linear_op, count + 1);
    size_t *origin = mem_new_array(size_t, count + 1);
    struct search s = {.ops = copy, .value = initial};
    enum linear_verdict verdict;
    struct rng rng;

    for (size_t i = 0; i < count; i++) {
        must(ops[i].invoked < ops[i].returned);
        copy[i] = ops[i];
        origin[i] = i;
    }
    s.count = decide_unknown(copy, count, origin, initial);
    s.moments = mem_new_array(struct moment, 2 * s.count + 1);
    s.keys = mem_new_array(struct hash, s.count + 1);
    s.is_lifted = mem_new_array(bool, s.count + 1);
    s.steps = mem_new_array(struct step, s.count + 1);
    rng_seed(&rng, 1);
    for (size_t i = 0; i < s.count; i++) {
        s.keys[i] = (struct hash){rng_next(&rng), rng_next(&rng)};
        s.owed += returns(&copy[i]);
    }
    s.stuck_owed = s.owed;
    make_list(&s);
    verdict = run(&s, steps_max);
    if (verdict == LINEAR_NO && out_stuck)
        *out_stuck = origin[s.stuck];
    free(s.moments);
    free(s.keys);
    free(s.is_lifted);
    free(s.steps);
    free(s.seen);
    free(origin);
    free(copy);
    return verdict;
}
