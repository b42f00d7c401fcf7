/* test_balance.c - shares of the policies, who is left out and for how long, retry budgets. */
#include "proxy/base/hash.h"
#include "proxy/upstream/balance.h"
#include "proxy/upstream/outlier.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/retry_budget.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define MANY 10

static struct endpoint eps[MANY];
static struct target targets[MANY];
static struct stats_slab slab;
static struct pool pool = {.stats = &slab};
static struct arena arena;
static struct rng rng;
static uint64_t now_us;

static struct balance balance_of(enum conf_balance policy, uint32_t n, uint32_t panic)
{
    static char names[MANY][16];
    const struct conf_service c = {.balance = policy, .panic = panic};
    struct balance b;

    for (unsigned i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "10.0.0.%u:80", i);
        eps[i] = (struct endpoint){.name = names[i], .pool = &pool, .cell = i + 1};
        targets[i] = (struct target){.ep = &eps[i], .up = true, .weight = 1};
    }
    rng_seed(&rng, 1);
    now_us = 1000000000;
    balance_init(&b, &arena, &c, targets, n, &pool.ejections);
    return b;
}

static uint32_t pick(struct balance *b, uint64_t key, const struct endpoint *avoid)
{
    struct pick p = {.rng = &rng, .now_us = now_us, .key = key, .avoid = avoid};

    return balance_pick(b, &p);
}

START_TEST(round_robin_takes_turns)
{
    struct balance b = balance_of(CONF_BALANCE_ROUND_ROBIN, 3, 0);

    for (uint32_t i = 0; i < 9; i++)
        ck_assert_uint_eq(pick(&b, 0, NULL), i % 3);
}
END_TEST

/* What each of three with weights 5, 2, 1 gets of 8000 requests that are over at once. */
static void share_by_weight(enum conf_balance policy, unsigned hits[3])
{
    const struct conf_service c = {.balance = policy};
    struct balance b = balance_of(policy, 3, 0);

    targets[0].weight = 5;
    targets[1].weight = 2;
    balance_init(&b, &arena, &c, targets, 3, &pool.ejections);
    for (uint64_t i = 0; i < 8000; i++)
        hits[pick(&b, hash64((struct str){(const char *)&i, sizeof(i)}, 7), NULL)]++;
}

START_TEST(turns_by_weight_are_exact_and_even)
{
    static const enum conf_balance policies[] = {CONF_BALANCE_ROUND_ROBIN,
                                                 CONF_BALANCE_LEAST_REQUESTS};

    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        unsigned hits[3] = {0};

        share_by_weight(policies[i], hits);
        ck_assert_uint_eq(hits[0], 5000);
        ck_assert_uint_eq(hits[1], 2000);
        ck_assert_uint_eq(hits[2], 1000);
    }
}
END_TEST

START_TEST(chance_and_keys_follow_the_weights)
{
    static const int want[] = {5000, 2000, 1000};
    unsigned hits[3] = {0}, ring[3] = {0};

    share_by_weight(CONF_BALANCE_P2C, hits);
    share_by_weight(CONF_BALANCE_RING_HASH, ring);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_le(abs((int)hits[i] - want[i]), 220);         /* 5 standard deviations */
        ck_assert_int_le(abs((int)ring[i] - want[i]), want[i] / 4); /* points lie by chance */
    }
}
END_TEST

START_TEST(load_counts_by_weight)
{
    const struct conf_service c = {.balance = CONF_BALANCE_P2C};
    struct balance b = balance_of(CONF_BALANCE_P2C, 2, 0);
    unsigned hits[2] = {0};

    targets[0].weight = 4;
    balance_init(&b, &arena, &c, targets, 2, &pool.ejections);
    eps[0].in_flight = 6; /* of 4 is less than 2 of 1 */
    eps[1].in_flight = 2;
    for (int i = 0; i < 1000; i++)
        hits[pick(&b, 0, NULL)]++;
    ck_assert_uint_gt(hits[0], 900); /* the other only when it is picked twice: 1 in 25 */
}
END_TEST

