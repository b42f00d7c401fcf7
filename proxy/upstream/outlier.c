/* outlier.c - endpoints that fail request after request get a pause. */
#include "proxy/upstream/outlier.h"

#include "proxy/upstream/pool.h"

/* May one more of those that are up be ejected? */
static bool room(const struct balance *b, uint32_t max_share, uint64_t now_us)
{
    uint32_t up = 0, ejected = 0;

    for (uint32_t i = 0; i < b->n; i++) {
        up += b->targets[i].up;
        ejected += b->targets[i].up && b->targets[i].ep->ejected_until_us > now_us;
    }
    return (ejected + 1) * 100 <= max_share * up;
}

bool outlier_failed(const struct balance *b, const struct conf_outlier *c, struct endpoint *ep,
                    uint64_t now_us)
{
    uint64_t pause_us = c->eject_ms * 1000;

    if (ep->ejected_until_us > now_us) /* what was under way already */
        return false;
    if (++ep->failed_in_row < c->consecutive_errors || !room(b, c->max_ejected, now_us))
        return false;
    if (now_us > ep->ejected_until_us + OUTLIER_GROWTH_MAX * pause_us)
        ep->pauses = 0;
    if (ep->pauses < OUTLIER_GROWTH_MAX)
        ep->pauses++;
    ep->failed_in_row = 0;
    pool_eject(ep, now_us + ep->pauses * pause_us);
    return true;
}

void outlier_answered(struct endpoint *ep)
{
    ep->failed_in_row = 0;
}
