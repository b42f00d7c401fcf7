/* test_router.c - the most specific route, against a naive search. */
#include "proxy/route/router.h"

#include "proxy/base/check.h"
#include "proxy/base/mem.h"
#include "proxy/base/rng.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUTE(h, p)                                                                            \
    {                                                                                          \
        .host = STR_INIT(h), .path = STR_INIT(p)                                               \
    }
#define FLAGGED(h, p, k)                                                                       \
    {                                                                                          \
        .host = STR_INIT(h), .path = STR_INIT(p), .flag_key = STR_INIT(k)                      \
    }

static bool only_on(void *arg, const struct conf_route *r)
{
    ++*(int *)arg;
    return str_eq(r->flag_key, STR("on"));
}

static long match(const struct conf *c, const struct router *r, const char *host,
                  const char *path)
{
    int asked = 0;
    const struct conf_route *route =
        router_match(r, str_of(host), str_of(path), only_on, &asked);

    return route ? route - c->routes : -1;
}

START_TEST(test_precedence)
{
    struct conf_route routes[] = {
        ROUTE("", "/"),                  /* 0 */
        ROUTE("shop", "/"),              /* 1 */
        ROUTE("shop", "/api/"),          /* 2 */
        FLAGGED("shop", "/api/", "off"), /* 3 */
        ROUTE("", "/api/v1/long"),       /* 4 */
        FLAGGED("", "/checkout", "on"),  /* 5 */
        ROUTE("", "/checkout"),          /* 6 */
        ROUTE("", "/checkout"),          /* 7 */
        FLAGGED("shop", "/flag", "off"), /* 8 */
        FLAGGED("shop", "/api/x", "on"), /* 9 */
        ROUTE("other", "/only"),         /* 10 */
        FLAGGED("", "/checkout", "on"),  /* 11 */
    };
    struct conf c = {.routes = routes, .nroutes = ARRAY_LEN(routes)};
    struct router *r = router_new(&c, 1);

    ck_assert_int_eq(match(&c, r, "", "/x"), 0);
    ck_assert_int_eq(match(&c, r, "unknown", "/x"), 0);
    ck_assert_int_eq(match(&c, r, "shop", "/x"), 1);
    ck_assert_int_eq(match(&c, r, "shop", "/api"), 1);
    ck_assert_int_eq(match(&c, r, "shop", "/api/"), 2);        /* 3 does not hold */
    ck_assert_int_eq(match(&c, r, "shop", "/api/v1/long"), 2); /* host beats path */
    ck_assert_int_eq(match(&c, r, "", "/api/v1/longer"), 4);
    ck_assert_int_eq(match(&c, r, "", "/checkout"), 5);   /* flag beats none */
    ck_assert_int_eq(match(&c, r, "shop", "/flag/x"), 1); /* as if absent */
    ck_assert_int_eq(match(&c, r, "shop", "/api/xy"), 9);
    ck_assert_int_eq(match(&c, r, "other", "/only/x"), 10);
    ck_assert_int_eq(match(&c, r, "other", "/x"), 0); /* falls back to any host */
    ck_assert(router_match(r, STR(""), STR("/checkout"), NULL, NULL) == &routes[6]);
    router_free(r);
}
END_TEST

START_TEST(test_no_routes)
{
    struct conf c = {0};
    struct router *r = router_new(&c, 1);

    ck_assert_int_eq(match(&c, r, "a", "/"), -1);
    router_free(r);
    struct conf_route only[] = {ROUTE("a", "/x")};
    c = (struct conf){.routes = only, .nroutes = 1};
    r = router_new(&c, 1);
    ck_assert_int_eq(match(&c, r, "a", "/"), -1);
    ck_assert_int_eq(match(&c, r, "b", "/x"), -1);
    ck_assert_int_eq(match(&c, r, "", "/x"), -1);
    ck_assert_int_eq(match(&c, r, "a", "/x"), 0);
    router_free(r);
    router_free(NULL);
}
END_TEST

/* 0: not at all; else the higher the better. */
static size_t host_score(struct str host, struct str name)
{
    if (host.n == 0)
        return 1;
    if (str_starts(host, STR("*.")))
        return name.n > host.n - 1 && str_ends(name, str_skip(host, 1)) ? 1 + host.n : 0;
    return str_eq(host, name) ? 10000 : 0;
}

