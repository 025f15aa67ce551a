#include "storage/backup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/crc32c.h"
#include "proto/base/endian.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "storage/backup_inner.h"

enum { CHUNK_BYTES = 128 << 10 };

struct backup {
    struct snapshot_reader *reader;
    struct snapshot_position position;
    EVP_MD_CTX *digest;
    char cluster[BACKUP_CLUSTER_MAX + 1];
    enum { AT_HEADER, AT_CHUNKS, AT_TRAILER, AT_END } at;
};

bool backup_cluster_is_valid(const char *cluster, size_t len)
{
    if (len == 0 || len > BACKUP_CLUSTER_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (cluster[i] <= ' ' || cluster[i] > '~')
            return false;
    return true;
}

static int read_cluster(struct env *env, char out[BACKUP_CLUSTER_MAX + 1])
{
    scope(txn_abort) struct txn *txn = NULL;
    struct log_self self;
    int r = env_read(env, &txn);

    if (r == 0)
        r = log_self_get(txn, &self);
    if (r != 0)
        return r < 0 ? err_up(r) : BACKUP_NOTHING;
    if (!backup_cluster_is_valid(self.cluster, strlen(self.cluster)))
        return err_new(-EUCLEAN);
    memcpy(out, self.cluster, strlen(self.cluster) + 1);
    return 0;
}

int backup_open(struct env *env, struct backup **out)
{
    scope(backup_free) struct backup *backup = mem_new(struct backup);
    int r = read_cluster(env, backup->cluster);

    if (r != 0)
        return r < 0 ? err_up(r) : BACKUP_NOTHING;
    r = snapshot_reader_open(env, &backup->reader);
    if (r < 0)
        return err_up(r);
    if (snapshot_reader_index(backup->reader) == 0)
        return BACKUP_NOTHING;
    backup->digest = backup_digest_new();
    *out = steal(backup);
    return 0;
}

void backup_free(struct backup *backup)
{
    if (!backup)
        return;
    snapshot_reader_free(backup->reader);
    EVP_MD_CTX_free(backup->digest);
    free(backup);
}

EVP_MD_CTX *backup_digest_new(void)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();

    must(digest != NULL); /* These fail for want of memory, or of SHA-256 in the library. */
    must(EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1);
    return digest;
}

void backup_digest_add(EVP_MD_CTX *digest, const void *base, size_t len)
{
    must(EVP_DigestUpdate(digest, base, len) == 1);
}

void backup_digest_end(EVP_MD_CTX *digest, uint8_t out[BACKUP_DIGEST_BYTES])
{
    must(EVP_DigestFinal_ex(digest, out, NULL) == 1);
}

static void add_header(const struct backup *backup, struct buffer *out)
{
    size_t len = strlen(backup->cluster);
    uint8_t *at = buffer_extend(out, BACKUP_HEADER_BYTES);

    memcpy(at, backup_magic, BACKUP_MAGIC_BYTES);
    be32_put(at + BACKUP_MAGIC_BYTES, BACKUP_FORMAT);
    at[BACKUP_MAGIC_BYTES + 4] = (uint8_t)len;
    buffer_append(out, backup->cluster, len);
}

static int add_chunk(struct backup *backup, struct buffer *out)
{
    struct snapshot_position next;
    size_t from = out->len;
    uint8_t *at;
    bool last;
    int r;

    buffer_extend(out, BACKUP_FRAME_BYTES);
    r = snapshot_read(backup->reader, &backup->position, CHUNK_BYTES, out, &next, &last);
    must(r <= 0); /* The position is the reader's own. */
    if (r < 0)
        return err_up(r);
    at = out->base + from;
    be32_put(at, (uint32_t)(out->len - from - BACKUP_FRAME_BYTES));
    be32_put(at + 4, crc32c(0, at + BACKUP_FRAME_BYTES, out->len - from - BACKUP_FRAME_BYTES));
    if (last)
        backup->at = AT_TRAILER;
    else
        backup->position = next;
    return 0;
}

static void add_trailer(struct backup *backup, struct buffer *out)
{
    uint8_t *at = buffer_extend(out, BACKUP_FRAME_BYTES + BACKUP_DIGEST_BYTES);

    memset(at, 0, BACKUP_FRAME_BYTES);
    backup_digest_add(backup->digest, at, BACKUP_FRAME_BYTES);
    backup_digest_end(backup->digest, at + BACKUP_FRAME_BYTES);
}

int backup_read(struct backup *backup, struct buffer *out)
{
    size_t from = out->len;
    int r;

    switch (backup->at) {
    case AT_HEADER:
        add_header(backup, out);
        backup->at = AT_CHUNKS;
        break;
    case AT_CHUNKS:
        r = add_chunk(backup, out);
        if (r < 0)
            return err_up(r);
        break;
    case AT_TRAILER:
        add_trailer(backup, out);
        backup->at = AT_END;
        return 0;
    default:
        return BACKUP_END;
    }
    backup_digest_add(backup->digest, out->base + from, out->len - from);
    return 0;
}

int backup_write(struct env *env, int (*write)(void *context, struct bytes bytes), void *context)
{
    scope(backup_free) struct backup *backup = NULL;
    scope(buffer_fini) struct buffer bytes = {0};
    int r = backup_open(env, &backup);

    if (r != 0)
        return r < 0 ? err_up(r) : BACKUP_NOTHING;
    for (;;) {
        buffer_clear(&bytes);
        r = backup_read(backup, &bytes);
        if (r == BACKUP_END)
            return 0;
        if (r == 0)
            r = write(context, (struct bytes){bytes.base, bytes.len});
        if (r < 0)
            return err_up(r);
    }
}
