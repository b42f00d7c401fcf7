/*
 * network.h - sets of IP addresses as prefixes: "10.0.0.0/8", "2001:db8::/32", "127.0.0.1".
 *
 * Addresses are compared in one form, 16 bytes with IPv4 as ::ffff:a.b.c.d, so that a client
 * that comes over a dual-stack socket is in the IPv4 network that it belongs to. Pure.
 */
#pragma once
#include "proxy/base/str.h"

struct sockaddr;

struct network {
    uint8_t address[16]; /* bits behind the prefix are 0 */
    uint8_t bits;        /* 0..128 of the 16 bytes; an IPv4 prefix of N has 96 + N */
};

#define NETWORK_TEXT 50 /* the longest text with its NUL */

/* An IPv4 or IPv6 address without brackets. False: none, *ip is undefined. */
bool network_ip(struct str text, uint8_t ip[16]);
/* The address of a socket; false when it is not of an IP family. */
bool network_of(const struct sockaddr *sa, uint8_t ip[16]);

/* "ADDRESS/BITS", or an address alone. False: neither, or bits behind the prefix are set. */
bool network_parse(struct str text, struct network *n);
/* The shortest text that network_parse reads as N, into ROOM. */
struct str network_write(const struct network *n, char room[NETWORK_TEXT]);

/* Whether one of the N networks at LIST holds IP. */
bool network_match(const struct network *list, size_t n, const uint8_t ip[16]);
