#include "server/net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/must.h"

enum { HOST_MAX = 255 }; /* Characters of a DNS name. */

static int complain(char *problem, int r, const char *text, const char *why)
{
    if (problem)
        snprintf(problem, ADDRESS_PROBLEM, "address \"%.200s\" %s", text, why);
    return err_new(r);
}

/* The port's digits after the last colon; false if it is anything but 0..65535. */
static bool parse_port(const char *text, uint16_t *out)
{
    unsigned value = 0;
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (unsigned)(text[i] - '0');
    if (value > UINT16_MAX)
        return false;
    *out = (uint16_t)value;
    return true;
}

/* Split "[host]:port" or "host:port". Returns NULL, or why it cannot be split. */
static const char *split(const char *text, char host[HOST_MAX + 1], bool *bracketed,
                         uint16_t *out_port)
{
    const char *colon = strrchr(text, ':');
    const char *begin = text, *end = colon;

    if (!colon)
        return "has no port, host:port is needed";
    *bracketed = text[0] == '[';
    if (*bracketed) {
        begin++;
        end = colon - 1;
        if (end <= begin || *end != ']')
            return "is not of the form [host]:port";
    } else if (memchr(text, ':', (size_t)(colon - text))) {
        return "needs brackets around its host, [host]:port";
    }
    if (end == begin)
        return "has no host, host:port is needed";
    if (end - begin > HOST_MAX)
        return "has too long a host";
    if (!parse_port(colon + 1, out_port))
        return "has no port from 0 to 65535";
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    return NULL;
}

static int resolve(const char *host, int family, int flags, struct sockaddr_storage *out)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *found = NULL;
    int r = getaddrinfo(host, NULL, &hints, &found);

    if (r != 0)
        return r;
    must(found->ai_addrlen <= sizeof *out);
    memset(out, 0, sizeof *out);
    memcpy(out, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

int address_parse(const char *text, struct sockaddr_storage *out, char *problem)
{
    struct sockaddr_storage found;
    char host[HOST_MAX + 1];
    bool bracketed;
    uint16_t port;
    const char *why = split(text, host, &bracketed, &port);
    int r;

    if (why)
        return complain(problem, -EINVAL, text, why);
    r = resolve(host, bracketed ? AF_INET6 : AF_UNSPEC, AI_NUMERICHOST, &found);
    if (r != 0 && bracketed)
        return complain(problem, -EINVAL, text, "holds no IPv6 address in its brackets");
    if (r != 0)
        r = resolve(host, AF_INET, 0, &found);
    if (r != 0 && r != EAI_AGAIN)
        r = resolve(host, AF_INET6, 0, &found);
    if (r == EAI_AGAIN)
        return complain(problem, -EAGAIN, text, "could not be resolved just now");
    if (r != 0)
        return complain(problem, -ENXIO, text, "names a host that has no address");
    address_set_port(&found, port);
    *out = found;
    return 0;
}

const char *address_host(const struct sockaddr_storage *address, char out[ADDRESS_TEXT])
{
    const void *host = address->ss_family == AF_INET6
                           ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
                           : (const void *)&((const struct sockaddr_in *)address)->sin_addr;

    must(address->ss_family == AF_INET || address->ss_family == AF_INET6);
    must(inet_ntop(address->ss_family, host, out, ADDRESS_TEXT));
    return out;
}

const char *address_format(const struct sockaddr_storage *address, char out[ADDRESS_TEXT])
{
    char host[ADDRESS_TEXT];
    bool six = address->ss_family == AF_INET6;

    address_host(address, host);
    snprintf(out, ADDRESS_TEXT, "%s%.48s%s:%u", six ? "[" : "", host, six ? "]" : "",
             address_port(address));
    return out;
}

uint16_t address_port(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    must(address->ss_family == AF_INET);
    return ntohs(((const struct sockaddr_in *)address)->sin_port);
}

void address_set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
        return;
    }
    must(address->ss_family == AF_INET);
    ((struct sockaddr_in *)address)->sin_port = htons(port);
}

bool address_is(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    const struct sockaddr_in *a4 = (const struct sockaddr_in *)a;
    const struct sockaddr_in *b4 = (const struct sockaddr_in *)b;

    if (a->ss_family != b->ss_family || address_port(a) != address_port(b))
        return false;
    if (a->ss_family == AF_INET)
        return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
    return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
}
