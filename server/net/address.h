/*
 * Network addresses as people write them: "10.0.0.1:4511", "[::1]:4511", "manager-1:4511".
 *
 * A name that is not a number is resolved at once by getaddrinfo(), which may block for as long
 * as the resolver likes: parse at start-up or on a thread that may wait, not in a turn. Of
 * several addresses the first is taken, IPv4 before IPv6.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    ADDRESS_TEXT = 64,     /* Room for any formatted address and its NUL. */
    ADDRESS_PROBLEM = 400, /* Room for any text of address_parse() and its NUL. */
};

/* Parse "host:port". On failure a sentence that quotes the text is left in problem (which may be
 * NULL) and *out is untouched: -EINVAL, it is not an address; -ENXIO, the name has no address;
 * -EAGAIN, the resolver could not answer now. Port 0 is allowed: whoever listens is given one. */
int address_parse(const char *text, struct sockaddr_storage *out, char *problem);

/* "host:port" with a numeric host, in brackets for IPv6. Returns out. */
const char *address_format(const struct sockaddr_storage *address, char out[ADDRESS_TEXT]);

/* The host alone, numeric, without brackets. Returns out. */
const char *address_host(const struct sockaddr_storage *address, char out[ADDRESS_TEXT]);

uint16_t address_port(const struct sockaddr_storage *address);
void address_set_port(struct sockaddr_storage *address, uint16_t port);

/* Same family, host and port. */
bool address_is(const struct sockaddr_storage *a, const struct sockaddr_storage *b);
