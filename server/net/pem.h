/*
 * OpenSSL's objects from PEM text and back, and their release with scope(): for the files of
 * server/net that speak to OpenSSL. What cannot be read is NULL, and leaves nothing in OpenSSL's
 * queue of errors; no text above IDENTITY_PEM_BYTES is looked at, and no key with a passphrase.
 */
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "proto/base/bytes.h"

/* Each gives the first of its kind, or NULL. */
X509 *pem_certificate(struct bytes pem);
X509_REQ *pem_request(struct bytes pem);
EVP_PKEY *pem_private_key(struct bytes pem);

/* Append as PEM. These fail only for want of memory, which stops the process. */
void pem_put_certificate(struct buffer *out, X509 *certificate);
void pem_put_request(struct buffer *out, X509_REQ *request);
void pem_put_private_key(struct buffer *out, EVP_PKEY *key);

/* Overwrite, then free: for what holds a private key. */
void pem_wipe(struct buffer *secret);

#define PEM_SCOPED(type, name, release)                                                            \
    static inline void name##_scoped(type **held)                                                  \
    {                                                                                              \
        release(*held);                                                                            \
    }                                                                                              \
    struct scoped_needs_semicolon

PEM_SCOPED(X509, x509_free, X509_free);
PEM_SCOPED(X509_REQ, x509_req_free, X509_REQ_free);
PEM_SCOPED(EVP_PKEY, pkey_free, EVP_PKEY_free);
PEM_SCOPED(BIO, bio_free, BIO_free);
PEM_SCOPED(ASN1_TIME, asn1_time_free, ASN1_TIME_free);

static inline void pem_wipe_scoped(struct buffer *secret)
{
    pem_wipe(secret);
}
