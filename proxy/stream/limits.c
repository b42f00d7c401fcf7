/* limits.c - how much a service takes at a time, over all workers. */
#include "proxy/stream/limits.h"

/* Requests of the service C in the worker of SLAB. */
static uint64_t under_way(const struct stats_slab *slab, const struct conf_service *c)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < c->nversions; i++) {
        uint32_t cell = c->versions[i].cell;

        if (cell && cell < STATS_VERSIONS)
            sum += stat_get(&slab->versions[cell].in_flight);
    }
    return sum;
}

static void look_around(struct stream *s)
{
    const struct plane_options *o = &s->plane->opt;
    struct service_row *row = s->service;
    uint64_t now = loop_now_us(s->plane->loop);

    if (row->elsewhere_at_us && now - row->elsewhere_at_us < LIMITS_FRESH_US)
        return;
    row->elsewhere_at_us = now;
    row->elsewhere = 0;
    for (unsigned i = 0; i < stats_slabs(o->stats); i++)
        if (i != o->slab)
            row->elsewhere += under_way(&o->stats->slabs[i], row->conf);
}

bool limits_admit(struct stream *s)
{
    uint32_t max = s->service->conf->limits.max_requests;

    if (!max)
        return true;
    look_around(s);
    return s->service->elsewhere + under_way(s->plane->stats, s->service->conf) < max;
}
