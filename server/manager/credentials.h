/*
 * The files of DIR/identity, by which a manager is known to the others: key.pem, cert.pem and
 * ca.pem, for their owner alone.
 *
 * The key is EC P-256 and made once, before the cluster is asked, so that a newcomer that has to
 * ask again is known to be the same one. authority.pem is there only while the first manager of a
 * new cluster has not yet stored the authority's key with the cluster's state.
 */
#pragma once

#include "proto/base/bytes.h"
#include "server/manager/member.h"
#include "server/net/tls.h"

/* PEM texts. */
struct credentials {
    struct buffer authority;
    struct buffer certificate;
    struct buffer key;
};

/* Load the key, or make it with the directory it is in. Fills credentials->key, appends a request
 * for a certificate of it, and names it: hex of the first 16 bytes of the SHA-256 of its public
 * half. -EUCLEAN: the file holds no such key. */
int credentials_begin(const char *dir, struct credentials *credentials, struct buffer *out_request,
                      char out_name[MEMBER_KEY_CHARS + 1]);

/* Store the certificates, each whole or not at all. */
int credentials_save(const char *dir, const struct credentials *credentials);

/* Fill what is there. -ENOENT: one of the three is missing. */
int credentials_load(const char *dir, struct credentials *credentials);

/* Keep the key of a new authority, find it again (-ENOENT: there is none), and remove it. */
int credentials_keep(const char *dir, struct bytes authority_key);
int credentials_kept(const char *dir, struct buffer *out_authority_key);
void credentials_forget(const char *dir);

/* Borrows. */
struct tls_files credentials_files(const struct credentials *credentials);

void credentials_fini(struct credentials *credentials);
