/*
 * Random worlds: one to five voters, members that join and leave, crashes that lose or keep a turn,
 * loss, delay, cut links, trimmed logs and images; then quiet, and everything must be well.
 */
#include "proto/base/rng.h"
#include "tests/unit/raft_world.h"

enum {
    SEEDS = 300,
    STEPS = 120,
    INDEX_MAX = 1 << 14,
    TERM_MAX = 1 << 12,
    QUIET_MS = 60000,
};

static struct rng rng;
static unsigned loss_percent, delay_max_ms;
static bool links_cut[SERVERS_MAX][SERVERS_MAX];
static uint64_t
    hash_at[INDEX_MAX]; /* Of the state, after the command at this index; 0: none yet. */
static uint64_t leader_in[TERM_MAX];
static uint64_t highest_applied;

static size_t place(uint64_t id)
{
    return (size_t)(server_of(id) - servers);
}

static uint64_t random_delay(uint64_t from, uint64_t to)
{
    if (!server_of(to) || links_cut[place(from)][place(to)] || rng_below(&rng, 100) < loss_percent)
        return UINT64_MAX;
    return 1 + rng_below(&rng, delay_max_ms);
}

/* State machine safety (Raft 3.6.3): the same commands, in the same order, everywhere. */
static void check_apply(struct server *server, uint64_t index, const struct sums *sums)
{
    (void)server;
    ck_assert_uint_lt(index, INDEX_MAX);
    if (hash_at[index] == 0)
        hash_at[index] = sums->hash;
    ck_assert_msg(hash_at[index] == sums->hash, "two states at index %llu",
                  (unsigned long long)index);
    if (index > highest_applied)
        highest_applied = index;
}

/* Election safety (Raft 3.6.3). */
static void check_leaders(void)
{
    for (size_t i = 0; i < server_count; i++) {
        uint64_t term;

        if (!servers[i].node || !raft_node_leads(servers[i].node))
            continue;
        term = raft_node_term(servers[i].node);
        ck_assert_uint_lt(term, TERM_MAX);
        if (leader_in[term] == 0)
            leader_in[term] = servers[i].id;
        ck_assert_msg(leader_in[term] == servers[i].id, "two leaders in term %llu",
                      (unsigned long long)term);
    }
}

static struct server *any(void)
{
    return &servers[rng_below(&rng, server_count)];
}

static struct server *any_leader(void)
{
    struct server *found = any();

    for (size_t i = 0; i < server_count; i++, found = next_of(found))
        if (found->node && raft_node_leads(found->node))
            return found;
    return NULL;
}

/* ---- what may happen */

static void submit_some(struct server *server)
{
    char text[8][24];
    struct bytes commands[8];
    size_t count = 1 + (size_t)rng_below(&rng, 8);
    uint64_t index;

    for (size_t i = 0; i < count; i++) {
        int len = snprintf(text[i], sizeof text[i], "%llx",
                           (unsigned long long)rng_next(&rng) >> rng_below(&rng, 60));

        commands[i] = (struct bytes){text[i], (size_t)len};
    }
    ck_assert_int_ge(raft_node_submit(server->node, commands, count, &index), 0);
}

static void change_members(struct server *server)
{
    struct member *member = &any()->member;
    uint64_t index;
    int r;

    switch (rng_below(&rng, 6)) {
    case 0:
    case 1:
        r = raft_node_add(server->node, member, &index);
        break;
    case 2:
    case 3:
        r = raft_node_assign(server->node, member->id, MEMBER_VOTER, &index);
        break;
    case 4:
        r = raft_node_assign(server->node, member->id, MEMBER_STANDBY, &index);
        break;
    default:
        r = raft_node_remove(server->node, member->id, &index);
        break;
    }
    ck_assert_int_ge(r, 0);
}

static void transfer(struct server *server)
{
    uint64_t to = rng_below(&rng, 2) ? any()->id : 0;

    ck_assert_int_ge(raft_node_transfer(server->node, to), 0);
}

/* Power is lost in the middle of a turn. Appends may have left already. */
static void crash_in_turn(struct server *server)
{
    turn_begin(server);
    if (raft_node_leads(server->node))
        submit_some(server);
    apply_committed(server);
    ck_assert_int_eq(raft_node_end(server->node), 0);
    keep_early(server);
    send_held(server);
    txn_abort(steal(server->txn));
    crash(server);
}

static void act_on_leader(action what)
{
    struct server *server = any_leader();

    if (server)
        turn(server, what);
}

static void cut_or_mend(void)
{
    bool cut = rng_below(&rng, 2);
    size_t a = (size_t)rng_below(&rng, SERVERS_MAX), b = (size_t)rng_below(&rng, SERVERS_MAX);

    links_cut[a][b] = cut;
    if (rng_below(&rng, 2))
        links_cut[b][a] = cut;
}

