#include "server/manager/images.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/crc32c.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "server/manager/core_internal.h"
#include "server/net/log.h"
#include "storage/log.h"
#include "storage/snapshot.h"

enum {
    CHUNK_BYTES = 128 << 10,
    ASK_AGAIN_MS = 1000,
    ASK_MAX = 10,          /* Then begin again. */
    BEGIN_AGAIN_MS = 1000, /* After a failure. */
    IDLE_MS = 10000,       /* A picture that nobody looks at makes the file grow. */
};

/* What one peer is fetching from us. */
struct served {
    uint64_t peer;  /* 0: none. */
    uint64_t image; /* Its name for this, so that a chunk of another is not taken for one of it. */
    struct snapshot_reader *reader;
    uint64_t used_ms;
};

/* What we are fetching. */
struct fetch {
    uint64_t from;  /* 0: nothing. */
    uint64_t image; /* 0: none of its chunks has come yet. */
    struct snapshot_writer *writer;
    struct snapshot_position position; /* Of the chunk asked for. */
    uint64_t asked_ms;
    unsigned asked; /* Times, for this chunk. */
    uint64_t began_ms, bytes;
    struct env *complete; /* The writer's work. */
    bool due;             /* It may be adopted. */
};

struct images {
    struct served served[LIMIT_MANAGERS];
    struct fetch fetch;
    uint64_t begin_at_ms; /* Not before. */
};

struct images *images_new(void)
{
    return mem_new(struct images);
}

/* ---- serving */

/* The log keeps what follows the oldest image being fetched: it would be of no use otherwise. */
static void hold_log(struct core *core)
{
    uint64_t oldest = UINT64_MAX;

    for (size_t i = 0; i < LIMIT_MANAGERS; i++) {
        const struct served *other = &core->images->served[i];

        if (other->peer != 0 && snapshot_reader_index(other->reader) < oldest)
            oldest = snapshot_reader_index(other->reader);
    }
    raft_node_hold(core->raft, oldest);
}

void images_loaded(struct core *core)
{
    hold_log(core);
}

static void serve_no_more(struct core *core, struct served *served)
{
    snapshot_reader_free(served->reader);
    *served = (struct served){0};
    hold_log(core);
}

static struct served *served_to(struct images *images, uint64_t peer)
{
    for (size_t i = 0; i < LIMIT_MANAGERS; i++)
        if (images->served[i].peer == peer)
            return &images->served[i];
    return NULL;
}

/* A picture of now for this peer. NULL: it could not be had. */
static struct served *serve(struct core *core, uint64_t peer)
{
    struct served *served = served_to(core->images, peer);
    struct snapshot_reader *reader;
    int r;

    if (served)
        serve_no_more(core, served);
    served = served_to(core->images, 0);
    if (!served)
        return NULL; /* As many as there can be managers. */
    r = snapshot_reader_open(core->config.env, &reader);
    if (r < 0) {
        log_warning("image.refused peer=%llu error=\"%s\"", (unsigned long long)peer, strerror(-r));
        return NULL;
    }
    *served = (struct served){peer, rng_next(&core->rng) | 1, reader, core->now_ms};
    log_info("image.sending peer=%llu index=%llu", (unsigned long long)peer,
             (unsigned long long)snapshot_reader_index(reader));
    hold_log(core);
    return served;
}

static void send_chunk(struct core *core, uint64_t to, Peer__ImageChunk *chunk)
{
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;

    frame.from = core->config.id;
    frame.body_case = PEER__PEER_FRAME__BODY_IMAGE_CHUNK;
    frame.image_chunk = chunk;
    core_hold(core, to, &frame);
}

/* Its image is gone, or never was: image 0 says so. */
static void send_gone(struct core *core, uint64_t to)
{
    Peer__ImageChunk chunk = PEER__IMAGE_CHUNK__INIT;

    send_chunk(core, to, &chunk);
}

static void answer_get(struct core *core, uint64_t from, const Peer__ImageGet *get)
{
    scope(buffer_fini) struct buffer bytes = {0};
    struct snapshot_position position = {0}, next = {0};
    Peer__ImageChunk chunk = PEER__IMAGE_CHUNK__INIT;
    struct served *served = get->image == 0 ? serve(core, from) : served_to(core->images, from);
    bool last = false;
    int r;

    if (get->position.len > sizeof position.at)
        return;
    if (!served || (get->image != 0 && served->image != get->image)) {
        send_gone(core, from);
        return;
    }
    position.len = get->position.len;
    if (position.len > 0)
        memcpy(position.at, get->position.data, position.len);
    r = snapshot_read(served->reader, &position, CHUNK_BYTES, &bytes, &next, &last);
    if (r != 0) {
        log_warning("image.ended peer=%llu error=\"%s\"", (unsigned long long)from,
                    r < 0 ? strerror(-r) : "no such position");
        serve_no_more(core, served);
        send_gone(core, from);
        return;
    }
    served->used_ms = core->now_ms;
    chunk.image = served->image;
    chunk.position = get->position;
    chunk.next = (ProtobufCBinaryData){next.len, next.at};
    chunk.chunk = (ProtobufCBinaryData){bytes.len, bytes.base};
    chunk.crc = crc32c(0, bytes.base, bytes.len);
    chunk.last = last;
    send_chunk(core, from, &chunk);
}