#define REGEX_SCORE 5000

/* The patterns of the test are "b" and "^/a": as a search would find them. */
static size_t path_score(const struct conf_route *r, struct str path)
{
    if (r->path_exact.n)
        return str_eq(r->path_exact, path) ? 10000 : 0;
    if (str_eq(r->path_regex, STR("b")))
        return memchr(path.p, 'b', path.n) ? REGEX_SCORE : 0;
    if (r->path_regex.n)
        return str_starts(path, STR("/a")) ? REGEX_SCORE : 0;
    return str_starts(path, r->path) ? 1 + r->path.n : 0;
}

static size_t predicates(const struct conf_route *r)
{
    return (r->flag_key.n != 0) + (r->nmethods != 0) + r->nmatches;
}

/* A and B match. Regular expressions are in order of the file. */
static bool better(const struct conf_route *a, const struct conf_route *b, struct str host,
                   struct str path)
{
    size_t x = host_score(a->host, host), y = host_score(b->host, host);

    if (x != y)
        return x > y;
    x = path_score(a, path), y = path_score(b, path);
    if (x != y)
        return x > y;
    if (x != REGEX_SCORE && predicates(a) != predicates(b))
        return predicates(a) > predicates(b);
    return a < b;
}

/* In this test a route holds when its flag is "on" and it has no method "off". */
static bool holds(const struct conf_route *r)
{
    return (r->flag_key.n == 0 || str_eq(r->flag_key, STR("on"))) &&
           (r->nmethods == 0 || str_eq(r->methods[0], STR("on")));
}

static bool all_hold(void *arg, const struct conf_route *r)
{
    (void)arg;
    ck_assert_uint_gt(predicates(r), 0);
    return holds(r);
}

static long naive(const struct conf *c, struct str host, struct str path)
{
    const struct conf_route *best = NULL;

    for (const struct conf_route *r = c->routes; r < c->routes + c->nroutes; r++)
        if (host_score(r->host, host) && path_score(r, path) && holds(r) &&
            (!best || better(r, best, host, path)))
            best = r;
    return best ? best - c->routes : -1;
}

static struct str random_path(struct rng *g, char *buf)
{
    size_t n = 1 + rng_below(g, 7);

    buf[0] = '/';
    for (size_t i = 1; i < n; i++)
        buf[i] = "/ab"[rng_below(g, 3)];
    return (struct str){buf, n};
}

static void random_route(struct rng *g, struct conf_route *r, char *buf)
{
    static const struct str hosts[] = {STR_INIT(""),    STR_INIT("a.b.c"), STR_INIT("b.c"),
                                       STR_INIT("*.c"), STR_INIT("*.b.c"), STR_INIT("*.a.b.c")};
    static const struct str flags[] = {STR_INIT(""), STR_INIT(""), STR_INIT("on"),
                                       STR_INIT("off")};
    static struct str methods[] = {STR_INIT("on"), STR_INIT("off")};
    uint32_t kind = rng_below(g, 4);

    *r = (struct conf_route){.host = hosts[rng_below(g, ARRAY_LEN(hosts))],
                             .flag_key = flags[rng_below(g, 4)]};
    if (kind == 0)
        r->path_exact = random_path(g, buf);
    else if (kind == 1)
        r->path_regex = rng_below(g, 2) ? STR("b") : STR("^/a");
    else
        r->path = random_path(g, buf);
    if (rng_below(g, 3) == 0) {
        r->methods = &methods[rng_below(g, 2)];
        r->nmethods = 1;
    }
}

START_TEST(test_like_a_search)
{
    static const struct str names[] = {
        STR_INIT("a.b.c"), STR_INIT("b.c"),     STR_INIT("c"),    STR_INIT("x.c"),
        STR_INIT("x.b.c"), STR_INIT("x.a.b.c"), STR_INIT("xb.c"), STR_INIT("")};
    struct rng g;

    rng_seed(&g, 7);
    for (int round = 0; round < 300; round++) {
        struct conf_route routes[60];
        char paths[60][8], buf[8];
        struct conf c = {.routes = routes, .nroutes = rng_below(&g, 60)};
        for (size_t i = 0; i < c.nroutes; i++)
            random_route(&g, &routes[i], paths[i]);
        struct router *r = router_new(&c, rng_next(&g));
        for (int i = 0; i < 200; i++) {
            struct str path = random_path(&g, buf);
            struct str host = names[rng_below(&g, ARRAY_LEN(names))];
            const struct conf_route *got = router_match(r, host, path, all_hold, NULL);
            ck_assert_int_eq(got ? got - c.routes : -1, naive(&c, host, path));
        }
        router_free(r);
    }
}
END_TEST

