/* balance.c - the table of balancing policies. */
#include "proxy/upstream/balance.h"

#include "proxy/base/check.h"

static uint32_t (*const policies[])(struct balance *, struct rng *) = {
    [CONF_BALANCE_P2C] = lb_p2c,
    [CONF_BALANCE_ROUND_ROBIN] = lb_round_robin,
};

uint32_t balance_pick(struct balance *b, struct rng *r, const struct endpoint *avoid)
{
    uint32_t i;

    ASSERT(b->n > 0);
    i = policies[b->policy](b, r);
    return b->targets[i].ep == avoid ? (i + 1) % b->n : i;
}