static void end_idle(struct core *core)
{
    for (size_t i = 0; i < LIMIT_MANAGERS; i++) {
        struct served *served = &core->images->served[i];

        if (served->peer != 0 && core->now_ms >= served->used_ms + IDLE_MS)
            serve_no_more(core, served);
    }
}

/* ---- fetching */

static void discard(struct core *core)
{
    struct fetch *fetch = &core->images->fetch;
    int r;

    snapshot_writer_free(fetch->writer);
    env_free(fetch->complete);
    *fetch = (struct fetch){0};
    r = env_remove(core->config.incoming);
    if (r < 0)
        log_warning("image.left dir=\"%s\" error=\"%s\"", core->config.incoming, strerror(-r));
}

static void give_up(struct core *core, const char *why)
{
    log_warning("image.given_up peer=%llu bytes=%llu reason=\"%s\"",
                (unsigned long long)core->images->fetch.from,
                (unsigned long long)core->images->fetch.bytes, why);
    discard(core);
    core->images->begin_at_ms = core->now_ms + BEGIN_AGAIN_MS;
}

static void ask(struct core *core)
{
    struct fetch *fetch = &core->images->fetch;
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__ImageGet get = PEER__IMAGE_GET__INIT;

    get.image = fetch->image;
    get.position = (ProtobufCBinaryData){fetch->position.len, fetch->position.at};
    frame.from = core->config.id;
    frame.body_case = PEER__PEER_FRAME__BODY_IMAGE_GET;
    frame.image_get = &get;
    fetch->asked_ms = core->now_ms;
    fetch->asked++;
    core_hold(core, fetch->from, &frame);
}

static void begin_fetch(struct core *core, uint64_t from, uint64_t index)
{
    struct fetch *fetch = &core->images->fetch;
    const char *dir = core->config.incoming;
    int r = env_remove(dir);

    if (r == 0 && mkdir(dir, 0700) < 0)
        r = -errno;
    fetch->from = from;
    fetch->began_ms = core->now_ms;
    if (r == 0)
        r = snapshot_writer_open(dir, env_mapped(core->config.env), &fetch->writer);
    if (r < 0) {
        give_up(core, strerror(-r));
        return;
    }
    log_info("image.fetching peer=%llu index=%llu", (unsigned long long)from,
             (unsigned long long)index);
    ask(core);
}

static void finish_fetch(struct core *core)
{
    struct fetch *fetch = &core->images->fetch;
    int r = snapshot_finish(fetch->writer, &fetch->complete);

    if (r == 0)
        snapshot_writer_free(steal(fetch->writer));
    else
        give_up(core, r < 0 ? strerror(-r) : "it is not whole");
}

static bool is_position(const ProtobufCBinaryData *said, const struct snapshot_position *position)
{
    return said->len == position->len &&
           (said->len == 0 || memcmp(said->data, position->at, said->len) == 0);
}

static void take_chunk(struct core *core, uint64_t from, const Peer__ImageChunk *chunk)
{
    struct fetch *fetch = &core->images->fetch;
    int r;

    if (fetch->from != from || !fetch->writer)
        return;
    if (chunk->image == 0) {
        give_up(core, "the leader has it no more");
        core->images->begin_at_ms = core->now_ms;
        return;
    }
    if (fetch->image == 0)
        fetch->image = chunk->image;
    if (chunk->image != fetch->image || !is_position(&chunk->position, &fetch->position))
        return; /* An answer to an older question. */
    r = chunk->next.len > sizeof fetch->position.at
            ? SNAPSHOT_BAD
            : snapshot_write(fetch->writer, (struct bytes){chunk->chunk.data, chunk->chunk.len},
                             chunk->crc);
    if (r != 0) {
        give_up(core, r < 0 ? strerror(-r) : "a chunk is damaged");
        return;
    }
    fetch->bytes += chunk->chunk.len;
    fetch->asked = 0;
    fetch->position.len = chunk->next.len;
    if (chunk->next.len > 0)
        memcpy(fetch->position.at, chunk->next.data, chunk->next.len);
    if (chunk->last)
        finish_fetch(core);
    else
        ask(core);
}

