/*
 * router.c - a hash table of hosts, each with sorted tables of its paths.
 *
 * The longest prefix is found by bisection: let q be the last prefix that is not above the
 * path. Everything between a prefix of the path and the path begins with that prefix, so the
 * one we want is q or a prefix of q. Every entry knows its longest proper prefix in the table
 * (`up`), and the walk up from q meets them longest first.
 */
#include "proxy/route/router.h"

#include "proxy/base/hash.h"
#include "proxy/base/mem.h"

#include <stdlib.h>

#define NONE      UINT32_MAX
#define WILD_SEED 0x9e3779b97f4a7c15u

enum path_kind { PATH_EXACT, PATH_PREFIX, PATH_REGEX, PATH_KINDS };

struct candidate { /* a route of the conf, in the order in which routes are tried */
    const struct conf_route *route;
    uint32_t index;      /* in the file */
    uint32_t predicates; /* how many */
};

struct entry { /* a path of a host; of regular expressions each is an entry */
    struct str path;
    uint32_t first, n; /* its candidates */
    uint32_t up;       /* prefixes: longest proper prefix of the same host, or NONE */
};

struct range {
    uint32_t first, n; /* of entries */
};

struct host {
    struct str name; /* of a wildcard: ".example.com" */
    bool wild;
    struct range paths[PATH_KINDS]; /* exact and prefixes in order of str_cmp */
};

struct router {
    const struct conf *conf;
    uint64_t seed;
    size_t nhosts, mask, longest_wild;
    struct candidate *candidates;
    struct entry *entries;
    struct host *hosts;
    uint32_t *slots;        /* of the hash table: index into hosts, or NONE */
    const struct host *any; /* routes without a host; NULL: none */
    struct regex **regexes; /* by index of the route; NULL: there are none */
};

static enum path_kind kind_of(const struct conf_route *r)
{
    return r->path_exact.n ? PATH_EXACT : r->path_regex.n ? PATH_REGEX : PATH_PREFIX;
}

static struct str path_of(const struct conf_route *r)
{
    return r->path_exact.n ? r->path_exact : r->path_regex.n ? r->path_regex : r->path;
}

/* By host, kind of path, path, number of predicates, order of the file. */
static int order(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    enum path_kind kind = kind_of(a->route);
    int cmp = str_cmp(a->route->host, b->route->host);

    if (cmp == 0)
        cmp = (int)kind - (int)kind_of(b->route);
    if (cmp == 0 && kind != PATH_REGEX) {
        cmp = str_cmp(path_of(a->route), path_of(b->route));
        if (cmp == 0)
            cmp = (a->predicates < b->predicates) - (a->predicates > b->predicates);
    }
    return cmp ? cmp : (a->index > b->index) - (a->index < b->index);
}

static void sort_candidates(struct router *r, const struct conf *c)
{
    for (size_t i = 0; i < c->nroutes; i++) {
        const struct conf_route *route = &c->routes[i];

        r->candidates[i] = (struct candidate){
            .route = route,
            .index = (uint32_t)i,
            .predicates =
                (uint32_t)(route->nmatches + (route->nmethods > 0) + (route->flag_key.n > 0)),
        };
    }
    if (c->nroutes)
        qsort(r->candidates, c->nroutes, sizeof(*r->candidates), order);
}

/* Prefix I is new: its `up` is the entry before it or one of that one's own. */
static uint32_t find_up(const struct router *r, const struct range *prefixes, uint32_t i)
{
    uint32_t up = i > prefixes->first ? i - 1 : NONE;

    while (up != NONE && !str_starts(r->entries[i].path, r->entries[up].path))
        up = r->entries[up].up;
    return up;
}

static struct host *add_host(struct router *r, struct str name)
{
    struct host *h = &r->hosts[r->nhosts++];
    bool wild = str_starts(name, STR("*."));

    *h = (struct host){.name = wild ? str_skip(name, 1) : name, .wild = wild};
    if (wild && h->name.n > r->longest_wild)
        r->longest_wild = h->name.n;
    return h;
}

static void group(struct router *r, size_t nroutes)
{
    uint32_t entries = 0;

    for (uint32_t i = 0; i < nroutes; i++) {
        const struct candidate *c = &r->candidates[i];
        enum path_kind kind = kind_of(c->route);
        struct str path = path_of(c->route);
        bool fresh = i == 0 || !str_eq(c[-1].route->host, c->route->host);
        struct host *h = fresh ? add_host(r, c->route->host) : &r->hosts[r->nhosts - 1];
        struct range *range = &h->paths[kind];

        if (range->n == 0)
            range->first = entries;
        if (range->n == 0 || kind == PATH_REGEX || !str_eq(path_of(c[-1].route), path)) {
            r->entries[entries] = (struct entry){.path = path, .first = i, .up = NONE};
            if (kind == PATH_PREFIX)
                r->entries[entries].up = find_up(r, range, entries);
            entries++;
            range->n++;
        }
        r->entries[entries - 1].n++;
    }
}

static size_t slot_of(const struct router *r, struct str name, bool wild)
{
    return hash64(name, wild ? r->seed ^ WILD_SEED : r->seed) & r->mask;
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
        size_t slot = slot_of(r, r->hosts[i].name, r->hosts[i].wild);

        if (r->hosts[i].name.n == 0) {
            r->any = &r->hosts[i];
            continue;
        }
        while (r->slots[slot] != NONE)
            slot = (slot + 1) & r->mask;
        r->slots[slot] = (uint32_t)i;
    }
}

