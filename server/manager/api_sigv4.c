#include "server/manager/api_sigv4.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

enum {
    SCOPE_PARTS = 5, /* key id, date, region, service, "aws4_request" */
    DATE_CHARS = 8,
    SIGNATURE_CHARS = 64,
    QUOTE_CHARS = 100, /* Of the user's own text in an answer. */
};

static bool is(struct bytes part, const char *text)
{
    return part.len == strlen(text) && memcmp(part.base, text, part.len) == 0;
}

static bool all(struct bytes part, int (*test)(int))
{
    const unsigned char *c = part.base;

    for (size_t i = 0; i < part.len; i++) {
        if (!test(c[i]))
            return false;
    }
    return true;
}

static struct bytes trimmed(const char *from, const char *to)
{
    while (from < to && isblank((unsigned char)*from))
        from++;
    while (to > from && isblank((unsigned char)to[-1]))
        to--;
    return (struct bytes){from, (size_t)(to - from)};
}

/* One `Name=value` of the comma-separated list. Others than the three are left alone. */
static void take_parameter(struct bytes text, struct bytes *credential, struct sigv4 *out)
{
    const char *base = text.base;
    const char *equals = memchr(base, '=', text.len);
    struct bytes name, value;

    if (!equals)
        return;
    name = trimmed(base, equals);
    value = trimmed(equals + 1, base + text.len);
    if (is(name, "Credential"))
        *credential = value;
    else if (is(name, "SignedHeaders"))
        out->signed_headers = value;
    else if (is(name, "Signature"))
        out->signature = value;
}

static void take_parameters(const char *list, struct bytes *credential, struct sigv4 *out)
{
    for (;;) {
        const char *end = strchrnul(list, ',');

        take_parameter(trimmed(list, end), credential, out);
        if (!*end)
            return;
        list = end + 1;
    }
}

/* Split at slashes into exactly five parts. */
static bool take_scope(struct bytes credential, struct sigv4 *out)
{
    struct bytes parts[SCOPE_PARTS];
    const char *at = credential.base;
    const char *end = at + credential.len;

    for (int i = 0; i < SCOPE_PARTS; i++) {
        const char *slash = memchr(at, '/', (size_t)(end - at));

        if ((slash == NULL) != (i == SCOPE_PARTS - 1))
            return false;
        parts[i] = (struct bytes){at, (size_t)((slash ? slash : end) - at)};
        if (parts[i].len == 0)
            return false;
        at = slash ? slash + 1 : end;
    }
    out->access_key = parts[0];
    out->date = parts[1];
    out->region = parts[2];
    out->service = parts[3];
    return out->date.len == DATE_CHARS && all(out->date, isdigit) && is(parts[4], "aws4_request");
}

/* All that is missing at once, in the words AWS uses. */
static bool is_whole(const struct sigv4 *parts, struct bytes credential, const char *date,
                     char why[SIGV4_WHY_CHARS])
{
    bool whole = credential.len && parts->signed_headers.len && parts->signature.len && date;

    if (!whole)
        snprintf(
            why, SIGV4_WHY_CHARS, "%s%s%s%s",
            credential.len ? "" : "Authorization header requires 'Credential' parameter. ",
            parts->signature.len ? "" : "Authorization header requires 'Signature' parameter. ",
            parts->signed_headers.len ? ""
                                      : "Authorization header requires 'SignedHeaders' parameter. ",
            date ? ""
                 : "Authorization header requires existence of either a 'X-Amz-Date' or a "
                   "'Date' header. ");
    return whole;
}

int sigv4_parse(const char *authorization, const char *date, struct sigv4 *out,
                char out_why[SIGV4_WHY_CHARS])
{
    struct sigv4 parts = {0};
    struct bytes credential = {0};
    size_t algorithm;

    if (!authorization)
        return SIGV4_MISSING;
    algorithm = strcspn(authorization, " \t");
    if (algorithm != strlen(ALGORITHM) || memcmp(authorization, ALGORITHM, algorithm) != 0) {
        snprintf(out_why, SIGV4_WHY_CHARS, "Unsupported AWS 'algorithm': '%.*s'.",
                 (int)(algorithm < QUOTE_CHARS ? algorithm : QUOTE_CHARS), authorization);
        return SIGV4_INCOMPLETE;
    }

    take_parameters(authorization + algorithm, &credential, &parts);
    if (!is_whole(&parts, credential, date, out_why))
        return SIGV4_INCOMPLETE;
    if (!take_scope(credential, &parts)) {
        snprintf(out_why, SIGV4_WHY_CHARS,
                 "Credential must have exactly 5 slash-delimited elements, "
                 "keyid/yyyymmdd/region/service/aws4_request, got '%.*s'.",
                 (int)(credential.len < QUOTE_CHARS ? credential.len : QUOTE_CHARS),
                 (const char *)credential.base);
        return SIGV4_INCOMPLETE;
    }
    if (parts.signature.len != SIGNATURE_CHARS || !all(parts.signature, isxdigit)) {
        snprintf(out_why, SIGV4_WHY_CHARS, "Signature must be %d hexadecimal digits.",
                 SIGNATURE_CHARS);
        return SIGV4_INCOMPLETE;
    }
    *out = parts;
    return 0;
}