bool images_receive(struct core *core, const Peer__PeerFrame *frame)
{
    switch (frame->body_case) {
    case PEER__PEER_FRAME__BODY_IMAGE_GET:
        answer_get(core, frame->from, frame->image_get);
        return true;
    case PEER__PEER_FRAME__BODY_IMAGE_CHUNK:
        take_chunk(core, frame->from, frame->image_chunk);
        return true;
    default:
        return false;
    }
}

/* Raft 5.1: of no use if the log has the entry, or more is known to be committed. */
static int judge(struct core *core)
{
    struct fetch *fetch = &core->images->fetch;
    scope(txn_abort) struct txn *txn = NULL;
    struct log_applied applied;
    bool installs = false;
    int r = env_read(fetch->complete, &txn);

    if (r == 0)
        r = log_applied_get(txn, &applied);
    if (r == 0)
        r = raft_node_installs(core->raft, applied.index, applied.term, &installs);
    if (r < 0)
        return err_up(r);
    txn_abort(steal(txn));
    if (installs)
        fetch->due = true;
    else
        give_up(core, "there is no need of it any more");
    return 0;
}

int images_turn(struct core *core)
{
    struct fetch *fetch = &core->images->fetch;
    uint64_t leader = 0, index = 0;
    bool wanted;

    end_idle(core);
    if (!core->config.incoming)
        return 0;
    wanted = raft_node_snapshot_wanted(core->raft, &leader, &index);
    if (fetch->complete)
        return core->now_ms < core->images->begin_at_ms ? 0 : err_up(judge(core));
    if (fetch->from != 0 && (!wanted || leader != fetch->from))
        give_up(core, "the leader has changed, or sends entries again");
    if (fetch->from != 0 && core->now_ms >= fetch->asked_ms + ASK_AGAIN_MS) {
        if (fetch->asked == ASK_MAX)
            give_up(core, "no answer");
        else
            ask(core);
    }
    if (wanted && fetch->from == 0 && core->now_ms >= core->images->begin_at_ms)
        begin_fetch(core, leader, index);
    return 0;
}

/* ---- adopting */

bool images_are_due(const struct core *core)
{
    return core->images->fetch.due;
}

/* What is our own and not of the image: who we are, and whom we voted for. */
static int make_ours(struct core *core, struct env *image)
{
    scope(txn_abort) struct txn *from = NULL;
    scope(txn_abort) struct txn *to = NULL;
    struct log_vote vote;
    struct log_self self;
    int r = env_read(core->config.env, &from);

    if (r == 0)
        r = env_write(image, &to);
    if (r == 0)
        r = log_vote_get(from, &vote);
    if (r == 0)
        r = log_vote_put(to, &vote);
    if (r == 0)
        r = log_owner(to, core->config.id);
    if (r == 0)
        r = log_self_get(from, &self);
    if (r == 0)
        r = log_self_put(to, &self);
    if (r < 0)
        return err_up(r);
    return err_up(txn_commit(steal(to)));
}

int images_adopt(struct core *core)
{
    struct fetch *fetch = &core->images->fetch;
    uint64_t took_ms = core->now_ms - fetch->began_ms;
    int r = make_ours(core, fetch->complete);

    fetch->due = false; /* Judged anew, should this not be the moment. */
    if (r == 0)
        r = env_adopt(core->config.env, fetch->complete);
    if (r == -EBUSY) {
        core->images->begin_at_ms = core->now_ms + BEGIN_AGAIN_MS; /* Waiting stops the core. */
        return 0;
    }
    if (r < 0)
        return err_up(r);
    log_info("image.adopted peer=%llu bytes=%llu ms=%llu", (unsigned long long)fetch->from,
             (unsigned long long)fetch->bytes, (unsigned long long)took_ms);
    discard(core); /* The old state now. */
    return err_up(core_reopen(core));
}

uint64_t images_deadline(const struct core *core)
{
    const struct images *images = core->images;
    uint64_t at = images->fetch.complete ? images->begin_at_ms : UINT64_MAX;

    if (images->fetch.from != 0 && !images->fetch.complete)
        at = images->fetch.asked_ms + ASK_AGAIN_MS;
    for (size_t i = 0; i < LIMIT_MANAGERS; i++) {
        const struct served *served = &images->served[i];

        if (served->peer != 0 && served->used_ms + IDLE_MS < at)
            at = served->used_ms + IDLE_MS;
    }
    return at;
}

void images_free(struct images *images)
{
    if (!images)
        return;
    for (size_t i = 0; i < LIMIT_MANAGERS; i++)
        snapshot_reader_free(images->served[i].reader);
    snapshot_writer_free(images->fetch.writer);
    env_free(images->fetch.complete);
    free(images);
}
