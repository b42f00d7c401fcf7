/*
 * fuzz_route.c - a request head on its way through normal form, router, rewrite, redirect and
 * edits of fields. What is forwarded is what was matched, and nothing that is written into a
 * head ends its line.
 */
#include "config/conf.h"
#include "proxy/http/h1_parse.h"
#include "proxy/http/uri.h"
#include "proxy/route/predicate.h"
#include "proxy/stream/action.h"
#include "proxy/stream/tables.h"

#include "proxy/base/mem.h"

#include <stdlib.h>

#define HOST_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char document[] =
    "{\"version\": 1, \"listeners\": {\"web\": {\"address\": \"127.0.0.1:1\"}},"
    " \"services\": {\"s\": {\"versions\": {\"v1\": {\"endpoints\": [\"127.0.0.1:2\"]}}}},"
    " \"routes\": ["
    "{\"path\": \"/p/\", \"service\": \"s\", \"rewrite\": \"/\"},"
    "{\"path\": \"/q\", \"service\": \"s\", \"rewrite\": \"/new/q\"},"
    "{\"path_exact\": \"/exact\", \"service\": \"s\", \"rewrite\": \"/other\"},"
    "{\"path\": \"/strict/\", \"service\": \"s\", \"escapes\": \"reject\"},"
    "{\"path\": \"/old/\", \"redirect\": {\"to\": \"/\", \"keep\": [\"path\", \"query\"]}},"
    "{\"path\": \"/away\", \"redirect\": {\"to\": \"https://b.example/x\","
    "  \"keep\": [\"path\", \"query\"]}},"
    "{\"path\": \"/get\", \"methods\": [\"GET\"], \"service\": \"s\","
    "  \"match\": {\"query\": {\"a\": \"b\"}, \"cookie\": {\"c\": \"d\"}, \"header\": {\"e\": "
    "true}}},"
    "{\"path\": \"/edit\", \"service\": \"s\", \"request_headers\": {\"set\": {\"X-A\": \"1\"},"
    "  \"add\": {\"X-B\": \"2\"}, \"remove\": [\"x-c\", \"cookie\"]}},"
    "{\"host\": \"*.b.example\", \"path_regex\": \"^/([a-z]+)/(.*)$\", \"service\": \"s\","
    "  \"rewrite\": \"/$2/$1\"},"
    "{\"host\": \"a.b.example\", \"path\": \"/\", \"service\": \"s\"},"
    "{\"host\": \"c.example\", \"path_regex\": \"(a+)+$\", \"service\": \"s\", \"rewrite\": "
    "\"/$1\"},"
    "{\"host\": \"d.example\", \"path\": \"/\", \"redirect\": {\"to\": \"https://e.example/\","
    "  \"keep\": [\"path\"]}}"
    "]}";

static struct conf *conf;
static struct tables tables;

static void set_up(void)
{
    struct conf_diags d;

    conf_diags_init(&d);
    conf = conf_parse(STR(document), NULL, &d);
    ASSERT(conf);
    conf_diags_release(&d);
    tables.conf = conf;
    tables.router = router_new(conf, 7);
}

static bool holds(void *arg, const struct conf_route *r)
{
    return predicate_route(r, arg);
}

/* As the stream reads it. */
static bool read_target(struct stream *s)
{
    struct str path, query, authority = head_authority(&s->req);
    struct uri_authority a;

    if (authority.n) {
        if (!uri_authority_parse(authority, &a))
            return false;
        s->host = uri_host_lower(a.host, arena_alloc(&s->arena, HOST_MAX), HOST_MAX);
    }
    uri_split(head_path(&s->req), &path, &query);
    if (str_eq(path, STR("*"))) {
        s->path = STR("/");
        return true;
    }
    return uri_path_normalise(path, arena_alloc(&s->arena, path.n + 1), path.n + 1, &s->path) ==
           URI_PATH_OK;
}

static struct str normal(struct stream *s, struct str path)
{
    struct str out;

    ASSERT(uri_path_normalise(path, arena_alloc(&s->arena, path.n + 1), path.n + 1, &out) ==
           URI_PATH_OK);
    return out;
}

/* No byte that ends a line or a part of a request line. */
static void check_plain(struct str s, bool blank)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        ASSERT(c >= (blank ? 0x20 : 0x21) && c != 0x7f);
    }
}

static void check_match(const struct stream *s)
{
    const struct conf_route *r = s->route;
    struct regex_error e;
    struct regex *re;

    ASSERT(predicate_route(r, &s->req));
    if (r->path_exact.n) {
        ASSERT(str_eq(s->path, r->path_exact));
    } else if (r->path_regex.n) {
        re = regex_new(r->path_regex, &e);
        ASSERT(re && regex_match(re, s->path) == REGEX_YES);
        regex_free(re);
    } else {
        ASSERT(str_starts(s->path, r->path));
    }
}

/* What an endpoint reads is what was matched, or what the route made of it. */
static void check_forwarded(struct stream *s)
{
    struct str target = s->forward_path.n ? s->forward_path : head_path(&s->req);
    struct str path, query, raw, asked;

    check_plain(target, false);
    uri_split(target, &path, &query);
    uri_split(head_path(&s->req), &raw, &asked);
    ASSERT(str_eq(query, asked) && (query.p != NULL) == (asked.p != NULL));
    if (str_eq(path, STR("*")))
        return;
    if (!s->route->rewrite.n)
        ASSERT(str_eq(normal(s, path), s->path));
    if (s->forward_path.n)
        ASSERT(path.p[0] == '/' && str_eq(normal(s, path), path));
}

static void check_location(struct stream *s)
{
    struct str line = action_location(s), value = str_skip(line, sizeof("Location: ") - 1);

    ASSERT(str_starts(line, STR("Location: ")) && str_ends(line, STR("\r\n")));
    value.n -= 2;
    check_plain(value, false);
    ASSERT(str_starts(value, s->route->redirect.to) && !str_starts(value, STR("//")));
}

static void check_edit(struct stream *s)
{
    const struct conf_edit *e = &s->route->request;
    struct out o = out_init(malloc(action_size(e) + 1), action_size(e));
    struct str all, line;

    action_strip(e, &s->req);
    for (size_t i = 0; i < s->req.nfields; i++)
        for (size_t k = 0; k < e->nremove; k++)
            ASSERT(s->req.fields[i].hop ||
                   !str_ieq(head_name(&s->req, &s->req.fields[i]), e->remove[k]));
    action_write(e, &o);
    ASSERT(!o.full);
    for (all = out_text(&o); all.n;) {
        line = str_cut(&all, '\n');
        ASSERT(line.n && line.p[line.n - 1] == '\r');
        line.n--;
        check_plain(line, true);
    }
    free(o.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct h1_parser p;
    struct stream *s;
    char *text;

    if (!conf)
        set_up();
    if (n == 0 || n > 20000)
        return 0;
    s = calloc(1, sizeof(*s));
    text = malloc(n);
    memcpy(text, data, n);
    arena_init(&s->arena, NULL, 0);
    s->tables = &tables;
    h1_parser_request(&p);
    if (h1_parse(&p, &s->req, text, n) == H1_DONE && read_target(s)) {
        ASSERT(str_eq(normal(s, s->path), s->path));
        s->route = router_match(tables.router, s->host, s->path, holds, &s->req);
        if (s->route)
            check_match(s);
        if (s->route && action_path(s)) {
            check_forwarded(s);
            check_edit(s);
            if (s->route->redirect.to.n)
                check_location(s);
        }
    }
    arena_release(&s->arena);
    free(text);
    free(s);
    return 0;
}
