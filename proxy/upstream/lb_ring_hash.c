/*
 * lb_ring_hash.c - the same client to the same endpoint, with bounded load.
 *
 * The lightest target has RING_POINTS points on a circle of 2^32 and others more by weight (not
 * more than RING_MOST), placed by their name alone: when one comes or goes, only the keys
 * between its points and the ones before move. A key belongs to the first point at or after it
 * whose endpoint is live and has at most a quarter more than its part of the requests under
 * way.
 *
 * All together they have BALANCE_RING_POINTS at most, and one each: many targets of very uneven
 * weights get fewer, by the same factor and rounded, so that the share of one with N points is
 * off by up to half a point in N, and by chance by about one part in the root of N.
 */
#include "proxy/base/hash.h"
#include "proxy/upstream/balance.h"
#include "proxy/upstream/pool.h"

#include <stdlib.h>

#define RING_POINTS 64
#define RING_MOST   4096

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

struct range {
    uint32_t least, most;
};

static struct range weights(const struct balance *b)
{
    struct range r = {UINT32_MAX, 0};

    for (uint32_t i = 0; i < b->n; i++) {
        uint32_t w = b->targets[i].weight;

        r.least = w < r.least ? w : r.least;
        r.most = w > r.most ? w : r.most;
    }
    return r;
}

/* Points of T in thousandths, were there room for any number. */
static uint64_t wish(const struct target *t, struct range r)
{
    bool fits = r.most / r.least <= RING_MOST / RING_POINTS;
    uint64_t w = t->weight;

    return fits ? w * 1000 * RING_POINTS / r.least : w * 1000 * RING_MOST / r.most;
}

/* SUM: of all wishes. */
static uint32_t points_of(const struct target *t, struct range r, uint64_t sum)
{
    uint64_t n = wish(t, r);

    if (sum > 1000ull * BALANCE_RING_POINTS)
        n = (n * BALANCE_RING_POINTS + sum / 2000) / (sum / 1000);
    n = (n + 500) / 1000;
    return n ? (uint32_t)n : 1;
}

void lb_ring_init(struct balance *b, struct arena *a)
{
    struct range r = weights(b);
    uint64_t sum = 0;
    uint32_t at = 0;

    for (uint32_t i = 0; i < b->n; i++)
        sum += wish(&b->targets[i], r);
    for (uint32_t i = 0; i < b->n; i++)
        b->npoints += points_of(&b->targets[i], r, sum);
    b->points = arena_zalloc(a, (b->npoints + 1) * sizeof(*b->points));
    for (uint32_t i = 0; i < b->n; i++) {
        struct str name = str_of(b->targets[i].ep->name);

        for (uint32_t k = 0, n = points_of(&b->targets[i], r, sum); k < n; k++)
            b->points[at++] = (struct ring_point){(uint32_t)(hash64(name, k) >> 32), i};
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

/* Would one more be above 5/4 of its part? */
static bool full(const struct balance *b, const struct target *t)
{
    uint64_t sum = 1;

    if (t->ep->in_flight == 0)
        return false;
    for (uint32_t i = 0; i < b->nlive; i++)
        sum += b->targets[b->live[i]].ep->in_flight;
    return (uint64_t)t->ep->in_flight * 4 * b->below[b->nlive - 1] >= 5 * sum * t->weight;
}

uint32_t lb_ring_hash(struct balance *b, const struct pick *p)
{
    uint32_t from = find(b, (uint32_t)(p->key >> 32)), fallback = BALANCE_NONE;

    for (uint32_t k = 0; k < b->npoints; k++) {
        uint32_t target = b->points[(from + k) % b->npoints].target;
        const struct target *t = &b->targets[target];

        if (b->place[target] == BALANCE_NONE || t->ep == p->avoid)
            continue;
        if (!full(b, t))
            return b->place[target];
        if (fallback == BALANCE_NONE)
            fallback = b->place[target];
    }
    return fallback == BALANCE_NONE ? 0 : fallback;
}
