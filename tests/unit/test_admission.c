/* What the leader answers to newcomers, whatever they send. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "server/manager/core.h"
#include "server/manager/peers.h"
#include "server/manager/tokens.h"
#include "server/net/tls.h"
#include "server/net/token.h"
#include "storage/tables.h"
#include "tests/unit/pki.h"

static struct {
    struct pki pki;
    struct buffer key, request; /* The newcomer's. */
    char named[IDENTITY_KEY_CHARS + 1];
    char dir[32];
    struct env *env;
    struct core *core;
    uint64_t now_ms;
    bool has_token;
    uint64_t guest;          /* Whom the last answer was for. */
    Peer__PeerFrame *answer; /* It, or NULL. */
} world;

static const uint64_t WALL_MS = 1700000000000;
static struct token token = {.role = TOKEN_MANAGER, .id = 7, .secret = {1, 2, 3}};

static void take_answer(void *context, uint64_t guest, struct bytes frame)
{
    (void)context;
    ck_assert_ptr_null(world.answer);
    world.guest = guest;
    world.answer = peer__peer_frame__unpack(NULL, frame.len, frame.base);
    ck_assert_ptr_nonnull(world.answer);
    ck_assert_int_eq(world.answer->body_case, PEER__PEER_FRAME__BODY_JOINED);
}

static void token_made(void *context)
{
    (void)context;
    world.has_token = true;
}

static void send_frame(void *context, uint64_t to, struct bytes frame)
{
    (void)context, (void)to, (void)frame;
}

static void nothing(void *context)
{
    (void)context;
}

static void turn(void)
{
    world.now_ms++;
    ck_assert_int_eq(core_turn(world.core, world.now_ms, WALL_MS + world.now_ms), 0);
}

