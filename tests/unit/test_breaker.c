/* test_breaker.c - two workers share a limit: never passed, first come, first served. */
#include "proxy/upstream/breaker.h"

#include "proxy/base/clock.h"
#include "proxy/base/sys.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#define CELL 7

static struct loop *loop;
static struct stats *stats;
static int fd;
static struct breakers sets[2];
static struct breaker *of[2];

static void set_limits(uint32_t connections, uint32_t pending, uint32_t retries)
{
    const struct conf_version v = {.name = STR("v1"), .cell = CELL};
    const struct conf_limits c = {
        .max_connections = connections, .max_pending = pending, .max_retries = retries};

    for (unsigned i = 0; i < 2; i++) {
        struct breaker *old = of[i];

        of[i] = breaker_use(&sets[i], STR("shop"), &v, &c);
        breaker_unref(old);
    }
}

static void begin(void)
{
    loop = loop_new();
    fd = stats_create(2);
    stats = stats_map(fd, 1);
    for (unsigned i = 0; i < 2; i++) {
        breakers_init(&sets[i], loop, stats, i);
        of[i] = NULL;
    }
}

static void finish(void)
{
    for (unsigned i = 0; i < 2; i++) {
        breaker_unref(of[i]);
        ck_assert_uint_eq(sets[i].n, 0);
    }
    loop_free(loop);
    stats_unmap(stats);
    sys_close(fd);
}

static uint64_t shown(unsigned worker, enum stats_held what)
{
    return stat_get(&stats->slabs[worker].versions[CELL].held[what]);
}

START_TEST(a_limit_holds_over_both_and_is_shown)
{
    unsigned got = 0;

    set_limits(5, 0, 2);
    for (unsigned i = 0; i < 20; i++)
        got += breaker_enter(of[i % 2], STATS_CONNECTIONS);
    ck_assert_uint_eq(got, 5);
    ck_assert_uint_eq(shown(0, STATS_CONNECTIONS) + shown(1, STATS_CONNECTIONS), 5);
    breaker_leave(of[0], STATS_CONNECTIONS);
    ck_assert(breaker_enter(of[1], STATS_CONNECTIONS));
    ck_assert(!breaker_enter(of[0], STATS_CONNECTIONS));

    ck_assert(breaker_enter(of[0], STATS_RETRYING) && breaker_enter(of[1], STATS_RETRYING));
    ck_assert(!breaker_enter(of[0], STATS_RETRYING));

    set_limits(6, 0, 2);
    ck_assert(breaker_enter(of[0], STATS_CONNECTIONS));
    stats_retire(stats, fd, 1); /* a worker that dies holds nothing */
    ck_assert_uint_eq(shown(1, STATS_CONNECTIONS), 0);
    ck_assert(breaker_enter(of[0], STATS_CONNECTIONS));
}
END_TEST

static struct waiter waiters[3];
static unsigned order[3], norder;

static void on_ready(void *arg)
{
    struct waiter *w = arg;
    struct breaker *k = w->breaker;

    ck_assert(breaker_turn(k, w));
    if (!breaker_enter(k, STATS_CONNECTIONS))
        return;
    breaker_forget(w);
    order[norder++] = (unsigned)(w - waiters);
}

static void wait_for(unsigned worker, unsigned i)
{
    waiters[i] = (struct waiter){.ready = on_ready, .arg = &waiters[i]};
    ck_assert(breaker_wait(of[worker], &waiters[i]));
}

/* Turns of the loop until so many got a connection, or MS are over. */
static void turn(unsigned want, uint64_t ms)
{
    uint64_t end = clock_mono_us() + ms * 1000;

    while (norder < want && clock_mono_us() < end)
        loop_turn(loop);
    ck_assert_uint_eq(norder, want);
}

