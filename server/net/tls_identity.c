#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/net/pem.h"
#include "server/net/tls_internal.h"

/*
 * A context is made whole before it takes the place of another, and conversations keep the one
 * they began with (OpenSSL counts the references).
 */

enum { CERTIFICATES_BYTES = 16 << 10 }; /* What the other end may show. */

SSL_CTX *tls_context_new(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_method());

    must(context);
    must(SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1);
    must(SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1);
    must(SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                           "TLS_CHACHA20_POLY1305_SHA256") == 1);
    must(SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    must(SSL_CTX_set_num_tickets(context, 0) == 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    must(SSL_CTX_set_max_early_data(context, 0) == 1);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_max_cert_list(context, CERTIFICATES_BYTES);
    SSL_CTX_set_verify_depth(context, 0); /* Nothing between a node and the authority. */
    tls_set_verification(context);
    return context;
}

/* Did this authority sign this certificate? The times are not looked at. */
static bool is_signed_by(X509 *certificate, X509 *authority)
{
    EVP_PKEY *key = X509_get0_pubkey(authority);

    return key && X509_check_ca(authority) == 1 && X509_verify(certificate, key) == 1;
}

static int context_of(X509 *authority, X509 *certificate, EVP_PKEY *key, SSL_CTX **out)
{
    SSL_CTX *context;

    if (X509_check_private_key(certificate, key) != 1 || !is_signed_by(certificate, authority)) {
        ERR_clear_error();
        return TLS_MISMATCHED;
    }
    context = tls_context_new();
    must(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority) == 1);
    /* The authority's own certificate goes along: who joins knows it by its digest alone. */
    if (SSL_CTX_use_certificate(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey(context, key) != 1 ||
        SSL_CTX_add1_chain_cert(context, authority) != 1) {
        ERR_clear_error();
        SSL_CTX_free(context);
        return TLS_MISMATCHED;
    }
    *out = context;
    return 0;
}

static int read_files(const struct tls_files *files, struct identity *out_self, SSL_CTX **out)
{
    scope(x509_free) X509 *authority = pem_certificate(files->authority);
    scope(x509_free) X509 *certificate = pem_certificate(files->certificate);
    scope(pkey_free) EVP_PKEY *key = pem_private_key(files->key);
    struct identity self;
    int r;

    if (!authority || !certificate || !key || identity_of(certificate, &self) != 0)
        return TLS_MALFORMED;
    r = context_of(authority, certificate, key, out);
    if (r == 0)
        *out_self = self;
    return r;
}

int tls_identity_reload(struct tls_identity *identity, const struct tls_files *files)
{
    SSL_CTX *context = NULL;
    int r = read_files(files, &identity->self, &context);

    if (r != 0)
        return r;
    SSL_CTX_free(identity->context);
    identity->context = context;
    return 0;
}

int tls_identity_new(const struct tls_files *files, struct tls_identity **out)
{
    scope(tls_identity_free) struct tls_identity *identity = mem_new(struct tls_identity);
    int r = tls_identity_reload(identity, files);

    if (r != 0)
        return r;
    *out = steal(identity);
    return 0;
}

const struct identity *tls_identity_self(const struct tls_identity *identity)
{
    return &identity->self;
}

void tls_identity_free(struct tls_identity *identity)
{
    if (!identity)
        return;
    SSL_CTX_free(identity->context);
    free(identity);
}
