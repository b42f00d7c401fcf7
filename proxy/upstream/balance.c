/*
 * balance.c - who is live, and the table of balancing policies.
 *
 * Invariant: `live` and `place` are inverse to each other, and what is live is either up and
 * not ejected, or let in because too few are.
 */
#include "proxy/upstream/balance.h"

#include "proxy/base/check.h"
#include "proxy/upstream/pool.h"

#define WARM_FULL  10000
#define WARM_TRIES 4
#define WARM_MIX   0x9e3779b97f4a7c15u /* other bits of a key than those of its place */

static uint32_t (*const policies[])(struct balance *, const struct pick *) = {
    [CONF_BALANCE_P2C] = lb_p2c,
    [CONF_BALANCE_ROUND_ROBIN] = lb_round_robin,
    [CONF_BALANCE_LEAST_REQUESTS] = lb_least_requests,
    [CONF_BALANCE_RING_HASH] = lb_ring_hash,
};

void balance_init(struct balance *b, struct arena *a, const struct conf_service *c,
                  const struct target *targets, uint32_t n, const unsigned *ejections)
{
    *b = (struct balance){.policy = c->balance,
                          .targets = targets,
                          .n = n,
                          .panic = c->panic,
                          .slow_us = c->slow_start_ms * 1000};
    b->live = arena_zalloc(a, (n + 1) * sizeof(*b->live));
    b->place = arena_zalloc(a, (n + 1) * sizeof(*b->place));
    b->below = arena_zalloc(a, (n + 1) * sizeof(*b->below));
    b->credit = arena_zalloc(a, (n + 1) * sizeof(*b->credit));
    b->ejections = ejections;
    if (b->policy == CONF_BALANCE_RING_HASH)
        lb_ring_init(b, a);
}

enum who { WELL, UP, ALL };

static void admit(struct balance *b, enum who who, uint64_t now_us)
{
    b->nlive = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        const struct target *t = &b->targets[i];
        bool in = who == ALL || (t->up && (who == UP || t->ep->ejected_until_us <= now_us));

        b->place[i] = in ? b->nlive : BALANCE_NONE;
        if (in)
            b->live[b->nlive++] = i;
    }
}

static void weigh(struct balance *b)
{
    uint64_t sum = 0;

    b->even = true;
    for (uint32_t i = 0; i < b->nlive; i++) {
        uint32_t weight = b->targets[b->live[i]].weight;

        b->even &= weight == b->targets[b->live[0]].weight;
        b->below[i] = sum += weight;
    }
}

/* The first end of an ejection among the targets. */
static uint64_t next_return(const struct balance *b, uint64_t now_us)
{
    uint64_t first = UINT64_MAX;

    for (uint32_t i = 0; i < b->n; i++) {
        uint64_t end = b->targets[i].ep->ejected_until_us;

        if (end > now_us && end < first)
            first = end;
    }
    return first;
}

static void refresh(struct balance *b, uint64_t now_us)
{
    b->seen = *b->ejections;
    b->until_us = next_return(b, now_us);
    admit(b, WELL, now_us);
    if (b->nlive == 0)
        admit(b, UP, now_us); /* an ejection is no reason for a 503 */
    if (b->nlive * 100 < b->panic * b->n)
        admit(b, ALL, now_us);
    weigh(b);
}

uint32_t lb_turn(struct balance *b, uint64_t (*share)(const struct target *t))
{
    uint32_t best = 0;
    int64_t sum = 0;

    for (uint32_t i = 0; i < b->nlive; i++) {
        int64_t part = (int64_t)share(&b->targets[b->live[i]]);

        sum += part;
        b->credit[b->live[i]] += part;
        if (b->credit[b->live[i]] > b->credit[b->live[best]])
            best = i;
    }
    b->credit[b->live[best]] -= sum;
    return best;
}

/* The chance in WARM_FULL that T takes a turn that is its. */
static uint32_t warmth(const struct balance *b, const struct target *t, uint64_t now_us)
{
    uint64_t since = t->ep->up_since_us;

    if (t->ep->ejected_until_us > since)
        since = t->ep->ejected_until_us;
    if (since == 0 || now_us >= since + b->slow_us)
        return WARM_FULL;
    if (now_us <= since)
        return WARM_FULL / 10;
    return (uint32_t)(WARM_FULL / 10 + (now_us - since) * (WARM_FULL * 9 / 10) / b->slow_us);
}

/* Where requests of one key belong together, the key decides whether they pass the newcomer
 * over; elsewhere chance does. */
static uint32_t draw(const struct balance *b, const struct pick *p)
{
    uint64_t bits = b->policy == CONF_BALANCE_RING_HASH ? p->key * WARM_MIX : rng_next(p->rng);

    return (uint32_t)((bits >> 32) % WARM_FULL);
}

/* A position in live; newcomers pass on some of their turns. */
static uint32_t pick_warm(struct balance *b, const struct pick *p)
{
    struct pick again = *p;
    uint32_t i = policies[b->policy](b, p);

    for (int tries = 0; b->slow_us && tries < WARM_TRIES; tries++) {
        const struct target *t = &b->targets[b->live[i]];

        if (draw(b, p) < warmth(b, t, p->now_us))
            break;
        again.avoid = t->ep;
        i = policies[b->policy](b, &again);
        if (b->targets[b->live[i]].ep == t->ep)
            i = (i + 1) % b->nlive;
    }
    return i;
}

uint32_t balance_pick(struct balance *b, const struct pick *p)
{
    uint32_t i;

    if (b->seen != *b->ejections || p->now_us >= b->until_us)
        refresh(b, p->now_us);
    if (b->nlive == 0)
        return BALANCE_NONE;
    if (b->nlive == 1)
        return b->live[0];
    i = pick_warm(b, p);
    ASSERT(i < b->nlive);
    if (b->targets[b->live[i]].ep == p->avoid)
        i = (i + 1) % b->nlive;
    return b->live[i];
}
