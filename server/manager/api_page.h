/*
 * Where the next page of a listing begins, as an opaque text: nextToken.
 *
 * A token holds the position of the last thing shown and a checksum over it and the listing it
 * belongs to, so that one which was made up, cut short, or taken from another listing is refused.
 * It is not a secret and grants nothing: positions are keys of what the user may list anyway.
 * It needs no state on the server: any manager continues what another began.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/base/bytes.h"

enum page_outcome {
    PAGE_BAD_TOKEN = 1,
};

enum { PAGE_POSITION_MAX = 300 }; /* A family and a revision. */

/* The token that continues `listing` (any text that names it) after position, which is at most
 * PAGE_POSITION_MAX long. Gives. */
char *page_token(const char *listing, struct bytes position);

/* The position a token of this listing holds; *out_len of out is set. */
int page_position(const char *listing, const char *token, uint8_t out[PAGE_POSITION_MAX],
                  size_t *out_len);

/* The same for listings in the order of sequence numbers. A token of NULL is the beginning: 0. */
char *page_token_seq(const char *listing, uint64_t seq);
int page_seq(const char *listing, const char *token, uint64_t *out);
