/* The operator's requests (operator.proto). */
#include <string.h>

#include "proto/limits.h"
#include "proto/operator.pb-c.h"
#include "proto/validate_check.h"

enum { ID_CHARS = 8, DIGEST_CHARS = 64 };

static bool is_hex(const char *text, size_t len)
{
    return text && strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

/* ---- managers */

static void check_manager(struct check *check, const char *name)
{
    if (!name || !*name || strnlen(name, LIMIT_NAME_CHARS + 1) > LIMIT_NAME_CHARS)
        check_parameter(check, "The name of a manager is missing, or is none.");
}

void validate_list_managers(struct check *check, const void *request)
{
    (void)check;
    (void)request;
}

void validate_remove_manager(struct check *check, const void *request)
{
    check_manager(check, ((const Operator__RemoveManagerRequest *)request)->name);
}

void validate_transfer_leadership(struct check *check, const void *request)
{
    const Operator__TransferLeadershipRequest *body = request;

    if (body->name)
        check_manager(check, body->name);
}

void validate_promote_manager(struct check *check, const void *request)
{
    check_manager(check, ((const Operator__PromoteManagerRequest *)request)->name);
}

void validate_demote_manager(struct check *check, const void *request)
{
    check_manager(check, ((const Operator__DemoteManagerRequest *)request)->name);
}

/* ---- tokens */

static void check_token(struct check *check, const char *role, bool has_ttl, int64_t ttl_s,
                        const char *id, const char *digest)
{
    if (!role || strcmp(role, "manager") != 0)
        check_parameter(check, "The role of a token is manager.");
    if (has_ttl && (ttl_s < 1 || (uint64_t)ttl_s > LIMIT_JOIN_TOKEN_TTL_MS / 1000))
        check_parameter(check, "A token lives for 1 second to 366 days.");
    if (!is_hex(id, ID_CHARS) || !is_hex(digest, DIGEST_CHARS))
        check_parameter(check, "The id or the digest of a token is missing.");
}

void validate_create_token(struct check *check, const void *request)
{
    const Operator__CreateTokenRequest *body = request;

    check_token(check, body->role, body->has_ttl_seconds, body->ttl_seconds, body->id,
                body->secret_digest);
}

void validate_rotate_token(struct check *check, const void *request)
{
    const Operator__RotateTokenRequest *body = request;

    check_token(check, body->role, body->has_ttl_seconds, body->ttl_seconds, body->id,
                body->secret_digest);
}

void validate_revoke_token(struct check *check, const void *request)
{
    if (!is_hex(((const Operator__RevokeTokenRequest *)request)->id, ID_CHARS))
        check_parameter(check,
                        "The id of a token is eight hex digits, as `cais token list` shows.");
}

void validate_list_tokens(struct check *check, const void *request)
{
    (void)check;
    (void)request;
}

void validate_backup(struct check *check, const void *request)
{
    (void)check;
    (void)request;
}
