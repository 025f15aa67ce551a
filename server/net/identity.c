#include "server/net/identity.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <string.h>

#include "proto/base/endian.h"
#include "proto/base/hex.h"
#include "proto/base/must.h"
#include "server/net/pem.h"

static const char *const role_names[] = {
    [IDENTITY_MANAGER] = "manager",
    [IDENTITY_WORKER] = "worker",
};

static const int role_count = sizeof role_names / sizeof role_names[0];
enum { ID_CHARS = 16 };

const char *identity_role_name(enum identity_role role)
{
    must(role > 0);
    must((int)role < role_count);
    return role_names[role];
}

enum identity_role identity_role_named(const char *name)
{
    for (int role = 1; role < role_count; role++)
        if (strcmp(name, role_names[role]) == 0)
            return (enum identity_role)role;
    return 0;
}

bool identity_cluster_is_valid(const char *cluster)
{
    size_t len = strspn(cluster, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                 "0123456789-_.");

    return len > 0 && len <= IDENTITY_CLUSTER_CHARS && cluster[len] == '\0';
}

/* The text of the one attribute of this kind. False: there is none, or several, or it is not plain
 * text that fits. */
static bool subject_text(const X509_NAME *subject, int nid, char *out, size_t size)
{
    int at = X509_NAME_get_index_by_NID(subject, nid, -1);
    const ASN1_STRING *value;
    size_t len;

    if (at < 0 || X509_NAME_get_index_by_NID(subject, nid, at) >= 0)
        return false;
    value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    if (ASN1_STRING_type(value) != V_ASN1_UTF8STRING &&
        ASN1_STRING_type(value) != V_ASN1_PRINTABLESTRING)
        return false;
    len = (size_t)ASN1_STRING_length(value);
    if (len == 0 || len >= size || memchr(ASN1_STRING_get0_data(value), 0, len))
        return false;
    memcpy(out, ASN1_STRING_get0_data(value), len);
    out[len] = '\0';
    return true;
}

static bool read_subject(const X509_NAME *subject, struct identity *out)
{
    char role[16], id[ID_CHARS + 1];
    uint8_t id_bytes[ID_CHARS / 2];

    if (X509_NAME_entry_count(subject) != 3 ||
        !subject_text(subject, NID_organizationName, out->cluster, sizeof out->cluster) ||
        !subject_text(subject, NID_organizationalUnitName, role, sizeof role) ||
        !subject_text(subject, NID_commonName, id, sizeof id))
        return false;
    if (!identity_cluster_is_valid(out->cluster) || strlen(id) != ID_CHARS ||
        !hex_get(id, sizeof id_bytes, id_bytes))
        return false;
    out->id = be64_get(id_bytes);
    out->role = identity_role_named(role);
    return out->id != 0 && out->role != 0;
}

/* Seconds since the epoch. */
static bool read_time(const ASN1_TIME *time, int64_t *out)
{
    scope(asn1_time_free) ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days, seconds;

    must(epoch);
    if (ASN1_TIME_diff(&days, &seconds, epoch, time) != 1)
        return false;
    *out = (int64_t)days * 86400 + seconds;
    return true;
}

int identity_key_digest(EVP_PKEY *key, char out[IDENTITY_KEY_CHARS + 1])
{
    uint8_t digest[SHA256_DIGEST_LENGTH], *der = NULL;
    int len = i2d_PUBKEY(key, &der);

    if (len <= 0)
        return IDENTITY_MALFORMED;
    SHA256(der, (size_t)len, digest);
    OPENSSL_free(der);
    hex_put(digest, IDENTITY_KEY_CHARS / 2, out);
    return 0;
}

int identity_of(X509 *certificate, struct identity *out)
{
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    struct identity identity = {0};

    if (!key || !read_subject(X509_get_subject_name(certificate), &identity) ||
        !read_time(X509_get0_notBefore(certificate), &identity.not_before) ||
        !read_time(X509_get0_notAfter(certificate), &identity.not_after) ||
        identity_key_digest(key, identity.key) != 0)
        return IDENTITY_MALFORMED;
    *out = identity;
    return 0;
}

int identity_of_pem(struct bytes pem, struct identity *out)
{
    scope(x509_free) X509 *certificate = pem_certificate(pem);

    return certificate ? identity_of(certificate, out) : IDENTITY_MALFORMED;
}

int identity_pem_digest(struct bytes pem, uint8_t out[IDENTITY_DIGEST_BYTES])
{
    scope(x509_free) X509 *certificate = pem_certificate(pem);
    unsigned len = IDENTITY_DIGEST_BYTES;

    if (!certificate || X509_digest(certificate, EVP_sha256(), out, &len) != 1)
        return IDENTITY_MALFORMED;
    return 0;
}

int64_t identity_renewal(const struct identity *identity, uint64_t chance)
{
    int64_t life = identity->not_after - identity->not_before;
    int64_t permille = 500 + (int64_t)(chance % 301);

    must(life >= 0);
    return identity->not_before + life / 1000 * permille + life % 1000 * permille / 1000;
}
