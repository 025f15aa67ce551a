#include "server/manager/join.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "proto/unpacking.h"
#include "server/manager/peers.h"
#include "server/net/address.h"
#include "server/net/frame.h"
#include "server/net/log.h"
#include "server/net/stream.h"
#include "server/net/token.h"

enum {
    CONNECT_MS = 2000,
    ANSWER_MS = 8000,
    RETRY_FIRST_MS = 50,
    RETRY_MAX_MS = 3000,
    RETRY_FILE_MS = 100, /* Who waits for a file waits for somebody who is about to write it. */
    REASON_BYTES = 512,
};

struct join {
    uv_loop_t *loop;
    const struct manager_options *options;
    const struct join_newcomer *newcomer;
    const struct sockaddr_storage *source;
    struct token token; /* As last read. */
    struct credentials *credentials;
    struct self *out;
    uv_timer_t timer;
    struct stream *stream;
    struct frame_reader reader;
    char *first;  /* Whom we were told to ask. */
    char *leader; /* Whom we were sent to, or NULL. */
    unsigned retry_ms;
    char reason[REASON_BYTES]; /* As last logged. */
    int result;
    bool done;
};

/* ---- what is decided */

static void finish(struct join *join, int result)
{
    join->result = result;
    join->done = true;
    uv_stop(join->loop);
}

static void refuse(struct join *join, const char *why)
{
    log_error("join.refused by=%s reason=\"%.400s\"", join->leader ? join->leader : join->first,
              why);
    finish(join, JOIN_REFUSED);
}

static void hang_up(struct join *join)
{
    if (join->stream)
        stream_close(join->stream, NULL, NULL);
    join->stream = NULL;
    frame_reader_fini(&join->reader);
    join->reader = (struct frame_reader){0};
}

static void retry_due(uv_timer_t *timer);

static void retry(struct join *join, const char *why, unsigned most_ms)
{
    unsigned wait_ms = join->retry_ms < most_ms ? join->retry_ms : most_ms;

    if (strncmp(why, join->reason, sizeof join->reason - 1) != 0)
        log_warning("join.waits at=%s reason=\"%.400s\"", join->leader ? join->leader : join->first,
                    why);
    snprintf(join->reason, sizeof join->reason, "%s", why);
    hang_up(join);
    free(steal(join->leader)); /* It may have changed: begin anew. */
    join->retry_ms = wait_ms * 2;
    uv_timer_start(&join->timer, retry_due, wait_ms, 0);
}

/* ---- answers */

/* Are these certificates for us, of the authority that the token names? */
static bool takes_certificates(struct join *join, const Peer__Joined *joined)
{
    scope(tls_identity_free) struct tls_identity *identity = NULL;
    const struct tls_files files = {
        {joined->ca.data, joined->ca.len},
        {joined->certificate.data, joined->certificate.len},
        {join->credentials->key.base, join->credentials->key.len},
    };
    uint8_t digest[IDENTITY_DIGEST_BYTES];
    const struct identity *self;

    if (identity_pem_digest(files.authority, digest) != 0 ||
        memcmp(digest, join->token.authority, sizeof digest) != 0 ||
        tls_identity_new(&files, &identity) != 0)
        return false;
    self = tls_identity_self(identity);
    return self->id == joined->id && self->role == IDENTITY_MANAGER &&
           strcmp(self->cluster, joined->cluster) == 0;
}

static void take_success(struct join *join, const Peer__Joined *joined)
{
    struct self self = {.member = *join->newcomer->described};

    self.member.id = joined->id;
    if (!member_id_is_valid(joined->id) || !*joined->cluster ||
        strlen(joined->cluster) >= SELF_CLUSTER || !takes_certificates(join, joined)) {
        retry(join, "its answer makes no sense", RETRY_MAX_MS);
        return;
    }
    snprintf(self.cluster, sizeof self.cluster, "%s", joined->cluster);
    buffer_append(&join->credentials->authority, joined->ca.data, joined->ca.len);
    buffer_append(&join->credentials->certificate, joined->certificate.data,
                  joined->certificate.len);
    *join->out = self;
    finish(join, 0);
}

static void ask(struct join *join);

static void take_answer(struct join *join, const Peer__Joined *joined)
{
    if (*joined->problem && joined->is_final) {
        refuse(join, joined->problem);
    } else if (*joined->problem) {
        retry(join, joined->problem, RETRY_MAX_MS);
    } else if (joined->id != 0) {
        take_success(join, joined);
    } else if (*joined->leader && !join->leader) {
        hang_up(join);
        join->leader = mem_string(joined->leader);
        ask(join);
    } else {
        retry(join, "it does not know who leads", RETRY_MAX_MS);
    }
}

