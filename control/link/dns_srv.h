/*
 * dns_srv.h - the answer to a question for SRV records (RFC 2782). Pure.
 *
 * The library gives no time to live of such an answer, so it is read here: bounded, every byte
 * hostile. Targets that are no host names are left out.
 */
#pragma once
#include "proxy/base/check.h"

#include <stddef.h>
#include <stdint.h>

#define DNS_SRV_MAX 64 /* records of one answer */

struct dns_srv {
    char target[256]; /* lower case, no dot at the end */
    uint16_t port, priority, weight;
};

/* The records of MSG, a whole message, at most MAX of them into LIST, and the shortest time to
 * live of the answer in *TTL_S. Returns how many; -1: it is damaged. */
int dns_srv_parse(const unsigned char *msg, size_t n, struct dns_srv *list, size_t max,
                  uint32_t *ttl_s) MUST_CHECK;
