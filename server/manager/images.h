/*
 * The state as a whole, from one manager to another: for a newcomer, or for a follower that lacks
 * entries which the leader has no more (Raft 5.1; docs/decisions/0016). Part of the core; for
 * core*.c only.
 *
 * The follower pulls: it asks for a chunk by its position, writes it into a fresh environment
 * beside its own, and asks for the next, one at a time, so that heartbeats are never behind more
 * than one. The leader reads from one picture for as long as it is asked. Whatever breaks, the
 * follower has its old state; a chunk that does not come is asked for again, and when the picture
 * is gone everything begins again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/peer.pb-c.h"

struct core;
struct images;

struct images *images_new(void);
void images_free(struct images *images); /* NULL is fine. */

/* In the turn: a frame from a member; true if it was about images. */
bool images_receive(struct core *core, const Peer__PeerFrame *frame);

/* In the turn: begin, ask again, give up, judge what is complete. */
int images_turn(struct core *core);

/* Between turns, when nothing is uncommitted: adopt what is complete and wanted, and go on from
 * there. */
bool images_are_due(const struct core *core);
int images_adopt(struct core *core);

/* The Raft node was opened anew: it is to keep what is being fetched from us. */
void images_loaded(struct core *core);

uint64_t images_deadline(const struct core *core);
