/*
 * lb_least_requests.c - the one with the fewest requests of this worker; equals take turns.
 * Looks at all of them: for tens of endpoints, not for thousands.
 */
#include "proxy/upstream/balance.h"
#include "proxy/upstream/pool.h"

uint32_t lb_least_requests(struct balance *b, const struct pick *p)
{
    uint32_t first = b->cursor % b->nlive, best = first;
    unsigned least = UINT32_MAX;

    (void)p;
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
