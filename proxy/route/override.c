/* override.c - matching of overrides. */
#include "proxy/route/override.h"

#include "proxy/http/cookie.h"

static bool has_field(const struct head *h, struct str name, struct str value)
{
    const struct field *f = head_find(h, name, 0);

    while (f && !str_eq(head_value(h, f), value))
        f = head_find(h, name, (size_t)(f - h->fields) + 1);
    return f != NULL;
}

static bool holds(const struct conf_match *m, const struct head *h)
{
    struct str value;

    switch (m->kind) {
    case CONF_MATCH_HEADER:
        return has_field(h, m->name, m->value);
    case CONF_MATCH_COOKIE:
        return cookie_find(h, m->name, &value) && str_eq(value, m->value);
    }
    return false;
}

bool match_all(const struct conf_match *m, size_t n, const struct head *h)
{
    size_t i = 0;

    while (i < n && holds(&m[i], h))
        i++;
    return i == n;
}

const struct conf_override *override_match(const struct conf_service *s, const struct head *h)
{
    for (size_t i = 0; i < s->noverrides; i++) {
        const struct conf_override *o = &s->overrides[i];

        if (o->nmatches && match_all(o->matches, o->nmatches, h))
            return o;
    }
    return NULL;
}
