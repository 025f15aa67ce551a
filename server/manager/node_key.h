/*
 * A node's own key: EC P-256, made once, in DIR/identity/key.pem.
 *
 * It is made before the cluster is asked, so that a newcomer that has to ask again is known to be
 * the same one.
 */
#pragma once

#include "server/manager/member.h"

/* Load the key, or make it with the directories it is in. *out is its name: hex of the first 16
 * bytes of the SHA-256 of its public half. -EUCLEAN: the file holds no such key. */
int node_key(const char *dir, char out[MEMBER_KEY_CHARS + 1]);
