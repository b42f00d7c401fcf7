/*
 * balance.c - who is live, and the table of balancing policies.
 *
 * Invariant: `live` and `place` are inverse to each other, and what is live is either up and
 * not ejected, or let in because too few are.
 */
#include "proxy/upstream/balance.h"

#include "proxy/base/check.h"
#include "proxy/upstream/pool.h"

static uint32_t (*const policies[])(struct balance *, const struct pick *) = {
    [CONF_BALANCE_P2C] = lb_p2c,
    [CONF_BALANCE_ROUND_ROBIN] = lb_round_robin,
    [CONF_BALANCE_LEAST_REQUESTS] = lb_least_requests,
    [CONF_BALANCE_RING_HASH] = lb_ring_hash,
};

void balance_init(struct balance *b, struct arena *a, const struct conf_service *c,
                  const struct target *targets, uint32_t n, const unsigned *ejections)
{
    *b = (struct balance){.policy = c->balance, .targets = targets, .n = n, .panic = c->panic};
    b->live = arena_zalloc(a, (n + 1) * sizeof(*b->live));
    b->place = arena_zalloc(a, (n + 1) * sizeof(*b->place));
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
    i = policies[b->policy](b, p);
    ASSERT(i < b->nlive);
    if (b->targets[b->live[i]].ep == p->avoid)
        i = (i + 1) % b->nlive;
    return b->live[i];
}
