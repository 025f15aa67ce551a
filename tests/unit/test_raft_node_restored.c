/*
 * A manager that begins from a restored backup: it leads alone, with the state kept, in a term
 * beyond all that was, and others join it.
 */
#include <fcntl.h>

#include "storage/backup.h"
#include "tests/unit/raft_world.h"

static char home[32];
static struct log_applied backed_up;
static uint64_t backed_up_hash;

static uint64_t hash_of(struct env *env)
{
    scope(txn_abort) struct txn *txn = NULL;
    uint64_t hash;

    ck_assert_int_eq(env_read(env, &txn), 0);
    ck_assert_int_eq(table_hash(txn, &hash), 0);
    return hash;
}

/* Something that is part of the state, which what is applied here is not. */
static void put_state(struct server *server)
{
    uint8_t count[8] = {0, 0, 0, 0, 0, 0, 0, 9};

    ck_assert_int_eq(txn_put(server->txn, TABLE_META, (struct bytes){"last/cluster", 12},
                             (struct bytes){count, sizeof count}),
                     0);
    ck_assert_int_eq(log_self_put(server->txn, &(struct log_self){server->id, "blue", "me"}), 0);
}

static int to_file(void *context, struct bytes bytes)
{
    ck_assert_int_eq(write(*(int *)context, bytes.base, bytes.len), (ssize_t)bytes.len);
    return 0;
}

/* Three that agree upon something, a backup of it, something more, and the loss of all three. The
 * backup is restored for a fourth. */
static struct server *restore_one(void)
{
    struct server *from, *server = &servers[3];
    struct backup_report report;
    int fd = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);

    open_all(3);
    write_to(elect(2000), "one ");
    run(200);
    from = leader();
    turn(from, put_state);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(backup_write(from->env, to_file, &fd), 0);
    backed_up_hash = hash_of(from->env);
    write_to(from, "lost ");
    run(200);
    for (size_t i = 0; i < 3; i++)
        crash(&servers[i]);
    drop_all(&network);

    strcpy(home, "/dev/shm/raft-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(home));
    ck_assert_int_eq(backup_restore(fd, home, &report), 0);
    close(fd);
    backed_up = report.applied;
    *server = (struct server){0};
    describe(&server->member, server_count++);
    server->id = server->member.id;
    list_init(&server->held);
    snprintf(server->dir, sizeof server->dir, "%s/state", home);
    ck_assert_int_eq(env_open(server->dir, 64 << 20, table_names, TABLE_COUNT, &server->env), 0);
    first_members[0] = server->member;
    first_count = 1;
    return server;
}

static void tear_all_down(void)
{
    tear_down();
    ck_assert_int_eq(rmdir(home), 0);
}

START_TEST(it_leads_alone_from_what_the_backup_has)
{
    struct server *one = restore_one();
    uint64_t index;

    start(one);
    ck_assert_uint_eq(hash_of(one->env), backed_up_hash);
    ck_assert_uint_eq(raft_node_applied_index(one->node), backed_up.index);
    ck_assert_ptr_eq(elect(2000), one);
    ck_assert_uint_gt(raft_node_term(one->node), backed_up.term + BACKUP_TERMS);
    write_to(one, "two ");
    run(100);
    ck_assert_str_eq(buffer_text(&one->applied), "two ");
    ck_assert_uint_eq(hash_of(one->env), backed_up_hash);
    index = raft_node_applied_index(one->node);
    ck_assert_uint_gt(index, backed_up.index);

    crash(one); /* From then on it is like any other. */
    start(one);
    ck_assert_ptr_eq(elect(2000), one);
    write_to(one, "three ");
    run(100);
    ck_assert_str_eq(buffer_text(&one->applied), "two three ");
    ck_assert_uint_gt(raft_node_applied_index(one->node), index);
}
END_TEST

/* Configurations in the log. */
static int count_configurations(void *context, uint64_t index, const struct log_entry *entry)
{
    if (entry->type == 3) {
        ck_assert_uint_eq(index, backed_up.index + 1);
        ck_assert_uint_eq(entry->term, backed_up.term + BACKUP_TERMS);
        ++*(int *)context;
    }
    return 0;
}

START_TEST(its_configuration_is_stored_once)
{
    struct server *one = restore_one();
    const char *cluster;

    start(one);
    crash(one); /* Before it has committed anything. */
    start(one);
    ck_assert_ptr_eq(elect(2000), one);
    scope(txn_abort) struct txn *txn = NULL;
    int count = 0;
    ck_assert_int_eq(env_read(one->env, &txn), 0);
    ck_assert_int_eq(log_walk(txn, backed_up.index + 1, count_configurations, &count), 0);
    ck_assert_int_eq(count, 1);
    ck_assert_int_eq(log_restored_get(txn, &cluster), LOG_ABSENT);
}
END_TEST

static const struct member *newcomer;

static void add(struct server *server)
{
    uint64_t index;

    ck_assert_int_eq(raft_node_add(server->node, newcomer, &index), 0);
}

START_TEST(others_join_it)
{
    struct server *one = restore_one(), *joiner;

    start(one);
    ck_assert_ptr_eq(elect(2000), one);
    write_to(one, "two ");
    run(100);
    joiner = open_one();
    start(joiner);
    newcomer = &joiner->member;
    turn(one, add);
    for (int i = 0; i < 20; i++) { /* Its log begins behind the backup: an image goes first. */
        run(100);
        fetch_images();
    }
    write_to(one, "three ");
    run(300);
    ck_assert_uint_eq(raft_node_applied_index(joiner->node), raft_node_applied_index(one->node));
    ck_assert_ptr_nonnull(strstr(buffer_text(&joiner->applied), "three "));
}
END_TEST

/* A mark alone is no licence to begin a log: somebody must be there who bootstraps. */
START_TEST(without_a_first_configuration_it_does_not_begin)
{
    struct server *one = restore_one();
    struct raft_node_config config = {
        .self = one->id, .election_ms = 300, .heartbeat_ms = 50, .seed = 1, .send = hold};
    scope(txn_abort) struct txn *txn = NULL;
    struct raft_node *node = NULL;
    uint64_t first, last;

    ck_assert_int_eq(env_write(one->env, &txn), 0);
    raft_node_open(&config, txn, now_ms, &node);
    ck_assert_int_eq(log_bounds(txn, &first, &last), LOG_ABSENT);
    raft_node_free(node);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("raft_node_restored");
    TCase *tc = tcase_create("raft_node_restored");
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_all_down);
    tcase_add_test(tc, it_leads_alone_from_what_the_backup_has);
    tcase_add_test(tc, its_configuration_is_stored_once);
    tcase_add_test(tc, others_join_it);
    tcase_add_test(tc, without_a_first_configuration_it_does_not_begin);
    suite_add_tcase(s, tc);
    end_suite(srunner_create(s), &failed);
    return failed != 0;
}
