#include "server/lab/faults.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"

enum rule_kind { RULE_CUT, RULE_DELAY, RULE_HEAL };

static const char *const kind_names[] = {"cut", "delay", "heal"};

struct rule {
    enum rule_kind kind;
    char *a, *b;
    bool one_way;
    unsigned delay_ms, jitter_ms;
    bool *pairs; /* node_count x node_count. */
};

struct faults {
    const struct layout *layout;
    struct rule *rules[FAULTS_MAX];
    size_t count;
    bool dark[LAYOUT_ZONES_MAX];
};

static void rule_free(struct rule *rule)
{
    if (!rule)
        return;
    free(rule->a);
    free(rule->b);
    free(rule->pairs);
    free(rule);
}

SCOPED(struct rule *, rule_free);

struct faults *faults_new(const struct layout *layout)
{
    struct faults *faults = mem_new(struct faults);

    faults->layout = layout;
    return faults;
}

void faults_free(struct faults *faults)
{
    if (!faults)
        return;
    faults_heal_all(faults);
    free(faults);
}

static size_t pair_count(const struct layout *layout)
{
    return layout->node_count * layout->node_count;
}

/* Links run between managers, and from workers to managers. */
static bool is_link(const struct layout *layout, size_t from, size_t to)
{
    return from != to && (layout->nodes[from].manager || layout->nodes[to].manager);
}

static bool mark_pairs(const struct layout *layout, const bool *a, const bool *b, bool *out_pairs)
{
    bool any = false;

    for (size_t from = 0; from < layout->node_count; from++) {
        for (size_t to = 0; a[from] && to < layout->node_count; to++) {
            if (!b[to] || !is_link(layout, from, to))
                continue;
            out_pairs[from * layout->node_count + to] = true;
            any = true;
        }
    }
    return any;
}

int faults_pairs(const struct layout *layout, struct faults_between between, bool *out_pairs)
{
    bool *a = mem_new_array(bool, layout->node_count);
    bool *b = mem_new_array(bool, layout->node_count);
    int outcome = 0;

    if (layout_select(layout, between.a, a) == LAYOUT_UNKNOWN)
        outcome = FAULTS_UNKNOWN_A;
    else if (layout_select(layout, between.b, b) == LAYOUT_UNKNOWN)
        outcome = FAULTS_UNKNOWN_B;
    else if (!mark_pairs(layout, a, b, out_pairs))
        outcome = FAULTS_NO_LINK;
    else if (!between.one_way)
        mark_pairs(layout, b, a, out_pairs);
    free(a);
    free(b);
    return outcome;
}

static int rule_new(const struct layout *layout, enum rule_kind kind, struct faults_between between,
                    struct rule **out)
{
    scope(rule_free) struct rule *rule = mem_new(struct rule);
    int outcome;

    rule->kind = kind;
    rule->a = mem_string(between.a);
    rule->b = mem_string(between.b);
    rule->one_way = between.one_way;
    rule->pairs = mem_new_array(bool, pair_count(layout));
    outcome = faults_pairs(layout, between, rule->pairs);
    if (outcome == 0)
        *out = steal(rule);
    return outcome;
}

static void remove_rule(struct faults *faults, size_t index)
{
    rule_free(faults->rules[index]);
    faults->count--;
    memmove(&faults->rules[index], &faults->rules[index + 1],
            (faults->count - index) * sizeof(struct rule *));
}

/* What `over` says of a pair hides what `under` said, so a rule it covers is forgotten. A
 * delay does not hide a cut, nor a cut a delay. */
static bool hides(const struct layout *layout, const struct rule *over, const struct rule *under)
{
    if (over->kind != RULE_HEAL && over->kind != under->kind)
        return false;
    for (size_t i = 0; i < pair_count(layout); i++) {
        if (under->pairs[i] && !over->pairs[i])
            return false;
    }
    return true;
}

