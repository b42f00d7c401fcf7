/*
 * lb_p2c.c - the better of two that chance picked: nearly as even as asking all of them, and
 * workers that do not know of each other do not all run to the same one.
 *
 * Better is who has fewer requests under way, unless one of them is slow: with twice the
 * latency of the other (its peak, which fades) requests weigh as much as they last. Below that
 * factor the difference is taken for noise, so that equal endpoints get equal shares.
 */
#include "proxy/upstream/balance.h"
#include "proxy/upstream/latency.h"
#include "proxy/upstream/pool.h"

static bool better(const struct endpoint *a, const struct endpoint *b, uint64_t now_us)
{
    uint64_t la = latency_at(&a->latency, now_us), lb = latency_at(&b->latency, now_us);

    if (la && lb && (la >= 2 * lb || lb >= 2 * la))
        return la * (a->in_flight + 1) < lb * (b->in_flight + 1);
    return a->in_flight < b->in_flight;
}

uint32_t lb_p2c(struct balance *b, const struct pick *p)
{
    uint32_t i = rng_below(p->rng, b->nlive), k = rng_below(p->rng, b->nlive - 1);

    k += k >= i;
    return better(b->targets[b->live[k]].ep, b->targets[b->live[i]].ep, p->now_us) ? k : i;
}
