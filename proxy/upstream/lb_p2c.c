/*
 * lb_p2c.c - the less busy of two that chance picked: nearly as even as asking all of them, and
 * workers that do not know of each other do not all run to the same one.
 */
#include "proxy/upstream/balance.h"
#include "proxy/upstream/pool.h"

uint32_t lb_p2c(struct balance *b, struct rng *r)
{
    uint32_t i, k;

    if (b->n == 1)
        return 0;
    i = rng_below(r, b->n);
    k = rng_below(r, b->n - 1);
    k += k >= i;
    return b->targets[k].ep->in_flight < b->targets[i].ep->in_flight ? k : i;
}
