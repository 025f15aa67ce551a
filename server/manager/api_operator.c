/* The operator's actions (operator.proto): what a manager adds to a request, and the answers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/message.h"
#include "proto/operator.pb-c.h"
#include "proto/unpacking.h"
#include "server/manager/api_internal.h"

/* ---- managers */

/* The leader has filled the response in: unpack it in its place. */
int render_managed(struct render *render)
{
    ProtobufCMessage *response = render->response;
    const ProtobufCMessageDescriptor *type = response->descriptor;
    const ProtobufCBinaryData *answer = &render->result->answer;
    ProtobufCMessage *unpacked =
        protobuf_c_message_unpack(type, &unpacking, answer->len, answer->data);

    if (!unpacked)
        return render_refuse(render, COMMAND__ERROR_CODE__ERROR_SERVER,
                             "The leader's answer cannot be read: is it another version?");
    memcpy(response, unpacked, type->sizeof_message);
    free(unpacked);
    return 0;
}

/* ---- tokens: before */

static int prepare(char **id, char **digest, char *secret)
{
    char text[TOKEN_DIGEST_TEXT];
    uint32_t number;
    int r = tokens_make(&number, secret, text);

    if (r < 0)
        return err_up(r);
    free(*id);
    free(*digest);
    *id = mem_format("%08x", number);
    *digest = mem_string(text);
    return 0;
}

int prepare_create_token(ProtobufCMessage *request, char *secret)
{
    Operator__CreateTokenRequest *body = (Operator__CreateTokenRequest *)request;

    return err_up(prepare(&body->id, &body->secret_digest, secret));
}

int prepare_rotate_token(ProtobufCMessage *request, char *secret)
{
    Operator__RotateTokenRequest *body = (Operator__RotateTokenRequest *)request;

    return err_up(prepare(&body->id, &body->secret_digest, secret));
}

/* ---- tokens: after */

static const char *status_of(const State__JoinToken *token)
{
    if (token->revoked_ms != 0)
        return "REVOKED";
    return (uint64_t)time(NULL) * 1000 >= token->expires_ms ? "EXPIRED" : "ACTIVE";
}

static Operator__Token *describe(const State__JoinToken *token)
{
    Operator__Token *out = mem_new(Operator__Token);

    operator__token__init(out);
    out->id = mem_format("%08x", token->id);
    out->role = mem_string("manager");
    out->status = mem_string(status_of(token));
    SET_TIME(out, created_at, token->created_ms);
    SET_TIME(out, expires_at, token->expires_ms);
    SET_TIME(out, revoked_at, token->revoked_ms);
    return out;
}

static int describe_result(struct render *render, Operator__Token **out)
{
    State__JoinToken *token;
    int r = table_join_token(render->txn, (uint32_t)render->result->seq, &token);

    if (r != 0)
        return r > 0 ? render_gone(render) : err_up(r);
    *out = describe(token);
    state__join_token__free_unpacked(token, NULL);
    return 0;
}

static int describe_new(struct render *render, char **out_text, Operator__Token **out)
{
    int r = describe_result(render, out);

    if (r == 0)
        *out_text = tokens_text(render->settings, (*out)->role, (*out)->id, render->secret);
    return r;
}

int render_create_token(struct render *render)
{
    Operator__CreateTokenResponse *response = render->response;

    return describe_new(render, &response->token, &response->description);
}

int render_rotate_token(struct render *render)
{
    Operator__RotateTokenResponse *response = render->response;

    return describe_new(render, &response->token, &response->description);
}

int render_revoke_token(struct render *render)
{
    Operator__RevokeTokenResponse *response = render->response;

    return describe_result(render, &response->description);
}

static int each_token(void *context, const State__JoinToken *token)
{
    Operator__ListTokensResponse *response = context;

    ADD(response, tokens, describe(token));
    return WALK_ON;
}

int render_list_tokens(struct render *render)
{
    return err_up(table_join_tokens(render->txn, 0, each_token, render->response));
}
