#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <unistd.h>

#include "proto/limits.h"
#include "server/net/address.h"
#include "server/net/stream.h"
#include "tests/unit/loop.h"
#include "tests/unit/pki.h"

enum { NEAR_ID = 0x11, FAR_ID = 0x22, HANDSHAKE_MS = 300 };

/* One end of a connection, with what happened to it. */
struct end {
    struct stream *stream;
    struct buffer got;
    int opened, writable, reason, closed;
    bool echoes;
    bool closes_when_open;
    char error[TLS_REASON];
};

static struct pki pki;
static struct listener *listener;
static struct sockaddr_storage here;
static struct tls_identity *near_identity, *far_identity;
static struct end near, far; /* Dials, and answers. */

static void end_closed(void *context)
{
    struct end *end = context;

    end->closed++;
}

static void end_close(struct end *end)
{
    stream_close(end->stream, end_closed, end);
    end->stream = NULL;
}

static void end_opened(void *context)
{
    struct end *end = context;

    ck_assert_int_eq(end->opened++, 0);
    if (end->closes_when_open)
        end_close(end);
}

static void end_received(void *context, struct bytes bytes)
{
    struct end *end = context;

    ck_assert_int_eq(end->opened, 1); /* Nobody is heard before it is known who it is. */
    buffer_append(&end->got, bytes.base, bytes.len);
    if (end->echoes)
        ck_assert_int_eq(stream_write(end->stream, bytes), 0);
}

static void end_writable(void *context)
{
    struct end *end = context;

    ck_assert_uint_eq(stream_queued(end->stream), 0);
    end->writable++;
}

static void end_ended(void *context, int reason)
{
    struct end *end = context;

    ck_assert_int_eq(end->reason, 0);
    end->reason = reason;
    snprintf(end->error, sizeof end->error, "%s", stream_error(end->stream, reason));
}

static struct stream_owner owner_of(struct end *end)
{
    return (struct stream_owner){.opened = end_opened,
                                 .received = end_received,
                                 .writable = end_writable,
                                 .ended = end_ended,
                                 .context = end};
}

static void accepted(void *context, struct stream *stream)
{
    struct stream_owner owner = owner_of(&far);

    (void)context;
    ck_assert_ptr_null(far.stream);
    far.stream = stream;
    stream_own(stream, &owner);
}

static struct tls_identity *identity_with(const struct pki *from, struct authority_grant grant)
{
    struct tls_identity *identity = NULL;
    struct node_files node;
    struct tls_files files;

    node_files_init(&node, from, grant);
    files =
        (struct tls_files){bytes_of(&from->ca), bytes_of(&node.certificate), bytes_of(&node.key)};
    ck_assert_int_eq(tls_identity_new(&files, &identity), 0);
    node_files_fini(&node);
    return identity;
}

static void listen_here(struct tls_identity *identity)
{
    struct listener_config config = {.at = &here,
                                     .tls = identity,
                                     .handshake_ms = HANDSHAKE_MS,
                                     .connections_max = 4,
                                     .accepted = accepted};

    ck_assert_int_eq(address_parse("127.0.0.1:0", &here, NULL), 0);
    ck_assert_int_eq(listener_open(&loop, &config, &listener), 0);
    address_set_port(&here, listener_port(listener));
}

static void set_up(void)
{
    memset(&near, 0, sizeof near);
    memset(&far, 0, sizeof far);
    loop_set_up();
    pki_init(&pki, "one");
    near_identity = identity_with(&pki, grant_of("one", IDENTITY_MANAGER, NEAR_ID));
    far_identity = identity_with(&pki, grant_of("one", IDENTITY_MANAGER, FAR_ID));
    listen_here(far_identity);
}

static void tear_down(void)
{
    if (near.stream)
        end_close(&near);
    if (far.stream)
        end_close(&far);
    listener_close(listener, NULL, NULL);
    loop_tear_down();
    tls_identity_free(near_identity);
    tls_identity_free(far_identity);
    pki_fini(&pki);
    buffer_fini(&near.got);
    buffer_fini(&far.got);
}

