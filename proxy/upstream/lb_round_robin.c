/* lb_round_robin.c - one after the other; with weights, as evenly as weights allow. */
#include "proxy/upstream/balance.h"

static uint64_t by_weight(const struct target *t)
{
    return t->weight;
}

uint32_t lb_round_robin(struct balance *b, const struct pick *p)
{
    (void)p;
    return b->even ? b->cursor++ % b->nlive : lb_turn(b, by_weight);
}
