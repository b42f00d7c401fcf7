/*
 * lb_ring_hash.c - the same client to the same endpoint, with bounded load.
 *
 * Every target has RING_POINTS points on a circle of 2^32, placed by its name alone: when one
 * comes or goes, only the keys between its points and the ones before move. A key belongs to
 * the first point at or after it whose endpoint is live and has at most a quarter more than its
 * part of the requests under way.
 */
#include "proxy/base/hash.h"
#include "proxy/upstream/balance.h"
#include "proxy/upstream/pool.h"

#include <stdlib.h>

#define RING_POINTS 64

struct ring_point {
    uint32_t at;
    uint32_t target;
};

static int by_place(const void *x, const void *y)
{
    const struct ring_point *a = x, *b = y;

    return a->at != b->at ? (a->at > b->at) - (a->at < b->at)
                          : (a->target > b->target) - (a->target < b->target);
}

void lb_ring_init(struct balance *b, struct arena *a)
{
    b->npoints = b->n * RING_POINTS;
    b->points = arena_zalloc(a, (b->npoints + 1) * sizeof(*b->points));
    for (uint32_t i = 0; i < b->npoints; i++) {
        uint32_t target = i / RING_POINTS;
        struct str name = str_of(b->targets[target].ep->name);

        b->points[i].at = (uint32_t)(hash64(name, i % RING_POINTS) >> 32);
        b->points[i].target = target;
    }
    if (b->npoints)
        qsort(b->points, b->npoints, sizeof(*b->points), by_place);
}

/* The first point at or after AT. */
static uint32_t find(const struct balance *b, uint32_t at)
{
    uint32_t low = 0, high = b->npoints;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (b->points[mid].at < at)
            low = mid + 1;
        else
            high = mid;
    }
    return low == b->npoints ? 0 : low;
}

/* Would one more be above 5/4 of an even share? */
static bool full(const struct balance *b, const struct endpoint *ep)
{
    uint64_t sum = 1;

    if (ep->in_flight == 0)
        return false;
    for (uint32_t i = 0; i < b->nlive; i++)
        sum += b->targets[b->live[i]].ep->in_flight;
    return (uint64_t)ep->in_flight * 4 * b->nlive >= 5 * sum;
}

uint32_t lb_ring_hash(struct balance *b, const struct pick *p)
{
    uint32_t from = find(b, (uint32_t)(p->key >> 32)), fallback = BALANCE_NONE;

    for (uint32_t k = 0; k < b->npoints; k++) {
        uint32_t target = b->points[(from + k) % b->npoints].target;
        const struct endpoint *ep = b->targets[target].ep;

        if (b->place[target] == BALANCE_NONE || ep == p->avoid)
            continue;
        if (!full(b, ep))
            return b->place[target];
        if (fallback == BALANCE_NONE)
            fallback = b->place[target];
    }
    return fallback == BALANCE_NONE ? 0 : fallback;
}
