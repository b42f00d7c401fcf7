/* test_split.c - shares, monotony and evenness of the split. */
#include "proxy/route/split.h"

#include "proxy/base/check.h"
#include "proxy/base/rng.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST 6
#define KEYS 1000000

/* A service with N versions, ages in order, of these weights. */
static void fill(struct conf_service *s, struct conf_version *v, const uint32_t *weights,
                 size_t n)
{
    memset(v, 0, n * sizeof(*v));
    for (size_t i = 0; i < n; i++)
        v[i] = (struct conf_version){.weight = weights[i], .age = (uint32_t)i};
    *s = (struct conf_service){.versions = v, .nversions = n};
}

struct cut {
    struct conf_version v[MOST];
    struct conf_service s;
    struct split_range room[MOST];
    struct split sp;
};

static void cut(struct cut *c, const uint32_t *weights, size_t n, uint32_t phase)
{
    fill(&c->s, c->v, weights, n);
    split_init(&c->sp, c->room, &c->s, phase);
}

static uint32_t point_of(int key)
{
    char text[16];

    return split_point((struct str){text, (size_t)sprintf(text, "user-%d", key)},
                       split_salt(STR("shop")));
}

START_TEST(test_share)
{
    static const uint32_t weights[] = {8949, 1000, 50, 1};
    size_t got[4] = {0};
    struct cut c;

    cut(&c, weights, 4, 0);
    for (int key = 0; key < KEYS; key++)
        got[split_pick(&c.sp, point_of(key))]++;
    for (size_t i = 0; i < 4; i++) {
        double p = weights[i] / 1e4, sd = sqrt(KEYS * p * (1 - p));
        ck_assert_msg(fabs((double)got[i] - KEYS * p) < 5 * sd, "%zu: %zu", i, got[i]);
    }
}
END_TEST

/* Raising the newest moves keys to it and nobody back or sideways, when its gain comes from the
 * version next to it. */
START_TEST(test_monotone)
{
    static const uint32_t steps[] = {0, 1, 100, 500, 2500, 5000, 9999, 10000};
    uint8_t *at = calloc(KEYS, 1);
    size_t back = 0;
    struct cut c;

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        cut(&c, (uint32_t[]){SPLIT_POINTS - steps[i], steps[i]}, 2, 0);
        for (int key = 0; key < KEYS; key++) {
            uint8_t now = (uint8_t)split_pick(&c.sp, point_of(key));
            back += i > 0 && now < at[key];
            at[key] = now;
        }
    }
    ck_assert_uint_eq(back, 0);
    free(at);
}
END_TEST

static bool no_sum_grows(const uint32_t *from, const uint32_t *to, size_t n)
{
    long sum = 0;

    for (size_t i = 0; i < n; i++)
        if ((sum += (long)to[i] - (long)from[i]) > 0)
            return false;
    return true;
}

static void random_weights(struct rng *g, uint32_t *w, size_t n)
{
    uint32_t left = SPLIT_POINTS;

    for (size_t i = 0; i + 1 < n; i++)
        left -= w[i] = rng_below(g, 4) ? rng_below(g, left + 1) : 0;
    w[n - 1] = left;
}

/* The promise of split.h for any number of versions, at every point. */
START_TEST(test_monotone_many)
{
    struct rng g;
    int held = 0, back = 0;

    rng_seed(&g, 3);
    for (int round = 0; round < 3000; round++) {
        uint32_t a[MOST], b[MOST];
        size_t n = 2 + rng_below(&g, MOST - 1);
        struct cut from, to;
        random_weights(&g, a, n);
        random_weights(&g, b, n);
        if (!no_sum_grows(a, b, n))
            continue;
        held++;
        cut(&from, a, n, 0);
        cut(&to, b, n, 0);
        for (uint32_t p = 0; p < SPLIT_POINTS; p += 3)
            back += split_pick(&to.sp, p) < split_pick(&from.sp, p);
    }
    ck_assert_int_gt(held, 100);
    ck_assert_int_eq(back, 0);
}
END_TEST

START_TEST(test_age_decides)
{
    struct conf_version v[] = {
        {.weight = 1000, .age = 7}, {.weight = 0, .age = 1}, {.weight = 9000, .age = 3}};
    struct conf_service s = {.versions = v, .nversions = 3};
    struct split_range room[3];
    struct split sp;

    split_init(&sp, room, &s, 0);
    ck_assert_uint_eq(split_pick(&sp, 0), 2);
    ck_assert_uint_eq(split_pick(&sp, 8999), 2);
    ck_assert_uint_eq(split_pick(&sp, 9000), 0);
    ck_assert_uint_eq(split_pick(&sp, 9999), 0);
}
END_TEST

