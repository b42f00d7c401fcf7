/* test_sampler.c - totals never go back, windows add up, shares are of the split alone. */
#include "control/engine/sampler.c"
#include "proxy/base/sys.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>

struct world {
    struct loop *loop;
    struct stats *stats;
    int fd;
    struct sampler *sampler;
    struct conf_endpoint endpoint;
    struct conf_version versions[2];
    struct conf_service service;
    struct conf conf;
    uint64_t now;
};

static struct world *world_new(void)
{
    struct world *w = xcalloc(1, sizeof(*w));
    int fd = stats_create(2);

    ck_assert_int_ge(fd, 0);
    w->stats = stats_map(fd, 1);
    w->fd = fd;
    w->loop = loop_new();
    w->sampler = sampler_new(w->loop, w->stats);
    w->endpoint = (struct conf_endpoint){.name = STR("127.0.0.1:1"), .cell = 5};
    w->versions[0] = (struct conf_version){.name = STR("v1"), .cell = 1};
    w->versions[1] = (struct conf_version){
        .name = STR("v2"), .cell = 2, .endpoints = &w->endpoint, .nendpoints = 1};
    w->service =
        (struct conf_service){.name = STR("shop"), .versions = w->versions, .nversions = 2};
    w->conf = (struct conf){.services = &w->service, .nservices = 1};
    sampler_track(w->sampler, &w->conf);
    w->now = loop_now_us(w->loop);
    return w;
}

static void world_free(struct world *w)
{
    sampler_free(w->sampler);
    stats_unmap(w->stats);
    sys_close(w->fd);
    loop_free(w->loop);
    xfree(w);
}

/* Worker I answered N requests for CELL, BAD of them with 500, each in US. */
static void serve(struct world *w, unsigned i, uint32_t cell, uint64_t n, uint64_t bad,
                  uint64_t us)
{
    struct stats_version *v = &w->stats->slabs[i].versions[cell];

    stat_add(&v->requests[stats_code_index(200)][STATS_METHOD_GET], n - bad);
    stat_add(&v->requests[stats_code_index(500)][STATS_METHOD_POST], bad);
    stat_add(&v->judged, n);
    stat_add(&v->errors, bad);
    stat_add(&v->routed, n);
    stat_add(&v->duration[hist_bucket(us)], n);
    stat_set(&v->last_routed_us, us);
}

static void second(struct world *w)
{
    w->now += 1000000;
    sample_all(w->sampler, w->now);
}

START_TEST(test_totals_survive_a_worker)
{
    struct world *w = world_new();
    struct sampler_totals t;
    struct sampler_process p;
    uint64_t reasons[STATS_FLAG_REASONS];

    serve(w, 0, 1, 10, 1, 5000);
    serve(w, 1, 1, 20, 2, 9000);
    stat_add(&w->stats->slabs[1].versions[1].in_flight, 3);
    stat_add(&w->stats->slabs[1].no_route, 4);
    stat_add(&w->stats->slabs[1].flag_evaluations[9][2], 6);
    sampler_totals(w->stats, 1, &t);
    ck_assert_uint_eq(t.requests, 30);
    ck_assert_uint_eq(t.by_code[stats_code_index(500)][STATS_METHOD_POST], 3);
    ck_assert_uint_eq(t.in_flight, 3);
    ck_assert_uint_eq(t.last_routed_us, 9000);
    stats_retire(w->stats, w->fd, 1);
    sampler_totals(w->stats, 1, &t);
    sampler_process(w->stats, &p);
    ck_assert_uint_eq(t.requests, 30);
    ck_assert_uint_eq(t.errors, 3);
    ck_assert_uint_eq(hist_total(t.duration), 30);
    ck_assert_uint_eq(t.in_flight, 0); /* a gauge: gone with the worker */
    ck_assert_uint_eq(t.last_routed_us, 9000);
    ck_assert_uint_eq(p.no_route, 4);
    sampler_flag(w->stats, 9, reasons);
    ck_assert_uint_eq(reasons[2], 6);
    ck_assert_uint_eq(reasons[1], 0);
    world_free(w);
}
END_TEST