START_TEST(newcomers_begin_slowly)
{
    static const enum conf_balance policies[] = {CONF_BALANCE_ROUND_ROBIN, CONF_BALANCE_P2C,
                                                 CONF_BALANCE_LEAST_REQUESTS,
                                                 CONF_BALANCE_RING_HASH};

    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        struct balance b = balance_of(policies[i], 4, 0);
        const struct conf_service c = {.balance = policies[i], .slow_start_ms = 10000};
        unsigned hits[3] = {0}; /* at its beginning, half way, at its end */

        balance_init(&b, &arena, &c, targets, 4, &pool.ejections);
        eps[2].up_since_us = now_us;
        for (uint64_t k = 0; k < 27000; k++) {
            uint64_t key = hash64((struct str){(const char *)&k, sizeof(k)}, 7);

            now_us = eps[2].up_since_us + k / 9000 * 5000000;
            hits[k / 9000] += pick(&b, key, NULL) == 2;
        }
        ck_assert_uint_gt(hits[0], 0);
        ck_assert_uint_lt(hits[0], hits[2] / 4);
        ck_assert_uint_gt(hits[1], hits[2] / 3);
        ck_assert_uint_lt(hits[1], hits[2] * 3 / 4);
        ck_assert_uint_gt(hits[2], 1500);
    }
}
END_TEST

START_TEST(when_all_are_new_nobody_waits)
{
    const struct conf_service c = {.balance = CONF_BALANCE_ROUND_ROBIN, .slow_start_ms = 10000};
    struct balance b = balance_of(CONF_BALANCE_ROUND_ROBIN, 3, 0);
    unsigned hits[3] = {0};

    balance_init(&b, &arena, &c, targets, 3, &pool.ejections);
    for (int i = 0; i < 3; i++)
        eps[i].up_since_us = now_us;
    for (int i = 0; i < 3000; i++)
        hits[pick(&b, 0, NULL)]++;
    for (int i = 0; i < 3; i++)
        ck_assert_uint_gt(hits[i], 800);
}
END_TEST

START_TEST(p2c_never_picks_the_busiest)
{
    struct balance b = balance_of(CONF_BALANCE_P2C, 3, 0);
    unsigned hits[3] = {0};

    eps[1].in_flight = 5;
    for (int i = 0; i < 3000; i++)
        hits[pick(&b, 0, NULL)]++;
    ck_assert_uint_eq(hits[1], 0);
    ck_assert_uint_gt(hits[0], 1200);
    ck_assert_uint_gt(hits[2], 1200);
}
END_TEST

START_TEST(p2c_is_even_when_all_are_equal)
{
    struct balance b = balance_of(CONF_BALANCE_P2C, 3, 0);
    unsigned hits[3] = {0};

    for (int i = 0; i < 3; i++)
        latency_observe(&eps[i].latency, 1000 + 300 * (unsigned)i, now_us); /* noise */
    for (int i = 0; i < 3000; i++)
        hits[pick(&b, 0, NULL)]++;
    for (int i = 0; i < 3; i++)
        ck_assert_uint_gt(hits[i], 880);
}
END_TEST

START_TEST(p2c_leaves_a_slow_endpoint_until_its_peak_has_faded)
{
    struct balance b = balance_of(CONF_BALANCE_P2C, 2, 0);
    unsigned hits[2] = {0};

    latency_observe(&eps[0].latency, 1000, now_us);
    latency_observe(&eps[1].latency, 8000, now_us);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(pick(&b, 0, NULL), 0);
    eps[0].in_flight = 9; /* ten of 1 ms are longer than one of 8 ms */
    ck_assert_uint_eq(pick(&b, 0, NULL), 1);
    eps[0].in_flight = 0;
    now_us += 5 * LATENCY_FADE_US;
    latency_observe(&eps[0].latency, 1000, now_us);
    for (int i = 0; i < 1000; i++)
        hits[pick(&b, 0, NULL)]++;
    ck_assert_uint_gt(hits[1], 400);
}
END_TEST