static void forget_hidden(struct faults *faults, const struct rule *over)
{
    for (size_t i = faults->count; i-- > 0;) {
        if (hides(faults->layout, over, faults->rules[i]))
            remove_rule(faults, i);
    }
}

/* A heal that has nothing left before it to make an exception from says nothing. */
static void forget_idle_heals(struct faults *faults)
{
    while (faults->count > 0 && faults->rules[0]->kind == RULE_HEAL)
        remove_rule(faults, 0);
}

/* Takes the rule, on failure too. */
static int add(struct faults *faults, struct rule *rule)
{
    scope(rule_free) struct rule *held = rule;

    forget_hidden(faults, held);
    if (faults->count == FAULTS_MAX)
        return FAULTS_TOO_MANY;
    faults->rules[faults->count++] = steal(held);
    forget_idle_heals(faults);
    return 0;
}

int faults_cut(struct faults *faults, struct faults_between between)
{
    struct rule *rule;
    int outcome = rule_new(faults->layout, RULE_CUT, between, &rule);

    return outcome ? outcome : add(faults, rule);
}

int faults_delay(struct faults *faults, struct faults_between between, unsigned delay_ms,
                 unsigned jitter_ms)
{
    struct rule *rule;
    int outcome = rule_new(faults->layout, RULE_DELAY, between, &rule);

    if (outcome)
        return outcome;
    rule->delay_ms = delay_ms;
    rule->jitter_ms = jitter_ms;
    return add(faults, rule);
}

int faults_heal(struct faults *faults, struct faults_between between)
{
    struct rule *rule;
    int outcome = rule_new(faults->layout, RULE_HEAL, between, &rule);

    return outcome ? outcome : add(faults, rule);
}

void faults_heal_all(struct faults *faults)
{
    while (faults->count > 0)
        remove_rule(faults, faults->count - 1);
}

void faults_set_dark(struct faults *faults, unsigned zone, bool dark)
{
    must(zone < faults->layout->options.zones);
    faults->dark[zone] = dark;
}

bool faults_is_dark(const struct faults *faults, unsigned zone)
{
    must(zone < faults->layout->options.zones);
    return faults->dark[zone];
}

struct line faults_line(const struct faults *faults, size_t from, size_t to)
{
    const struct layout *layout = faults->layout;
    struct line line = {0};

    must(from < layout->node_count);
    must(to < layout->node_count);
    for (size_t i = 0; i < faults->count; i++) {
        const struct rule *rule = faults->rules[i];

        if (!rule->pairs[from * layout->node_count + to])
            continue;
        if (rule->kind == RULE_HEAL)
            line = (struct line){0};
        if (rule->kind == RULE_CUT)
            line.cut = true;
        if (rule->kind == RULE_DELAY) {
            line.delay_ms = rule->delay_ms;
            line.jitter_ms = rule->jitter_ms;
        }
    }
    if (faults->dark[layout->nodes[from].zone] || faults->dark[layout->nodes[to].zone])
        line.cut = true;
    return line;
}

static json_t *describe(const struct rule *rule)
{
    json_t *one = json_pack("{s:s, s:s, s:s, s:b}", "kind", kind_names[rule->kind], "a", rule->a,
                            "b", rule->b, "one_way", rule->one_way);

    must(one);
    if (rule->kind == RULE_DELAY) {
        json_object_set_new(one, "delay_ms", json_integer(rule->delay_ms));
        json_object_set_new(one, "jitter_ms", json_integer(rule->jitter_ms));
    }
    return one;
}

json_t *faults_describe(const struct faults *faults)
{
    json_t *all = json_array();

    for (unsigned zone = 0; zone < faults->layout->options.zones; zone++) {
        if (faults->dark[zone])
            json_array_append_new(all, json_pack("{s:s, s:s}", "kind", "fail-zone", "zone",
                                                 faults->layout->zones[zone]));
    }
    for (size_t i = 0; i < faults->count; i++)
        json_array_append_new(all, describe(faults->rules[i]));
    return all;
}
