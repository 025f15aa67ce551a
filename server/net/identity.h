/*
 * Who a certificate says somebody is.
 *
 * The subject of a node's certificate is O = its cluster, OU = its role, CN = its id as 16 hex
 * digits, and nothing else: what is not exactly that is nobody. The cluster's own authority alone
 * signs such certificates (server/net/authority.h), so what is read here counts only after the
 * chain was verified (server/net/tls.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/bytes.h"

struct x509_st;     /* OpenSSL's X509 */
struct evp_pkey_st; /* and EVP_PKEY. */

enum {
    IDENTITY_CLUSTER_CHARS = 64, /* What X.520 lets an organization's name have. */
    IDENTITY_KEY_CHARS = 32,
    IDENTITY_PEM_BYTES = 16 << 10, /* No file or message of ours that holds PEM is larger. */
    IDENTITY_DIGEST_BYTES = 32,
};

enum identity_role {
    IDENTITY_MANAGER = 1,
    IDENTITY_WORKER = 2,
};

enum identity_outcome {
    IDENTITY_MALFORMED = 1, /* Not a certificate, or not one of a node. */
};

struct identity {
    char cluster[IDENTITY_CLUSTER_CHARS + 1];
    enum identity_role role;
    uint64_t id;                      /* Not 0. */
    char key[IDENTITY_KEY_CHARS + 1]; /* First 16 bytes of the SHA-256 of its public key
                                       * (SubjectPublicKeyInfo, DER), in hex. */
    int64_t not_before, not_after;    /* Seconds since the epoch. */
};

/* May a cluster be called so? 1 to 64 letters, digits, '-', '_' and '.'. */
bool identity_cluster_is_valid(const char *cluster);

/* "manager", "worker". */
const char *identity_role_name(enum identity_role role);

/* The role of this name; 0 for none. */
enum identity_role identity_role_named(const char *name);

/* Read the subject, key and times of a certificate. It is not verified. */
int identity_of(struct x509_st *certificate, struct identity *out);

/* The same of the first certificate of a PEM text. */
int identity_of_pem(struct bytes pem, struct identity *out);

/* SHA-256 of the DER of the first certificate of a PEM text: of the authority's own certificate it
 * is what a join token pins. IDENTITY_MALFORMED. */
int identity_pem_digest(struct bytes pem, uint8_t out[IDENTITY_DIGEST_BYTES]);

/* A public key as member records name it. */
int identity_key_digest(struct evp_pkey_st *key, char out[IDENTITY_KEY_CHARS + 1]);

/* When to ask for the next certificate: at 50 to 80 % of its life, evenly, so that certificates
 * made together are not renewed together. chance: any random number. Seconds since the epoch. */
int64_t identity_renewal(const struct identity *identity, uint64_t chance);
