/* Workers: registered, registered again, lost. */
#include "tests/unit/apply_world.h"

static State__Worker *worker_of(uint64_t seq)
{
    State__Worker *worker;

    ck_assert_int_eq(table_worker(w.txn, seq, &worker), 0);
    return worker;
}

START_TEST(the_first_worker_makes_the_default_cluster)
{
    State__WorkerUsage *usage;
    State__ClusterCount *count;
    uint64_t seq = register_worker(1, "", 1024, 2048, 7);

    ck_assert_done();
    ck_assert_str_eq(w.result->name, "default");
    ck_assert(changed(CHANGE_CLUSTER, w.result->cluster_seq));
    ck_assert(changed(CHANGE_WORKER, seq));
    usage = usage_of(seq);
    ck_assert(usage->connected);
    state__worker_usage__free_unpacked(usage, NULL);
    count = count_of(w.result->cluster_seq);
    ck_assert_uint_eq(count->workers, 1);
    state__cluster_count__free_unpacked(count, NULL);
}
END_TEST

START_TEST(other_clusters_must_be_there)
{
    register_worker(1, "blue", 1, 1, 1);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_CLUSTER_NOT_FOUND, "Cluster not found.");
    create_cluster("blue");
    delete_cluster("blue");
    register_worker(1, "blue", 1, 1, 1);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_CLUSTER_NOT_FOUND,
                      "The referenced cluster was inactive.");
    create_cluster("default");
    delete_cluster("default");
    register_worker(1, "default", 1, 1, 1); /* As ECS's agent: made anew. */
    ck_assert_done();
}
END_TEST

START_TEST(a_worker_that_returns_keeps_its_record_and_gets_a_session)
{
    uint64_t seq = register_worker(1, "", 1024, 1024, 1);
    uint64_t registered_ms = w.now_ms;
    State__Worker *worker;

    lose_worker(seq);
    w.now_ms += 1000;
    ck_assert_uint_eq(register_worker(1, "", 512, 512, 2), seq);
    worker = worker_of(seq);
    ck_assert_uint_eq(worker->session, 2);
    ck_assert_uint_eq(worker->cpu, 512);
    ck_assert_uint_eq(worker->registered_ms, registered_ms);
    state__worker__free_unpacked(worker, NULL);
}
END_TEST

START_TEST(a_worker_stays_in_its_cluster)
{
    create_cluster("blue");
    register_worker(1, "", 1, 1, 1);
    register_worker(1, "blue", 1, 1, 1);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER,
                      "A worker must stay in its cluster.");
}
END_TEST

START_TEST(the_zone_is_an_attribute_whatever_the_worker_says)
{
    Ecs__Attribute lie = ECS__ATTRIBUTE__INIT, own = ECS__ATTRIBUTE__INIT;
    Ecs__Attribute nameless = ECS__ATTRIBUTE__INIT;
    Ecs__Attribute *attributes[] = {&lie, &own, &nameless};
    Command__RegisterWorker body = COMMAND__REGISTER_WORKER__INIT;
    State__Worker *worker;

    lie.name = "ecs.availability-zone";
    lie.value = "moon";
    own.name = "rack";
    body.id = id_of(1);
    body.zone = "us-east-1b";
    body.attributes = attributes;
    body.n_attributes = 3;
    APPLY(REGISTER_WORKER, register_worker, &body);
    ck_assert_done();
    worker = worker_of(w.result->seq);
    ck_assert_uint_eq(worker->n_attributes, 3);
    ck_assert_str_eq(worker->attributes[0]->name, "rack");
    ck_assert_str_eq(worker->attributes[2]->name, "ecs.availability-zone");
    ck_assert_str_eq(worker->attributes[2]->value, "us-east-1b");
    state__worker__free_unpacked(worker, NULL);
}
END_TEST

START_TEST(a_malformed_registration_is_refused)
{
    static const char *const ids[] = {"", "w1", "0000000000000000000000000000000G",
                                      "000000000000000000000000000000001"};
    Command__RegisterWorker body = COMMAND__REGISTER_WORKER__INIT;
    char name[300];

    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        body.id = (char *)ids[i];
        APPLY(REGISTER_WORKER, register_worker, &body);
        ck_assert_refused(COMMAND__ERROR_CODE__ERROR_INVALID_PARAMETER, "Invalid worker id.");
    }
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    body.id = id_of(1);
    body.zone = name;
    APPLY(REGISTER_WORKER, register_worker, &body);
    ck_assert_ptr_nonnull(w.result->problem);
}
END_TEST

START_TEST(losing_an_unknown_or_lost_worker_changes_nothing)
{
    uint64_t seq = register_worker(1, "", 1, 1, 1);

    lose_worker(99);
    ck_assert_done();
    ck_assert_uint_eq(w.changes.count, 0);
    lose_worker(seq);
    ck_assert(changed(CHANGE_WORKER, seq));
    lose_worker(seq);
    ck_assert_done();
    ck_assert_uint_eq(w.changes.count, 0);
}
END_TEST

RUN_TESTS("apply_worker", the_first_worker_makes_the_default_cluster, other_clusters_must_be_there,
          a_worker_that_returns_keeps_its_record_and_gets_a_session, a_worker_stays_in_its_cluster,
          the_zone_is_an_attribute_whatever_the_worker_says, a_malformed_registration_is_refused,
          losing_an_unknown_or_lost_worker_changes_nothing)