static void compile(struct router *r, const struct conf *c)
{
    struct regex_error e;

    for (size_t i = 0; i < c->nroutes; i++) {
        if (!c->routes[i].path_regex.n)
            continue;
        if (!r->regexes)
            r->regexes = xcalloc(c->nroutes, sizeof(struct regex *));
        r->regexes[i] = regex_new(c->routes[i].path_regex, &e);
        ASSERT(r->regexes[i]); /* conf_load has compiled it too */
    }
}

struct router *router_new(const struct conf *c, uint64_t seed)
{
    struct router *r = xcalloc(1, sizeof(*r));
    size_t n = c->nroutes ? c->nroutes : 1;

    r->conf = c;
    r->seed = seed;
    r->candidates = xcalloc(n, sizeof(*r->candidates));
    r->entries = xcalloc(n, sizeof(*r->entries));
    r->hosts = xcalloc(n, sizeof(*r->hosts));
    sort_candidates(r, c);
    group(r, c->nroutes);
    index_hosts(r);
    compile(r, c);
    return r;
}

void router_free(struct router *r)
{
    if (!r)
        return;
    for (size_t i = 0; r->regexes && i < r->conf->nroutes; i++)
        regex_free(r->regexes[i]);
    xfree(r->regexes);
    xfree(r->candidates);
    xfree(r->entries);
    xfree(r->hosts);
    xfree(r->slots);
    xfree(r);
}

const struct regex *router_regex(const struct router *r, const struct conf_route *route)
{
    return r->regexes ? r->regexes[route - r->conf->routes] : NULL;
}

/* ---- matching ---- */

struct query {
    struct str path;
    router_holds_cb *holds;
    void *arg;
    bool closed; /* a limit was reached */
};

static const struct host *find_host(const struct router *r, struct str name, bool wild)
{
    for (size_t slot = slot_of(r, name, wild); r->slots[slot] != NONE;
         slot = (slot + 1) & r->mask) {
        const struct host *h = &r->hosts[r->slots[slot]];

        if (h->wild == wild && str_eq(h->name, name))
            return h;
    }
    return NULL;
}

/* The last entry of RANGE that is not above PATH, or NONE. */
static uint32_t find_below(const struct router *r, const struct range *range, struct str path)
{
    uint32_t low = range->first, high = range->first + range->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (str_cmp(r->entries[middle].path, path) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > range->first ? low - 1 : NONE;
}

static const struct conf_route *choose(const struct router *r, const struct entry *e,
                                       const struct query *q)
{
    for (uint32_t i = e->first; i < e->first + e->n; i++) {
        const struct candidate *c = &r->candidates[i];

        if (c->predicates == 0 || (q->holds && q->holds(q->arg, c->route)))
            return c->route;
    }
    return NULL;
}

static const struct conf_route *match_regex(const struct router *r, const struct host *h,
                                            struct query *q)
{
    const struct range *range = &h->paths[PATH_REGEX];

    for (uint32_t i = range->first; i < range->first + range->n; i++) {
        const struct entry *e = &r->entries[i];
        const struct candidate *c = &r->candidates[e->first];
        enum regex_result found = regex_match(r->regexes[c->index], q->path);
        const struct conf_route *route = found == REGEX_YES ? choose(r, e, q) : NULL;

        q->closed = found == REGEX_LIMIT;
        if (route || q->closed)
            return route;
    }
    return NULL;
}

static const struct conf_route *match_host(const struct router *r, const struct host *h,
                                           struct query *q)
{
    const struct conf_route *route = NULL;
    uint32_t at;

    if (!h || q->closed)
        return NULL;
    at = find_below(r, &h->paths[PATH_EXACT], q->path);
    if (at != NONE && str_eq(r->entries[at].path, q->path))
        route = choose(r, &r->entries[at], q);
    route = route ? route : match_regex(r, h, q);
    at = route || q->closed ? NONE : find_below(r, &h->paths[PATH_PREFIX], q->path);
    for (; at != NONE && !route; at = r->entries[at].up)
        if (str_starts(q->path, r->entries[at].path))
            route = choose(r, &r->entries[at], q);
    return route;
}

/* The longest wildcard first: "b.c" of "a.b.c" before "c". */
static const struct conf_route *match_wild(const struct router *r, struct str host,
                                           struct query *q)
{
    const struct conf_route *route = NULL;

    for (size_t i = 1; i < host.n && !route && r->longest_wild; i++)
        if (host.p[i] == '.' && host.n - i <= r->longest_wild)
            route = match_host(r, find_host(r, str_skip(host, i), true), q);
    return route;
}

const struct conf_route *router_match(const struct router *r, struct str host, struct str path,
                                      router_holds_cb *holds, void *arg)
{
    struct query q = {.path = path, .holds = holds, .arg = arg};
    const struct conf_route *route =
        match_host(r, host.n ? find_host(r, host, false) : NULL, &q);

    if (!route)
        route = match_wild(r, host, &q);
    return route ? route : match_host(r, r->any, &q);
}
