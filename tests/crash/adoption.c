#include "tests/crash/adoption.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "proto/base/bytes.h"
#include "proto/base/crc32c.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "tests/crash/story.h"

enum { CHUNK_BYTES = 700 };

static int read_image(struct adoption *adoption, struct snapshot_reader *reader)
{
    struct snapshot_position position = {0};
    bool last = false;
    int r = 0;

    adoption->index = snapshot_reader_index(reader);
    while (r == 0 && !last) {
        struct snapshot_position next = {0};

        must(adoption->chunk_count < ADOPTION_CHUNKS_MAX);
        adoption->chunks =
            mem_resize(adoption->chunks, adoption->chunk_count + 1, sizeof *adoption->chunks);
        adoption->chunks[adoption->chunk_count] = (struct buffer){0};
        r = snapshot_read(reader, &position, CHUNK_BYTES,
                          &adoption->chunks[adoption->chunk_count++], &next, &last);
        position = next;
    }
    return err_up(r);
}

int adoption_begin(struct adoption *adoption, struct env *env, const char *dir)
{
    scope(snapshot_reader_free) struct snapshot_reader *reader = NULL;
    int r = snapshot_reader_open(env, &reader);

    must(adoption->incoming == NULL);
    if (r == 0)
        r = read_image(adoption, reader);
    if (r < 0)
        return err_up(r);
    adoption->incoming = mem_format("%s/incoming", dir);
    if (mkdir(adoption->incoming, 0700) < 0)
        return err_new(-errno);
    return err_up(snapshot_writer_open(adoption->incoming, STORY_MAP_BYTES, &adoption->writer));
}

int adoption_write(struct adoption *adoption, size_t count)
{
    int r = 0;

    while (r == 0 && count-- > 0 && adoption->written < adoption->chunk_count) {
        const struct buffer *chunk = &adoption->chunks[adoption->written++];

        r = snapshot_write(adoption->writer, (struct bytes){chunk->base, chunk->len},
                           crc32c(0, chunk->base, chunk->len));
        must(r <= 0);
    }
    return err_up(r);
}

int adoption_finish(struct adoption *adoption)
{
    int r = snapshot_finish(adoption->writer, &adoption->next);

    must(r <= 0);
    snapshot_writer_free(steal(adoption->writer));
    return err_up(r);
}

int adoption_own(struct adoption *adoption, uint64_t owner, const struct log_vote *vote)
{
    scope(txn_abort) struct txn *txn = NULL;
    int r = env_write(adoption->next, &txn);

    if (r == 0)
        r = log_owner(txn, owner);
    if (r == 0)
        r = log_vote_put(txn, vote);
    return r < 0 ? err_up(r) : err_up(txn_commit(steal(txn)));
}

void adoption_drop(struct adoption *adoption)
{
    snapshot_writer_free(adoption->writer);
    env_free(adoption->next);
    for (size_t i = 0; i < adoption->chunk_count; i++)
        buffer_fini(&adoption->chunks[i]);
    free(adoption->chunks);
    free(adoption->incoming);
    *adoption = (struct adoption){0};
}

int adoption_end(struct adoption *adoption)
{
    char *incoming = steal(adoption->incoming);
    int r;

    adoption_drop(adoption);
    r = env_remove(incoming);
    free(incoming);
    return err_up(r);
}