/* A pattern without end on a path made for it: the search stops, and nothing lies behind. */
START_TEST(test_pattern_limits)
{
    struct conf_route routes[] = {
        {.host = STR_INIT("h"), .path_regex = STR_INIT("^/(a+)+$")},
        ROUTE("", "/"),
        ROUTE("h", "/aaaa"), /* would match where the search stops */
    };
    struct conf c = {.routes = routes, .nroutes = ARRAY_LEN(routes)};
    struct router *r = router_new(&c, 1);
    char path[64];
    uint64_t before;

    memset(path, 'a', sizeof(path));
    path[0] = '/';
    ck_assert_int_eq(match(&c, r, "h", "/aaa"), 0);
    ck_assert_int_eq(match(&c, r, "h", "/b"), 1);
    path[sizeof(path) - 1] = '\0';
    ck_assert_int_eq(match(&c, r, "h", path), 0);
    path[sizeof(path) - 2] = '!';
    ck_assert_int_eq(match(&c, r, "h", path), -1);
    before = mem_allocations();
    ck_assert_int_eq(match(&c, r, "h", path), -1);
    ck_assert_int_eq(match(&c, r, "h", "/aaa"), 0);
    ck_assert_uint_eq(mem_allocations(), before);
    router_free(r);
}
END_TEST

START_TEST(test_replace)
{
    struct regex_error e;
    struct regex *re = regex_new(STR("/v([0-9]+)/(.*)$"), &e);
    struct str s = STR("/api/v12/users"), got;
    char room[32];

    ck_assert_ptr_nonnull(re);
    ck_assert_uint_eq(regex_groups(re), 2);
    ck_assert_int_eq(regex_match(re, s), REGEX_YES);
    ck_assert(regex_replace(re, s, STR("/$2/$1$9$"), room, sizeof(room), &got));
    ck_assert(str_eq(got, STR("/api/users/12$")));
    ck_assert(!regex_replace(re, s, STR("/$2/$1"), room, 8, &got));
    ck_assert_int_eq(regex_match(re, STR("/api")), REGEX_NO);
    regex_free(re);
    ck_assert_ptr_null(regex_new(STR("/(a"), &e));
    ck_assert_uint_eq(e.at, 3);
    ck_assert_ptr_null(regex_new(STR("(*UTF)a"), &e));
    regex_free(NULL);
}
END_TEST

START_TEST(test_many_hosts)
{
    enum { N = 10000 };
    struct conf_route *routes = calloc(N, sizeof(*routes));
    char(*names)[16] = calloc(N, 16), missing[16];
    struct conf c = {.routes = routes, .nroutes = N};
    uint64_t before;

    for (size_t i = 0; i < N; i++)
        routes[i] = (struct conf_route){
            .host = {names[i], (size_t)sprintf(names[i], "h%zu.example", i)}, .path = STR("/")};
    struct router *r = router_new(&c, 99);
    before = mem_allocations();
    for (size_t i = 0; i < N; i++) {
        ck_assert_int_eq(match(&c, r, names[i], "/x"), (long)i);
        sprintf(missing, "x%zu.example", i);
        ck_assert_int_eq(match(&c, r, missing, "/x"), -1);
    }
    ck_assert_uint_eq(mem_allocations(), before);
    router_free(r);
    free(routes);
    free(names);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("router");
    TCase *t = tcase_create("router");

    suite_add_tcase(s, t);
    tcase_add_test(t, test_precedence);
    tcase_add_test(t, test_no_routes);
    tcase_add_test(t, test_like_a_search);
    tcase_add_test(t, test_pattern_limits);
    tcase_add_test(t, test_replace);
    tcase_add_test(t, test_many_hosts);
    return unit_run(s);
}
