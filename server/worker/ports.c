#include "server/worker/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/worker/release.h"

enum {
    TCP_LISTENING = 0x0A, /* The state in /proc/net/tcp. */
    ADDRESS_BYTES = 16,
    LISTENERS_MAX = 65536,
};

static bool make_address(const char *text, uint32_t port, struct sockaddr_storage *out,
                         socklen_t *out_len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    *out = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *out_len = sizeof *v4;
        return true;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    *out_len = sizeof *v6;
    return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
}

bool port_is_free(const char *address, uint32_t port, bool udp)
{
    struct sockaddr_storage at;
    socklen_t len;
    scope(file_close) int fd = -1;
    int yes = 1;

    if (port > UINT16_MAX || !make_address(address, port, &at, &len))
        return false;
    fd = socket(at.ss_family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    if (!udp) /* What is left of closed connections is in nobody's way; servers set it too. */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    return bind(fd, (struct sockaddr *)&at, len) == 0 && (udp || listen(fd, 1) == 0);
}

int port_choose(struct rng *rng, const char *address, bool udp,
                bool (*is_taken)(const void *context, uint32_t port), const void *context,
                uint32_t *out)
{
    const uint32_t count = PORT_DYNAMIC_LAST - PORT_DYNAMIC_FIRST + 1;
    uint32_t first = (uint32_t)rng_below(rng, count);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t port = PORT_DYNAMIC_FIRST + (first + i) % count;

        if (is_taken(context, port) || !port_is_free(address, port, udp))
            continue;
        *out = port;
        return 0;
    }
    return PORT_NONE_FREE;
}

/* ---- who listens */

/* All addresses are held as IPv6; IPv4 ones as ::ffff:a.b.c.d. */
struct listener {
    uint8_t address[ADDRESS_BYTES];
    uint16_t port;
};

struct listeners {
    struct listener *list;
    size_t count, room;
};

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool parse_address(const char *text, uint8_t out[ADDRESS_BYTES])
{
    memcpy(out, mapped, sizeof mapped);
    return inet_pton(AF_INET, text, out + sizeof mapped) == 1 ||
           inet_pton(AF_INET6, text, out) == 1;
}

/* An address as /proc/net prints it: words of eight hex digits, each in this machine's order. */
static bool parse_words(const char *hex, size_t words, uint8_t *out)
{
    for (size_t i = 0; i < words; i++) {
        uint32_t word;

        if (sscanf(hex + 8 * i, "%8x", &word) != 1)
            return false;
        memcpy(out + 4 * i, &word, sizeof word);
    }
    return true;
}

static void add(struct listeners *listeners, const struct listener *listener)
{
    if (listeners->count == listeners->room) {
        listeners->room = listeners->room ? 2 * listeners->room : 64;
        listeners->list = mem_resize(listeners->list, listeners->room, sizeof *listener);
    }
    listeners->list[listeners->count++] = *listener;
}

/* A line: "  0: 0100007F:1F90 00000000:0000 0A ...". Listeners come first in these files, so
 * the rest, which may be long, need not be read. */
static void read_table(struct listeners *listeners, const char *path, size_t words)
{
    FILE *file = fopen(path, "re");
    char line[512];

    if (!file)
        return;
    if (!fgets(line, sizeof line, file)) /* The heading. */
        line[0] = '\0';
    while (listeners->count < LISTENERS_MAX && fgets(line, sizeof line, file)) {
        struct listener listener = {0};
        char address[33];
        unsigned port, state;

        if (sscanf(line, " %*d: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x", address, &port, &state) != 3)
            continue;
        if (state != TCP_LISTENING)
            break;
        if (strlen(address) != 8 * words)
            continue;
        memcpy(listener.address, mapped, sizeof mapped);
        listener.port = (uint16_t)port;
        if (parse_words(address, words, listener.address + ADDRESS_BYTES - 4 * words))
            add(listeners, &listener);
    }
    fclose(file);
}

struct listeners *listeners_read(void)
{
    struct listeners *listeners = mem_new(struct listeners);

    read_table(listeners, "/proc/net/tcp", 1);
    read_table(listeners, "/proc/net/tcp6", 4);
    return listeners;
}

void listeners_free(struct listeners *listeners)
{
    if (!listeners)
        return;
    free(listeners->list);
    free(listeners);
}

/* All zeroes, as IPv6 ("::", which takes IPv4 too unless told not to) or IPv4. */
static bool is_any(const uint8_t address[ADDRESS_BYTES])
{
    static const uint8_t none[ADDRESS_BYTES];

    return !memcmp(address, none, ADDRESS_BYTES) ||
           (!memcmp(address, mapped, sizeof mapped) && !memcmp(address + 12, none, 4));
}

bool listeners_reach(const struct listeners *listeners, const char *address, uint32_t port)
{
    uint8_t wanted[ADDRESS_BYTES];

    if (!parse_address(address, wanted))
        return false;
    for (size_t i = 0; i < listeners->count; i++) {
        const struct listener *at = &listeners->list[i];

        if (at->port == port &&
            (is_any(at->address) || !memcmp(at->address, wanted, ADDRESS_BYTES)))
            return true;
    }
    return false;
}
