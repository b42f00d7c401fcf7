/* test_balance.c - shares of the policies, and whom a retry avoids. */
#include "proxy/upstream/balance.h"
#include "proxy/upstream/pool.h"

#include <check.h>
#include <stdlib.h>

static struct endpoint eps[3];
static struct target targets[3] = {{&eps[0], 1}, {&eps[1], 2}, {&eps[2], 3}};

static struct balance balance(enum conf_balance policy, uint32_t n)
{
    for (int i = 0; i < 3; i++)
        eps[i].in_flight = 0;
    return (struct balance){.policy = policy, .targets = targets, .n = n};
}

START_TEST(round_robin_takes_turns)
{
    struct balance b = balance(CONF_BALANCE_ROUND_ROBIN, 3);
    struct rng r;

    rng_seed(&r, 1);
    for (uint32_t i = 0; i < 9; i++)
        ck_assert_uint_eq(balance_pick(&b, &r, NULL), i % 3);
}
END_TEST

START_TEST(p2c_never_picks_the_busiest)
{
    struct balance b = balance(CONF_BALANCE_P2C, 3);
    unsigned hits[3] = {0};
    struct rng r;

    rng_seed(&r, 1);
    eps[1].in_flight = 5;
    for (int i = 0; i < 3000; i++)
        hits[balance_pick(&b, &r, NULL)]++;
    ck_assert_uint_eq(hits[1], 0);
    ck_assert_uint_gt(hits[0], 1200);
    ck_assert_uint_gt(hits[2], 1200);
}
END_TEST

START_TEST(p2c_is_even_when_all_are_equal)
{
    struct balance b = balance(CONF_BALANCE_P2C, 3);
    unsigned hits[3] = {0};
    struct rng r;

    rng_seed(&r, 2);
    for (int i = 0; i < 3000; i++)
        hits[balance_pick(&b, &r, NULL)]++;
    for (int i = 0; i < 3; i++)
        ck_assert_uint_gt(hits[i], 880);
}
END_TEST

START_TEST(a_retry_goes_elsewhere_if_there_is_an_elsewhere)
{
    struct balance b = balance(CONF_BALANCE_P2C, 2);
    struct rng r;

    rng_seed(&r, 3);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(balance_pick(&b, &r, &eps[0]), 1);
    b.n = 1;
    ck_assert_uint_eq(balance_pick(&b, &r, &eps[0]), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("balance");
    TCase *t = tcase_create("balance");
    SRunner *sr;
    int failed;

    tcase_add_test(t, round_robin_takes_turns);
    tcase_add_test(t, p2c_never_picks_the_busiest);
    tcase_add_test(t, p2c_is_even_when_all_are_equal);
    tcase_add_test(t, a_retry_goes_elsewhere_if_there_is_an_elsewhere);
    suite_add_tcase(s, t);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
