/*
 * A manager as a member of its cluster: what every manager knows of every other one.
 *
 * Raft's configuration gives each server an id, a role and an address that Raft itself never looks
 * at; ours is a record, so whoever has the log knows where everybody is, and a change of members is
 * one entry:
 *
 *     NAME ZONE HOST PEER_PORT RPC_PORT API_PORT KEY
 *
 * separated by one space each. KEY is 32 hex digits, the first 16 bytes of the SHA-256 of its
 * public key (SubjectPublicKeyInfo, DER), or "-" for none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"

enum {
    MEMBER_KEY_CHARS = 32,
    MEMBER_HOST_CHARS = 253, /* RFC 1035 2.3.4, without the final dot. */
    MEMBER_TEXT = LIMIT_NAME_CHARS * 2 + MEMBER_HOST_CHARS + 3 * 5 + MEMBER_KEY_CHARS + 6 + 1,
    MEMBER_ADDRESS = MEMBER_HOST_CHARS + 9, /* [HOST]:PORT and a NUL. */
};

/* As Raft's library numbers them. */
enum member_role {
    MEMBER_STANDBY, /* Has the log, does not vote. */
    MEMBER_VOTER,
    MEMBER_SPARE, /* Has not even the log. We make none. */
};

enum member_outcome {
    MEMBER_MALFORMED = 1,
};

struct member {
    uint64_t id;           /* Random, not 0, 63 bits, never used again. Not part of the record. */
    enum member_role role; /* Likewise. */
    char name[LIMIT_NAME_CHARS + 1];
    char zone[LIMIT_NAME_CHARS + 1];
    char host[MEMBER_HOST_CHARS + 1]; /* A name or an address, an IPv6 one without brackets. */
    uint16_t peer_port, rpc_port, api_port;
    char key[MEMBER_KEY_CHARS + 1]; /* "" for none. */
};

/* Parse a record, strictly: what member_format would not write is MEMBER_MALFORMED, and *out is
 * untouched. Id and role are left as they are. */
int member_parse(const char *text, struct member *out);

/* Could member_parse read it back? */
bool member_is_valid(const struct member *member);

/* Returns out. The member must be valid. */
const char *member_format(const struct member *member, char out[MEMBER_TEXT]);

bool member_id_is_valid(uint64_t id);

/* "HOST:PORT", with brackets around an IPv6 address. Returns out. */
const char *member_address(const struct member *member, uint16_t port, char out[MEMBER_ADDRESS]);

/* The one with this id, or NULL. Borrows. */
const struct member *member_find(const struct member *members, size_t count, uint64_t id);