START_TEST(a_peak_is_believed_at_once_and_forgotten_slowly)
{
    struct latency l = {0};

    latency_observe(&l, 1000, 1000);
    latency_observe(&l, 50000, 2000);
    ck_assert_uint_eq(latency_at(&l, 2000), 50000);
    latency_observe(&l, 1000, 3000);
    ck_assert_uint_gt(latency_at(&l, 3000), 40000);
    ck_assert_uint_eq(latency_at(&l, 3000 + LATENCY_FADE_US), latency_at(&l, 3000) / 2);
}
END_TEST

START_TEST(least_requests_takes_the_idlest_and_turns_among_equals)
{
    struct balance b = balance_of(CONF_BALANCE_LEAST_REQUESTS, 4, 0);
    unsigned hits[4] = {0};

    eps[2].in_flight = 1;
    for (int i = 0; i < 300; i++)
        hits[pick(&b, 0, NULL)]++;
    ck_assert_uint_eq(hits[2], 0);
    ck_assert_uint_eq(hits[0], 100);
    ck_assert_uint_eq(hits[1], 100);
    ck_assert_uint_eq(hits[3], 100);
    for (int i = 0; i < 4; i++)
        eps[i].in_flight = 4 - (unsigned)(i == 1);
    ck_assert_uint_eq(pick(&b, 0, NULL), 1);
}
END_TEST

#define KEYS 20000

START_TEST(ring_hash_moves_only_the_keys_of_who_went)
{
    struct balance b = balance_of(CONF_BALANCE_RING_HASH, MANY, 0);
    static uint32_t before[KEYS];
    unsigned hits[MANY] = {0};

    for (uint32_t k = 0; k < KEYS; k++)
        hits[before[k] = pick(&b, hash_mix(k), NULL)]++;
    for (int i = 0; i < MANY; i++) {
        ck_assert_uint_gt(hits[i], KEYS / MANY / 2);
        ck_assert_uint_lt(hits[i], KEYS / MANY * 2);
    }
    pool_eject(&eps[4], now_us + 1000, STATS_EJECTED_ROW);
    for (uint32_t k = 0; k < KEYS; k++) {
        uint32_t i = pick(&b, hash_mix(k), NULL);

        ck_assert_uint_ne(i, 4);
        ck_assert(before[k] == 4 || i == before[k]);
    }
    b = balance_of(CONF_BALANCE_RING_HASH, MANY - 1, 0); /* another snapshot, one less */
    for (uint32_t k = 0; k < KEYS; k++)
        ck_assert(before[k] == MANY - 1 || pick(&b, hash_mix(k), NULL) == before[k]);
}
END_TEST

#define CROWD 10000

/* Targets of which each tenth weighs as much per head as 1, 112, 223... to 1000. */
static struct balance crowd(struct target *t)
{
    const struct conf_service c = {.balance = CONF_BALANCE_RING_HASH};
    struct endpoint *e = arena_zalloc(&arena, CROWD * sizeof(*e));
    struct balance b;

    for (unsigned i = 0; i < CROWD; i++) {
        char *name = arena_alloc(&arena, 24);

        snprintf(name, 24, "10.%u.%u.1:80", i / 200, i % 200);
        e[i] = (struct endpoint){.name = name, .pool = &pool};
        t[i] = (struct target){.ep = &e[i], .up = true, .weight = 1 + i % 10 * 111};
    }
    balance_init(&b, &arena, &c, t, CROWD, &pool.ejections);
    return b;
}

