/* capacity.c - weights as far as the endpoints that are ready can carry them. */
#include "proxy/route/capacity.h"

struct part {
    uint64_t ready, all; /* weights of endpoints */
};

static struct part ready_part(const struct conf_version *v)
{
    struct part p = {0, 0};

    for (size_t i = 0; i < v->nendpoints; i++) {
        const struct conf_endpoint *e = &v->endpoints[i];

        if (e->drain)
            continue;
        p.all += e->weight;
        p.ready += e->up ? e->weight : 0;
    }
    return p;
}

size_t capacity_base(const struct conf_service *s)
{
    size_t base = CAPACITY_NOBODY;

    for (size_t i = 0; i < s->nversions; i++) {
        const struct conf_version *v = &s->versions[i];

        if (v->weight && (base == CAPACITY_NOBODY || v->age < s->versions[base].age) &&
            ready_part(v).ready)
            base = i;
    }
    return base;
}

uint32_t capacity_cut(const struct conf_service *s, size_t base, size_t v)
{
    uint64_t weight = s->versions[v].weight;
    struct part p = {1, 1};

    if (base != CAPACITY_NOBODY && weight)
        p = ready_part(&s->versions[v]);
    return p.all ? (uint32_t)((weight * p.ready + p.all - 1) / p.all) : 0;
}
