/*
 * router.h - host and path to route.
 *
 * The most specific route wins: an exact host before any host; then the longest path prefix
 * (bytes of the normalised path); then a route with a flag predicate that holds before one
 * without; then the first in the file. A route whose predicate does not hold is as if absent.
 *
 * Built once a snapshot, immutable, borrows the conf. The cost of a match does not depend on
 * the number of hosts and grows with the logarithm of the number of paths of a host.
 */
#pragma once
#include "config/model.h"

struct router;

/* Does the flag of R (R->flag_key is not empty) have the variant that R wants? */
typedef bool router_flag_cb(void *arg, const struct conf_route *r);

/* C must outlive it. SEED is random: hosts of a request are chosen by peers. */
struct router *router_new(const struct conf *c, uint64_t seed);
void router_free(struct router *r);

/*
 * The route for HOST (lower case, no port; may be empty) and PATH (normalised, no query), or
 * NULL. FLAG NULL: no predicate holds. FLAG is called for candidates only, best first. Does
 * not allocate.
 */
const struct conf_route *router_match(const struct router *r, struct str host, struct str path,
                                      router_flag_cb *flag, void *arg);
