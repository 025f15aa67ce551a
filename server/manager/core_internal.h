/*
 * What the parts of the core share; for core.c, calls.c, proposals.c, dispatch.c and lead.c only.
 */
#pragma once

#include <pthread.h>

#include "proto/base/list.h"
#include "proto/base/rng.h"
#include "proto/limits.h"
#include "scheduler/view.h"
#include "server/manager/core.h"
#include "server/manager/raft_node.h"
#include "storage/apply.h"

struct images;
struct session;

/* A command on its way into the log, and who waits for what it comes to. */
struct proposal {
    struct list link; /* Of core.proposed, by ascending index; then of core.finished. */
    uint64_t index;   /* 0: not submitted yet. */
    struct buffer command;
    /* Called after the commit with what applying came to (borrowed), or NULL: leadership was
     * lost or the log would not take it; `submitted` tells whether it may still be applied. */
    void (*applied)(struct core *core, struct proposal *proposal,
                    const Command__CommandResult *result);
    bool submitted;
    struct call *call; /* What the callback needs; each is NULL or 0 where it does not apply. */
    struct rpc *rpc;
    uint64_t token;
    size_t task_count; /* Tasks that the result must name to be whole. */
    uint64_t worker_seq;
    Command__CommandResult *result;
};

/* Bytes for a peer, held until the commit. */
struct held_frame {
    struct list link;
    uint64_t to;
    bool is_append; /* Promises nothing about our own disk: docs/consensus.md. */
    size_t len;
    uint8_t bytes[];
};

/* Reads that share one ReadIndex round. */
struct read_round {
    struct list link;
    uint64_t round;
    uint64_t index;
    uint64_t term;
    struct list calls;
};

struct core {
    struct core_config config;
    struct images *images;
    struct raft_node *raft;
    struct view *view;
    struct rng rng;
    bool stopped;

    /* From other threads. */
    pthread_mutex_t inbox_lock;
    struct list inbox_calls;
    struct list inbox_rpcs;
    size_t inbox_count;
    bool inbox_closed;

    /* The turn. */
    struct txn *txn;        /* Between turns: what was applied and is not committed yet, or NULL. */
    uint64_t visible_index; /* Applied and committed: read transactions show it. */
    uint64_t kept_since_ms; /* txn has been holding something since. */
    uint64_t room_at_ms;    /* When to look at how full the map is. */
    bool reader_waits;      /* A read is answered in this turn, and what it asks for is in txn. */
    uint64_t now_ms;
    uint64_t wall_ms;
    struct list frames;   /* Received, in order. */
    struct list held;     /* To send after the commit. */
    struct list finished; /* Proposals whose callback is due after the commit. */
    struct list answered; /* Calls to be handed back after the commit. */
    struct list answered_rpcs;
    uint64_t lost_peers[LIMIT_MANAGERS]; /* Ids; each once. */
    size_t lost_count;
    struct member told[LIMIT_MANAGERS]; /* The members as members_changed was last told. */
    size_t told_count;
    uint64_t refused_from, refused_term; /* Of the last frame that was logged as refused. */
    struct changes changes;
    uint64_t reload_at_ms; /* While raft and view are NULL, for want of space: when to try. */
    unsigned reload_ms;    /* The pause before; 0 once a commit has succeeded. */
    bool shutting;         /* Answer with what a full disk leaves to be said. */
    char full_name[LIMIT_NAME_CHARS + 1]; /* Of this manager, for that. */
    bool behind;                          /* There may be more to apply: in the next turn, soon. */

    /* What waits. */
    struct list proposing; /* Built in this turn, not yet in the log. */
    struct list proposed;  /* In the log, not yet applied. */
    struct list parked;    /* Calls that wait for a leader to be known or ready. */
    struct list reading;   /* Calls for the next ReadIndex round. */
    struct list rounds;    /* Rounds under way. */
    struct list forwarded; /* Calls with the leader. */
    struct list applying;  /* Calls answered once index is applied here. */
    struct list managing;  /* The operator's, until members or leader have changed (manage.c). */
    size_t call_count;
    uint64_t call_number;
    uint64_t calls_checked_ms; /* When deadlines were last looked at. */
    uint64_t
        forward_after_ms; /* The supposed leader has said that it is none: not at once again. */
    uint64_t known_leader;

    struct list newcomers; /* Who asks to be a manager. */
    struct list admitted;  /* And is answered after the commit. */

    /* Leadership as of the last turn, to notice when it changes. */
    uint64_t term;
    bool leads;
    bool ready;

    /* The leader's. */
    bool settings_proposed;
    uint64_t schedule_at_ms; /* wall_ms at which to schedule though nothing changed. */
    bool view_changed;
    uint64_t expire_at_ms;
    uint64_t members_at_ms; /* When to look at the members again. */

