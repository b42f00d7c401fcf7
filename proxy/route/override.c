/* override.c - matching of overrides. */
#include "proxy/route/override.h"

#include "proxy/route/predicate.h"

const struct conf_override *override_match(const struct conf_service *s, const struct head *h)
{
    for (size_t i = 0; i < s->noverrides; i++) {
        const struct conf_override *o = &s->overrides[i];

        if (o->nmatches && predicate_all(o->matches, o->nmatches, h))
            return o;
    }
    return NULL;
}
