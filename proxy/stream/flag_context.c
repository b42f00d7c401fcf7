/* flag_context.c - what flag rules may ask about a request. Attributes are looked up when a
 * rule asks, each at most once. */
#include "proxy/stream/flag_context.h"

#include "proxy/http/cookie.h"
#include "proxy/http/head_write.h"
#include "proxy/http/uri.h"
#include "proxy/route/predicate.h"

#define LINE_MAX 512 /* a longer field is left out */

static bool targeting_key(struct stream *s, struct str *out)
{
    const struct conf_flags *c = &s->tables->conf->flags;

    for (size_t i = 0; i < c->nkeys; i++) {
        const struct conf_key *k = &c->keys[i];
        const struct field *f;

        if (k->source == CONF_KEY_IP) {
            *out = s->client;
            return true;
        }
        if (k->source == CONF_KEY_COOKIE && cookie_find(&s->req, k->name, out) && out->n)
            return true;
        f = k->source == CONF_KEY_HEADER ? head_find(&s->req, k->name, 0) : NULL;
        if (f && f->value_n) {
            *out = head_value(&s->req, f);
            return true;
        }
    }
    return false;
}

/* "a=1&b=2": the first NAME, decoded into the arena. */
static bool query_value(struct stream *s, struct str name, struct str *out)
{
    struct str path, query;

    uri_split(head_path(&s->req), &path, &query);
    while (query.n) {
        struct str pair = str_cut(&query, '&');
        struct str key = str_cut(&pair, '=');

        if (str_eq(key, name)) {
            *out = uri_decode(pair, arena_alloc(&s->arena, pair.n + 1), pair.n + 1);
            return true;
        }
    }
    return false;
}

static bool after(struct str s, struct str prefix, struct str *rest)
{
    if (!str_starts(s, prefix))
        return false;
    *rest = str_skip(s, prefix.n);
    return true;
}

static bool request_attribute(struct stream *s, struct str name, struct str *out)
{
    struct str rest;

    if (str_eq(name, STR("method")))
        *out = head_span(&s->req, s->req.method_text);
    else if (str_eq(name, STR("path")))
        *out = s->path;
    else if (str_eq(name, STR("host")))
        *out = s->host;
    else if (after(name, STR("header."), &rest)) {
        const struct field *f = head_find(&s->req, rest, 0);

        *out = f ? head_value(&s->req, f) : STR_NONE;
        return f != NULL;
    } else if (after(name, STR("cookie."), &rest))
        return cookie_find(&s->req, rest, out);
    else if (after(name, STR("query."), &rest))
        return query_value(s, rest, out);
    else
        return false;
    return true;
}

static bool get_attribute(void *arg, struct str path, struct flag_value *out)
{
    struct stream *s = arg;
    struct str text = STR_NONE, rest;
    bool found = false;

    if (str_eq(path, STR("targetingKey")))
        found = targeting_key(s, &text);
    else if (after(path, STR("http."), &rest))
        found = request_attribute(s, rest, &text);
    else if (str_eq(path, STR("client.ip"))) {
        text = s->client;
        found = true;
    }
    if (found)
        *out = flag_text(text);
    return found;
}

void flag_context_begin(struct stream *s)
{
    struct plane *p = s->plane;

    if (p->flags)
        flag_ctx_begin(p->flag_ctx, p->flags, get_attribute, s, loop_wall_ms(p->loop) / 1000);
}

_Static_assert(FLAG_NREASONS == STATS_FLAG_REASONS, "a column for each reason");

void flag_context_count(struct plane *p, int flag)
{
    const struct flag_result *r = flag_eval(p->flag_ctx, flag);
    uint32_t cell = r->variant ? r->variant->cell : p->flags->flags[flag].cell;

    if (flag_first(p->flag_ctx, flag))
        stat_add(&p->stats->flag_evaluations[cell < STATS_FLAG_CELLS ? cell : 0][r->reason], 1);
}

static const struct flag_variant *variant(struct stream *s, int flag)
{
    const struct flag_result *r = flag_eval(s->plane->flag_ctx, flag);

    flag_context_count(s->plane, flag);
    return r->variant;
}

bool flag_context_route(void *arg, const struct conf_route *r)
{
    struct stream *s = arg;
    const struct flag_variant *v = NULL;
    int flag;

    if (!predicate_route(r, &s->req))
        return false;
    if (r->flag_key.n == 0)
        return true;
    flag = s->plane->flags ? flagset_find(s->plane->flags, r->flag_key) : -1;
    if (flag >= 0)
        v = variant(s, flag);
    return v && str_eq(v->name, r->flag_variant);
}

struct str flag_context_lines(struct stream *s)
{
    const struct flag_upstream *up;
    char line[LINE_MAX];
    struct out o;
    size_t n = 0, room;

    if (!s->plane->flags)
        return STR_NONE;
    up = flagset_upstream(s->plane->flags, &n);
    if (n == 0)
        return STR_NONE;
    room = n * LINE_MAX < FLAG_LINES_MAX ? n * LINE_MAX : FLAG_LINES_MAX;
    o = out_init(arena_alloc(&s->arena, room), room);
    for (size_t i = 0; i < n; i++) {
        const struct flag_variant *v = variant(s, up[i].flag);
        struct out l = out_init(line, sizeof(line));

        if (!v || !v->header_safe)
            continue;
        head_write_known(&l, up[i].field, v->name);
        if (!l.full && l.n <= o.cap - o.n)
            out_put(&o, out_text(&l));
    }
    return out_text(&o);
}
