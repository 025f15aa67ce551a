/* The state machine's frame, clusters and task definitions. */
#include "tests/unit/apply_world.h"

START_TEST(bytes_that_are_no_command_are_refused)
{
    static const struct {
        const char *why;
        const char *bytes;
        size_t len;
    } cases[] = {
        {"nothing", "", 0},
        {"only a time", "\x08\x01", 2},
        {"a length beyond the end", "\x1a\x7f", 2},
        {"an unknown body", "\xfa\x07\x01x", 4},
        {"no protobuf", "\xff\xff\xff\xff", 4},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        apply_raw((struct bytes){cases[i].bytes, cases[i].len});
        ck_assert_msg(w.result->problem != NULL, "%s", cases[i].why);
        ck_assert_int_eq(w.result->problem->code, COMMAND__ERROR_CODE__ERROR_SERVER);
    }
}
END_TEST

/* Every body, empty: a length-delimited field of length 0. */
START_TEST(empty_bodies_never_fail)
{
    for (unsigned field = 2; field <= 20; field++) {
        unsigned tag = field << 3 | 2;
        uint8_t bytes[3] = {(uint8_t)(tag & 0x7f), 0, 0};
        size_t len = 2;

        if (tag > 0x7f) {
            bytes[0] |= 0x80;
            bytes[1] = (uint8_t)(tag >> 7);
            len = 3;
        }
        apply_raw((struct bytes){bytes, len});
        /* Create- and DeleteCluster mean "default", LoseWorkers nobody, and Expire nothing. */
        if (field != 3 && field != 4 && field != 13 && field != 18)
            ck_assert_msg(w.result->problem != NULL, "field %u", field);
    }
}
END_TEST

START_TEST(a_command_beyond_the_limit_is_refused)
{
    static uint8_t huge[(1 << 20) + 1];

    apply_raw((struct bytes){huge, sizeof huge});
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_SERVER, "The command is too large.");
}
END_TEST

START_TEST(settings_are_stored_once)
{
    State__Settings settings = STATE__SETTINGS__INIT, *stored;
    Command__Bootstrap body = COMMAND__BOOTSTRAP__INIT;

    settings.region = "us-east-1";
    settings.account = "000000000000";
    body.settings = &settings;
    APPLY(BOOTSTRAP, bootstrap, &body);
    ck_assert_done();
    settings.region = "eu-west-1";
    APPLY(BOOTSTRAP, bootstrap, &body);
    ck_assert_done();
    ck_assert_int_eq(table_settings(w.txn, &stored), 0);
    ck_assert_str_eq(stored->region, "us-east-1");
    state__settings__free_unpacked(stored, NULL);
}
END_TEST

START_TEST(a_cluster_is_made_once_and_made_anew_after_deletion)
{
    uint64_t first = create_cluster("blue");

    ck_assert_done();
    ck_assert(changed(CHANGE_CLUSTER, first));
    ck_assert_uint_eq(create_cluster("blue"), first);
    ck_assert_str_eq(w.result->name, "blue");
    ck_assert_uint_eq(w.changes.count, 0);
    delete_cluster("blue");
    ck_assert_done();
    delete_cluster("blue");
    ck_assert_done();
    ck_assert_uint_eq(w.result->seq, first);
    ck_assert_uint_gt(create_cluster("blue"), first);
}
END_TEST

START_TEST(a_cluster_without_a_name_is_default)
{
    create_cluster(NULL);
    ck_assert_done();
    ck_assert_str_eq(w.result->name, "default");
}
END_TEST

START_TEST(a_cluster_in_use_is_not_deleted)
{
    delete_cluster("default");
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_CLUSTER_NOT_FOUND, "Cluster not found.");

    register_worker(1, "", 1024, 1024, 1);
    delete_cluster("default");
    ck_assert_refused(
        COMMAND__ERROR_CODE__ERROR_CLUSTER_CONTAINS_CONTAINER_INSTANCES,
        "The Cluster cannot be deleted while Container Instances are active or draining.");

    register_definition("web", 10, 10, 0);
    create_service("web", "web", 0, 1);
    delete_cluster("default");
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_CLUSTER_CONTAINS_SERVICES,
                      "The Cluster cannot be deleted while Services are active.");
}
END_TEST

START_TEST(a_deleted_cluster_refuses_services)
{
    create_cluster("default");
    register_definition("web", 10, 10, 0);
    delete_cluster("default");
    create_service("web", "web", 1, 1);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_CLUSTER_NOT_FOUND,
                      "The referenced cluster was inactive.");
}
END_TEST

