#include "server/net/token.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/must.h"

static const char *const roles[] = {[TOKEN_MANAGER] = "manager", [TOKEN_WORKER] = "worker"};

static void put_hex(char **at, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        *at += snprintf(*at, 3, "%02x", bytes[i]);
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_hex(const char **at, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int high = digit_of(**at), low = high < 0 ? -1 : digit_of((*at)[1]);

        if (low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
        *at += 2;
    }
    return true;
}

static bool take_text(const char **at, const char *text)
{
    size_t len = strlen(text);

    if (strncmp(*at, text, len) != 0)
        return false;
    *at += len;
    return true;
}

static bool take_role(const char **at, enum token_role *out)
{
    for (enum token_role role = TOKEN_MANAGER; role <= TOKEN_WORKER; role++) {
        *out = role;
        if (take_text(at, roles[role]))
            return true;
    }
    return false;
}

int token_parse(const char *text, struct token *out)
{
    struct token token;
    uint8_t id[4];

    if (!take_text(&text, "CAIS1-") || !take_role(&text, &token.role) || !take_text(&text, "-") ||
        !take_hex(&text, token.authority, sizeof token.authority) || !take_text(&text, "-") ||
        !take_hex(&text, id, sizeof id) || !take_text(&text, "-") ||
        !take_hex(&text, token.secret, sizeof token.secret) || *text)
        return TOKEN_MALFORMED;
    token.id = (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3];
    *out = token;
    return 0;
}

const char *token_format(const struct token *token, char out[TOKEN_TEXT])
{
    uint8_t id[] = {(uint8_t)(token->id >> 24), (uint8_t)(token->id >> 16),
                    (uint8_t)(token->id >> 8), (uint8_t)token->id};
    char *at = out;

    must(token->role == TOKEN_MANAGER || token->role == TOKEN_WORKER);
    at += snprintf(at, TOKEN_TEXT, "CAIS1-%s-", roles[token->role]);
    put_hex(&at, token->authority, sizeof token->authority);
    *at++ = '-';
    put_hex(&at, id, sizeof id);
    *at++ = '-';
    put_hex(&at, token->secret, sizeof token->secret);
    must(at < out + TOKEN_TEXT);
    return out;
}
