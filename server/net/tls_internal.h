/*
 * What tls.c and tls_identity.c share.
 */
#pragma once

#include <openssl/ssl.h>

#include "server/net/tls.h"

struct tls_identity {
    SSL_CTX *context;
    struct identity self;
};

/* A context as all of ours are, without a certificate. Gives. */
SSL_CTX *tls_context_new(void);

/* Let tls.c decide who is let in. */
void tls_set_verification(SSL_CTX *context);
