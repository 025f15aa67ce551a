/*
 * The cluster's own certificate authority: whoever has a certificate of it takes part.
 *
 * One self-signed EC P-256 certificate, 20 years; below it nothing but nodes' certificates. All
 * here is PEM text in and out, so that it can lie in tables and files and travel in messages. A
 * node makes its key itself and shows a request (PKCS #10), of which only the public key and the
 * proof that it has the private one count: what the certificate says is the authority's business.
 *
 * Random numbers come from OpenSSL's generator, which the kernel seeds. Times are seconds since
 * the epoch, handed in.
 */
#pragma once

#include <stdint.h>

#include "proto/base/bytes.h"
#include "server/net/identity.h"

struct authority;

enum {
    AUTHORITY_YEARS = 20,
    AUTHORITY_LIFE_S =
        10 * 365 * 24 * 3600,    /* Of a node's certificate: it is not renewed (decision 17). */
    AUTHORITY_BACKDATE_S = 3600, /* Clocks differ; of a short life, a tenth at most. */
};

enum authority_outcome {
    AUTHORITY_MALFORMED = 1, /* Not a request, not of the one kind of key, or not signed with it. */
};

/* Make a new authority for a cluster. Appends its certificate and its private key as PEM. */
void authority_create(const char *cluster, int64_t now_s, struct buffer *out_certificate,
                      struct buffer *out_key);

/* Take up an authority from PEM texts. Gives *out. AUTHORITY_MALFORMED: it is none, or the key is
 * not its key. */
int authority_open(struct bytes certificate, struct bytes key, struct authority **out);
void authority_free(struct authority *authority); /* NULL is fine. */

/* Make a node's key and the request for its certificate. Appends both as PEM. */
void authority_request(struct buffer *out_key, struct buffer *out_request);

/* Another request for the key that a node has. AUTHORITY_MALFORMED: it is no such key. */
int authority_request_again(struct bytes key, struct buffer *out_request);

/* The digest of the key a request asks for, as in struct identity. AUTHORITY_MALFORMED. */
int authority_request_key(struct bytes request, char out[IDENTITY_KEY_CHARS + 1]);

struct authority_grant {
    const char *cluster; /* Valid, as all of this: the caller's own. */
    enum identity_role role;
    uint64_t id;
    int64_t now_s;
    int64_t life_s; /* From now on; 0: AUTHORITY_LIFE_S. */
};

/* Sign what was asked for. Appends the certificate as PEM. AUTHORITY_MALFORMED: the request. */
int authority_issue(const struct authority *authority, const struct authority_grant *grant,
                    struct bytes request, struct buffer *out);

SCOPED(struct authority *, authority_free);
