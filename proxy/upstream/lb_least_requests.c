/*
 * lb_least_requests.c - the one with the fewest requests of this worker; equals take turns.
 * With weights they take turns by weight over requests under way, so that an idle one of weight
 * 3 gets three times what one of weight 1 gets. Looks at all of them: for tens of endpoints,
 * not for thousands.
 */
#include "proxy/upstream/balance.h"
#include "proxy/upstream/pool.h"

#define PRECISION 1024 /* a busy endpoint still saves up for a turn */

static uint64_t by_room(const struct target *t)
{
    return (uint64_t)t->weight * PRECISION / (t->ep->in_flight + 1);
}

static uint32_t fewest(struct balance *b)
{
    uint32_t first = b->cursor % b->nlive, best = first;
    unsigned least = UINT32_MAX;

    for (uint32_t k = 0; k < b->nlive && least > 0; k++) {
        uint32_t i = first + k < b->nlive ? first + k : first + k - b->nlive;
        unsigned busy = b->targets[b->live[i]].ep->in_flight;

        if (busy < least) {
            least = busy;
            best = i;
        }
    }
    b->cursor = best + 1;
    return best;
}

uint32_t lb_least_requests(struct balance *b, const struct pick *p)
{
    (void)p;
    return b->even ? fewest(b) : lb_turn(b, by_room);
}
