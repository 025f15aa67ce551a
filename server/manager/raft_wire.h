/*
 * libraft's messages <-> frames between managers. Entries are the caller's: libraft carries none.
 */
#pragma once

#include <raft.h>
#include <stdbool.h>

#include "proto/base/bytes.h"
#include "proto/peer.pb-c.h"

/* A frame and the message it holds, in one place. Set the frame up with wire_frame_*; it points
 * into itself, so it may not be moved. */
struct wire_frame {
    Peer__PeerFrame frame;
    union {
        Peer__Vote vote;
        Peer__VoteResult vote_result;
        Peer__Append append;
        Peer__AppendResult append_result;
        Peer__TimeoutNow timeout_now;
        Peer__Ping ping;
        Peer__Pong pong;
        Peer__Install install;
    };
};

/* Encode everything but the entries and an Install's configuration, and but the fields that are our
 * own. False: a kind we never send. */
bool wire_encode(const struct raft_message *message, uint64_t from, struct wire_frame *out);
void wire_encode_ping(uint64_t from, uint64_t term, uint64_t seq, struct wire_frame *out);
void wire_encode_pong(uint64_t from, uint64_t term, uint64_t seq, struct wire_frame *out);

/* Is it a message of libraft's? Pings, pongs and forwarded calls are ours. */
bool wire_is_raft(const Peer__PeerFrame *frame);

/* Decode a configuration, every server of which is a member as member_parse has it: libraft's own
 * decoder reads on behind the end of what was cut short. False, and nothing to close: these bytes
 * are none. */
bool wire_decode_configuration(struct bytes bytes, struct raft_configuration *out);

/* Decode everything but the entries and an Install's configuration. The message borrows `address`.
 * False: not a Raft message, or one with a field out of range. */
bool wire_decode(const Peer__PeerFrame *frame, const char *address, struct raft_message *out);