static void dial(const struct tls_dial *tls)
{
    struct stream_connect_config config = {
        .to = &here, .timeout_ms = 5000, .tls = tls, .owner = owner_of(&near)};

    ck_assert_int_eq(stream_connect(&loop, &config, &near.stream), 0);
}

static void dial_as(struct tls_identity *identity, uint64_t expected)
{
    dial(&(struct tls_dial){.protocol = TLS_PEER, .identity = identity, .id = expected});
}

static void connect_here(void)
{
    dial_as(near_identity, FAR_ID);
    loop_until(near.opened && far.opened);
}

static struct bytes text(const char *s)
{
    return (struct bytes){s, strlen(s)};
}

/* A connected plain socket, for what a stream would never do. */
static int raw_connect(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&here, sizeof(struct sockaddr_in)), 0);
    return fd;
}

/* ---- who is let in */

START_TEST(two_managers_know_each_other)
{
    dial_as(near_identity, FAR_ID);
    ck_assert_int_eq(stream_write(near.stream, text("early")), 0);
    ck_assert_ptr_null(stream_identity(near.stream));
    loop_until(far.got.len == 5);
    ck_assert_str_eq(buffer_text(&far.got), "early");
    ck_assert_uint_eq(stream_identity(far.stream)->id, NEAR_ID);
    ck_assert_uint_eq(stream_identity(near.stream)->id, FAR_ID);
    ck_assert_int_eq(stream_identity(far.stream)->role, IDENTITY_MANAGER);
    ck_assert_str_eq(stream_identity(far.stream)->cluster, "one");
    ck_assert_str_eq(stream_identity(far.stream)->key, tls_identity_self(near_identity)->key);
    ck_assert_int_eq(stream_protocol(far.stream), TLS_PEER);
    ck_assert_int_eq(stream_protocol(near.stream), TLS_PEER);
}
END_TEST

/* The one who dials is refused by the listener, which hears nothing of it; both are told why. */
static void refused_by_listener(struct tls_identity *identity, const char *why)
{
    dial_as(identity, FAR_ID);
    ck_assert_int_eq(stream_write(near.stream, text("let me in")), 0);
    loop_until(far.reason && near.reason);
    ck_assert_int_eq(far.reason, -EACCES);
    ck_assert_msg(strstr(far.error, why) != NULL, "%s", far.error);
    ck_assert_int_eq(far.opened, 0);
    ck_assert_msg(near.reason == -EACCES, "%d %s", near.reason, near.error);
    tls_identity_free(identity);
}

START_TEST(another_authority_is_refused)
{
    struct pki other;
    struct tls_identity *identity;

    pki_init(&other, "one");
    identity = identity_with(&other, grant_of("one", IDENTITY_MANAGER, NEAR_ID));
    dial_as(identity, FAR_ID);
    loop_until(near.reason && far.reason);
    ck_assert_int_eq(near.reason, -EACCES);
    ck_assert_ptr_nonnull(strstr(near.error, "the certificate does not hold"));
    ck_assert_int_eq(far.reason, -EACCES);
    ck_assert_int_eq(near.opened + far.opened, 0);
    tls_identity_free(identity);
    pki_fini(&other);
}
END_TEST

START_TEST(a_worker_is_refused_on_a_peer_link)
{
    refused_by_listener(identity_with(&pki, grant_of("one", IDENTITY_WORKER, NEAR_ID)),
                        "the certificate is of role worker, not manager");
}
END_TEST

START_TEST(an_expired_certificate_is_refused)
{
    struct authority_grant grant = grant_of("one", IDENTITY_MANAGER, NEAR_ID);

    grant.now_s -= AUTHORITY_LIFE_S + 60;
    refused_by_listener(identity_with(&pki, grant), "certificate has expired");
}
END_TEST

START_TEST(a_certificate_of_the_future_is_refused)
{
    struct authority_grant grant = grant_of("one", IDENTITY_MANAGER, NEAR_ID);

    grant.now_s += AUTHORITY_BACKDATE_S + 60;
    refused_by_listener(identity_with(&pki, grant), "certificate is not yet valid");
}
END_TEST

