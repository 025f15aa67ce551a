/*
 * What the backup files share: the shape of the file (storage/format.md) and its digest.
 */
#pragma once

#include <openssl/evp.h>

#include "storage/backup.h"
#include "storage/snapshot.h"

static const char backup_magic[] = "CAISBAK\n";

enum {
    BACKUP_MAGIC_BYTES = 8,
    BACKUP_HEADER_BYTES = 13, /* magic, format, length of the cluster's id, which follows */
    BACKUP_FRAME_BYTES = 8,   /* length of a chunk, its CRC-32C; zeroes: no chunk follows */
    BACKUP_DIGEST_BYTES = 32,
};

EVP_MD_CTX *backup_digest_new(void);
void backup_digest_add(EVP_MD_CTX *digest, const void *base, size_t len);
void backup_digest_end(EVP_MD_CTX *digest, uint8_t out[BACKUP_DIGEST_BYTES]);

bool backup_cluster_is_valid(const char *cluster, size_t len);

/* backup_verify, with what each chunk is for: `each` returns 0, BACKUP_BAD or -errno. */
int backup_scan(int fd, int (*each)(void *context, struct bytes chunk, uint32_t crc), void *context,
                struct backup_report *out);
