/* test_plan.c - what the judge would need, asked of the judge. */
#include "control/rollout/plan.h"
#include "tests/unit/unit.h"

#include <jansson.h>

static struct plan_step plan(const char *text, uint32_t i, double rps, double errors)
{
    static struct spec s;
    struct spec_error err;
    struct plan_traffic t = {rps, errors};
    struct plan_step out;
    json_t *doc = json_loads(text, 0, NULL);

    ck_assert_int_eq(spec_read(doc, &s, &err), 0);
    json_decref(doc);
    s.judge.clients = JUDGE_REQUEST;
    plan_step(&s, i, &t, &out);
    return out;
}

#define STEPS                                                                                  \
    "{\"version\":\"v2\",\"steps\":[{\"smoke\":{\"request\":\"GET /\"}},"                      \
    "{\"weight\":5,\"hold\":{\"min\":\"1m\",\"max\":\"15m\",\"until\":\"evidence\"}},"         \
    "{\"weight\":50,\"hold\":\"5m\"},{\"weight\":100}]}"

/* From 1 to 5 % at 5 % of 100 a second: 173 requests at the median, in simulation. */
START_TEST(figures_are_those_of_simulation)
{
    struct plan_step five = plan(STEPS, 1, 100, 0.025), one = plan(STEPS, 1, 100, 0.005);

    ck_assert(five.regress[2].found && one.regress[0].found);
    ck_assert_double_eq_tol(five.canary_rps, 5, 1e-9);
    ck_assert_uint_lt(five.regress[1].n, five.regress[2].n); /* worse is found sooner */
    ck_assert_uint_lt(five.regress[0].n, five.regress[1].n);
    struct plan_step p = plan(STEPS, 1, 100, 0.01);
    ck_assert_uint_ge(p.regress[1].n, 120); /* five times 1 % */
    ck_assert_uint_le(p.regress[1].n, 400);
    ck_assert_uint_ge(p.certificate.n, 60);
    ck_assert_uint_le(p.certificate.n, 270);
    ck_assert_uint_ge(p.least_ms, 60000);
}
END_TEST

START_TEST(traffic_decides_how_long)
{
    struct plan_step busy = plan(STEPS, 1, 1000, 0.01), calm = plan(STEPS, 1, 10, 0.01);

    ck_assert_uint_lt(busy.regress[1].ms, calm.regress[1].ms);
    ck_assert_uint_eq(busy.least_ms, 60000); /* the shortest time is what counts */
    ck_assert_uint_ge(calm.least_ms, 120000);
    ck_assert(!plan(STEPS, 1, 0.1, 0.01).certificate.found);
    ck_assert_uint_eq(plan(STEPS, 1, 0.1, 0.01).least_ms, 900000);
}
END_TEST

START_TEST(what_cannot_be_said_is_not)
{
    struct plan_step none = plan(STEPS, 1, 0, 0), check = plan(STEPS, 0, 100, 0.01),
                     full = plan(STEPS, 3, 100, 0.01), timed = plan(STEPS, 2, 100, 0.01);

    ck_assert(!none.certificate.found && !none.regress[0].found);
    ck_assert_uint_eq(check.least_ms, 0);
    ck_assert_uint_eq(full.least_ms, 0);
    ck_assert_uint_eq(timed.least_ms, 300000);
    ck_assert(!full.regress[0].found);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("plan");
    TCase *t = tcase_create("all");

    suite_add_tcase(s, t);
    tcase_add_test(t, figures_are_those_of_simulation);
    tcase_add_test(t, traffic_decides_how_long);
    tcase_add_test(t, what_cannot_be_said_is_not);
    return unit_run(s);
}