START_TEST(another_cluster_of_the_same_authority_is_refused)
{
    struct tls_identity *other = identity_with(&pki, grant_of("two", IDENTITY_MANAGER, NEAR_ID));

    dial_as(other, FAR_ID);
    loop_until(near.reason && far.reason);
    ck_assert_int_eq(near.reason, -EACCES);
    ck_assert_str_eq(near.error, "the certificate is of cluster one, not two");
    ck_assert_int_eq(near.opened + far.opened, 0);
    tls_identity_free(other);
}
END_TEST

START_TEST(who_answers_has_to_be_who_was_dialled)
{
    dial_as(near_identity, 0x33);
    loop_until(near.reason && far.reason);
    ck_assert_int_eq(near.reason, -EACCES);
    ck_assert_str_eq(near.error, "the certificate is of node 0000000000000022, not "
                                 "0000000000000033");
    ck_assert_int_eq(near.opened + far.opened, 0);
    ck_assert_int_eq(far.reason, -EACCES); /* By the alert. */
}
END_TEST

START_TEST(who_joins_knows_the_authority_by_its_digest)
{
    uint8_t digest[IDENTITY_DIGEST_BYTES];

    ck_assert_int_eq(identity_pem_digest(bytes_of(&pki.ca), digest), 0);
    dial(&(struct tls_dial){.protocol = TLS_JOIN, .authority = digest});
    ck_assert_int_eq(stream_write(near.stream, text("token")), 0);
    loop_until(far.got.len == 5);
    ck_assert_int_eq(stream_protocol(far.stream), TLS_JOIN);
    ck_assert_ptr_null(stream_identity(far.stream));
    ck_assert_uint_eq(stream_identity(near.stream)->id, FAR_ID);
    ck_assert_str_eq(stream_identity(near.stream)->cluster, "one");
}
END_TEST

START_TEST(who_joins_tells_nothing_to_another_authority)
{
    uint8_t digest[IDENTITY_DIGEST_BYTES];

    ck_assert_int_eq(identity_pem_digest(bytes_of(&pki.ca), digest), 0);
    digest[5] ^= 1;
    dial(&(struct tls_dial){.protocol = TLS_JOIN, .authority = digest});
    ck_assert_int_eq(stream_write(near.stream, text("token")), 0);
    loop_until(near.reason && far.reason);
    ck_assert_int_eq(near.reason, -EACCES);
    ck_assert_str_eq(near.error, "the cluster's authority is not the one that the token names");
    ck_assert_int_eq(far.opened, 0);
    ck_assert_uint_eq(far.got.len, 0);
}
END_TEST

START_TEST(without_a_certificate_nobody_is_a_peer)
{
    uint8_t digest[IDENTITY_DIGEST_BYTES];

    ck_assert_int_eq(identity_pem_digest(bytes_of(&pki.ca), digest), 0);
    dial(&(struct tls_dial){.protocol = TLS_PEER, .authority = digest});
    loop_until(near.reason && far.reason);
    ck_assert_int_eq(far.reason, -EACCES);
    ck_assert_str_eq(far.error, "no certificate was shown");
    ck_assert_int_eq(far.opened, 0);
    ck_assert_int_eq(near.reason, -EACCES);
}
END_TEST

/* ---- other implementations, and none */

/* Run a client of OpenSSL's own, in blocking mode on a thread of its own. */
struct client {
    int fd;
    int version;
    const char *alpn; /* With its length; NULL: none. */
    int connected;
};

static void client_run(void *context)
{
    struct client *client = context;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);

    SSL_set_min_proto_version(ssl, client->version);
    SSL_set_max_proto_version(ssl, client->version);
    if (client->alpn)
        SSL_set_alpn_protos(ssl, (const unsigned char *)client->alpn,
                            (unsigned)strlen(client->alpn));
    SSL_set_fd(ssl, client->fd);
    client->connected = SSL_connect(ssl);
    if (client->connected == 1)
        SSL_write(ssl, "hi", 2);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(client->fd);
}

