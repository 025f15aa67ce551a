/*
 * Reading a backup's file from its first byte to its last.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/crc32c.h"
#include "proto/base/endian.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "storage/backup_inner.h"

struct scan {
    int fd;
    EVP_MD_CTX *digest;
    struct buffer chunk;
    struct backup_report *report;
    bool headed; /* The image's head was read. */
    int (*each)(void *context, struct bytes chunk, uint32_t crc);
    void *context;
};

static void scan_fini(struct scan *scan)
{
    EVP_MD_CTX_free(scan->digest);
    buffer_fini(&scan->chunk);
}

/* Takes the sentence. */
static int bad(struct scan *scan, char *problem)
{
    free(scan->report->problem);
    scan->report->problem = problem;
    return BACKUP_BAD;
}

static int cut_short(struct scan *scan)
{
    return bad(
        scan, mem_format("it was cut short: it ends after %" PRIu64 " bytes", scan->report->bytes));
}

/* Fewer only at the end of the file. */
static int read_up_to(struct scan *scan, void *base, size_t len, size_t *out)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = read(scan->fd, (uint8_t *)base + got, len - got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_new(-errno);
        if (n == 0)
            break;
        got += (size_t)n;
    }
    scan->report->bytes += got;
    *out = got;
    return 0;
}

static int read_exactly(struct scan *scan, void *base, size_t len)
{
    size_t got = 0;
    int r = read_up_to(scan, base, len, &got);

    if (r < 0)
        return err_up(r);
    if (got < len)
        return cut_short(scan);
    backup_digest_add(scan->digest, base, len);
    return 0;
}

static int scan_header(struct scan *scan)
{
    uint8_t header[BACKUP_HEADER_BYTES] = {0};
    size_t got = 0, len;
    int r = read_up_to(scan, header, sizeof header, &got);

    if (r < 0)
        return err_up(r);
    if (got == 0)
        return bad(scan, mem_string("it is empty"));
    if (memcmp(header, backup_magic, BACKUP_MAGIC_BYTES) != 0)
        return bad(scan, mem_string("it is no backup of a cluster's state"));
    if (got < sizeof header)
        return cut_short(scan);
    if (be32_get(header + BACKUP_MAGIC_BYTES) != BACKUP_FORMAT)
        return bad(scan, mem_format("it is of format %" PRIu32 ", and this program reads format %d",
                                    be32_get(header + BACKUP_MAGIC_BYTES), BACKUP_FORMAT));
    backup_digest_add(scan->digest, header, sizeof header);
    len = header[BACKUP_MAGIC_BYTES + 4];
    if (len > BACKUP_CLUSTER_MAX)
        return bad(scan, mem_string("its header is damaged"));
    r = read_exactly(scan, scan->report->cluster, len);
    if (r == 0 && !backup_cluster_is_valid(scan->report->cluster, len))
        return bad(scan, mem_string("its header is damaged"));
    return r < 0 ? err_up(r) : r;
}

static int take_chunk(struct scan *scan, uint64_t at, uint32_t crc)
{
    struct bytes chunk = {scan->chunk.base, scan->chunk.len};

    if (crc32c(0, chunk.base, chunk.len) != crc)
        return bad(scan, mem_format("at byte %" PRIu64 ": a chunk's checksum does not fit", at));
    if (!scan->headed && snapshot_head(chunk, &scan->report->applied) != 0)
        return bad(scan, mem_string("its image is of another version than this program's"));
    scan->headed = true;
    return scan->each ? scan->each(scan->context, chunk, crc) : 0;
}

/* *out_end: no chunk follows. */
static int scan_chunk(struct scan *scan, bool *out_end)
{
    uint64_t at = scan->report->bytes;
    uint8_t frame[BACKUP_FRAME_BYTES];
    uint32_t len;
    int r = read_exactly(scan, frame, sizeof frame);

    if (r != 0)
        return r < 0 ? err_up(r) : r;
    len = be32_get(frame);
    *out_end = len == 0;
    if (len > SNAPSHOT_CHUNK_MAX || (len == 0 && (be32_get(frame + 4) != 0 || !scan->headed)))
        return bad(scan, mem_format("at byte %" PRIu64 ": no chunk begins here", at));
    if (len == 0)
        return 0;
    buffer_clear(&scan->chunk);
    r = read_exactly(scan, buffer_extend(&scan->chunk, len), len);
    if (r == 0)
        r = take_chunk(scan, at, be32_get(frame + 4));
    if (r == BACKUP_BAD && !scan->report->problem)
        bad(scan,
            mem_format("at byte %" PRIu64 ": a chunk does not follow from what is before it", at));
    return r < 0 ? err_up(r) : r;
}

static int scan_trailer(struct scan *scan)
{
    uint8_t expected[BACKUP_DIGEST_BYTES], stored[BACKUP_DIGEST_BYTES + 1];
    size_t got = 0;
    int r;

    backup_digest_end(scan->digest, expected);
    r = read_up_to(scan, stored, sizeof stored, &got);
    if (r < 0)
        return err_up(r);
    if (got < BACKUP_DIGEST_BYTES)
        return cut_short(scan);
    if (got > BACKUP_DIGEST_BYTES)
        return bad(scan, mem_string("it goes on after its end"));
    if (memcmp(expected, stored, sizeof expected) != 0)
        return bad(scan, mem_string("its SHA-256 does not fit"));
    return 0;
}

int backup_scan(int fd, int (*each)(void *context, struct bytes chunk, uint32_t crc), void *context,
                struct backup_report *out)
{
    struct scan scan = {.fd = fd, .report = out, .each = each, .context = context};
    bool end = false;
    int r;

    *out = (struct backup_report){0};
    scan.digest = backup_digest_new();
    r = scan_header(&scan);
    while (r == 0 && !end)
        r = scan_chunk(&scan, &end);
    if (r == 0)
        r = scan_trailer(&scan);
    scan_fini(&scan);
    return r < 0 ? err_up(r) : r;
}

int backup_verify(int fd, struct backup_report *out)
{
    int r = backup_scan(fd, NULL, NULL, out);

    return r < 0 ? err_up(r) : r;
}

void backup_report_fini(struct backup_report *report)
{
    free(report->problem);
    report->problem = NULL;
}
