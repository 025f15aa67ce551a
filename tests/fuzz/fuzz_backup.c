/* A backup's file, from bytes: verifying it and restoring it end in a result, and nothing but a
 * whole one becomes a state. The digest is made to fit, so that what is inside is reached. */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/crc32c.h"
#include "proto/base/endian.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "storage/backup.h"

enum { HEADER = 13 + 4, FRAME = 8, DIGEST = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The frames' checksums, as far as their lengths lead. */
static void fit(uint8_t *file, size_t size)
{
    size_t at = HEADER;

    while (size >= DIGEST && at + FRAME <= size - DIGEST) {
        size_t len = be32_get(file + at);

        if (len == 0 || len > size - DIGEST - at - FRAME)
            break;
        be32_put(file + at + 4, crc32c(0, file + at + FRAME, len));
        at += FRAME + len;
    }
    if (size >= DIGEST)
        must(EVP_Digest(file, size - DIGEST, file + size - DIGEST, NULL, EVP_sha256(), NULL) == 1);
}

static void remove_in(const char *dir, const char *name)
{
    char *path = mem_format("%s/%s", dir, name);

    if (unlink(path) < 0)
        rmdir(path);
    free(path);
}

static void verify_as_it_is(const uint8_t *data, size_t size)
{
    struct backup_report report;
    int fd = memfd_create("backup", MFD_CLOEXEC);

    must(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
    must((backup_verify(fd, &report) == 0) == !report.problem);
    backup_report_fini(&report);
    close(fd);
}

static void restore_made_to_fit(const uint8_t *data, size_t size)
{
    char dir[] = "/dev/shm/fuzz-backup-XXXXXX";
    uint8_t *file = mem_zeroed(1, HEADER + size + DIGEST);
    int fd = memfd_create("backup", MFD_CLOEXEC);
    struct backup_report report;
    struct stat found;
    char *state;
    int r;

    memcpy(file, "CAISBAK\n\0\0\0\1\4blue", HEADER);
    memcpy(file + HEADER, data, size);
    size += HEADER + DIGEST;
    fit(file, size);
    must(mkdtemp(dir) != NULL && fd >= 0 && write(fd, file, size) == (ssize_t)size);
    state = mem_format("%s/state", dir);
    r = backup_restore(fd, dir, &report);
    must(r >= 0);
    must((r == 0) == (stat(state, &found) == 0));
    remove_in(state, "data.mdb");
    remove_in(state, "lock.mdb");
    remove_in(dir, "state");
    must(rmdir(dir) == 0); /* Nothing else is left. */
    backup_report_fini(&report);
    free(state);
    free(file);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    verify_as_it_is(data, size);
    restore_made_to_fit(data, size);
    return 0;
}
