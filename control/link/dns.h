/*
 * dns.h - the addresses of endpoints that are given by name: asked for, kept, asked for again.
 *
 * Every name has its own timer. An answer is used for its time to live, within the bounds of
 * the config; A and AAAA are asked for, or SRV and both of each target. A question that fails
 * takes nothing away: the last good answer stays, and so does an address whose family or target
 * could not be asked for this time. A name that exists no more is a failure, too: taking the
 * last endpoint away is never right.
 *
 * Answers are hostile until checked: at most DNS_ADDRESSES of a name, no address that cannot be
 * a server's, names of targets as RFC 1123 wants them. All of it happens on the controller's
 * loop; nothing blocks, and no request waits for it.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/check.h"
#include "proxy/event/loop.h"

#define DNS_ADDRESSES 256 /* of one name; the first ones in order */

struct dns;

struct dns_address {
    char text[56];             /* an endpoint: "10.0.0.1:80", "[2001:db8::1]:80" */
    uint16_t priority, weight; /* of its SRV record; 0 and 1 without */
    uint64_t origin;           /* which question gave it */
};

enum dns_state { DNS_UNKNOWN, DNS_GOOD, DNS_FAILING };
struct dns_row { /* valid until the next turn */
    enum dns_state state;
    const char *error;                   /* "no such name"; "" when good */
    const struct dns_address *addresses; /* in order */
    size_t naddresses;
    uint64_t since_ms;          /* wall clock of the last change of state; 0: never */
    uint64_t lookups, failures; /* so far */
};

/* The state of SOURCE changed, or its addresses did (CHANGED). From the loop. */
typedef void dns_cb(void *arg, struct str source, const struct dns_row *row, bool changed);

/* NULL: *WHY says why (static). */
struct dns *dns_new(struct loop *l, const struct conf_dns *conf, dns_cb *cb, void *arg,
                    const char **why) MUST_CHECK;
void dns_free(struct dns *d); /* no callback comes after this */

/* Other settings, or resolv.conf has changed: questions under way are asked again. Not from
 * inside a callback. */
void dns_configure(struct dns *d, const struct conf_dns *conf);

/*
 * What is to be known: dns_begin, dns_want for each SOURCE (as conf_endpoint.from), dns_end;
 * what was not named is forgotten. KNOWN, N texts of endpoints, is the answer of an earlier
 * run, used when SOURCE is new here.
 */
void dns_begin(struct dns *d);
void dns_want(struct dns *d, struct str source, const struct dns_address *known, size_t n);
void dns_end(struct dns *d);

bool dns_get(const struct dns *d, struct str source, struct dns_row *row); /* false: unknown */
