/* test_router.c - the most specific route, against a naive search. */
#include "proxy/route/router.h"

#include "proxy/base/check.h"
#include "proxy/base/mem.h"
#include "proxy/base/rng.h"

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

/* Is A a better match than B (both match)? */
static bool better(const struct conf_route *a, const struct conf_route *b)
{
    if ((a->host.n != 0) != (b->host.n != 0))
        return a->host.n != 0;
    if (a->path.n != b->path.n)
        return a->path.n > b->path.n;
    if ((a->flag_key.n != 0) != (b->flag_key.n != 0))
        return a->flag_key.n != 0;
    return a < b;
}

static long naive(const struct conf *c, struct str host, struct str path)
{
    const struct conf_route *best = NULL;

    for (const struct conf_route *r = c->routes; r < c->routes + c->nroutes; r++)
        if ((r->host.n == 0 || str_eq(r->host, host)) && str_starts(path, r->path) &&
            (r->flag_key.n == 0 || str_eq(r->flag_key, STR("on"))) &&
            (!best || better(r, best)))
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

START_TEST(test_like_a_search)
{
    static const struct str hosts[] = {STR_INIT(""), STR_INIT("h1"), STR_INIT("h2")};
    static const struct str flags[] = {STR_INIT(""), STR_INIT(""), STR_INIT("on"),
                                       STR_INIT("off")};
    struct rng g;

    rng_seed(&g, 7);
    for (int round = 0; round < 300; round++) {
        struct conf_route routes[60];
        char paths[60][8], buf[8], name[16];
        struct conf c = {.routes = routes, .nroutes = rng_below(&g, 60)};
        for (size_t i = 0; i < c.nroutes; i++)
            routes[i] = (struct conf_route){.host = hosts[rng_below(&g, 3)],
                                            .path = random_path(&g, paths[i]),
                                            .flag_key = flags[rng_below(&g, 4)]};
        struct router *r = router_new(&c, rng_next(&g));
        for (int i = 0; i < 100; i++) {
            int asked = 0;
            struct str path = random_path(&g, buf);
            struct str host = {name, (size_t)sprintf(name, "h%u", rng_below(&g, 4))};
            const struct conf_route *got = router_match(r, host, path, only_on, &asked);
            ck_assert_int_eq(got ? got - c.routes : -1, naive(&c, host, path));
        }
        router_free(r);
    }
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
    SRunner *r = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_precedence);
    tcase_add_test(t, test_no_routes);
    tcase_add_test(t, test_like_a_search);
    tcase_add_test(t, test_many_hosts);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
