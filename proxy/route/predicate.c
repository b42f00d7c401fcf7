/* predicate.c - predicates of routes and overrides. Nothing is decoded unless it has escapes.
 */
#include "proxy/route/predicate.h"

#include "proxy/http/cookie.h"
#include "proxy/http/uri.h"

static bool has_field(const struct head *h, const struct conf_match *m)
{
    const struct field *f = head_find(h, m->name, 0);

    while (f && !m->present && !str_eq(head_value(h, f), m->value))
        f = head_find(h, m->name, (size_t)(f - h->fields) + 1);
    return f != NULL;
}

/* Does RAW, as it stands in a query, decode to WANT? */
static bool decodes_to(struct str raw, struct str want)
{
    size_t at = 0;

    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];

        if (c == '%' && raw.n - i > 2 && uri_hex(raw.p[i + 1]) >= 0 &&
            uri_hex(raw.p[i + 2]) >= 0) {
            c = (char)(uri_hex(raw.p[i + 1]) << 4 | uri_hex(raw.p[i + 2]));
            i += 2;
        }
        if (at >= want.n || want.p[at++] != c)
            return false;
    }
    return at == want.n;
}

static bool has_parameter(const struct head *h, const struct conf_match *m)
{
    struct str path, query;

    uri_split(head_path(h), &path, &query);
    while (query.n) {
        struct str value = str_cut(&query, '&');
        struct str name = str_cut(&value, '=');

        if (decodes_to(name, m->name) && (m->present || decodes_to(value, m->value)))
            return true;
    }
    return false;
}

static bool holds(const struct conf_match *m, const struct head *h)
{
    struct str value;

    switch (m->kind) {
    case CONF_MATCH_HEADER:
        return has_field(h, m);
    case CONF_MATCH_COOKIE:
        return cookie_find(h, m->name, &value) && (m->present || str_eq(value, m->value));
    case CONF_MATCH_QUERY:
        return has_parameter(h, m);
    }
    return false;
}

bool predicate_all(const struct conf_match *matches, size_t n, const struct head *h)
{
    size_t i = 0;

    while (i < n && holds(&matches[i], h))
        i++;
    return i == n;
}

bool predicate_method(const struct str *methods, size_t n, const struct head *h)
{
    struct str method = head_span(h, h->method_text);
    size_t i = 0;

    while (i < n && !str_eq(methods[i], method))
        i++;
    return i < n;
}

bool predicate_route(const struct conf_route *r, const struct head *h)
{
    return (r->nmethods == 0 || predicate_method(r->methods, r->nmethods, h)) &&
           predicate_all(r->matches, r->nmatches, h);
}
