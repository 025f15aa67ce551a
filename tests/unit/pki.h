/*
 * Authorities, certificates and identities for tests.
 */
#pragma once

#include <check.h>
#include <stdlib.h>
#include <time.h>

#include "server/net/authority.h"
#include "server/net/pem.h"

static inline struct bytes bytes_of(const struct buffer *buffer)
{
    return (struct bytes){buffer->base, buffer->len};
}

/* An authority, and a node's key and certificate of it. */
struct pki {
    struct buffer ca, ca_key;
    struct authority *authority;
};

struct node_files {
    struct buffer key, request, certificate;
};

static inline void pki_init(struct pki *pki, const char *cluster)
{
    *pki = (struct pki){0};
    authority_create(cluster, time(NULL), &pki->ca, &pki->ca_key);
    ck_assert_int_eq(authority_open(bytes_of(&pki->ca), bytes_of(&pki->ca_key), &pki->authority),
                     0);
}

static inline void pki_fini(struct pki *pki)
{
    authority_free(pki->authority);
    buffer_fini(&pki->ca);
    buffer_fini(&pki->ca_key);
}

static inline struct authority_grant grant_of(const char *cluster, enum identity_role role,
                                              uint64_t id)
{
    return (struct authority_grant){
        .cluster = cluster, .role = role, .id = id, .now_s = time(NULL)};
}

static inline void node_files_init(struct node_files *node, const struct pki *pki,
                                   struct authority_grant grant)
{
    *node = (struct node_files){0};
    authority_request(&node->key, &node->request);
    ck_assert_int_eq(
        authority_issue(pki->authority, &grant, bytes_of(&node->request), &node->certificate), 0);
}

static inline void node_files_fini(struct node_files *node)
{
    pem_wipe(&node->key);
    buffer_fini(&node->request);
    buffer_fini(&node->certificate);
}
