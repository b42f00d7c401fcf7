/* lb_round_robin.c - one after the other. */
#include "proxy/upstream/balance.h"

uint32_t lb_round_robin(struct balance *b, const struct pick *p)
{
    (void)p;
    return b->cursor++ % b->nlive;
}