START_TEST(test_nobody)
{
    struct cut c;

    cut(&c, (uint32_t[]){0, 0}, 2, 5);
    ck_assert(split_pick(&c.sp, 0) == SPLIT_NOBODY);
    ck_assert(split_next(&c.sp) == SPLIT_NOBODY);
    cut(&c, (uint32_t[]){0, 10000}, 2, 5);
    ck_assert_uint_eq(split_next(&c.sp), 1);
}
END_TEST

/* How far from its exact share any version ever is, in 3 cycles. */
static double worst(const uint32_t *weights, size_t n, uint32_t phase)
{
    size_t given[MOST] = {0};
    double most = 0;
    struct cut c;

    cut(&c, weights, n, phase);
    for (size_t t = 1; t <= 3 * SPLIT_POINTS; t++) {
        given[split_next(&c.sp)]++;
        for (size_t i = 0; i < n; i++) {
            double off = fabs((double)given[i] - (double)t * weights[i] / SPLIT_POINTS);
            most = off > most ? off : most;
        }
    }
    return most;
}

START_TEST(test_sequence)
{
    struct rng g;

    rng_seed(&g, 11);
    ck_assert(worst((uint32_t[]){9000, 1000}, 2, 0) < 1);
    ck_assert(worst((uint32_t[]){9999, 1}, 2, 0) < 1);
    ck_assert(worst((uint32_t[]){5000, 5000}, 2, 0) < 1);
    ck_assert(worst((uint32_t[]){3334, 3333, 3333}, 3, 0) < 1);
    for (int round = 0; round < 40; round++) {
        uint32_t w[MOST];
        size_t n = 2 + rng_below(&g, MOST - 1);
        uint32_t phase = rng_below(&g, UINT32_MAX);
        random_weights(&g, w, n);
        ck_assert_msg(worst(w, n, 0) < 1, "round %d", round);
        uint32_t two[] = {w[0], SPLIT_POINTS - w[0]};
        ck_assert_msg(worst(two, 2, phase) < 1, "round %d phase %u", round, phase);
    }
}
END_TEST

/* Many workers that see little each: together they give the share, thanks to their phases. */
START_TEST(test_phases)
{
    struct rng g;
    size_t canary = 0;

    rng_seed(&g, 5);
    for (int worker = 0; worker < 1000; worker++) {
        struct cut c;
        cut(&c, (uint32_t[]){9900, 100}, 2, rng_below(&g, SPLIT_POINTS));
        for (int i = 0; i < 20; i++)
            canary += split_next(&c.sp);
    }
    ck_assert_uint_gt(canary, 120); /* of 200 expected */
    ck_assert_uint_lt(canary, 280);
}
END_TEST

START_TEST(test_resume)
{
    struct cut old, new;
    size_t got = 0;

    cut(&old, (uint32_t[]){9900, 100}, 2, 0);
    for (int i = 0; i < 100; i++) { /* a new snapshot for every request */
        cut(&new, (uint32_t[]){9900, 100}, 2, 0);
        split_resume(&new.sp, &old.sp);
        got += split_next(&new.sp);
        cut(&old, (uint32_t[]){9900, 100}, 2, 0);
        split_resume(&old.sp, &new.sp);
    }
    ck_assert_uint_eq(got, 1);
    cut(&new, (uint32_t[]){5000, 5000}, 2, 17);
    split_resume(&new.sp, &old.sp); /* other weights: begins anew */
    ck_assert_uint_eq(new.sp.slot, 17);
}
END_TEST

/* Published for ever: a change here moves every sticky client of every user. */
START_TEST(test_fixed_points)
{
    ck_assert_uint_eq(split_point(STR("alice"), split_salt(STR("shop"))), 7907);
    ck_assert_uint_eq(split_point(STR("bob"), split_salt(STR("shop"))), 7628);
    ck_assert_uint_ne(split_point(STR("bob"), split_salt(STR("cart"))), 7628);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("split");
    TCase *t = tcase_create("split");

    suite_add_tcase(s, t);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_share);
    tcase_add_test(t, test_monotone);
    tcase_add_test(t, test_monotone_many);
    tcase_add_test(t, test_age_decides);
    tcase_add_test(t, test_nobody);
    tcase_add_test(t, test_sequence);
    tcase_add_test(t, test_phases);
    tcase_add_test(t, test_resume);
    tcase_add_test(t, test_fixed_points);
    return unit_run(s);
}
