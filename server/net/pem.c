#include "server/net/pem.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "proto/base/must.h"
#include "server/net/identity.h"

static BIO *reading(struct bytes pem)
{
    BIO *bio;

    if (pem.len == 0 || pem.len > IDENTITY_PEM_BYTES)
        return NULL;
    bio = BIO_new_mem_buf(pem.base, (int)pem.len);
    must(bio);
    return bio;
}

/* Instead of asking at the terminal. */
static int no_passphrase(char *out, int size, int is_writing, void *context)
{
    (void)out;
    (void)size;
    (void)is_writing;
    (void)context;
    return -1;
}

X509 *pem_certificate(struct bytes pem)
{
    scope(bio_free) BIO *bio = reading(pem);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;

    ERR_clear_error();
    return certificate;
}

X509_REQ *pem_request(struct bytes pem)
{
    scope(bio_free) BIO *bio = reading(pem);
    X509_REQ *request = bio ? PEM_read_bio_X509_REQ(bio, NULL, no_passphrase, NULL) : NULL;

    ERR_clear_error();
    return request;
}

EVP_PKEY *pem_private_key(struct bytes pem)
{
    scope(bio_free) BIO *bio = reading(pem);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

    ERR_clear_error();
    return key;
}

static BIO *writing(void)
{
    BIO *bio = BIO_new(BIO_s_secmem());

    must(bio);
    return bio;
}

static void put(struct buffer *out, BIO *bio)
{
    char *text;
    long len = BIO_get_mem_data(bio, &text);

    must(len > 0);
    buffer_append(out, text, (size_t)len);
}

void pem_put_certificate(struct buffer *out, X509 *certificate)
{
    scope(bio_free) BIO *bio = writing();

    must(PEM_write_bio_X509(bio, certificate) == 1);
    put(out, bio);
}

void pem_put_request(struct buffer *out, X509_REQ *request)
{
    scope(bio_free) BIO *bio = writing();

    must(PEM_write_bio_X509_REQ(bio, request) == 1);
    put(out, bio);
}

void pem_put_private_key(struct buffer *out, EVP_PKEY *key)
{
    scope(bio_free) BIO *bio = writing();

    must(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    put(out, bio);
}

void pem_wipe(struct buffer *secret)
{
    if (secret->base)
        OPENSSL_cleanse(secret->base, secret->cap);
    buffer_fini(secret);
}
