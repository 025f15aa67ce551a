#include "server/worker/directory.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/net/address.h"
#include "server/worker/release.h"

void directory_init(struct directory *directory)
{
    *directory = (struct directory){0};
}

void directory_fini(struct directory *directory)
{
    for (size_t i = 0; i < directory->count; i++)
        free(directory->entries[i].text);
    *directory = (struct directory){0};
}

static bool find(const struct directory *directory, const char *text, size_t *out)
{
    for (size_t i = 0; i < directory->count; i++)
        if (!strcmp(directory->entries[i].text, text))
            return *out = i, true;
    return false;
}

void directory_add(struct directory *directory, const char *text,
                   const struct sockaddr_storage *address)
{
    size_t at;

    if (directory->count == DIRECTORY_MAX || find(directory, text, &at))
        return;
    directory->entries[directory->count++] =
        (struct directory_entry){.text = mem_string(text), .address = *address};
}

void directory_shuffle(struct directory *directory, struct rng *rng)
{
    must(directory->count > 0);
    directory->at = (size_t)rng_below(rng, directory->count);
    directory->turn = directory->at;
    directory->tried = 1;
}

static bool is_shunned(const struct directory_entry *entry, uint64_t now_ms)
{
    return entry->shunned_until_ms > now_ms;
}

static bool all_shunned(const struct directory *directory, uint64_t now_ms)
{
    for (size_t i = 0; i < directory->count; i++)
        if (!is_shunned(&directory->entries[i], now_ms))
            return false;
    return true;
}

bool directory_next(struct directory *directory, uint64_t now_ms)
{
    bool any = all_shunned(directory, now_ms);

    while (directory->tried < directory->count) {
        directory->tried++;
        directory->turn = (directory->turn + 1) % directory->count;
        directory->at = directory->turn;
        if (any || !is_shunned(directory_current(directory), now_ms))
            return true;
    }
    directory->tried = 0;
    return false;
}

/* "1.2.3.4:5" or "[::1]:5": resolving anything else could block. */
static bool is_numeric(const char *text)
{
    scope(text_free) char *host = mem_string(text);
    char *colon = strrchr(host, ':');
    uint8_t address[16];

    if (!colon)
        return false;
    *colon = '\0';
    if (*host == '[' && colon > host && colon[-1] == ']') {
        colon[-1] = '\0';
        return inet_pton(AF_INET6, host + 1, address) == 1;
    }
    return inet_pton(AF_INET, host, address) == 1;
}

bool directory_follow(struct directory *directory, const char *text, uint64_t now_ms)
{
    struct sockaddr_storage address;
    size_t at;

    if (!find(directory, text, &at)) {
        if (!is_numeric(text) || address_parse(text, &address, NULL) < 0)
            return false;
        directory_add(directory, text, &address);
        if (!find(directory, text, &at))
            return false;
    }
    if (at == directory->at || is_shunned(&directory->entries[at], now_ms))
        return false;
    directory->at = at;
    return true;
}

void directory_settle(struct directory *directory)
{
    directory->tried = 0;
    directory->turn = directory->at;
    directory->entries[directory->at].shunned_until_ms = 0;
}

void directory_shun(struct directory *directory, uint64_t until_ms)
{
    directory->entries[directory->at].shunned_until_ms = until_ms;
}
