/* Chunks of an image, from bytes: every one ends in a result, and the writer goes on to none after
 * a bad one. The first two bytes of each stretch are its length; its checksum is made to fit. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/base/crc32c.h"
#include "proto/base/must.h"
#include "storage/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void unlink_in(const char *dir, const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char dir[] = "/tmp/fuzz-snapshot-XXXXXX";
    struct snapshot_writer *writer = NULL;
    struct env *image = NULL;
    int r = 0;

    must(mkdtemp(dir) != NULL);
    must(snapshot_writer_open(dir, (size_t)16 << 20, &writer) == 0);
    unlink_in(dir, "data.mdb");
    unlink_in(dir, "lock.mdb");
    rmdir(dir);
    while (r == 0 && size > 2) {
        size_t len = (size_t)data[0] << 8 | data[1];

        data += 2;
        size -= 2;
        len = len < size ? len : size;
        r = snapshot_write(writer, (struct bytes){data, len}, crc32c(0, data, len));
        data += len;
        size -= len;
    }
    must(r >= 0);
    if (r == 0)
        must(snapshot_finish(writer, &image) >= 0);
    env_free(image);
    snapshot_writer_free(writer);
    return 0;
}