START_TEST(ring_hash_of_many_uneven_targets_is_bounded_and_fair)
{
    static struct target t[CROWD];
    unsigned hits[10] = {0};
    struct balance b = crowd(t);

    ck_assert_uint_le(b.npoints, BALANCE_RING_POINTS + CROWD);
    ck_assert_uint_gt(b.npoints, BALANCE_RING_POINTS - CROWD);
    for (uint32_t k = 0; k < 500000; k++)
        hits[pick(&b, hash_mix(k), NULL) % 10]++;
    for (unsigned i = 1; i < 10; i++) { /* a tenth weighs i * 111 + 1 of 5005 in all */
        int want = (int)(500000ull * (1 + i * 111) / 5005);

        ck_assert_int_le(abs((int)hits[i] - want), want / 20);
    }
    ck_assert_uint_gt(hits[0], 0);
    ck_assert_uint_lt(hits[0], 1000); /* one point each where a fifth was due: 500, not 100 */
    arena_release(&arena);
}
END_TEST

START_TEST(ring_hash_bounds_the_load_of_a_hot_key)
{
    struct balance b = balance_of(CONF_BALANCE_RING_HASH, 4, 0);
    unsigned most = 0;

    for (int i = 0; i < 400; i++)
        eps[pick(&b, 12345, NULL)].in_flight++;
    for (int i = 0; i < 4; i++)
        most = eps[i].in_flight > most ? eps[i].in_flight : most;
    ck_assert_uint_le(most, 126); /* 5/4 of 100, rounded up */
    ck_assert_uint_ge(most, 120);
}
END_TEST

START_TEST(a_retry_goes_elsewhere_if_there_is_an_elsewhere)
{
    for (int policy = 0; policy <= CONF_BALANCE_RING_HASH; policy++) {
        struct balance b = balance_of((enum conf_balance)policy, 2, 0);

        for (uint32_t i = 0; i < 100; i++)
            ck_assert_uint_eq(pick(&b, hash_mix(i), &eps[0]), 1);
        b = balance_of((enum conf_balance)policy, 1, 0);
        ck_assert_uint_eq(pick(&b, 7, &eps[0]), 0);
    }
}
END_TEST

START_TEST(endpoints_that_are_down_get_nothing_unless_too_few_are_up)
{
    struct balance b = balance_of(CONF_BALANCE_ROUND_ROBIN, 4, 0);

    targets[0].up = targets[1].up = targets[2].up = false;
    for (int i = 0; i < 8; i++)
        ck_assert_uint_eq(pick(&b, 0, NULL), 3);
    targets[3].up = false;
    b.until_us = 0;
    ck_assert_uint_eq(pick(&b, 0, NULL), BALANCE_NONE);

    b = balance_of(CONF_BALANCE_ROUND_ROBIN, 4, 50);
    targets[0].up = targets[1].up = false;
    for (uint32_t i = 0; i < 8; i++)
        ck_assert_uint_eq(pick(&b, 0, NULL), 2 + i % 2); /* half is not fewer than half */
    targets[2].up = false;
    b.until_us = 0;
    b.cursor = 0;
    for (uint32_t i = 0; i < 8; i++)
        ck_assert_uint_eq(pick(&b, 0, NULL), i % 4);
}
END_TEST

/* Who of ten gets any of 10,000 requests by different keys. */
static unsigned served(struct balance *b, unsigned hits[MANY])
{
    unsigned n = 0;

    for (int i = 0; i < MANY; i++)
        hits[i] = 0;
    for (uint32_t k = 0; k < 10000; k++)
        hits[pick(b, hash_mix(k), NULL)]++;
    for (int i = 0; i < MANY; i++)
        n += hits[i] > 0;
    return n;
}