    /* Dispatch. Indexed by worker seq, which are dense. */
    struct session **sessions;
    size_t session_count;
    uint64_t silence_checked_ms;

    /* For core_status, under its own lock. */
    pthread_mutex_t status_lock;
    struct core_status status;
};

/* ---- core.c */
void core_hold(struct core *core, uint64_t to, const Peer__PeerFrame *frame);
void core_hold_for_raft(void *context, uint64_t to, const Peer__PeerFrame *frame);
void core_send_held(struct core *core);
void core_drop_held(struct core *core);
void core_drop_frames(struct core *core); /* Received ones. */
void core_hand_back_rpcs(struct core *core);
void core_answer_rpc(struct core *core, struct rpc *rpc, ProtobufCMessage *response);

/* ---- core_commit.c: the transaction and its commit */
int core_begin(struct core *core);
bool core_commit_is_due(const struct core *core);
int core_commit(struct core *core);
void core_keep(struct core *core); /* Not due: keep what was applied, if anything was. */
uint64_t core_commit_deadline(const struct core *core);
/* Between turns, now and then: map more before the map is full. Commits what was kept. */
int core_make_room(struct core *core);
void core_leave(struct core *core); /* An orderly end leaves nothing to apply again. */

/* ---- core_reload.c: a full disk */
int core_load(struct core *core); /* Open raft and view from what is durable. */
/* The reverse: take the turn back, answer who waited for a write: that the disk is full, if it is.
 * Reads wait on. */
void core_shut(struct core *core, bool full);
int core_reopen(
    struct core *core); /* Both, of a state that was exchanged. A full disk leaves it shut. */
int core_survive(struct core *core, int r); /* What a turn came to: -ENOSPC shuts the core. */
int core_shut_turn(struct core *core);      /* A turn of a shut core: open it if it is time. */

/* ---- proposals.c: the first door */
/* Queue a command for this turn's submission. Takes command. Gives the proposal to the core; the
 * caller sets who waits. */
struct proposal *propose(struct core *core, Command__Command *command,
                         void (*applied)(struct core *core, struct proposal *proposal,
                                         const Command__CommandResult *result));
Command__Command *command_new(const struct core *core);
int proposals_submit(struct core *core);
/* An entry was applied: keep its result for whoever proposed it. Takes result. */
void proposals_applied(struct core *core, uint64_t index, Command__CommandResult *result);
/* Leadership was lost: what waits will not be heard of. */
void proposals_abandon(struct core *core);
/* After the commit: call back. */
void proposals_finish(struct core *core);
void proposal_free(struct proposal *proposal);

/* ---- calls.c: API calls, here and forwarded */
void calls_take(struct core *core, struct list *arrived);
int calls_turn(struct core *core);
void calls_receive(struct core *core, const Peer__PeerFrame *frame);
void calls_leadership(struct core *core); /* Leader, term or readiness changed. */
void calls_peer_lost(struct core *core, uint64_t peer);
void calls_stop(struct core *core);
void calls_unanswer(struct core *core); /* Reads of the failed turn wait again. */
void calls_shut_turn(struct core *core);
uint64_t calls_deadline(const struct core *core);
void calls_hand_back(struct core *core);
/* In the turn: what this call asked for is committed as of index. */
void call_index_known(struct core *core, const struct call *call, uint64_t index);
/* In the turn: the tables contain this write, which came to result. */
void call_collect(struct core *core, struct call *call, const Command__CommandResult *result);
void call_finish(struct core *core, struct call *call, enum call_outcome outcome);

/* ---- manage.c: the operator's calls about managers; the first as a ready leader */
int manage_begin(struct core *core, struct call *call);
void manage_turn(struct core *core);

/* ---- dispatch.c: workers */
int dispatch_take(struct core *core, struct list *arrived);
int dispatch_turn(struct core *core);
int dispatch_changed(struct core *core, uint64_t worker_seq);
int dispatch_lead(struct core *core);  /* This manager now leads and is ready. */
void dispatch_lose(struct core *core); /* No longer. */
void dispatch_stop(struct core *core);
uint64_t dispatch_deadline(const struct core *core);

/* ---- lead.c: what only a ready leader does */
int lead_run_task(struct core *core, const Ecs__RunTaskRequest *request, Command__Command *command,
                  uint64_t *out_token, Command__Problem **out_problem);
int lead_turn(struct core *core);
void lead_lose(struct core *core);
uint64_t lead_deadline(const struct core *core);

/* ---- lead_members.c: who votes */
int lead_members_turn(struct core *core);

/* ---- admission.c: newcomers */
int admission_turn(struct core *core);
void admission_finish(struct core *core);
void admission_stop(struct core *core);

/* ---- view_feed.c: tables -> view */
int view_feed_all(struct view *view, struct txn *txn);
int view_feed(struct view *view, struct txn *txn, const struct changes *changes);