static void received(void *context, struct bytes bytes)
{
    struct join *join = context;
    Peer__PeerFrame *frame = NULL;
    struct bytes message;
    int r;

    frame_feed(&join->reader, bytes);
    r = frame_next(&join->reader, &message);
    if (r == FRAME_PARTIAL)
        return;
    if (r == 0)
        frame = peer__peer_frame__unpack(&unpacking, message.len, message.base);
    if (frame && frame->body_case == PEER__PEER_FRAME__BODY_JOINED)
        take_answer(join, frame->joined);
    else
        retry(join, "it does not answer as a manager does", RETRY_MAX_MS);
    if (frame)
        peer__peer_frame__free_unpacked(frame, NULL);
}

static void ended(void *context, int reason)
{
    struct join *join = context;
    char why[REASON_BYTES];

    snprintf(why, sizeof why, "%s", stream_error(join->stream, reason));
    if (reason == -EACCES)
        refuse(join,
               why); /* Another cluster than the token's: asking again makes no other of it. */
    else
        retry(join, why, RETRY_MAX_MS);
}

static void answer_late(uv_timer_t *timer)
{
    retry(timer->data, "it does not answer", RETRY_MAX_MS);
}

/* ---- asking */

/* The token's text; NULL, and the next try is set, while there is none. Gives. */
static char *read_token(struct join *join)
{
    const char *path = join->options->token_file;
    char text[TOKEN_TEXT + 1] = "";
    char why[REASON_BYTES];
    ssize_t len;
    int fd;

    if (!path)
        return mem_string(join->options->token);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    snprintf(why, sizeof why, "--token-file %.300s: %s", path,
             len < 0 ? strerror(errno) : "it is empty");
    if (fd >= 0)
        close(fd);
    if (len <= 0) {
        retry(join, why, RETRY_FILE_MS);
        return NULL;
    }
    text[strcspn(text, "\r\n")] = '\0';
    return mem_string(text);
}

static void send_join(struct join *join, const char *token)
{
    scope(buffer_fini) struct buffer bytes = {0};
    Peer__PeerFrame frame = PEER__PEER_FRAME__INIT;
    Peer__Join body = PEER__JOIN__INIT;
    char record[MEMBER_TEXT];

    body.version = PEERS_VERSION;
    body.token = (char *)token;
    body.record = (char *)member_format(join->newcomer->described, record);
    body.request.data = (uint8_t *)join->newcomer->request.base;
    body.request.len = join->newcomer->request.len;
    frame.body_case = PEER__PEER_FRAME__BODY_JOIN;
    frame.join = &body;
    peer__peer_frame__pack(&frame, frame_open(&bytes, peer__peer_frame__get_packed_size(&frame)));
    (void)stream_write_buffer(join->stream, &bytes); /* The first bytes fit. */
}

static void dial(struct join *join, const struct sockaddr_storage *to, const char *token)
{
    const struct tls_dial tls = {.protocol = TLS_JOIN, .authority = join->token.authority};
    struct stream_connect_config config = {
        .to = to,
        .source = join->source,
        .timeout_ms = CONNECT_MS,
        .tls = &tls,
        .owner = {.received = received, .ended = ended, .context = join},
    };
    int r = stream_connect(join->loop, &config, &join->stream);

    if (r < 0) {
        join->stream = NULL;
        retry(join, strerror(-r), RETRY_MAX_MS);
        return;
    }
    send_join(join, token);
    uv_timer_start(&join->timer, answer_late, ANSWER_MS, 0);
}

static void ask(struct join *join)
{
    char problem[ADDRESS_PROBLEM];
    struct sockaddr_storage to;
    char *text = read_token(join);

    if (!text)
        return;
    if (token_parse(text, &join->token) != 0 || join->token.role != TOKEN_MANAGER)
        refuse(join, "this is not a manager's token: CAIS1-manager-... is needed");
    else if (address_parse(join->leader ? join->leader : join->first, &to, problem) < 0)
        retry(join, problem, RETRY_MAX_MS);
    else
        dial(join, &to, text);
    free(text);
}

static void retry_due(uv_timer_t *timer)
{
    ask(timer->data);
}

char *join_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    const char *bracket = strrchr(text, ']');

    if (colon && (!bracket || colon > bracket))
        return mem_string(text);
    return mem_format("%s:%d", text, MANAGER_PEER_PORT);
}

int join_run(uv_loop_t *loop, const struct manager_options *options,
             const struct join_newcomer *newcomer, const struct sockaddr_storage *source,
             struct credentials *credentials, struct self *out)
{
    struct join join = {
        .loop = loop,
        .options = options,
        .newcomer = newcomer,
        .source = source,
        .credentials = credentials,
        .out = out,
        .first = join_address(options->join),
        .retry_ms = RETRY_FIRST_MS,
    };

    must(member_is_valid(newcomer->described));
    worked(uv_timer_init(loop, &join.timer));
    join.timer.data = &join;
    uv_timer_start(&join.timer, retry_due, 0, 0);
    uv_run(loop, UV_RUN_DEFAULT);
    hang_up(&join);
    uv_close((uv_handle_t *)&join.timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT); /* The timer is on our stack. */
    must(!uv_is_active((uv_handle_t *)&join.timer));
    free(join.first);
    free(join.leader);
    return join.done ? join.result : JOIN_STOPPED;
}
