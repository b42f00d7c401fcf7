/*
 * router.h - host and path to route.
 *
 * The most specific host wins: the name itself, then the longest wildcard, then any host. Of a
 * host's routes, in this order: the exact path, regular expressions in the order of the file,
 * the longest prefix. With the same path the route with more predicates comes first, then the
 * first in the file. A route whose predicates do not hold is as if absent, and so is a host
 * none of whose routes match.
 *
 * Built once a snapshot, immutable, borrows the conf. The cost of a match does not depend on
 * the number of hosts, grows with the logarithm of the number of paths of a host, and with the
 * number of its regular expressions.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/regex.h"

struct router;

/* Do the predicates of R (it has some: methods, matches, a flag) hold? */
typedef bool router_holds_cb(void *arg, const struct conf_route *r);

/* C must outlive it. SEED is random: hosts of a request are chosen by peers. */
struct router *router_new(const struct conf *c, uint64_t seed);
void router_free(struct router *r);

/*
 * The route for HOST (lower case, no port; may be empty) and PATH (normalised, no query), or
 * NULL. HOLDS NULL: no predicate holds. HOLDS is called for candidates only, best first. A
 * pattern that reaches its limit ends the search with NULL: what it protects stays closed. Does
 * not allocate.
 */
const struct conf_route *router_match(const struct router *r, struct str host, struct str path,
                                      router_holds_cb *holds, void *arg);
/* The pattern of R's path_regex; after router_match gave R it has seen the path. NULL: none. */
const struct regex *router_regex(const struct router *r, const struct conf_route *route);
