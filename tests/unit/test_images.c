/*
 * A follower that lacks what the others' logs have no more: it fetches an image of the state,
 * whatever breaks meanwhile, and is as the others are.
 */
#include "tests/unit/core_world.h"

enum {
    KEEP = 16,
    DEFINITIONS = 12,
    VALUE_BYTES = 60 << 10,
    BOUND_MS = 30000,
};

static struct server *late;
static unsigned chunks; /* Seen by now. */

/* Each is half a chunk. */
static void register_large(struct server *server, char letter)
{
    Ecs__RegisterTaskDefinitionRequest request = ECS__REGISTER_TASK_DEFINITION_REQUEST__INIT;
    Ecs__ContainerDefinition container = ECS__CONTAINER_DEFINITION__INIT;
    Ecs__ContainerDefinition *containers[] = {&container};
    Ecs__KeyValuePair variable = ECS__KEY_VALUE_PAIR__INIT, *variables[] = {&variable};
    char *value = mem_zeroed(1, VALUE_BYTES + 1);

    memset(value, letter, VALUE_BYTES);
    variable.name = "LARGE";
    variable.value = value;
    container.name = container.image = "web";
    container.has_cpu = container.has_memory = container.has_essential = 1;
    container.cpu = 1;
    container.memory = 64;
    container.essential = 1;
    container.n_environment = 1;
    container.environment = variables;
    request.family = "large";
    request.n_container_definitions = 1;
    request.container_definitions = containers;
    ask_well(server, "RegisterTaskDefinition", &request);
    free(value);
}

static bool counts_chunks(const Peer__PeerFrame *frame)
{
    chunks += frame->body_case == PEER__PEER_FRAME__BODY_IMAGE_CHUNK;
    return false;
}

/* One is cut off, and misses more than the others keep. */
static void set_up_late(void)
{
    world_keep_entries = KEEP;
    world_loses = counts_chunks;
    chunks = 0;
    set_up();
    late = follower();
    late->cut = true;
    for (int i = 0; i < DEFINITIONS; i++)
        register_large(leader(), (char)('a' + i));
    for (int i = 0; i < 3 * KEEP; i++) {
        char *name = mem_format("c%d", i);

        create_cluster(leader(), name);
        free(name);
    }
}

static bool is_level(void)
{
    struct core_status of_leader, of_late;
    struct server *first = leader();

    if (!first || !late->core)
        return false;
    core_status(first->core, &of_leader);
    core_status(late->core, &of_late);
    return of_late.applied_index == of_leader.applied_index;
}

/* Beside tear_down's comparison: it is a full member, also of what is written from now on. */
static void check_level(void)
{
    run_until(is_level, BOUND_MS);
    create_cluster(late, "by-the-late-one");
    run(200);
    for (size_t i = 0; i < CORES; i++) {
        ck_assert(has_cluster(&servers[i], "c0"));
        ck_assert(has_cluster(&servers[i], "by-the-late-one"));
    }
    ck_assert_int_ne(access(late->incoming, F_OK), 0); /* Nothing is left of the old state. */
}

START_TEST(a_late_follower_gets_the_state_and_goes_on)
{
    late->cut = false;
    check_level();
    ck_assert_uint_ge(chunks, 5);
}
END_TEST

START_TEST(the_cluster_serves_meanwhile)
{
    struct core_status goal, of_late;
    int i = 0;

    core_status(leader()->core, &goal);
    late->cut = false;
    do {
        char *name = mem_format("meanwhile%d", i);

        create_cluster(leader(), name);
        free(name);
        core_status(late->core, &of_late);
        ck_assert_int_lt(i++, 1000);
    } while (of_late.applied_index < goal.applied_index);
    ck_assert_uint_ge(chunks, 5);
    ck_assert_int_ge(i, 5);
    check_level();
    ck_assert(has_cluster(late, "meanwhile0"));
}
END_TEST

/* Every third frame about images is lost, whichever it is. */
static bool loses_every_third(const Peer__PeerFrame *frame)
{
    static unsigned count;

    counts_chunks(frame);
    return (frame->body_case == PEER__PEER_FRAME__BODY_IMAGE_CHUNK ||
            frame->body_case == PEER__PEER_FRAME__BODY_IMAGE_GET) &&
           count++ % 3 == 0;
}

START_TEST(what_is_lost_is_asked_for_again)
{
    world_loses = loses_every_third;
    late->cut = false;
    check_level();
}
END_TEST

static bool has_seen(unsigned count)
{
    return chunks >= count;
}

static void run_until_chunk(unsigned count)
{
    for (uint64_t end = now_ms + BOUND_MS; now_ms < end && !has_seen(count);)
        tick();
    ck_assert(has_seen(count));
}

/* The old state or the new one, never a mix: tear_down's checks look at it. */
START_TEST(a_crash_at_any_chunk_leaves_the_old_state)
{
    struct core_status before, after;

    core_status(late->core, &before);
    late->cut = false;
    run_until_chunk((unsigned)_i);
    stop(late);
    env_free(late->env);
    ck_assert_int_eq(env_open(late->dir, 64 << 20, table_names, TABLE_COUNT, &late->env), 0);
    start(late);
    core_status(late->core, &after);
    ck_assert_uint_ge(after.applied_index, before.applied_index);
    check_level();
}
END_TEST

START_TEST(a_new_leader_is_asked_when_the_old_one_is_gone)
{
    struct server *old = leader();

    late->cut = false;
    run_until_chunk((unsigned)_i);
    old->cut = true;
    run_until(has_leader, 5000);
    for (uint64_t end = now_ms + 2000; now_ms < end;)
        tick();
    old->cut = false;
    check_level();
}
END_TEST

START_TEST(a_leader_that_stopped_serving_is_asked_from_the_beginning)
{
    late->cut = false;
    run_until_chunk(3);
    late->cut = true;
    run(15000); /* Longer than a picture is kept for nobody. */
    late->cut = false;
    check_level();
}
END_TEST

/* Bytes that no leader sends. */
static bool turns_bits(const Peer__PeerFrame *frame)
{
    counts_chunks(frame);
    if (frame->body_case == PEER__PEER_FRAME__BODY_IMAGE_CHUNK && chunks == 3)
        frame->image_chunk->chunk.data[frame->image_chunk->chunk.len / 2] ^= 1;
    return false;
}

START_TEST(a_damaged_chunk_is_refused_and_all_begins_again)
{
    world_loses = turns_bits;
    late->cut = false;
    check_level();
    ck_assert_uint_ge(chunks, 8);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("images");
    TCase *tc = tcase_create("images");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, set_up_late, tear_down);
    tcase_add_test(tc, a_late_follower_gets_the_state_and_goes_on);
    tcase_add_test(tc, the_cluster_serves_meanwhile);
    tcase_add_test(tc, what_is_lost_is_asked_for_again);
    tcase_add_loop_test(tc, a_crash_at_any_chunk_leaves_the_old_state, 1, 8);
    tcase_add_loop_test(tc, a_new_leader_is_asked_when_the_old_one_is_gone, 1, 4);
    tcase_add_test(tc, a_leader_that_stopped_serving_is_asked_from_the_beginning);
    tcase_add_test(tc, a_damaged_chunk_is_refused_and_all_begins_again);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