static void act(void)
{
    struct server *server = any();

    switch (rng_below(&rng, 14)) {
    case 0:
        if (server->node)
            crash_in_turn(server);
        return;
    case 1:
        if (server->node)
            crash(server);
        return;
    case 2:
    case 3:
        if (!server->node)
            start(server);
        return;
    case 4:
        cut_or_mend();
        return;
    case 5:
        if (server->node)
            raft_node_peer_lost(server->node, any()->id);
        return;
    case 6:
    case 7:
        act_on_leader(change_members);
        return;
    case 8:
        act_on_leader(transfer);
        return;
    case 9:
        fetch_images();
        return;
    case 10:
        if (server->node)
            raft_node_hold(server->node,
                           rng_below(&rng, 2) ? raft_node_applied_index(server->node) : UINT64_MAX);
        return;
    default:
        act_on_leader(submit_some);
        return;
    }
}

/* ---- then quiet */

static bool all_have(uint64_t index, const struct server *of)
{
    size_t count;
    const struct member *members = raft_node_members(of->node, &count, NULL);

    for (size_t i = 0; i < count; i++)
        if (raft_node_applied_index(server_of(members[i].id)->node) < index)
            return false;
    return true;
}

static uint64_t fresh_index;

static void submit_fresh(struct server *server)
{
    struct bytes command = {"fresh", 5};
    int r = raft_node_submit(server->node, &command, 1, &fresh_index);

    if (r != 0)
        fresh_index = 0;
}

static void heal(uint64_t seed)
{
    memset(links_cut, 0, sizeof links_cut);
    loss_percent = 0;
    delay_max_ms = 2;
    for (size_t i = 0; i < server_count; i++)
        if (!servers[i].node)
            start(&servers[i]);
        else
            raft_node_hold(servers[i].node, UINT64_MAX);
    fresh_index = 0;
    for (uint64_t end = now_ms + QUIET_MS; now_ms < end;) {
        run(20);
        check_leaders();
        fetch_images();
        if (!leader())
            continue;
        if (fresh_index == 0)
            turn(leader(), submit_fresh);
        else if (all_have(fresh_index, leader()))
            return;
        else if (raft_node_applied_index(leader()->node) > fresh_index + 50)
            fresh_index = 0;
    }
    ck_abort_msg("seed %llu: not agreed within %d ms of quiet", (unsigned long long)seed, QUIET_MS);
}

static void check_end(void)
{
    uint64_t hash = 0;

    ck_assert_uint_ge(raft_node_applied_index(leader()->node), highest_applied); /* Nothing lost. */
    for (size_t i = 0; i < server_count; i++) {
        scope(txn_abort) struct txn *txn = NULL;
        struct log_applied applied;
        uint64_t damaged;

        ck_assert_int_eq(env_read(servers[i].env, &txn), 0);
        ck_assert_int_eq(log_verify(txn, &damaged), 0);
        ck_assert_int_eq(log_applied_get(txn, &applied), 0);
        if (applied.index < raft_node_applied_index(leader()->node))
            continue;
        hash = hash ? hash : sums_get(txn).hash;
        ck_assert_uint_eq(sums_get(txn).hash, hash);
    }
    ck_assert_uint_ne(hash, 0);
}

static void world(uint64_t seed)
{
    size_t voters, joiners;

    set_up();
    rng_seed(&rng, seed);
    memset(hash_at, 0, sizeof hash_at);
    memset(leader_in, 0, sizeof leader_in);
    memset(links_cut, 0, sizeof links_cut);
    highest_applied = 0;
    may_refuse = true;
    delay = random_delay;
    on_apply = check_apply;
    voters = 1 + (size_t)rng_below(&rng, 5);
    joiners = (size_t)rng_below(&rng, SERVERS_MAX - voters + 1);
    keep_entries = rng_below(&rng, 2) ? 4 + rng_below(&rng, 60) : 0;
    loss_percent = rng_below(&rng, 2) ? (unsigned)rng_below(&rng, 20) : 0;
    delay_max_ms = rng_below(&rng, 3) ? 3 : 60;
    open_all(voters);
    for (size_t i = 0; i < joiners; i++)
        start(open_one());
    for (int i = 0; i < STEPS; i++) {
        run(rng_below(&rng, 3) ? rng_below(&rng, 8) : rng_below(&rng, 120));
        check_leaders();
        act();
    }
    heal(seed);
    check_end();
    tear_down();
}

START_TEST(whatever_happens_the_log_is_one_and_goes_on)
{
    const char *only = getenv("SEED");

    if (only) {
        world(strtoull(only, NULL, 10));
        return;
    }
    for (uint64_t seed = (uint64_t)_i * 10 + 1; seed <= (uint64_t)_i * 10 + 10; seed++)
        world(seed);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("raft_node_random");
    TCase *tc = tcase_create("raft_node_random");
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, whatever_happens_the_log_is_one_and_goes_on, 0, SEEDS / 10);
    suite_add_tcase(s, tc);
    end_suite(srunner_create(s), &failed);
    return failed != 0;
}
