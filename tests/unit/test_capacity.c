/* test_capacity.c - what versions get when not all of their endpoints are ready. */
#include "proxy/route/split.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define VERSIONS  3
#define ENDPOINTS 4

static struct conf_endpoint eps[VERSIONS][ENDPOINTS];
static struct conf_version versions[VERSIONS];
static struct conf_service service;
static uint32_t got[VERSIONS];

/* Three versions, oldest first, with four ready endpoints of weight 1 each. */
static void set_up(uint32_t a, uint32_t b, uint32_t c)
{
    const uint32_t weights[VERSIONS] = {a, b, c};

    for (size_t i = 0; i < VERSIONS; i++) {
        for (size_t k = 0; k < ENDPOINTS; k++)
            eps[i][k] = (struct conf_endpoint){.up = true, .weight = 1};
        versions[i] = (struct conf_version){.endpoints = eps[i],
                                            .nendpoints = ENDPOINTS,
                                            .weight = weights[i],
                                            .age = (uint32_t)i};
    }
    service = (struct conf_service){.versions = versions, .nversions = VERSIONS};
}

static void down(size_t version, size_t n)
{
    for (size_t k = 0; k < ENDPOINTS; k++)
        eps[version][k].up = k >= n;
}

/* The shares of the split, into got; their sum. */
static uint32_t shares(void)
{
    struct split_range room[VERSIONS];
    struct split sp;
    uint32_t sum = 0;

    memset(got, 0, sizeof(got));
    split_init(&sp, room, &service, 0);
    for (uint32_t i = 0; i < sp.n; i++) {
        got[sp.ranges[i].version] = sp.ranges[i].weight;
        sum += sp.ranges[i].weight;
    }
    return sum;
}

#define EXPECT(a, b, c)                                                                        \
    do {                                                                                       \
        ck_assert_uint_eq(shares(), 10000);                                                    \
        ck_assert_uint_eq(got[0], a);                                                          \
        ck_assert_uint_eq(got[1], b);                                                          \
        ck_assert_uint_eq(got[2], c);                                                          \
    } while (0)

START_TEST(what_is_ready_gets_its_weight)
{
    set_up(7000, 2000, 1000);
    EXPECT(7000, 2000, 1000);
}
END_TEST

START_TEST(newer_versions_are_cut_to_what_is_ready)
{
    set_up(7000, 2000, 1000);
    down(2, 1);
    EXPECT(7250, 2000, 750);
    down(1, 4);
    EXPECT(9250, 0, 750);
    down(2, 4);
    EXPECT(10000, 0, 0);
}
END_TEST

START_TEST(the_oldest_keeps_its_weight_while_anything_of_it_is_ready)
{
    set_up(9500, 0, 500);
    down(0, 3);
    EXPECT(9500, 0, 500);
}
END_TEST

START_TEST(with_nothing_older_left_the_next_one_answers)
{
    set_up(9000, 600, 400);
    down(0, 4);
    EXPECT(0, 9600, 400);
    down(1, 4);
    EXPECT(0, 0, 10000);
}
END_TEST

START_TEST(without_anything_ready_weights_stay)
{
    set_up(9000, 600, 400);
    for (size_t i = 0; i < VERSIONS; i++)
        down(i, 4);
    EXPECT(9000, 600, 400);
}
END_TEST

START_TEST(a_version_without_weight_gets_none)
{
    set_up(10000, 0, 0);
    down(0, 4);
    EXPECT(10000, 0, 0);
}
END_TEST

START_TEST(weights_of_endpoints_count_and_drained_ones_do_not)
{
    set_up(5000, 0, 5000);
    eps[2][0].weight = 7;
    down(2, 1); /* 3 of 10 are ready */
    EXPECT(8500, 0, 1500);
    eps[2][0].drain = true;
    EXPECT(5000, 0, 5000);
}
END_TEST

/* Whatever goes down: only an oldest version that is gone gives a newer one more. */
START_TEST(losing_endpoints_never_gives_a_newer_version_more)
{
    for (unsigned mask = 0; mask < 1u << (VERSIONS * ENDPOINTS); mask++) {
        set_up(6000, 3000, 1000);
        for (unsigned k = 0; k < VERSIONS * ENDPOINTS; k++)
            eps[k / ENDPOINTS][k % ENDPOINTS].up = !(mask >> k & 1);
        ck_assert_uint_eq(shares(), 10000);
        if ((mask & 0xf) != 0xf) {
            ck_assert_uint_ge(got[0], 6000);
            ck_assert_uint_le(got[1], 3000);
        }
        if (mask != 0xfff && (mask & 0xff) != 0xff)
            ck_assert_uint_le(got[2], 1000);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("capacity");
    TCase *t = tcase_create("capacity");

    tcase_add_test(t, what_is_ready_gets_its_weight);
    tcase_add_test(t, newer_versions_are_cut_to_what_is_ready);
    tcase_add_test(t, the_oldest_keeps_its_weight_while_anything_of_it_is_ready);
    tcase_add_test(t, with_nothing_older_left_the_next_one_answers);
    tcase_add_test(t, without_anything_ready_weights_stay);
    tcase_add_test(t, a_version_without_weight_gets_none);
    tcase_add_test(t, weights_of_endpoints_count_and_drained_ones_do_not);
    tcase_add_test(t, losing_endpoints_never_gives_a_newer_version_more);
    suite_add_tcase(s, t);
    return unit_run(s);
}
