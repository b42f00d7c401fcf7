/* lb_round_robin.c - one after the other. */
#include "proxy/upstream/balance.h"

uint32_t lb_round_robin(struct balance *b, struct rng *r)
{
    (void)r;
    return b->cursor++ % b->n;
}
