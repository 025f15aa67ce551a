/*
 * TLS 1.3 on a stream: who we are, whom we let in, and one conversation.
 *
 * The certificates are those of the cluster's authority (server/net/authority.h): both ends of a
 * peer link show one, and its subject (server/net/identity.h) decides. Host names play no part.
 * No session is resumed, no early data is taken: every connection shows its certificate anew.
 *
 * The conversation is sans-IO: bytes of the network in, bytes of the owner out, and back. Streams
 * drive it (server/net/stream.h); nobody else needs more than the first half of this header. All
 * of one identity belongs to one loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/bytes.h"
#include "proto/base/scope.h"
#include "server/net/identity.h"

struct tls;
struct tls_identity;

enum {
    TLS_HANDSHAKE_MS = 5000, /* A handshake that takes longer has failed. */
    TLS_REASON = 160,        /* Room for a reason and its NUL. */
};

/* What is spoken inside, by ALPN (RFC 7301), and what the listener asks of who comes. */
enum tls_protocol {
    TLS_NONE,
    TLS_PEER, /* cais-peer/1: a manager of this cluster. */
    TLS_JOIN, /* cais-join/1: anybody; no certificate is asked for. */
};

enum tls_outcome {
    TLS_MALFORMED = 1,  /* A PEM text cannot be read, or is not a node's certificate. */
    TLS_MISMATCHED = 2, /* The key is not the certificate's, or the authority did not sign it. */
};

/* PEM texts. Borrows. */
struct tls_files {
    struct bytes authority;   /* The one certificate that all others hang from. */
    struct bytes certificate; /* Ours. */
    struct bytes key;
};

/* Who we are, for any number of streams and listeners. Gives *out. An expired certificate is taken:
 * whether it serves is for the other end to say. */
int tls_identity_new(const struct tls_files *files, struct tls_identity **out);

/* Be shown with another certificate in handshakes from now on; connections that stand are not
 * touched. What fails changes nothing. */
int tls_identity_reload(struct tls_identity *identity, const struct tls_files *files);

/* What our certificate says. Borrows; valid until reloaded. */
const struct identity *tls_identity_self(const struct tls_identity *identity);

/* After all listeners and while no stream is in the making; streams that stand live on. NULL is
 * fine. */
void tls_identity_free(struct tls_identity *identity);

/* What dialling expects of the other end. */
struct tls_dial {
    enum tls_protocol protocol;

    /* Who we are; and then the other end is a manager of our cluster. Borrowed during
     * stream_connect(). NULL: nobody yet, and the other end shows an authority's certificate with
     * this digest, which signed it. */
    struct tls_identity *identity;
    const uint8_t *authority; /* IDENTITY_DIGEST_BYTES. Copies. */

    uint64_t id; /* It has to be this node; 0: any. */
};

/* ---- for streams */

/* Begin a conversation, as the one who dialled or the one who was dialled. Gives; the first has
 * output at once. */
struct tls *tls_dial(const struct tls_dial *dial);
struct tls *tls_answer(struct tls_identity *identity);
void tls_free(struct tls *tls); /* NULL is fine. */

/* Take in bytes of the network; then tls_read() until there is no more. Copies. Negative: it is
 * over, for the reason in tls_reason(): -EACCES, somebody may not take part; -EPROTO, anything
 * else. There may be output then, too: the alert that tells the other end. */
int tls_feed(struct tls *tls, struct bytes bytes);

/* The handshake is done: the other end is who it has to be, and the owner's bytes may flow. On the
 * side that dialled this does not say that the other end takes us: that shows when it answers. */
bool tls_is_open(const struct tls *tls);

/* The owner's next bytes: how many were put into room, or 0, none for now. Negative as above, or
 * TLS_EOF, the other end said that no more will come. */
int tls_read(struct tls *tls, uint8_t *room, size_t size);

enum { TLS_EOF = -4095 }; /* As UV_EOF. */

/* Make the owner's bytes output. It has to be open. Negative as in tls_feed(). */
int tls_write(struct tls *tls, struct bytes bytes);

/* Say that no more will come: output, once it is open; nothing before. */
void tls_finish(struct tls *tls);

/* Take what has to go to the network. Appends, and forgets it. */
bool tls_has_output(const struct tls *tls);
void tls_take_output(struct tls *tls, struct buffer *out);

/* Once open: what is spoken, and who the other end is; NULL if it showed no certificate. Borrows.
 */
enum tls_protocol tls_protocol(const struct tls *tls);
const struct identity *tls_peer(const struct tls *tls);

/* Why it is over, as a clause for the log: "the certificate is of role worker, not manager". "" if
 * it is not. Borrows. */
const char *tls_reason(const struct tls *tls);

SCOPED(struct tls_identity *, tls_identity_free);
SCOPED(struct tls *, tls_free);