START_TEST(a_long_name_never_becomes_a_key)
{
    char name[600];

    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    create_cluster(name);
    ck_assert_ptr_nonnull(w.result->problem);
    register_definition(name, 1, 1, 0);
    ck_assert_ptr_nonnull(w.result->problem);
    create_cluster("default");
    register_definition("web", 1, 1, 0);
    create_service(name, "web", 1, 1);
    ck_assert_ptr_nonnull(w.result->problem);
    create_service("web", name, 1, 1);
    ck_assert_ptr_nonnull(w.result->problem);
}
END_TEST

START_TEST(revisions_count_up_for_ever)
{
    State__TaskDefinition *newest;

    ck_assert_uint_eq(register_definition("web", 256, 512, 8080), 1);
    ck_assert_uint_eq(register_definition("web", 256, 512, 0), 2);
    ck_assert_uint_eq(register_definition("web-2", 1, 1, 0), 1);
    deregister_definition("web:2");
    ck_assert_done();
    ck_assert_uint_eq(w.result->revision, 2);
    ck_assert_int_eq(table_task_definition_newest(w.txn, "web", &newest), 0);
    ck_assert_uint_eq(newest->revision, 1);
    ck_assert_uint_eq(newest->cpu, 256);
    ck_assert_uint_eq(newest->memory, 512);
    ck_assert_uint_eq(newest->n_host_ports, 1);
    ck_assert_uint_eq(newest->host_ports[0]->number, 8080);
    state__task_definition__free_unpacked(newest, NULL);
    deregister_definition("web:1");
    ck_assert_int_eq(table_task_definition_newest(w.txn, "web", &newest), TABLE_ABSENT);
    ck_assert_uint_eq(register_definition("web", 256, 512, 0), 3);
}
END_TEST

START_TEST(deregistering_names_one_revision_and_may_be_repeated)
{
    register_definition("web", 1, 1, 0);
    deregister_definition("web");
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_CLIENT, "Revision is missing.");
    deregister_definition("web:9");
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_CLIENT, "Unable to describe task definition.");
    deregister_definition(NULL);
    ck_assert_refused(COMMAND__ERROR_CODE__ERROR_CLIENT, "Unable to describe task definition.");
    deregister_definition("web:1");
    ck_assert_done();
    deregister_definition("web:1");
    ck_assert_done();
}
END_TEST

static int collect_definition(void *context, const State__TaskDefinition *definition)
{
    char *list = context;
    size_t used = strlen(list);

    snprintf(list + used, 128 - used, " %s:%u", definition->family, definition->revision);
    return 0;
}

START_TEST(task_definitions_are_walked_by_family_and_revision)
{
    static const struct {
        const char *family;
        uint32_t revision;
        const char *then;
    } cases[] = {
        {"", 0, " api:1 web:1 web:2 web-2:1"},
        {"api", 1, " web:1 web:2 web-2:1"},
        {"web", 0, " web:1 web:2 web-2:1"},
        {"web", 1, " web:2 web-2:1"},
        {"web", 2, " web-2:1"},
        {"web-2", 1, ""},
        {"zzz", 7, ""},
    };

    register_definition("web", 1, 1, 0);
    register_definition("web-2", 1, 1, 0);
    register_definition("web", 1, 1, 0);
    register_definition("api", 1, 1, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char list[128] = "";

        ck_assert_int_eq(table_task_definitions(w.txn, cases[i].family, cases[i].revision,
                                                collect_definition, list),
                         0);
        ck_assert_str_eq(list, cases[i].then);
    }
}
END_TEST

START_TEST(the_same_commands_give_the_same_hash_and_others_do_not)
{
    uint64_t once, again;

    create_cluster("blue");
    register_definition("web", 1, 1, 0);
    once = world_hash();
    txn_abort(w.txn);
    ck_assert_int_eq(env_write(w.env, &w.txn), 0);
    ck_assert_uint_ne(world_hash(), once);
    w.index = 0;
    create_cluster("blue");
    register_definition("web", 1, 1, 0);
    again = world_hash();
    ck_assert_uint_eq(again, once);
}
END_TEST

RUN_TESTS("apply", bytes_that_are_no_command_are_refused, empty_bodies_never_fail,
          a_command_beyond_the_limit_is_refused, settings_are_stored_once,
          a_cluster_is_made_once_and_made_anew_after_deletion, a_cluster_without_a_name_is_default,
          a_cluster_in_use_is_not_deleted, a_deleted_cluster_refuses_services,
          a_long_name_never_becomes_a_key, revisions_count_up_for_ever,
          deregistering_names_one_revision_and_may_be_repeated,
          task_definitions_are_walked_by_family_and_revision,
          the_same_commands_give_the_same_hash_and_others_do_not)