START_TEST(panic_lets_all_in_whatever_the_policy)
{
    static const enum conf_balance policies[] = {CONF_BALANCE_P2C, CONF_BALANCE_ROUND_ROBIN,
                                                 CONF_BALANCE_LEAST_REQUESTS,
                                                 CONF_BALANCE_RING_HASH};
    unsigned hits[MANY];

    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        struct balance b = balance_of(policies[i], MANY, 50);

        for (int k = 0; k < 5; k++)
            targets[k].up = false;
        ck_assert_uint_eq(served(&b, hits), 5); /* half of ten is no panic */
        for (int k = 0; k < 5; k++)
            ck_assert_uint_eq(hits[k], 0);
        targets[5].up = false;
        b.until_us = 0;
        ck_assert_uint_eq(served(&b, hits), MANY);
        for (int k = 0; k < MANY; k++) { /* and evenly; the points of a ring by chance */
            ck_assert_uint_gt(hits[k], 500);
            ck_assert_uint_lt(hits[k], 1600);
        }
        targets[5].up = true;
        pool_eject(&eps[6], now_us + 1000, STATS_EJECTED_ROW); /* who is ejected is not live */
        b.until_us = 0;
        ck_assert_uint_eq(served(&b, hits), MANY);
        now_us += 1001;
        ck_assert_uint_eq(served(&b, hits), 5);
    }
}
END_TEST

START_TEST(an_ejected_endpoint_comes_back_by_itself)
{
    struct balance b = balance_of(CONF_BALANCE_ROUND_ROBIN, 2, 0);

    (void)pick(&b, 0, NULL);
    pool_eject(&eps[0], now_us + 500, STATS_EJECTED_ROW);
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(pick(&b, 0, NULL), 1);
    pool_eject(&eps[1], now_us + 500, STATS_EJECTED_ROW); /* all: then it does not count */
    ck_assert_uint_ne(pick(&b, 0, NULL), pick(&b, 0, NULL));
    now_us += 500;
    ck_assert_uint_ne(pick(&b, 0, NULL), pick(&b, 0, NULL));
    ck_assert_uint_eq(b.nlive, 2);
}
END_TEST

static const struct conf_outlier outlier = {.enabled = true,
                                            .consecutive_errors = 3,
                                            .window_ms = 1000,
                                            .min_requests = 10,
                                            .eject_ms = 1000,
                                            .max_ejected = 50};

static bool fail_in_row(struct balance *b, struct endpoint *ep, int n)
{
    bool ejected = false;

    while (n--)
        ejected = outlier_failed(b, &outlier, ep, now_us);
    return ejected;
}

static void answer(struct balance *b, const struct conf_outlier *c, struct endpoint *ep,
                   uint64_t took_us)
{
    ck_assert(!outlier_answered(b, c, ep, took_us, now_us));
}

START_TEST(errors_in_a_row_eject_and_pauses_grow)
{
    struct balance b = balance_of(CONF_BALANCE_ROUND_ROBIN, 4, 0);

    ck_assert(!fail_in_row(&b, &eps[0], 2));
    answer(&b, &outlier, &eps[0], 1);
    ck_assert(!fail_in_row(&b, &eps[0], 2));
    ck_assert(fail_in_row(&b, &eps[0], 1));
    ck_assert_uint_eq(eps[0].ejected_until_us, now_us + 1000000);
    now_us += 1000000;
    answer(&b, &outlier, &eps[0], 1);
    ck_assert(fail_in_row(&b, &eps[0], 3));
    ck_assert_uint_eq(eps[0].ejected_until_us, now_us + 2000000);
    now_us += 2000000 + OUTLIER_GROWTH_MAX * 1000000 + 1;
    ck_assert(fail_in_row(&b, &eps[0], 3));
    ck_assert_uint_eq(eps[0].ejected_until_us, now_us + 1000000);
}
END_TEST

START_TEST(who_comes_back_must_answer_before_it_fails)
{
    struct balance b = balance_of(CONF_BALANCE_ROUND_ROBIN, 4, 0);

    ck_assert(fail_in_row(&b, &eps[0], 3));
    answer(&b, &outlier, &eps[0], 1); /* the end of what began before says nothing */
    for (uint64_t pause = 2; pause <= OUTLIER_GROWTH_MAX + 3; pause++) {
        now_us = eps[0].ejected_until_us;
        ck_assert(fail_in_row(&b, &eps[0], 1));
        ck_assert_uint_eq(eps[0].ejected_until_us,
                          now_us + (pause < OUTLIER_GROWTH_MAX ? pause : OUTLIER_GROWTH_MAX) *
                                       1000000);
    }
    now_us = eps[0].ejected_until_us;
    answer(&b, &outlier, &eps[0], 1);
    ck_assert(!fail_in_row(&b, &eps[0], 2));
    ck_assert_uint_eq(stat_get(&slab.endpoints[1].ejections[STATS_EJECTED_ROW]), 1);
    ck_assert_uint_eq(stat_get(&slab.endpoints[1].ejections[STATS_EJECTED_RELAPSE]),
                      OUTLIER_GROWTH_MAX + 2);
}
END_TEST

