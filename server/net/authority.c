#include "server/net/authority.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/net/pem.h"

/*
 * What OpenSSL is asked here with values of our own fails only for want of memory or of random
 * numbers, and either stops the process. What came from outside is looked at first.
 */

struct authority {
    X509 *certificate;
    EVP_PKEY *key;
};

static EVP_PKEY *new_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    must(key);
    return key;
}

/* The one kind of key that has a place here: anything else might be slow, or weak. */
static bool is_our_kind(EVP_PKEY *key)
{
    char group[32];
    size_t len;

    return key && EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

static void set_serial(X509 *certificate)
{
    uint8_t random[16];
    BIGNUM *number;

    must(RAND_bytes(random, sizeof random) == 1);
    random[0] = (uint8_t)((random[0] & 0x3f) | 0x40); /* Positive, of one length. */
    number = BN_bin2bn(random, sizeof random, NULL);
    must(number);
    must(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)));
    BN_free(number);
}

static void set_times(X509 *certificate, int64_t from_s, int64_t to_s)
{
    must(ASN1_TIME_set(X509_getm_notBefore(certificate), from_s));
    must(ASN1_TIME_set(X509_getm_notAfter(certificate), to_s));
}

static void add_to_name(X509_NAME *name, int nid, const char *text)
{
    must(X509_NAME_add_entry_by_NID(name, nid, MBSTRING_ASC, (const unsigned char *)text, -1, -1,
                                    0) == 1);
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    must(extension);
    must(X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static X509 *new_certificate(EVP_PKEY *key)
{
    X509 *certificate = X509_new();

    must(certificate);
    must(X509_set_version(certificate, X509_VERSION_3) == 1);
    must(X509_set_pubkey(certificate, key) == 1);
    set_serial(certificate);
    return certificate;
}

void authority_create(const char *cluster, int64_t now_s, struct buffer *out_certificate,
                      struct buffer *out_key)
{
    scope(pkey_free) EVP_PKEY *key = new_key();
    scope(x509_free) X509 *certificate = new_certificate(key);
    X509_NAME *name = X509_get_subject_name(certificate);

    must(identity_cluster_is_valid(cluster));
    add_to_name(name, NID_organizationName, cluster);
    add_to_name(name, NID_commonName, "Cais authority");
    must(X509_set_issuer_name(certificate, name) == 1);
    set_times(certificate, now_s - AUTHORITY_BACKDATE_S,
              now_s + INT64_C(31557600) * AUTHORITY_YEARS);
    add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
    add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(certificate, certificate, NID_subject_key_identifier, "hash");
    must(X509_sign(certificate, key, EVP_sha256()) > 0);
    pem_put_certificate(out_certificate, certificate);
    pem_put_private_key(out_key, key);
}

int authority_open(struct bytes certificate, struct bytes key, struct authority **out)
{
    scope(x509_free) X509 *read_certificate = pem_certificate(certificate);
    scope(pkey_free) EVP_PKEY *read_key = pem_private_key(key);

    if (!read_certificate || !is_our_kind(read_key) || X509_check_ca(read_certificate) != 1 ||
        X509_check_private_key(read_certificate, read_key) != 1) {
        ERR_clear_error();
        return AUTHORITY_MALFORMED;
    }
    *out = mem_new(struct authority);
    (*out)->certificate = steal(read_certificate);
    (*out)->key = steal(read_key);
    return 0;
}

void authority_free(struct authority *authority)
{
    if (!authority)
        return;
    X509_free(authority->certificate);
    EVP_PKEY_free(authority->key);
    free(authority);
}

static void put_request(EVP_PKEY *key, struct buffer *out)
{
    scope(x509_req_free) X509_REQ *request = X509_REQ_new();

    must(request);
    must(X509_REQ_set_pubkey(request, key) == 1);
    must(X509_REQ_sign(request, key, EVP_sha256()) > 0);
    pem_put_request(out, request);
}

void authority_request(struct buffer *out_key, struct buffer *out_request)
{
    scope(pkey_free) EVP_PKEY *key = new_key();

    pem_put_private_key(out_key, key);
    put_request(key, out_request);
}

int authority_request_again(struct bytes key, struct buffer *out_request)
{
    scope(pkey_free) EVP_PKEY *read_key = pem_private_key(key);

    if (!is_our_kind(read_key))
        return AUTHORITY_MALFORMED;
    put_request(read_key, out_request);
    return 0;
}

/* The public key that a request asks for and has signed with. Borrows from the request; NULL. */
static EVP_PKEY *proven_key(X509_REQ *request)
{
    EVP_PKEY *key = request ? X509_REQ_get0_pubkey(request) : NULL;

    if (!is_our_kind(key) || X509_REQ_verify(request, key) != 1)
        key = NULL;
    ERR_clear_error();
    return key;
}

int authority_request_key(struct bytes request, char out[IDENTITY_KEY_CHARS + 1])
{
    scope(x509_req_free) X509_REQ *read_request = pem_request(request);
    EVP_PKEY *key = proven_key(read_request);

    return key && identity_key_digest(key, out) == 0 ? 0 : AUTHORITY_MALFORMED;
}

static void set_subject(X509 *certificate, const struct authority_grant *grant)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    char id[17];

    snprintf(id, sizeof id, "%016llx", (unsigned long long)grant->id);
    add_to_name(name, NID_organizationName, grant->cluster);
    add_to_name(name, NID_organizationalUnitName, identity_role_name(grant->role));
    add_to_name(name, NID_commonName, id);
}

static void set_life(X509 *certificate, const struct authority_grant *grant)
{
    int64_t life = grant->life_s ? grant->life_s : AUTHORITY_LIFE_S;
    int64_t back = life / 10 < AUTHORITY_BACKDATE_S ? life / 10 : AUTHORITY_BACKDATE_S;

    must(life > 0);
    set_times(certificate, grant->now_s - back, grant->now_s + life);
}

static void set_extensions(X509 *certificate, X509 *issuer)
{
    add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature");
    add_extension(certificate, issuer, NID_ext_key_usage, "serverAuth,clientAuth");
    add_extension(certificate, issuer, NID_subject_key_identifier, "hash");
    add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always");
}

int authority_issue(const struct authority *authority, const struct authority_grant *grant,
                    struct bytes request, struct buffer *out)
{
    scope(x509_req_free) X509_REQ *read_request = pem_request(request);
    EVP_PKEY *key = proven_key(read_request);
    scope(x509_free) X509 *certificate = NULL;

    must(identity_cluster_is_valid(grant->cluster));
    must(grant->id != 0);
    if (!key)
        return AUTHORITY_MALFORMED;
    certificate = new_certificate(key);
    set_subject(certificate, grant);
    must(X509_set_issuer_name(certificate, X509_get_subject_name(authority->certificate)) == 1);
    set_life(certificate, grant);
    set_extensions(certificate, authority->certificate);
    must(X509_sign(certificate, authority->key, EVP_sha256()) > 0);
    pem_put_certificate(out, certificate);
    return 0;
}
