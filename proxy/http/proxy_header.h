/*
 * proxy_header.h - the PROXY protocol, versions 1 and 2: who a relay in front speaks for.
 *
 * The header comes before everything else on a connection. It is read strictly: any deviation
 * is PROXY_HEADER_BAD, and a receiver closes the connection. Pure.
 */
#pragma once
#include "proxy/base/str.h"

#include <netinet/in.h>

/* Bytes of a header that is accepted, with its extensions; of the longest that is written. */
#define PROXY_HEADER_MAX 2048
#define PROXY_HEADER_OUT 108

enum proxy_header_result { PROXY_HEADER_MORE, PROXY_HEADER_BAD, PROXY_HEADER_DONE };

union proxy_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct proxy_header {
    size_t size; /* bytes that belong to it */
    bool known;  /* false: it names nobody (UNKNOWN, LOCAL), take the connection's own peer */
    union proxy_address from, to;
};

/*
 * The header at the beginning of IN. MORE: all of IN belongs to it, so far it is good. The
 * verdict does not depend on how the bytes arrive.
 */
enum proxy_header_result proxy_header_parse(struct str in, struct proxy_header *h);

/* A header of VERSION (1 or 2) for a connection FROM -> TO into ROOM; its length. Addresses
 * of different families, or of none, give a header that names nobody. */
size_t proxy_header_write(char room[PROXY_HEADER_OUT], int version, const struct sockaddr *from,
                          const struct sockaddr *to);