START_TEST(a_share_of_failures_ejects_when_there_are_enough)
{
    struct balance b = balance_of(CONF_BALANCE_ROUND_ROBIN, 4, 0);
    struct conf_outlier c = outlier;

    c.consecutive_errors = 0;
    c.failure_share = 50;
    for (int i = 0; i < 4; i++) {
        answer(&b, &c, &eps[0], 1);
        ck_assert(!outlier_failed(&b, &c, &eps[0], now_us)); /* half, of too few */
    }
    now_us += 1000000;
    for (int i = 0; i < 3; i++) /* what was before the window is forgotten */
        ck_assert(!outlier_failed(&b, &c, &eps[0], now_us));
    for (int i = 0; i < 6; i++)
        answer(&b, &c, &eps[0], 1);
    now_us += 500000; /* the other half of the window counts as well */
    ck_assert(!outlier_failed(&b, &c, &eps[0], now_us));
    ck_assert(!outlier_failed(&b, &c, &eps[0], now_us));
    ck_assert(outlier_failed(&b, &c, &eps[0], now_us)); /* 6 of 12 */
    ck_assert_uint_eq(stat_get(&slab.endpoints[1].ejections[STATS_EJECTED_SHARE]), 1);
    c.failure_share = 0;
    for (int i = 0; i < 100; i++)
        ck_assert(!outlier_failed(&b, &c, &eps[1], now_us));
}
END_TEST

/* N answers of each of the first four endpoints, the first one's in SLOW_US, the others' in 20
 * ms. True: the first one got a pause. */
static bool race(struct balance *b, const struct conf_outlier *c, int n, uint64_t slow_us)
{
    bool ejected = false;

    for (int i = 0; i < n; i++)
        for (uint32_t k = 0; k < 4; k++) {
            bool out = outlier_answered(b, c, &eps[k], k ? 20000 : slow_us, now_us);

            ck_assert(!out || k == 0);
            ejected |= out;
        }
    return ejected;
}

START_TEST(who_is_far_slower_than_the_others_is_ejected)
{
    struct balance b = balance_of(CONF_BALANCE_ROUND_ROBIN, 4, 0);
    struct conf_outlier c = outlier;

    c.latency_factor = 3;
    ck_assert(!race(&b, &c, 100, 55000));
    b = balance_of(CONF_BALANCE_ROUND_ROBIN, 4, 0);
    ck_assert(!race(&b, &c, 9, 65000)); /* too few */
    ck_assert(race(&b, &c, 11, 65000));
    ck_assert_uint_eq(stat_get(&slab.endpoints[1].ejections[STATS_EJECTED_SLOW]), 1);
    b = balance_of(CONF_BALANCE_ROUND_ROBIN, 4, 0);
    c.latency_factor = 1;
    ck_assert(!race(&b, &c, 100, 29000)); /* by less than counts */
    b = balance_of(CONF_BALANCE_ROUND_ROBIN, 2, 0);
    ck_assert(!race(&b, &c, 100, 90000)); /* one other says nothing */
}
END_TEST

START_TEST(one_endless_answer_is_not_a_slow_endpoint)
{
    struct balance b = balance_of(CONF_BALANCE_ROUND_ROBIN, 4, 0);
    struct conf_outlier c = outlier;

    c.latency_factor = 3;
    answer(&b, &c, &eps[0], 60000000);
    ck_assert(!race(&b, &c, 30, 20000));
}
END_TEST

