/*
 * The Authorization header of AWS Signature Version 4, taken apart.
 *
 * Form only: the signature is not compared with anything yet, so any key is let in. Until it is,
 * the API belongs on a network whose users are trusted.
 */
#pragma once

#include "proto/base/bytes.h"

enum sigv4_outcome {
    SIGV4_MISSING = 1,    /* No header at all. */
    SIGV4_INCOMPLETE = 2, /* Not what SigV4 prescribes; out_why says in which way. */
};

/* Each part is borrowed from the header. */
struct sigv4 {
    struct bytes access_key;
    struct bytes date; /* Of the scope: YYYYMMDD. */
    struct bytes region;
    struct bytes service;
    struct bytes signed_headers;
    struct bytes signature;
};

enum { SIGV4_WHY_CHARS = 400 };

/* Parse `authorization`; date is the X-Amz-Date or Date header. Either may be NULL. Borrows both.
 * out_why gets a sentence for the user with SIGV4_INCOMPLETE only. */
int sigv4_parse(const char *authorization, const char *date, struct sigv4 *out,
                char out_why[SIGV4_WHY_CHARS]);
