/* test_pool.c - idle connections: the last one first, no more than the cap, none without users.
 */
#include "proxy/upstream/pool.h"

#include "proxy/upstream/upconn1.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>

#define WORKERS 256

static struct loop *loop;
static struct io_set ios;
static struct deadlines *deadlines;
static struct stats_slab slab;
static struct pool pool;
static struct upconn1 conns[POOL_IDLE_TOTAL / WORKERS + 1];

static const struct conf_endpoint address = {
    .name = STR("127.0.0.1:9"), .host = STR("127.0.0.1"), .port = 9, .cell = 3};

static struct upconn1 *take(struct endpoint *ep)
{
    struct upconn *u = pool_take(ep, false, NULL);

    return u ? CONTAINER_OF(u, struct upconn1, up) : NULL;
}

static void begin(void)
{
    loop = loop_new();
    io_set_init(&ios, loop);
    deadlines = deadlines_new(loop);
    pool_init(&pool, &ios, deadlines, &slab, WORKERS);
}

static void finish(void)
{
    pool_release(&pool);
    pool_release_slabs(&pool);
    deadlines_free(deadlines);
    io_set_release(&ios);
    loop_free(loop);
}

START_TEST(the_cap_is_shared_by_the_workers)
{
    struct endpoint *ep = pool_use(&pool, &address, CONF_UPSTREAM_HTTP1, NULL, NULL);
    unsigned most = POOL_IDLE_TOTAL / WORKERS;

    for (unsigned i = 0; i <= most; i++)
        conns[i].up.ep = ep;
    for (unsigned i = 0; i < most; i++)
        ck_assert(pool_put(ep, &conns[i]));
    ck_assert(!pool_put(ep, &conns[most]));
    ck_assert_uint_eq(stat_get(&slab.endpoints[3].idle), most);
    for (unsigned i = most; i-- > 0;)
        ck_assert_ptr_eq(take(ep), &conns[i]);
    ck_assert_ptr_null(take(ep));
    ck_assert(pool_put(ep, &conns[0]));
    ck_assert_ptr_eq(take(ep), &conns[0]);
    pool_leave(&pool, ep);
}
END_TEST

START_TEST(an_endpoint_is_its_address_and_its_limits)
{
    struct breaker *k;
    struct conf_version version = {.name = STR("v1")};
    struct conf_limits limits = {.max_connections = 5};
    struct endpoint *plain = pool_use(&pool, &address, CONF_UPSTREAM_HTTP1, NULL, NULL),
                    *limited;

    breakers_init(&pool.breakers, loop, NULL, 0);
    k = breaker_use(&pool.breakers, STR("shop"), &version, &limits);
    limited = pool_use(&pool, &address, CONF_UPSTREAM_HTTP1, NULL, k);
    ck_assert_ptr_eq(pool_use(&pool, &address, CONF_UPSTREAM_HTTP1, NULL, NULL), plain);
    ck_assert_ptr_ne(limited, plain);
    pool_leave(&pool, plain);
    pool_leave(&pool, plain);
    breaker_unref(k);
    ck_assert_uint_eq(pool.breakers.n, 1); /* the endpoint's */
    pool_leave(&pool, limited);
    ck_assert_uint_eq(pool.breakers.n, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pool");
    TCase *t = tcase_create("pool");

    tcase_add_checked_fixture(t, begin, finish);
    tcase_add_test(t, the_cap_is_shared_by_the_workers);
    tcase_add_test(t, an_endpoint_is_its_address_and_its_limits);
    suite_add_tcase(s, t);
    return unit_run(s);
}
