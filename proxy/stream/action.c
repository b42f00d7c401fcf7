/* action.c - redirects, fixed answers, rewritten paths, edited fields. */
#include "proxy/stream/action.h"

#include "proxy/http/uri.h"
#include "proxy/stream/reply.h"

#define PATH_MAX_BYTES (HEAD_MAX_LINE - 64) /* of a path that goes on, with its query */

/* ---- fields ---- */

static void strip(struct head *h, struct str name)
{
    for (uint16_t i = 0; i < h->nfields; i++)
        h->fields[i].hop |= str_ieq(head_name(h, &h->fields[i]), name);
}

void action_strip(const struct conf_edit *e, struct head *h)
{
    for (size_t i = 0; i < e->nremove; i++)
        strip(h, e->remove[i]);
    for (size_t i = 0; i < e->nset; i++)
        strip(h, e->set[i].name);
}

static size_t headers_size(const struct conf_header *list, size_t n)
{
    size_t size = 0;

    for (size_t i = 0; i < n; i++)
        size += list[i].name.n + list[i].value.n + 4;
    return size;
}

static void headers_write(const struct conf_header *list, size_t n, struct out *o)
{
    for (size_t i = 0; i < n; i++)
        (void)head_write_field(o, list[i].name, list[i].value);
}

size_t action_size(const struct conf_edit *e)
{
    return headers_size(e->set, e->nset) + headers_size(e->add, e->nadd);
}

void action_write(const struct conf_edit *e, struct out *o)
{
    headers_write(e->set, e->nset, o);
    headers_write(e->add, e->nadd, o);
}

/* ---- paths ---- */

/*
 * TO and what of the path lies behind the prefix, with one slash between them if there was one:
 * "/v2" and "/x", "/v2/" and "x" and, so that no host is made of it, "/" and "//x" -> "/x".
 */
static void put_joined(struct out *o, struct str to, struct str path, struct str prefix)
{
    struct str rest = str_skip(path, prefix.n);

    out_put(o, to);
    if (str_ends(to, STR("/")))
        while (rest.n && rest.p[0] == '/')
            rest = str_skip(rest, 1);
    else if (rest.n && rest.p[0] != '/' && str_ends(prefix, STR("/")))
        out_char(o, '/');
    out_put(o, rest);
}

static bool has_reserved_escape(struct str path)
{
    static const char *const escapes[] = {"%2F", "%5C", "%3B", "%23", "%3F"};

    for (size_t i = 0; i + 2 < path.n; i++)
        for (size_t k = 0; path.p[i] == '%' && k < ARRAY_LEN(escapes); k++)
            if (memcmp(path.p + i, escapes[k], 3) == 0)
                return true;
    return false;
}

/* What the route makes of the path, in normal form. */
static bool rewritten(struct stream *s, struct str *path)
{
    const struct conf_route *r = s->route;
    char *room = arena_alloc(&s->arena, PATH_MAX_BYTES), *normal;
    struct out o = out_init(room, PATH_MAX_BYTES);
    struct str made;

    if (r->path_regex.n) {
        const struct regex *re = router_regex(s->tables->router, r);

        /* Other patterns may have been tried since, this one not. */
        if (!regex_replace(re, s->path, r->rewrite, room, PATH_MAX_BYTES, &made))
            return false;
    } else {
        put_joined(&o, r->rewrite, s->path, r->path_exact.n ? s->path : r->path);
        made = out_text(&o);
    }
    normal = arena_alloc(&s->arena, made.n + 1);
    return !o.full && uri_path_normalise(made, normal, made.n + 1, path) == URI_PATH_OK &&
           path->p[0] == '/';
}

bool action_path(struct stream *s)
{
    struct str raw, query, path = s->path;
    struct out o;

    uri_split(head_path(&s->req), &raw, &query);
    if (s->route->escapes == CONF_ESCAPES_REJECT && has_reserved_escape(path))
        return false;
    if (str_eq(raw, STR("*")))
        return true;
    if (s->route->rewrite.n && !rewritten(s, &path))
        return false;
    if (!s->route->rewrite.n && str_ieq(path, raw)) /* but for the case of its escapes */
        return true;
    o = out_init(arena_alloc(&s->arena, path.n + query.n + 1), path.n + query.n + 1);
    out_put(&o, path);
    if (query.p)
        out_char(&o, '?');
    out_put(&o, query);
    s->forward_path = out_text(&o);
    return s->forward_path.n <= PATH_MAX_BYTES;
}

/* ---- answers ---- */

struct str action_location(struct stream *s)
{
    const struct conf_redirect *c = &s->route->redirect;
    struct str path, query, prefix = s->route->path;
    size_t cap;
    struct out o;

    uri_split(head_path(&s->req), &path, &query);
    cap = sizeof("Location: \r\n") + c->to.n + s->path.n + query.n + 4;
    o = out_init(arena_alloc(&s->arena, cap), cap);
    out_put(&o, STR("Location: "));
    put_joined(&o, c->to, s->path, prefix.n && c->keep & CONF_KEEP_PATH ? prefix : s->path);
    if (query.p && c->keep & CONF_KEEP_QUERY) {
        out_char(&o, '?');
        out_put(&o, query);
    }
    out_put(&o, STR("\r\n"));
    return out_text(&o);
}

static void respond(struct stream *s)
{
    const struct conf_respond *c = &s->route->respond;
    size_t cap = headers_size(c->headers, c->nheaders) + sizeof("Content-Type: text/plain\r\n");
    struct out o = out_init(arena_alloc(&s->arena, cap), cap);
    bool typed = false;

    for (size_t i = 0; i < c->nheaders; i++)
        typed |= str_ieq(c->headers[i].name, STR("content-type"));
    if (c->body.n && !typed)
        head_write_known(&o, STR("Content-Type"), STR("text/plain"));
    headers_write(c->headers, c->nheaders, &o);
    stream_reply(s, END_RESPONDED, (int)c->status, out_text(&o), c->body);
}

void action_answer(struct stream *s)
{
    if (s->route->redirect.to.n)
        stream_reply(s, END_REDIRECTED, (int)s->route->redirect.status, action_location(s),
                     STR_NONE);
    else
        respond(s);
}