START_TEST(test_window)
{
    struct world *w = world_new();
    struct sampler_window win;
    struct sampler_endpoint_window ew;
    uint32_t both[] = {1, 2};

    sampler_window(w->sampler, both, 2, 60000, &win);
    ck_assert_uint_eq(win.span_ms, 0);
    ck_assert(win.rps == 0 && win.p50_ms == 0);
    for (int i = 0; i < 10; i++) {
        serve(w, 0, 1, 90, 0, 1000);
        serve(w, 1, 2, 10, 5, 100000);
        stat_add(&w->stats->slabs[0].endpoints[5].requests, 10);
        second(w);
    }
    sampler_window(w->sampler, both, 2, 60000, &win);
    ck_assert_uint_eq(win.span_ms, 10000);
    ck_assert_uint_eq(win.requests, 1000);
    ck_assert(win.rps > 99.9 && win.rps < 100.1);
    ck_assert(win.error_ratio > .0499 && win.error_ratio < .0501);
    ck_assert(win.p50_ms >= 1 && win.p50_ms < 1.05);
    ck_assert(win.p95_ms >= 100 && win.p95_ms < 105);
    sampler_window(w->sampler, &both[1], 1, 2000, &win); /* the newest two seconds */
    ck_assert_uint_eq(win.requests, 20);
    sampler_endpoint_window(w->sampler, 5, 5000, &ew);
    ck_assert_uint_eq(ew.requests, 50);
    for (int i = 0; i < SAMPLER_SECONDS + 5; i++)
        second(w);
    sampler_window(w->sampler, both, 2, UINT64_MAX / 4, &win); /* the ring went round */
    ck_assert_uint_eq(win.requests, 0);
    ck_assert_uint_eq(win.span_ms, SAMPLER_SECONDS * 1000);
    world_free(w);
}
END_TEST

START_TEST(test_shares)
{
    struct world *w = world_new();
    uint32_t both[] = {1, 2};
    double share[2];

    second(w);
    ck_assert(!sampler_shares(w->sampler, both, 2, 10000, share));
    ck_assert(share[0] == 0 && share[1] == 0);
    serve(w, 0, 1, 75, 0, 1000);
    serve(w, 1, 2, 25, 0, 1000);
    stat_add(&w->stats->slabs[0].versions[2].overridden, 1000); /* does not count */
    second(w);
    ck_assert(sampler_shares(w->sampler, both, 2, 10000, share));
    ck_assert(share[0] == 75 && share[1] == 25);
    world_free(w);
}
END_TEST

START_TEST(test_a_cell_changes_hands)
{
    struct world *w = world_new();
    struct sampler_window win;
    uint32_t cell = 2;

    serve(w, 0, 2, 50, 50, 1000);
    second(w);
    sampler_track(w->sampler, &w->conf); /* same name: keeps its samples */
    sampler_window(w->sampler, &cell, 1, 60000, &win);
    ck_assert_uint_eq(win.requests, 50);
    w->versions[1].name = STR("v3");
    sampler_track(w->sampler, &w->conf);
    second(w);
    sampler_window(w->sampler, &cell, 1, 60000, &win);
    ck_assert_uint_eq(win.requests, 0); /* v2's are not v3's */
    ck_assert_uint_ge(win.span_ms, 900);
    w->service.nversions = 1;
    sampler_track(w->sampler, &w->conf);
    sampler_window(w->sampler, &cell, 1, 60000, &win);
    ck_assert_uint_eq(win.span_ms, 0);
    world_free(w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sampler");
    TCase *tc = tcase_create("all");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_totals_survive_a_worker);
    tcase_add_test(tc, test_window);
    tcase_add_test(tc, test_shares);
    tcase_add_test(tc, test_a_cell_changes_hands);
    suite_add_tcase(s, tc);
    return unit_run(s);
}