static void set_up(void)
{
    static struct member self;
    struct core_config config = {.id = 1,
                                 .first = &self,
                                 .first_count = 1,
                                 .cluster = "c",
                                 .region = "us-east-1",
                                 .account = "000000000000",
                                 .election_ms = 300,
                                 .raft_heartbeat_ms = 50,
                                 .worker_heartbeat_ms = 1000,
                                 .worker_lost_ms = 3000,
                                 .seed = 1,
                                 .token_id = token.id,
                                 .token_made = token_made,
                                 .send = send_frame,
                                 .push = nothing,
                                 .wake = nothing,
                                 .answer = take_answer};

    memset(&world, 0, sizeof world);
    self = (struct member){.id = 1, .role = MEMBER_VOTER};
    ck_assert_int_eq(member_parse("m1 z 10.0.0.1 3 2 1 -", &self), 0);
    tokens_digest((struct bytes){token.secret, sizeof token.secret}, config.token_digest);
    pki_init(&world.pki, "c");
    authority_request(&world.key, &world.request);
    ck_assert_int_eq(authority_request_key(bytes_of(&world.request), world.named), 0);
    config.authority = bytes_of(&world.pki.ca);
    config.authority_key = bytes_of(&world.pki.ca_key);
    strcpy(world.dir, "/tmp/admission-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(world.dir));
    ck_assert_int_eq(env_open(world.dir, 16 << 20, table_names, TABLE_COUNT, &world.env), 0);
    config.env = world.env;
    ck_assert_int_eq(core_open(&config, 0, WALL_MS, &world.core), 0);
    for (int i = 0; i < 2000 && !world.has_token; i++)
        turn();
    ck_assert(world.has_token);
}

static void tear_down(void)
{
    static const char *const files[] = {"data.mdb", "lock.mdb"};

    if (world.answer)
        peer__peer_frame__free_unpacked(world.answer, NULL);
    core_free(world.core);
    env_free(world.env);
    pki_fini(&world.pki);
    buffer_fini(&world.key);
    buffer_fini(&world.request);
    for (size_t i = 0; i < 2; i++) {
        char *path = mem_format("%s/%s", world.dir, files[i]);

        unlink(path);
        free(path);
    }
    rmdir(world.dir);
}

static void submit(uint64_t guest, const char *with, const char *record, uint32_t version)
{
    Peer__PeerFrame *frame = mem_new(Peer__PeerFrame);

    peer__peer_frame__init(frame);
    frame->body_case = PEER__PEER_FRAME__BODY_JOIN;
    frame->join = mem_new(Peer__Join);
    peer__join__init(frame->join);
    frame->join->version = version;
    frame->join->token = mem_string(with);
    frame->join->record = mem_format("%s%s", record, strchr(record, ' ') ? world.named : "");
    if (*frame->join->record && frame->join->record[strlen(record) - 1] == '-')
        frame->join->record[strlen(record)] = '\0';
    frame->join->request.data = mem_copy(world.request.base, world.request.len);
    frame->join->request.len = world.request.len;
    core_join(world.core, guest, frame);
}

static const Peer__Joined *ask(const char *with, const char *record, uint32_t version)
{
    if (world.answer)
        peer__peer_frame__free_unpacked(world.answer, NULL);
    world.answer = NULL;
    submit(5, with, record, version);
    for (int i = 0; i < 10 && !world.answer; i++)
        turn();
    ck_assert_ptr_nonnull(world.answer);
    ck_assert_uint_eq(world.guest, 5);
    return world.answer->joined;
}

#define SECOND "m2 z 10.0.0.2 3 2 1 " /* And its key. */

START_TEST(a_newcomer_with_a_token_is_a_member_and_asking_again_changes_nothing)
{
    char text[TOKEN_TEXT];
    const Peer__Joined *joined = ask(token_format(&token, text), SECOND, PEERS_VERSION);
    uint64_t id = joined->id;

    ck_assert_str_eq(joined->problem, "");
    ck_assert(member_id_is_valid(id));
    ck_assert_str_eq(joined->cluster, "c");
    ck_assert_uint_eq(ask(text, SECOND, PEERS_VERSION)->id, id);
}
END_TEST

START_TEST(it_is_given_the_authority_and_a_certificate_for_what_it_now_is)
{
    char text[TOKEN_TEXT];
    const Peer__Joined *joined = ask(token_format(&token, text), SECOND, PEERS_VERSION);
    const struct tls_files files = {{joined->ca.data, joined->ca.len},
                                    {joined->certificate.data, joined->certificate.len},
                                    bytes_of(&world.key)};
    scope(tls_identity_free) struct tls_identity *identity = NULL;
    const struct identity *self;

    ck_assert_int_eq(tls_identity_new(&files, &identity), 0);
    self = tls_identity_self(identity);
    ck_assert_uint_eq(self->id, joined->id);
    ck_assert_str_eq(self->cluster, "c");
    ck_assert_str_eq(self->key, world.named);
    ck_assert_int_eq(self->role, IDENTITY_MANAGER);
}
END_TEST

START_TEST(the_key_of_the_record_is_the_one_that_is_proved)
{
    char text[TOKEN_TEXT];

    token_format(&token, text);
    world.named[0] = world.named[0] == '0' ? '1' : '0';
    ck_assert_ptr_nonnull(strstr(ask(text, SECOND, PEERS_VERSION)->problem, "does not prove"));
    buffer_clear(&world.request);
    buffer_append_text(&world.request, "nonsense");
    ck_assert_ptr_nonnull(strstr(ask(text, SECOND, PEERS_VERSION)->problem, "does not prove"));
    ck_assert(world.answer->joined->is_final);
}
END_TEST

START_TEST(whatever_else_is_sent_is_refused_for_good_and_with_a_reason)
{
    static const struct {
        const char *record;
        uint32_t version;
        bool other_secret, other_id, worker;
        const char *says;
    } cases[] = {
        {SECOND, PEERS_VERSION + 1, false, false, false, "another version"},
        {SECOND, PEERS_VERSION, true, false, false, "this token lets nobody in"},
        {SECOND, PEERS_VERSION, false, true, false, "this token lets nobody in"},
        {SECOND, PEERS_VERSION, false, false, true, "this is not a manager's token"},
        {"", PEERS_VERSION, false, false, false, "cannot be read"},
        {"m2 z 10.0.0.2 3 2 1 -", PEERS_VERSION, false, false, false, "cannot be read"},
        {"m2 z 10.0.0.2 0 2 1 ", PEERS_VERSION, false, false, false, "cannot be read"},
        {"m1 z 10.0.0.2 3 2 1 ", PEERS_VERSION, false, false, false, "called m1 already"},
        {"m2 z 10.0.0.1 3 2 1 ", PEERS_VERSION, false, false, false, "at 10.0.0.1:3"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct token other = token;
        char text[TOKEN_TEXT];
        const Peer__Joined *joined;

        other.secret[0] ^= cases[i].other_secret;
        other.id += cases[i].other_id;
        other.role = cases[i].worker ? TOKEN_WORKER : TOKEN_MANAGER;
        joined = ask(token_format(&other, text), cases[i].record, cases[i].version);
        ck_assert_msg(strstr(joined->problem, cases[i].says), "%s", joined->problem);
        ck_assert(joined->is_final);
        ck_assert_uint_eq(joined->id, 0);
    }
    ck_assert(ask("", SECOND, PEERS_VERSION)->is_final);
}
END_TEST

START_TEST(those_who_wait_when_it_ends_are_let_go)
{
    submit(1, "", SECOND, PEERS_VERSION);
    core_stop(world.core);
    ck_assert_ptr_null(world.answer);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admission");
    TCase *tc = tcase_create("admission");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_newcomer_with_a_token_is_a_member_and_asking_again_changes_nothing);
    tcase_add_test(tc, whatever_else_is_sent_is_refused_for_good_and_with_a_reason);
    tcase_add_test(tc, it_is_given_the_authority_and_a_certificate_for_what_it_now_is);
    tcase_add_test(tc, the_key_of_the_record_is_the_one_that_is_proved);
    tcase_add_test(tc, those_who_wait_when_it_ends_are_let_go);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