START_TEST(who_waits_is_served_in_order)
{
    norder = 0;
    set_limits(1, 2, 0);
    ck_assert(breaker_enter(of[0], STATS_CONNECTIONS));
    wait_for(0, 0);
    wait_for(0, 1);
    waiters[2] = (struct waiter){.ready = on_ready, .arg = &waiters[2]};
    ck_assert(!breaker_wait(of[1], &waiters[2])); /* two is the limit of both together */
    ck_assert(!breaker_turn(of[0], &waiters[1]));
    breaker_leave(of[0], STATS_CONNECTIONS);
    turn(1, 1000);
    breaker_leave(of[0], STATS_CONNECTIONS);
    turn(2, 1000);
    ck_assert(order[0] == 0 && order[1] == 1);
    breaker_leave(of[0], STATS_CONNECTIONS);
    ck_assert_uint_eq(shown(0, STATS_PENDING), 0);
}
END_TEST

START_TEST(a_longer_wait_elsewhere_goes_first)
{
    norder = 0;
    set_limits(1, 2, 0);
    ck_assert(breaker_enter(of[0], STATS_CONNECTIONS));
    wait_for(1, 0);
    usleep(BREAKER_FRESH_US);
    loop_turn(loop);
    ck_assert(breaker_yields(of[0])); /* nobody waits here */
    breaker_leave(of[0], STATS_CONNECTIONS);
    ck_assert(!breaker_enter(of[0], STATS_CONNECTIONS));
    turn(1, 1000); /* the other worker looks by itself */
    ck_assert_uint_eq(shown(1, STATS_CONNECTIONS), 1);
    breaker_leave(of[1], STATS_CONNECTIONS);
}
END_TEST

START_TEST(a_cell_given_to_another_version_is_that_version_s)
{
    const struct conf_limits c = {.max_connections = 5};
    const struct conf_version v1 = {.name = STR("v1"), .cell = CELL + 1},
                              v2 = {.name = STR("v2"), .cell = CELL};
    struct breaker *new;

    set_limits(5, 0, 0);
    ck_assert(breaker_enter(of[0], STATS_CONNECTIONS)); /* a long exchange */
    ck_assert(breaker_enter(of[0], STATS_CONNECTIONS));
    new = breaker_use(&sets[0], STR("shop"), &v2, &c);
    ck_assert_uint_eq(shown(0, STATS_CONNECTIONS), 0);
    ck_assert(breaker_enter(new, STATS_CONNECTIONS));
    breaker_leave(of[0], STATS_CONNECTIONS);
    ck_assert_uint_eq(shown(0, STATS_CONNECTIONS), 1);
    breaker_unref(breaker_use(&sets[0], STR("shop"), &v1, &c)); /* it is back, elsewhere */
    ck_assert_uint_eq(shown(0, STATS_CONNECTIONS), 1);
    ck_assert_uint_eq(stat_get(&stats->slabs[0].versions[CELL + 1].held[STATS_CONNECTIONS]), 1);
    breaker_leave(of[0], STATS_CONNECTIONS);
    ck_assert_uint_eq(shown(0, STATS_CONNECTIONS), 1);
    breaker_leave(new, STATS_CONNECTIONS);
    breaker_unref(new);
    ck_assert_uint_eq(shown(0, STATS_CONNECTIONS), 0);
}
END_TEST

START_TEST(nothing_to_limit_is_no_breaker)
{
    set_limits(0, 1024, 0);
    ck_assert_ptr_null(of[0]);
    ck_assert(breaker_enter(NULL, STATS_CONNECTIONS));
    ck_assert(!breaker_yields(NULL) && breaker_turn(NULL, NULL));
    breaker_leave(NULL, STATS_CONNECTIONS);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("breaker");
    TCase *t = tcase_create("breaker");

    tcase_add_checked_fixture(t, begin, finish);
    tcase_add_test(t, a_limit_holds_over_both_and_is_shown);
    tcase_add_test(t, who_waits_is_served_in_order);
    tcase_add_test(t, a_longer_wait_elsewhere_goes_first);
    tcase_add_test(t, a_cell_given_to_another_version_is_that_version_s);
    tcase_add_test(t, nothing_to_limit_is_no_breaker);
    suite_add_tcase(s, t);
    return unit_run(s);
}
