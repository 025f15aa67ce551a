#include "server/cli/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/base/err.h"

/* The value of a header in the head, NUL-terminated by its line's end; NULL if there is none. */
static const char *header(const char *head, const char *name)
{
    size_t len = strlen(name);

    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':')
            return line + len + 1 + strspn(line + len + 1, " \t");
    }
    return NULL;
}

static bool begins(const char *value, const char *word)
{
    return value && strncasecmp(value, word, strlen(word)) == 0;
}

static int read_length(struct answer *answer, const char *text)
{
    unsigned long long len;
    char *end;

    if (text[0] < '0' || text[0] > '9')
        return err_new(-EPROTO);
    len = strtoull(text, &end, 10);
    if (*end != '\r' || len > ANSWER_BODY_MAX)
        return err_new(-EPROTO);
    answer->body_len = (size_t)len;
    return 0;
}

static int read_head(struct answer *answer, const char *head)
{
    const char *length = header(head, "Content-Length");

    if (strncmp(head, "HTTP/1.", 7) != 0 || strlen(head) < 12 || head[8] != ' ')
        return err_new(-EPROTO);
    answer->status = (int)strtol(head + 9, NULL, 10);
    if (answer->status < 200 || answer->status > 599 || header(head, "Transfer-Encoding"))
        return err_new(-EPROTO);
    answer->keeps_alive = head[7] == '1' && !begins(header(head, "Connection"), "close");
    if (length)
        return err_up(read_length(answer, length));
    answer->until_end = true;
    answer->keeps_alive = false;
    return 0;
}

static int find_head(struct answer *answer)
{
    char *end = memmem(answer->bytes.base, answer->bytes.len, "\r\n\r\n", 4);
    int r;

    if (!end)
        return answer->bytes.len > ANSWER_HEAD_MAX ? err_new(-EPROTO) : ANSWER_PARTIAL;
    if (memchr(answer->bytes.base, '\0', (size_t)(end - (char *)answer->bytes.base)))
        return err_new(-EPROTO);
    end[2] = '\0'; /* Of the blank line: the head is a string now, its lines keep their ends. */
    r = read_head(answer, (const char *)answer->bytes.base);
    if (r < 0)
        return err_up(r);
    answer->head_len = (size_t)(end + 4 - (char *)answer->bytes.base);
    return 0;
}

int answer_take(struct answer *answer, const void *base, size_t len)
{
    buffer_append(&answer->bytes, base, len);
    if (answer->head_len == 0) {
        int r = find_head(answer);

        if (r != 0)
            return r < 0 ? err_up(r) : ANSWER_PARTIAL;
    }
    len = answer->bytes.len - answer->head_len;
    if (answer->until_end)
        return len > ANSWER_BODY_MAX ? err_new(-EPROTO) : ANSWER_PARTIAL;
    if (len > answer->body_len)
        return err_new(-EPROTO);
    return len < answer->body_len ? ANSWER_PARTIAL : 0;
}

int answer_end(struct answer *answer)
{
    if (answer->head_len == 0 || !answer->until_end)
        return err_new(-EPROTO);
    answer->body_len = answer->bytes.len - answer->head_len;
    return 0;
}

int answer_json(const struct answer *answer, json_t **out)
{
    const char *body = (const char *)answer->bytes.base + answer->head_len;
    json_t *json = json_loadb(body, answer->body_len, JSON_REJECT_DUPLICATES, NULL);

    if (!json)
        return err_new(-EPROTO);
    *out = json;
    return 0;
}

void answer_fini(struct answer *answer)
{
    buffer_fini(&answer->bytes);
    *answer = (struct answer){0};
}
