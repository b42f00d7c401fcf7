/*
 * lb_p2c.c - the better of two that chance picked: nearly as even as asking all of them, and
 * workers that do not know of each other do not all run to the same one.
 *
 * Better is who has fewer requests under way, unless one of them is slow: with twice the
 * latency of the other (its peak, which fades) requests weigh as much as they last. Below that
 * factor the difference is taken for noise, so that equal endpoints get equal shares.
 *
 * With weights both are picked by weight, possibly the same one twice, and requests count by
 * weight; of two with equal load the first stays: that gives each exactly its part when idle.
 */
#include "proxy/upstream/balance.h"
#include "proxy/upstream/latency.h"
#include "proxy/upstream/pool.h"

static bool better(const struct target *x, const struct target *y, uint64_t now_us)
{
    const struct endpoint *a = x->ep, *b = y->ep;
    uint64_t la = latency_at(&a->latency, now_us), lb = latency_at(&b->latency, now_us);

    if (la && lb && (la >= 2 * lb || lb >= 2 * la))
        return la * (a->in_flight + 1) * y->weight < lb * (b->in_flight + 1) * x->weight;
    return (uint64_t)a->in_flight * y->weight < (uint64_t)b->in_flight * x->weight;
}

/* A position, with a chance by weight. */
static uint32_t any_by_weight(const struct balance *b, struct rng *rng)
{
    uint64_t at = rng_next(rng) % b->below[b->nlive - 1];
    uint32_t low = 0, high = b->nlive - 1;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (b->below[mid] <= at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

uint32_t lb_p2c(struct balance *b, const struct pick *p)
{
    uint32_t i, k;

    if (b->even) {
        i = rng_below(p->rng, b->nlive);
        k = rng_below(p->rng, b->nlive - 1);
        k += k >= i;
    } else {
        i = any_by_weight(b, p->rng);
        k = any_by_weight(b, p->rng);
    }
    return better(&b->targets[b->live[k]], &b->targets[b->live[i]], p->now_us) ? k : i;
}
