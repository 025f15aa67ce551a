#include "server/net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/net/pem.h"
#include "server/net/tls_internal.h"

/*
 * OpenSSL reads from `in` and writes to `out`, both in memory. Everything that was fed is read
 * before more is, so `in` holds at most one record that is not whole, beside what was just fed.
 *
 * A listener asks for a certificate unless the protocol chosen by ALPN is one that needs none; who
 * names no protocol meets the stricter rule, and is refused in the end.
 */

struct tls {
    SSL *ssl;
    BIO *in, *out;        /* The SSL's. */
    struct identity self; /* id 0: we have none. */
    enum tls_protocol protocol;
    uint64_t expected_id; /* 0: any. */
    bool has_pin;
    uint8_t pin[IDENTITY_DIGEST_BYTES];
    bool is_open;
    bool has_peer;
    struct identity peer;
    char reason[TLS_REASON];
};

static const struct {
    const char *name; /* As ALPN has it: its length, then it. */
    enum tls_protocol protocol;
    bool needs_manager;
} protocols[] = {
    {"\x0b"
     "cais-peer/1",
     TLS_PEER, true},
    {"\x0b"
     "cais-join/1",
     TLS_JOIN, false},
};

enum { PROTOCOLS = sizeof protocols / sizeof protocols[0] };

static void __attribute__((format(printf, 2, 3)))
give_reason(struct tls *tls, const char *format, ...)
{
    va_list arguments;

    if (tls->reason[0])
        return; /* The first is the cause. */
    va_start(arguments, format);
    vsnprintf(tls->reason, sizeof tls->reason, format, arguments);
    va_end(arguments);
}

/* ---- who is let in */

/* Has the other end, whose chain holds, the right to be there? */
static bool may_take_part(struct tls *tls, const struct identity *peer)
{
    if (peer->role != IDENTITY_MANAGER)
        give_reason(tls, "the certificate is of role %s, not %s", identity_role_name(peer->role),
                    identity_role_name(IDENTITY_MANAGER));
    else if (tls->self.id != 0 && strcmp(peer->cluster, tls->self.cluster) != 0)
        give_reason(tls, "the certificate is of cluster %s, not %s", peer->cluster,
                    tls->self.cluster);
    else if (tls->expected_id != 0 && peer->id != tls->expected_id)
        give_reason(tls, "the certificate is of node %016llx, not %016llx",
                    (unsigned long long)peer->id, (unsigned long long)tls->expected_id);
    else if (tls->protocol == TLS_NONE)
        give_reason(tls, "no protocol was agreed on");
    return tls->reason[0] == '\0';
}

/* Of what the other end shows, trust the authority that the digest names. */
static bool trust_pinned(struct tls *tls, X509_STORE_CTX *store, STACK_OF(X509) * trusted)
{
    STACK_OF(X509) *shown = X509_STORE_CTX_get0_untrusted(store);
    uint8_t digest[IDENTITY_DIGEST_BYTES];
    unsigned len = sizeof digest;

    for (int i = 0; i < sk_X509_num(shown); i++) {
        X509 *certificate = sk_X509_value(shown, i);

        if (X509_digest(certificate, EVP_sha256(), digest, &len) != 1 ||
            memcmp(digest, tls->pin, sizeof digest) != 0)
            continue;
        must(sk_X509_push(trusted, certificate) > 0);
        X509_STORE_CTX_set0_trusted_stack(store, trusted);
        return true;
    }
    give_reason(tls, "the cluster's authority is not the one that the token names");
    return false;
}

static bool chain_holds(struct tls *tls, X509_STORE_CTX *store)
{
    STACK_OF(X509) *trusted = sk_X509_new_null();
    bool holds;

    must(trusted);
    holds = (!tls->has_pin || trust_pinned(tls, store, trusted)) && X509_verify_cert(store) == 1;
    if (!holds)
        give_reason(tls, "the certificate does not hold: %s",
                    X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
    sk_X509_free(trusted);
    return holds;
}

static int verify(X509_STORE_CTX *store, void *context)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *tls = SSL_get_app_data(ssl);
    struct identity peer;

    (void)context;
    if (!chain_holds(tls, store)) {
        if (X509_STORE_CTX_get_error(store) == X509_V_OK)
            X509_STORE_CTX_set_error(store, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT);
        return 0;
    }
    if (identity_of(X509_STORE_CTX_get0_cert(store), &peer) != 0)
        give_reason(tls, "the certificate is not a node's");
    else if (may_take_part(tls, &peer)) {
        tls->peer = peer;
        tls->has_peer = true;
        return 1;
    }
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

/* The listener's choice among the protocols that the other end offers. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *offered, unsigned offered_len, void *context)
{
    struct tls *tls = SSL_get_app_data(ssl);

    (void)context;
    for (int i = 0; i < PROTOCOLS; i++) {
        unsigned len = (unsigned)strlen(protocols[i].name);

        if (SSL_select_next_proto((unsigned char **)out, out_len,
                                  (const unsigned char *)protocols[i].name, len, offered,
                                  offered_len) != OPENSSL_NPN_NEGOTIATED)
            continue;
        tls->protocol = protocols[i].protocol;
        if (!protocols[i].needs_manager)
            SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
        return SSL_TLSEXT_ERR_OK;
    }
    give_reason(tls, "none of the protocols offered is spoken here");
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

void tls_set_verification(SSL_CTX *context)
{
    SSL_CTX_set_cert_verify_callback(context, verify, NULL);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
}

/* ---- the conversation */

static struct tls *tls_new(SSL_CTX *context)
{
    struct tls *tls = mem_new(struct tls);

    tls->ssl = SSL_new(context);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    must(tls->ssl);
    must(tls->in);
    must(tls->out);
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    SSL_set_app_data(tls->ssl, tls);
    return tls;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    ERR_clear_error();
    SSL_free(tls->ssl);
    free(tls);
}

/* Why OpenSSL gave up: was somebody refused, by us or by the other end, or is it not even TLS? */
static int failure(struct tls *tls)
{
    unsigned long error = ERR_peek_error();
    int reason = ERR_GET_REASON(error);
    const char *text = ERR_reason_error_string(error);
    bool is_refusal = tls->reason[0] != '\0';

    if (ERR_GET_LIB(error) == ERR_LIB_SSL && !is_refusal) {
        is_refusal = reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE ||
                     reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED ||
                     reason == SSL_R_TLSV1_ALERT_UNKNOWN_CA ||
                     reason == SSL_R_TLSV1_ALERT_ACCESS_DENIED ||
                     reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE ||
                     (reason >= SSL_R_SSLV3_ALERT_BAD_CERTIFICATE &&
                      reason <= SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN);
        if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
            give_reason(tls, "no certificate was shown");
        else
            give_reason(tls, is_refusal ? "the other end refuses us: %s" : "%s",
                        text ? text : "TLS failed");
    }
    give_reason(tls, "%s", text ? text : "TLS failed");
    ERR_clear_error();
    return is_refusal ? -EACCES : -EPROTO;
}

/* What a call of OpenSSL came to: 0, it waits for more bytes. */
static int settle(struct tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        ERR_clear_error();
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        ERR_clear_error();
        return TLS_EOF;
    default:
        return failure(tls);
    }
}

