/* Any bytes as a certificate, as a request, and as PEM of either: nobody, or somebody whole. */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <string.h>

#include "proto/base/must.h"
#include "server/net/authority.h"
#include "server/net/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(const struct identity *identity)
{
    must(identity_cluster_is_valid(identity->cluster));
    must(identity->id != 0);
    must(identity_role_named(identity_role_name(identity->role)) == identity->role);
    must(strlen(identity->key) == IDENTITY_KEY_CHARS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *at = data;
    X509 *certificate = d2i_X509(NULL, &at, (long)size);
    struct identity identity;
    uint8_t digest[IDENTITY_DIGEST_BYTES];
    char key[IDENTITY_KEY_CHARS + 1];

    if (certificate && identity_of(certificate, &identity) == 0)
        look_at(&identity);
    X509_free(certificate);
    if (identity_of_pem((struct bytes){data, size}, &identity) == 0)
        look_at(&identity);
    (void)identity_pem_digest((struct bytes){data, size}, digest);
    if (authority_request_key((struct bytes){data, size}, key) == 0)
        must(strlen(key) == IDENTITY_KEY_CHARS);
    ERR_clear_error();
    return 0;
}
