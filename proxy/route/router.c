/*
 * router.c - a hash table of hosts, each with a sorted table of path prefixes.
 *
 * The longest prefix is found by bisection: let q be the last prefix that is not above the
 * path. Everything between a prefix of the path and the path begins with that prefix, so the
 * one we want is q or a prefix of q. Every entry knows its longest proper prefix in the table
 * (`up`), and the walk up from q meets them longest first.
 */
#include "proxy/route/router.h"

#include "proxy/base/check.h"
#include "proxy/base/hash.h"
#include "proxy/base/mem.h"

#include <stdlib.h>

#define NONE UINT32_MAX

struct candidate { /* a route of the conf, in the order in which routes are tried */
    const struct conf_route *route;
    uint32_t index; /* in the file */
};

struct prefix {
    struct str path;
    uint32_t first, n; /* its candidates */
    uint32_t up;       /* longest proper prefix of the same host, or NONE */
};

struct host {
    struct str name;
    uint32_t first, n; /* its prefixes, in order of str_cmp */
};

struct router {
    uint64_t seed;
    size_t nhosts, mask;
    struct candidate *candidates;
    struct prefix *prefixes;
    struct host *hosts;
    uint32_t *slots;        /* of the hash table: index into hosts, or NONE */
    const struct host *any; /* routes without a host; NULL: none */
};

/* By host, path, routes with a predicate first, order of the file. */
static int order(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    int cmp = str_cmp(a->route->host, b->route->host);

    if (cmp == 0)
        cmp = str_cmp(a->route->path, b->route->path);
    if (cmp == 0)
        cmp = (a->route->flag_key.n == 0) - (b->route->flag_key.n == 0);
    return cmp ? cmp : (a->index > b->index) - (a->index < b->index);
}

static bool same_host(const struct candidate *a, const struct candidate *b)
{
    return str_eq(a->route->host, b->route->host);
}

static void sort_candidates(struct router *r, const struct conf *c)
{
    for (size_t i = 0; i < c->nroutes; i++)
        r->candidates[i] = (struct candidate){&c->routes[i], (uint32_t)i};
    if (c->nroutes)
        qsort(r->candidates, c->nroutes, sizeof(*r->candidates), order);
}

/* Prefix I is new: its `up` is the entry before it or one of that one's own. */
static uint32_t find_up(const struct router *r, const struct host *h, uint32_t i)
{
    uint32_t up = i > h->first ? i - 1 : NONE;

    while (up != NONE && !str_starts(r->prefixes[i].path, r->prefixes[up].path))
        up = r->prefixes[up].up;
    return up;
}

static void group(struct router *r, size_t nroutes)
{
    uint32_t prefixes = 0;

    for (size_t i = 0; i < nroutes; i++) {
        const struct candidate *c = &r->candidates[i];
        bool fresh = i == 0 || !same_host(c - 1, c);
        if (fresh)
            r->hosts[r->nhosts++] = (struct host){.name = c->route->host, .first = prefixes};
        struct host *h = &r->hosts[r->nhosts - 1];
        if (fresh || !str_eq(c[-1].route->path, c->route->path)) {
            r->prefixes[prefixes] =
                (struct prefix){.path = c->route->path, .first = (uint32_t)i};
            r->prefixes[prefixes].up = find_up(r, h, prefixes);
            prefixes++;
            h->n++;
        }
        r->prefixes[prefixes - 1].n++;
    }
}

static void index_hosts(struct router *r)
{
    size_t size = 4;

    while (size < 2 * r->nhosts)
        size *= 2;
    r->mask = size - 1;
    r->slots = xmalloc(size * sizeof(*r->slots));
    memset(r->slots, 0xff, size * sizeof(*r->slots));
    for (size_t i = 0; i < r->nhosts; i++) {
        size_t slot = hash64(r->hosts[i].name, r->seed) & r->mask;
        if (r->hosts[i].name.n == 0) {
            r->any = &r->hosts[i];
            continue;
        }
        while (r->slots[slot] != NONE)
            slot = (slot + 1) & r->mask;
        r->slots[slot] = (uint32_t)i;
    }
}

struct router *router_new(const struct conf *c, uint64_t seed)
{
    struct router *r = xcalloc(1, sizeof(*r));
    size_t n = c->nroutes ? c->nroutes : 1;

    r->seed = seed;
    r->candidates = xcalloc(n, sizeof(*r->candidates));
    r->prefixes = xcalloc(n, sizeof(*r->prefixes));
    r->hosts = xcalloc(n, sizeof(*r->hosts));
    sort_candidates(r, c);
    group(r, c->nroutes);
    index_hosts(r);
    return r;
}

void router_free(struct router *r)
{
    if (!r)
        return;
    xfree(r->candidates);
    xfree(r->prefixes);
    xfree(r->hosts);
    xfree(r->slots);
    xfree(r);
}

static const struct host *find_host(const struct router *r, struct str name)
{
    size_t slot = hash64(name, r->seed) & r->mask;

    for (; r->slots[slot] != NONE; slot = (slot + 1) & r->mask)
        if (str_eq(r->hosts[r->slots[slot]].name, name))
            return &r->hosts[r->slots[slot]];
    return NULL;
}

/* Index of the longest prefix of PATH among those of H, or NONE. */
static uint32_t find_prefix(const struct router *r, const struct host *h, struct str path)
{
    uint32_t low = h->first, high = h->first + h->n, at;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (str_cmp(r->prefixes[middle].path, path) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    at = low > h->first ? low - 1 : NONE;
    while (at != NONE && !str_starts(path, r->prefixes[at].path))
        at = r->prefixes[at].up;
    return at;
}

static const struct conf_route *match_host(const struct router *r, const struct host *h,
                                           struct str path, router_flag_cb *flag, void *arg)
{
    uint32_t at = h ? find_prefix(r, h, path) : NONE;

    for (; at != NONE; at = r->prefixes[at].up) {
        const struct prefix *p = &r->prefixes[at];
        for (uint32_t i = p->first; i < p->first + p->n; i++) {
            const struct conf_route *route = r->candidates[i].route;
            if (route->flag_key.n == 0 || (flag && flag(arg, route)))
                return route;
        }
    }
    return NULL;
}

const struct conf_route *router_match(const struct router *r, struct str host, struct str path,
                                      router_flag_cb *flag, void *arg)
{
    const struct conf_route *route =
        match_host(r, host.n ? find_host(r, host) : NULL, path, flag, arg);

    return route ? route : match_host(r, r->any, path, flag, arg);
}
