#include "server/manager/node_key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "storage/directory.h"

enum { NAMED_BYTES = MEMBER_KEY_CHARS / 2 };

static void name_key(EVP_PKEY *key, char out[MEMBER_KEY_CHARS + 1])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(key, &der);

    must(len > 0);
    SHA256(der, (size_t)len, digest);
    OPENSSL_free(der);
    for (size_t i = 0; i < NAMED_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static int load(const char *path, EVP_PKEY **out)
{
    FILE *file = fopen(path, "re");

    if (!file)
        return err_new(-errno);
    *out = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    return *out ? 0 : err_new(-EUCLEAN);
}

static int write_draft(const char *path, EVP_PKEY *key)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    int r = 0;

    if (!file)
        return err_new(-errno);
    if (PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1 || fflush(file) == EOF ||
        fsync(fd) < 0)
        r = errno ? -errno : -EIO;
    if (fclose(file) == EOF && r == 0)
        r = -errno;
    return err_new(r);
}

static int make(const char *folder, const char *path, EVP_PKEY **out)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *draft;
    int r;

    if (!key)
        return err_new(-ENOMEM); /* What else it could be has no name here. */
    draft = mem_format("%s/.key.pem", folder);
    r = write_draft(draft, key);
    if (r == 0 && rename(draft, path) < 0)
        r = err_new(-errno);
    if (r == 0)
        r = directory_sync(folder);
    free(draft);
    if (r < 0)
        EVP_PKEY_free(key);
    else
        *out = key;
    return err_up(r);
}

int node_key(const char *dir, char out[MEMBER_KEY_CHARS + 1])
{
    char *folder = mem_format("%s/identity", dir);
    char *path = mem_format("%s/key.pem", folder);
    EVP_PKEY *key = NULL;
    int r = directory_make(folder);

    if (r == 0) {
        r = load(path, &key);
        if (r == -ENOENT)
            r = make(folder, path, &key);
    }
    if (r == 0)
        name_key(key, out);
    EVP_PKEY_free(key);
    free(folder);
    free(path);
    return err_up(r);
}