static void client_meets(struct client client, int reason, const char *error)
{
    uv_thread_t thread;

    client.fd = raw_connect();
    ck_assert_int_eq(uv_thread_create(&thread, client_run, &client), 0);
    loop_until(far.reason);
    uv_thread_join(&thread);
    ck_assert_msg(far.reason == reason, "%d %s", far.reason, far.error);
    ck_assert_msg(strstr(far.error, error) != NULL, "%s", far.error);
    ck_assert_int_eq(far.opened, 0);
}

START_TEST(an_older_tls_is_refused)
{
    client_meets((struct client){.version = TLS1_2_VERSION,
                                 .alpn = "\x0b"
                                         "cais-join/1"},
                 -EPROTO, "unsupported protocol");
}
END_TEST

START_TEST(an_unknown_protocol_is_refused)
{
    client_meets((struct client){.version = TLS1_3_VERSION, .alpn = "\x02h2"}, -EACCES,
                 "none of the protocols offered");
}
END_TEST

START_TEST(no_protocol_is_refused)
{
    client_meets((struct client){.version = TLS1_3_VERSION}, -EACCES, "no certificate was shown");
}
END_TEST

START_TEST(a_plain_client_is_refused)
{
    int fd = raw_connect();

    ck_assert_int_eq(write(fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
    loop_until(far.reason);
    ck_assert_int_eq(far.reason, -EPROTO);
    ck_assert_int_eq(far.opened, 0);
    close(fd);
}
END_TEST

START_TEST(garbage_is_refused)
{
    static const uint8_t head[] = {0x16, 3, 1, 0x0b, 0xb0, 1}; /* As a handshake begins. */
    uint8_t garbage[3000];
    int fd = raw_connect();

    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (uint8_t)(i * 7 + (size_t)_i * 31);
    memcpy(garbage, head, sizeof head);
    ck_assert_int_eq(write(fd, garbage, sizeof garbage), sizeof garbage);
    loop_until(far.reason);
    ck_assert_int_eq(far.reason, -EPROTO);
    ck_assert_int_eq(far.opened, 0);
    close(fd);
}
END_TEST

START_TEST(a_handshake_takes_no_longer_than_allowed)
{
    int fd = raw_connect();

    ck_assert_int_eq(write(fd, "\x16\x03\x01", 3), 3);
    loop_until(far.reason);
    ck_assert_int_eq(far.reason, -ETIMEDOUT);
    close(fd);
}
END_TEST

START_TEST(an_end_inside_the_handshake_is_told_at_once)
{
    int fd = raw_connect();

    ck_assert_int_eq(write(fd, "\x16\x03\x01", 3), 3);
    close(fd);
    loop_until(far.reason);
    ck_assert_int_eq(far.reason, STREAM_EOF);
}
END_TEST

START_TEST(a_plain_server_is_refused)
{
    listener_close(listener, NULL, NULL);
    far.echoes = true;
    listen_here(NULL);
    far.opened = 1; /* A plain one is not told. */
    dial_as(near_identity, FAR_ID);
    loop_until(near.reason);
    ck_assert_msg(near.reason == -EPROTO || near.reason == -EACCES, "%d", near.reason);
    ck_assert_int_eq(near.opened, 0);
}
END_TEST

/* ---- bytes */

START_TEST(bytes_arrive_both_ways_in_the_order_they_were_written)
{
    scope(buffer_fini) struct buffer all = {0};

    far.echoes = true;
    dial_as(near_identity, FAR_ID);
    for (unsigned i = 0; i < 300; i++) {
        struct buffer piece = {0};

        memset(buffer_extend(&piece, i * 331 % 90000 + 1), (int)i, i * 331 % 90000 + 1);
        buffer_append(&all, piece.base, piece.len);
        ck_assert_int_eq(stream_write_buffer(near.stream, &piece), 0);
        ck_assert_uint_eq(stream_queued(near.stream), all.len);
    }
    loop_until(near.got.len == all.len);
    ck_assert_mem_eq(near.got.base, all.base, all.len);
    ck_assert_uint_eq(stream_queued(near.stream), 0);
}
END_TEST

START_TEST(what_is_pushed_leaves_now)
{
    connect_here();
    ck_assert_int_eq(stream_write(near.stream, text("now")), 0);
    stream_push(near.stream);
    ck_assert_uint_eq(stream_queued(near.stream), 0);
    loop_until(far.got.len == 3);
}
END_TEST

START_TEST(a_peer_that_does_not_read_meets_the_bound_of_the_queue)
{
    static uint8_t block[1 << 20];
    int r = 0;

    connect_here();
    for (size_t sent = 0; r == 0 && sent < 4 * (size_t)LIMIT_STREAM_QUEUED_BYTES;
         sent += sizeof block) {
        r = stream_write(far.stream, (struct bytes){block, sizeof block});
        ck_assert_uint_le(stream_queued(far.stream), LIMIT_STREAM_QUEUED_BYTES);
        stream_push(far.stream); /* The other end's loop is ours: it does not turn. */
    }
    ck_assert_int_eq(r, -ENOBUFS);
    ck_assert_uint_gt(stream_queued(far.stream), LIMIT_STREAM_QUEUED_BYTES - sizeof block);
    loop_until(stream_queued(far.stream) == 0); /* And once it reads, all of it arrives. */
    loop_until(near.got.len >= LIMIT_STREAM_QUEUED_BYTES - sizeof block);
}
END_TEST

START_TEST(who_asks_is_called_once_the_handshake_is_done)
{
    dial_as(near_identity, FAR_ID);
    stream_ask(near.stream);
    loop_until(near.writable);
    ck_assert_int_eq(near.opened, 1);
}
END_TEST

START_TEST(closing_sends_what_is_queued_and_says_goodbye)
{
    connect_here();
    ck_assert_int_eq(stream_write(far.stream, text("goodbye")), 0);
    end_close(&far);
    loop_until(near.reason);
    ck_assert_int_eq(near.reason, STREAM_EOF);
    ck_assert_str_eq(buffer_text(&near.got), "goodbye");
}
END_TEST

START_TEST(a_stream_may_be_closed_as_it_opens)
{
    near.closes_when_open = true;
    dial_as(near_identity, FAR_ID);
    loop_until(near.closed && far.reason);
    ck_assert_int_eq(far.reason, STREAM_EOF);
    ck_assert_int_eq(near.reason, 0);
}
END_TEST

START_TEST(closing_inside_the_handshake_calls_nothing_but_closed)
{
    dial_as(near_identity, FAR_ID);
    loop_until(far.stream);
    end_close(&near);
    loop_until(near.closed && far.reason);
    ck_assert_int_eq(near.opened + near.reason, 0);
}
END_TEST

/* ---- renewal */

START_TEST(a_renewed_certificate_leaves_open_connections_alone)
{
    struct authority_grant grant = grant_of("one", IDENTITY_MANAGER, FAR_ID);
    struct end second = {0};
    struct node_files node;
    struct tls_files files;

    connect_here();
    grant.now_s += 7;
    node_files_init(&node, &pki, grant);
    files = (struct tls_files){bytes_of(&pki.ca), bytes_of(&node.certificate), bytes_of(&node.key)};
    ck_assert_int_eq(tls_identity_reload(far_identity, &files), 0);
    ck_assert_int_eq(stream_write(near.stream, text("still here")), 0);
    loop_until(far.got.len == 10);
    ck_assert_int_eq(near.reason + far.reason, 0);

    second = near;
    near = (struct end){0};
    end_close(&far);
    stream_close(second.stream, NULL, NULL);
    loop_until(far.closed);
    buffer_fini(&far.got);
    far = (struct end){0};
    connect_here();
    ck_assert_str_eq(stream_identity(near.stream)->key, tls_identity_self(far_identity)->key);
    ck_assert_int_eq(stream_identity(near.stream)->not_after, grant.now_s + AUTHORITY_LIFE_S);
    node_files_fini(&node);
}
END_TEST

START_TEST(files_that_do_not_belong_together_change_nothing)
{
    struct authority_grant grant = grant_of("one", IDENTITY_MANAGER, 0x44);
    struct tls_identity *none = NULL;
    struct node_files a, b;
    struct pki other;
    struct tls_files files;

    pki_init(&other, "one");
    node_files_init(&a, &pki, grant);
    node_files_init(&b, &pki, grant);
    files = (struct tls_files){bytes_of(&pki.ca), bytes_of(&a.certificate), bytes_of(&b.key)};
    ck_assert_int_eq(tls_identity_reload(near_identity, &files), TLS_MISMATCHED);
    files = (struct tls_files){bytes_of(&other.ca), bytes_of(&a.certificate), bytes_of(&a.key)};
    ck_assert_int_eq(tls_identity_reload(near_identity, &files), TLS_MISMATCHED);
    files = (struct tls_files){bytes_of(&pki.ca), bytes_of(&pki.ca), bytes_of(&pki.ca_key)};
    ck_assert_int_eq(tls_identity_reload(near_identity, &files), TLS_MALFORMED);
    files = (struct tls_files){{"", 0}, {"", 0}, {"", 0}};
    ck_assert_int_eq(tls_identity_new(&files, &none), TLS_MALFORMED);
    ck_assert_ptr_null(none);
    ck_assert_uint_eq(tls_identity_self(near_identity)->id, NEAR_ID);
    connect_here();
    node_files_fini(&a);
    node_files_fini(&b);
    pki_fini(&other);
}
END_TEST

static TCase *case_of(const char *name)
{
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, set_up, tear_down);
    return tc;
}

static TCase *case_of_who(void)
{
    TCase *tc = case_of("who");

    tcase_add_test(tc, two_managers_know_each_other);
    tcase_add_test(tc, another_authority_is_refused);
    tcase_add_test(tc, a_worker_is_refused_on_a_peer_link);
    tcase_add_test(tc, an_expired_certificate_is_refused);
    tcase_add_test(tc, a_certificate_of_the_future_is_refused);
    tcase_add_test(tc, another_cluster_of_the_same_authority_is_refused);
    tcase_add_test(tc, who_answers_has_to_be_who_was_dialled);
    tcase_add_test(tc, who_joins_knows_the_authority_by_its_digest);
    tcase_add_test(tc, who_joins_tells_nothing_to_another_authority);
    tcase_add_test(tc, without_a_certificate_nobody_is_a_peer);
    return tc;
}

static TCase *case_of_others(void)
{
    TCase *tc = case_of("others");

    tcase_add_test(tc, an_older_tls_is_refused);
    tcase_add_test(tc, an_unknown_protocol_is_refused);
    tcase_add_test(tc, no_protocol_is_refused);
    tcase_add_test(tc, a_plain_client_is_refused);
    tcase_add_loop_test(tc, garbage_is_refused, 0, 3);
    tcase_add_test(tc, a_handshake_takes_no_longer_than_allowed);
    tcase_add_test(tc, an_end_inside_the_handshake_is_told_at_once);
    tcase_add_test(tc, a_plain_server_is_refused);
    return tc;
}

static TCase *case_of_bytes(void)
{
    TCase *tc = case_of("bytes");

    tcase_add_test(tc, bytes_arrive_both_ways_in_the_order_they_were_written);
    tcase_add_test(tc, what_is_pushed_leaves_now);
    tcase_add_test(tc, a_peer_that_does_not_read_meets_the_bound_of_the_queue);
    tcase_add_test(tc, who_asks_is_called_once_the_handshake_is_done);
    tcase_add_test(tc, closing_sends_what_is_queued_and_says_goodbye);
    tcase_add_test(tc, a_stream_may_be_closed_as_it_opens);
    tcase_add_test(tc, closing_inside_the_handshake_calls_nothing_but_closed);
    tcase_add_test(tc, a_renewed_certificate_leaves_open_connections_alone);
    tcase_add_test(tc, files_that_do_not_belong_together_change_nothing);
    return tc;
}

int main(void)
{
    Suite *s = suite_create("tls");
    SRunner *sr;
    int failed;

    suite_add_tcase(s, case_of_who());
    suite_add_tcase(s, case_of_others());
    suite_add_tcase(s, case_of_bytes());
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