static int handshake(struct tls *tls)
{
    const unsigned char *chosen;
    unsigned len;
    int r = SSL_do_handshake(tls->ssl);

    if (r != 1)
        return settle(tls, r);
    SSL_get0_alpn_selected(tls->ssl, &chosen, &len);
    if (tls->protocol == TLS_NONE || len == 0) {
        give_reason(tls, "no protocol was agreed on");
        return -EPROTO;
    }
    tls->is_open = true;
    return 0;
}

/* As somebody with a certificate. */
static struct tls *dial_as(const struct tls_identity *identity)
{
    struct tls *tls = tls_new(identity->context);

    tls->self = identity->self;
    return tls;
}

/* As nobody, to whoever has the authority of this digest. */
static struct tls *dial_pinned(const uint8_t *authority)
{
    SSL_CTX *context = tls_context_new();
    struct tls *tls = tls_new(context);

    must(authority);
    SSL_CTX_free(context); /* The conversation keeps it. */
    memcpy(tls->pin, authority, sizeof tls->pin);
    tls->has_pin = true;
    return tls;
}

struct tls *tls_dial(const struct tls_dial *dial)
{
    struct tls *tls = dial->identity ? dial_as(dial->identity) : dial_pinned(dial->authority);

    tls->expected_id = dial->id;
    tls->protocol = dial->protocol;
    for (int i = 0; i < PROTOCOLS; i++)
        if (protocols[i].protocol == dial->protocol)
            worked(SSL_set_alpn_protos(tls->ssl, (const unsigned char *)protocols[i].name,
                                       (unsigned)strlen(protocols[i].name)));
    SSL_set_connect_state(tls->ssl);
    worked(handshake(tls)); /* Makes the first message, of our own alone. */
    return tls;
}

struct tls *tls_answer(struct tls_identity *identity)
{
    struct tls *tls = tls_new(identity->context);

    tls->self = identity->self;
    SSL_set_accept_state(tls->ssl);
    return tls;
}

int tls_feed(struct tls *tls, struct bytes bytes)
{
    if (bytes.len > 0)
        must(BIO_write(tls->in, bytes.base, (int)bytes.len) == (int)bytes.len);
    return tls->is_open ? 0 : handshake(tls);
}

bool tls_is_open(const struct tls *tls)
{
    return tls->is_open;
}

int tls_read(struct tls *tls, uint8_t *room, size_t size)
{
    int r;

    if (!tls->is_open)
        return 0;
    r = SSL_read(tls->ssl, room, (int)size);
    return r > 0 ? r : settle(tls, r);
}

int tls_write(struct tls *tls, struct bytes bytes)
{
    int r;

    must(tls->is_open);
    if (bytes.len == 0)
        return 0;
    r = SSL_write(tls->ssl, bytes.base, (int)bytes.len);
    if (r > 0)
        return 0; /* Memory takes all there is. */
    r = settle(tls, r);
    return r < 0 ? r : -EPROTO;
}

void tls_finish(struct tls *tls)
{
    if (tls->is_open)
        SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

bool tls_has_output(const struct tls *tls)
{
    return BIO_pending(tls->out) > 0;
}

void tls_take_output(struct tls *tls, struct buffer *out)
{
    char *bytes;
    long len = BIO_get_mem_data(tls->out, &bytes);

    if (len > 0)
        buffer_append(out, bytes, (size_t)len);
    (void)BIO_reset(tls->out);
}

enum tls_protocol tls_protocol(const struct tls *tls)
{
    return tls->protocol;
}

const struct identity *tls_peer(const struct tls *tls)
{
    return tls->has_peer ? &tls->peer : NULL;
}

const char *tls_reason(const struct tls *tls)
{
    return tls->reason;
}