START_TEST(logarithms_come_back)
{
    for (uint64_t us = 1; us < 1ull << 40; us += us / 7 + 1) {
        uint64_t back = record_unlog(record_log(us));

        ck_assert_uint_le(back, us);
        ck_assert_uint_ge(back + us / 250 + 1, us);
    }
    ck_assert_uint_eq(record_log(0), 0);
    ck_assert_uint_ge(record_log(UINT64_MAX), 63 * 256);
}
END_TEST

START_TEST(no_more_than_the_share_is_ejected)
{
    struct balance b = balance_of(CONF_BALANCE_ROUND_ROBIN, 4, 0);

    ck_assert(fail_in_row(&b, &eps[0], 3));
    ck_assert(fail_in_row(&b, &eps[1], 3));
    ck_assert(!fail_in_row(&b, &eps[2], 30));
    b = balance_of(CONF_BALANCE_ROUND_ROBIN, 1, 0);
    ck_assert(!fail_in_row(&b, &eps[0], 30));
}
END_TEST

START_TEST(the_retry_budget_is_a_share_of_a_window)
{
    struct retry_budget b = {0};
    uint64_t t = 50000000;
    int taken = 0;

    for (int i = 0; i < 1000; i++)
        retry_budget_ask(&b, t);
    for (int i = 0; i < 1000; i++)
        taken += retry_budget_take(&b, 20, t);
    ck_assert_int_eq(taken, 200);
    t += RETRY_HALF_US;
    ck_assert(!retry_budget_take(&b, 20, t)); /* the old half still counts */
    t += 2 * RETRY_HALF_US;
    for (taken = 0; retry_budget_take(&b, 20, t); taken++)
        continue;
    ck_assert_int_eq(taken, RETRY_FREE);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("balance");
    TCase *t = tcase_create("balance");

    tcase_add_test(t, round_robin_takes_turns);
    tcase_add_test(t, turns_by_weight_are_exact_and_even);
    tcase_add_test(t, chance_and_keys_follow_the_weights);
    tcase_add_test(t, load_counts_by_weight);
    tcase_add_test(t, newcomers_begin_slowly);
    tcase_add_test(t, when_all_are_new_nobody_waits);
    tcase_add_test(t, p2c_never_picks_the_busiest);
    tcase_add_test(t, p2c_is_even_when_all_are_equal);
    tcase_add_test(t, p2c_leaves_a_slow_endpoint_until_its_peak_has_faded);
    tcase_add_test(t, a_peak_is_believed_at_once_and_forgotten_slowly);
    tcase_add_test(t, least_requests_takes_the_idlest_and_turns_among_equals);
    tcase_add_test(t, ring_hash_moves_only_the_keys_of_who_went);
    tcase_add_test(t, ring_hash_of_many_uneven_targets_is_bounded_and_fair);
    tcase_add_test(t, ring_hash_bounds_the_load_of_a_hot_key);
    tcase_add_test(t, a_retry_goes_elsewhere_if_there_is_an_elsewhere);
    tcase_add_test(t, endpoints_that_are_down_get_nothing_unless_too_few_are_up);
    tcase_add_test(t, panic_lets_all_in_whatever_the_policy);
    tcase_add_test(t, an_ejected_endpoint_comes_back_by_itself);
    tcase_add_test(t, errors_in_a_row_eject_and_pauses_grow);
    tcase_add_test(t, who_comes_back_must_answer_before_it_fails);
    tcase_add_test(t, a_share_of_failures_ejects_when_there_are_enough);
    tcase_add_test(t, who_is_far_slower_than_the_others_is_ejected);
    tcase_add_test(t, one_endless_answer_is_not_a_slow_endpoint);
    tcase_add_test(t, logarithms_come_back);
    tcase_add_test(t, no_more_than_the_share_is_ejected);
    tcase_add_test(t, the_retry_budget_is_a_share_of_a_window);
    suite_add_tcase(s, t);
    arena_init(&arena, NULL, 0);
    int code = unit_run(s);
    arena_release(&arena);
    return code;
}
