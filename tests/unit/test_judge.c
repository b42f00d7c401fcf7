/*
 * test_judge.c - the judge's promises, on seeded simulated traffic.
 *
 * 100 requests a second, ten steps of 5 to 50 per cent with 60 s each; errors binomial, latency
 * log-normal (sigma 0.5, p99 400 ms). Runs are few, so bounds are a little wider than the
 * figures they watch over.
 */
#include "control/rollout/judge.h"
#include "proxy/base/rng.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEPS     10
#define STEP_S    60
#define MEDIAN_US 125000.0 /* exp(-2.326 * 0.5) of 400 ms */

struct world { /* what the two versions are like */
    double rps, stable_err, canary_err;
    double slower; /* canary's latency factor; 0: latency is left out */
    double outage; /* both arms' errors are this many times as many during 100..219 s */
    int onset_s;   /* the canary is like stable before */
};
struct outcome {
    bool regressed;
    int seconds;
    uint64_t canary_n;
    enum judge_class class;
};

static double rng_normal(struct rng *r)
{
    double u = 1 - rng_unit(r), v = rng_unit(r);

    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

static unsigned rng_poisson(struct rng *r, double mean)
{
    double limit, product = 1;
    unsigned n = 0;

    if (mean > 30) {
        double x = mean + sqrt(mean) * rng_normal(r);
        return x > 0 ? (unsigned)(x + 0.5) : 0;
    }
    for (limit = exp(-mean); (product *= rng_unit(r)) > limit;)
        n++;
    return n;
}

static void arm_request(struct rng *r, struct judge_arm *arm, double err, double slower)
{
    arm->n++;
    arm->errors += rng_unit(r) < err;
    if (slower > 0)
        arm->hist[hist_bucket((uint64_t)(slower * MEDIAN_US * exp(0.5 * rng_normal(r))))]++;
}

static void world_tick(const struct world *wd, struct rng *r, int t, double share,
                       struct judge_window *w)
{
    double boost = wd->outage > 0 && t >= 100 && t < 220 ? wd->outage : 1;
    bool bad = t >= wd->onset_s;

    memset(w, 0, sizeof(*w));
    for (unsigned n = rng_poisson(r, wd->rps); n > 0; n--) {
        if (rng_unit(r) < share)
            arm_request(r, &w->canary, boost * (bad ? wd->canary_err : wd->stable_err),
                        wd->slower > 0 && !bad ? 1 : wd->slower);
        else
            arm_request(r, &w->stable, boost * wd->stable_err, wd->slower > 0 ? 1 : 0);
    }
}

static struct judge judge_fresh(double tolerance)
{
    struct judge_config conf;
    struct judge j;

    judge_defaults(&conf);
    conf.tolerance = tolerance;
    conf.epochs = STEPS;
    judge_init(&j, &conf);
    return j;
}

static struct outcome world_run(const struct world *wd, uint64_t seed)
{
    struct judge j = judge_fresh(1);
    struct outcome out = {0};
    struct judge_window w;
    struct rng r;

    rng_seed(&r, seed);
    for (int t = 0; t < STEPS * STEP_S; t++) {
        if (t % STEP_S == 0)
            judge_begin(&j);
        world_tick(wd, &r, t, 0.05 * (1 + t / STEP_S), &w);
        out.canary_n += w.canary.n;
        if (judge_step(&j, &w) == JUDGE_REGRESSED) {
            struct judge_report report;

            judge_explain(&j, &report);
            out.regressed = true;
            out.class = report.class;
            out.seconds = t + 1;
            return out;
        }
    }
    return out;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Detected share, and the median of canary requests until then (UINT64_MAX: never). */
static double world_detect(const struct world *wd, int runs, uint64_t *median, int *late)
{
    uint64_t *n = calloc((size_t)runs, sizeof(*n)), *s = calloc((size_t)runs, sizeof(*s));
    int hits = 0;

    for (int i = 0; i < runs; i++) {
        struct outcome o = world_run(wd, 1000 + (uint64_t)i);

        hits += o.regressed;
        n[i] = o.regressed ? o.canary_n : UINT64_MAX;
        s[i] = o.regressed ? (uint64_t)(o.seconds - wd->onset_s) : UINT64_MAX;
    }
    qsort(n, (size_t)runs, sizeof(*n), by_number);
    qsort(s, (size_t)runs, sizeof(*s), by_number);
    *median = n[runs / 2];
    if (late)
        *late = (int)s[runs / 2];
    free(n);
    free(s);
    return (double)hits / runs;
}

static int false_aborts(const struct world *wd, int runs)
{
    int hits = 0;

    for (int i = 0; i < runs; i++)
        hits += world_run(wd, 77000 + (uint64_t)i).regressed;
    return hits;
}

START_TEST(equal_versions_are_left_alone)
{
    const struct world errors = {.rps = 100, .stable_err = 0.01, .canary_err = 0.01};
    const struct world all = {.rps = 40, .stable_err = 0.01, .canary_err = 0.01, .slower = 1};
    const struct world rare = {.rps = 5, .stable_err = 0.01, .canary_err = 0.01, .slower = 1};

    ck_assert_int_le(false_aborts(&errors, 300), 3);
    ck_assert_int_le(false_aborts(&all, 80), 2);
    ck_assert_int_le(false_aborts(&rare, 200), 2);
}
END_TEST

START_TEST(shared_outage_is_nobodys_fault)
{
    const struct world wd = {.rps = 100, .stable_err = 0.01, .canary_err = 0.01, .outage = 6};

    ck_assert_int_le(false_aborts(&wd, 150), 2);
}
END_TEST

START_TEST(better_version_is_left_alone)
{
    const struct world wd = {.rps = 100, .stable_err = 0.01, .canary_err = 0.005};

    ck_assert_int_le(false_aborts(&wd, 100), 1);
}
END_TEST

START_TEST(errors_are_found)
{
    struct world wd = {.rps = 100, .stable_err = 0.01, .canary_err = 0.05};
    uint64_t median;

    ck_assert_double_ge(world_detect(&wd, 200, &median, NULL), 1);
    ck_assert_uint_le(median, 260);
    wd.canary_err = 0.2;
    ck_assert_double_ge(world_detect(&wd, 200, &median, NULL), 1);
    ck_assert_uint_le(median, 42);
    wd.canary_err = 0.02;
    ck_assert_double_ge(world_detect(&wd, 60, &median, NULL), 0.95);
    ck_assert_uint_le(median, 3200);
}
END_TEST

START_TEST(late_errors_are_found_as_fast)
{
    const struct world wd = {
        .rps = 100, .stable_err = 0.01, .canary_err = 0.05, .onset_s = 330};
    uint64_t median;
    int late;

    ck_assert_double_ge(world_detect(&wd, 100, &median, &late), 0.98);
    ck_assert_int_le(late, 30);
}
END_TEST

START_TEST(slowness_is_found)
{
    const struct world wd = {.rps = 100, .stable_err = 0.01, .canary_err = 0.01, .slower = 1.5};
    struct outcome o = world_run(&wd, 5);
    uint64_t median;

    ck_assert(o.regressed);
    ck_assert_int_ge(o.class, JUDGE_P50);
    ck_assert_int_le(o.class, JUDGE_P99);
    ck_assert_double_ge(world_detect(&wd, 60, &median, NULL), 1);
    ck_assert_uint_le(median, 95);
}
END_TEST

START_TEST(cold_start_counts_no_latency)
{
    struct judge j = judge_fresh(1);
    const struct world cold = {.rps = 100, .slower = 3}, same = {.rps = 100, .slower = 1};
    struct judge_window w;
    struct rng r;

    rng_seed(&r, 3);
    judge_begin(&j);
    for (int t = 0; t < 120; t++) {
        world_tick(t < 30 ? &cold : &same, &r, t, 0.05, &w);
        w.warming = t < 30;
        ck_assert_int_ne(judge_step(&j, &w), JUDGE_REGRESSED);
    }
}
END_TEST

START_TEST(warm_up_counts_errors)
{
    struct judge j = judge_fresh(1);
    const struct world wd = {.rps = 100, .stable_err = 0.01, .canary_err = 0.5};
    enum judge_verdict v = JUDGE_UNDECIDED;
    struct judge_window w;
    struct rng r;

    rng_seed(&r, 4);
    judge_begin(&j);
    for (int t = 0; t < 30 && v != JUDGE_REGRESSED; t++) {
        world_tick(&wd, &r, t, 0.05, &w);
        w.warming = true;
        v = judge_step(&j, &w);
    }
    ck_assert_int_eq(v, JUDGE_REGRESSED);
}
END_TEST

START_TEST(no_data_says_nothing)
{
    struct judge j = judge_fresh(1);
    struct judge_window w;

    judge_begin(&j);
    for (int t = 0; t < 10000; t++) {
        memset(&w, 0, sizeof(w));
        if (t % 2 == 0) { /* stable alone is no data about the canary */
            w.stable.n = 100;
            w.stable.errors = 50;
            w.stable.hist[100] = 100;
        }
        ck_assert_int_eq(judge_step(&j, &w), JUDGE_UNDECIDED);
    }
}
END_TEST

START_TEST(before_the_first_step_nothing_counts)
{
    struct judge j = judge_fresh(1);
    struct judge_window w = {.stable = {.n = 100}, .canary = {.n = 100, .errors = 100}};

    for (int t = 0; t < 100; t++)
        ck_assert_int_eq(judge_step(&j, &w), JUDGE_UNDECIDED);
}
END_TEST

START_TEST(few_bad_events_never_convict)
{
    struct judge j = judge_fresh(1);
    struct judge_window w = {.stable = {.n = 1000000}, .canary = {.n = 1, .errors = 1}};

    judge_begin(&j);
    for (int t = 0; t < 4; t++)
        ck_assert_int_eq(judge_step(&j, &w), JUDGE_UNDECIDED);
    ck_assert_int_eq(judge_step(&j, &w), JUDGE_REGRESSED);
}
END_TEST

START_TEST(tiny_excess_never_convicts)
{
    struct judge j = judge_fresh(1);
    struct judge_window w = {.stable = {.n = 100000, .errors = 10},
                             .canary = {.n = 100000, .errors = 60}};

    judge_begin(&j);
    for (int t = 0; t < 100; t++)
        ck_assert_int_ne(judge_step(&j, &w), JUDGE_REGRESSED);
}
END_TEST

/* More errors on the canary are never weaker evidence, more on stable never stronger. */
START_TEST(evidence_is_monotone)
{
    double last = -1;

    for (uint64_t k = 0; k <= 50; k++) {
        struct judge j = judge_fresh(1);
        struct judge_window w = {.stable = {.n = 1000, .errors = 10},
                                 .canary = {.n = 50, .errors = k}};
        struct judge_report a, b;

        judge_begin(&j);
        judge_step(&j, &w);
        judge_explain(&j, &a);
        ck_assert_double_ge(a.classes[JUDGE_ERROR].evalue, last);
        last = a.classes[JUDGE_ERROR].evalue;
        w.canary.errors = 0;
        w.canary.n = 0;
        w.stable.errors = 50;
        judge_step(&j, &w);
        judge_explain(&j, &b);
        ck_assert_double_le(b.classes[JUDGE_ERROR].evalue, last);
    }
}
END_TEST

START_TEST(certificate_needs_its_requests)
{
    struct judge j = judge_fresh(1);
    struct judge_window w = {.stable = {.n = 190}, .canary = {.n = 10}};
    struct judge_report r;
    int ticks = 1;

    judge_begin(&j);
    while (judge_step(&j, &w) != JUDGE_CERTIFIED && ticks < 100)
        ticks++;
    ck_assert_int_ge(ticks, 6);
    ck_assert_int_le(ticks, 13);
    judge_explain(&j, &r);
    ck_assert_int_eq(r.classes[JUDGE_ERROR].verdict, JUDGE_CERTIFIED);
    ck_assert_double_ge(r.certificate, 20);
    judge_begin(&j); /* each step earns its own */
    judge_explain(&j, &r);
    ck_assert_int_eq(r.verdict, JUDGE_UNDECIDED);
    ck_assert_uint_eq(r.step_n, 0);
}
END_TEST

START_TEST(certificate_is_withheld_on_suspicion)
{
    struct judge j = judge_fresh(1);
    struct judge_window w = {.stable = {.n = 100000, .errors = 10},
                             .canary = {.n = 1500, .errors = 4}};
    struct judge_report r;

    judge_begin(&j);
    ck_assert_int_eq(judge_step(&j, &w), JUDGE_UNDECIDED);
    judge_explain(&j, &r);
    ck_assert_double_ge(r.certificate, r.certificate_limit);
    ck_assert_double_ge(r.classes[JUDGE_ERROR].evalue, 20);
}
END_TEST

START_TEST(certificate_is_rarely_false)
{
    int certified = 0;

    for (uint64_t seed = 0; seed < 200; seed++) {
        struct judge j = judge_fresh(1);
        const struct world wd = {.rps = 100, .stable_err = 0.05, .canary_err = 0.05};
        struct judge_window w;
        struct rng r;

        rng_seed(&r, seed);
        judge_begin(&j);
        for (int t = 0; t < 200; t++) {
            world_tick(&wd, &r, t, 0.2, &w);
            if (judge_step(&j, &w) == JUDGE_CERTIFIED) {
                certified++;
                break;
            }
        }
    }
    ck_assert_int_le(certified, 16); /* beta 5 %: 10 expected at most, plus two sigma */
}
END_TEST

/* Ticks of WINDOW until it is regressed, at most 20. */
static int ticks_to_regressed(struct judge *j, const struct judge_window *w)
{
    int ticks = 1;

    judge_begin(j);
    while (judge_step(j, w) != JUDGE_REGRESSED && ticks < 20)
        ticks++;
    return ticks;
}

START_TEST(ceiling_works_without_control)
{
    struct judge_window beside = {.canary = {.n = 100, .errors = 20}, .share = 0.5};
    struct judge_window alone = {.canary = {.n = 100, .errors = 20}, .share = 1};
    struct judge_window fine = {.canary = {.n = 100, .errors = 4}, .share = 1};
    struct judge asked = judge_fresh(1), not_asked = judge_fresh(1), last = judge_fresh(1);
    struct judge good = judge_fresh(1);

    asked.conf.ceiling = 1;
    ck_assert_int_lt(ticks_to_regressed(&asked, &beside), 5);
    ck_assert_int_eq(ticks_to_regressed(&not_asked, &beside), 20);
    ck_assert_int_lt(ticks_to_regressed(&last, &alone), 5);
    ck_assert_int_eq(ticks_to_regressed(&good, &fine), 20);
}
END_TEST

START_TEST(tolerance_allows_that_much)
{
    int hits = 0;

    for (uint64_t seed = 0; seed < 100; seed++) {
        struct judge j = judge_fresh(1.25);
        const struct world wd = {.rps = 100, .stable_err = 0.02, .canary_err = 0.025};
        struct judge_window w;
        struct rng r;

        rng_seed(&r, seed);
        judge_begin(&j);
        for (int t = 0; t < 600; t++) {
            world_tick(&wd, &r, t, 0.3, &w);
            if (judge_step(&j, &w) == JUDGE_REGRESSED) {
                hits++;
                break;
            }
        }
    }
    ck_assert_int_le(hits, 2);
}
END_TEST

START_TEST(a_restart_changes_nothing)
{
    const struct world wd = {
        .rps = 60, .stable_err = 0.01, .canary_err = 0.015, .slower = 1.05};
    struct judge a = judge_fresh(1), b = judge_fresh(1);
    unsigned char bytes[JUDGE_SAVED_MAX];
    struct judge_window w;
    struct rng r;

    rng_seed(&r, 9);
    for (int t = 0; t < 400; t++) {
        struct judge_report x, y;
        size_t n;

        if (t % STEP_S == 0) {
            judge_begin(&a);
            judge_begin(&b);
        }
        n = judge_save(&b, bytes);
        memset(&b, 0xa5, sizeof(b));
        ck_assert_int_eq(judge_load(&b, bytes, n), 0);
        world_tick(&wd, &r, t, 0.1, &w);
        ck_assert_int_eq(judge_step(&a, &w), judge_step(&b, &w));
        judge_explain(&a, &x);
        judge_explain(&b, &y);
        ck_assert_str_eq(x.reason, y.reason);
        ck_assert_mem_eq(&a, &b, sizeof(a));
    }
}
END_TEST

START_TEST(one_client_is_not_many)
{
    struct judge_window w = {.stable = {.n = 900, .errors = 9, .events = 9},
                             .canary = {.n = 100, .errors = 40, .events = 5}};
    struct judge j = judge_fresh(1), clients = judge_fresh(1);

    clients.conf.clients = 1;
    w.share = 0.4; /* of the clients; the share of the requests is a tenth */
    judge_begin(&j);
    judge_begin(&clients);
    ck_assert_int_eq(judge_step(&j, &w), JUDGE_REGRESSED);
    for (int t = 0; t < 20; t++)
        ck_assert_int_ne(judge_step(&clients, &w), JUDGE_REGRESSED);
    clients = judge_fresh(1);
    clients.conf.clients = 1;
    judge_begin(&clients);
    w.canary.events = 40; /* but forty of them are */
    ck_assert_int_eq(judge_step(&clients, &w), JUDGE_REGRESSED);
}
END_TEST

START_TEST(feedback_is_a_class_of_its_own)
{
    struct judge_window w = {.stable = {.n = 900}, .canary = {.n = 100, .feedback = 12}};
    struct judge deaf = judge_fresh(1), j = judge_fresh(1);
    struct judge_report r;

    j.conf.feedback = 1;
    judge_begin(&deaf);
    judge_begin(&j);
    ck_assert_int_ne(judge_step(&deaf, &w), JUDGE_REGRESSED);
    ck_assert_int_eq(judge_step(&j, &w), JUDGE_REGRESSED);
    judge_explain(&j, &r);
    ck_assert_int_eq(r.class, JUDGE_FEEDBACK);
    ck_assert_double_eq_tol(r.classes[JUDGE_ERROR].limit, 400, 1e-9); /* alpha is shared */
}
END_TEST

/* A split that is as asked is not doubted, whatever the traffic; one that is not withholds the
 * certificate; and in time a right one is believed again. */
START_TEST(the_split_is_guarded)
{
    struct judge_window w = {.share = 0.05};
    struct judge_report r;
    struct judge j = judge_fresh(1);
    struct rng rng;
    int ticks = 0;

    rng_seed(&rng, 8);
    judge_begin(&j);
    for (int t = 0; t < 3000; t++) {
        w.canary.assigned = rng_unit(&rng) < 0.05;
        w.stable.assigned = !w.canary.assigned;
        w.canary.n = w.stable.n = 10;
        judge_step(&j, &w);
        judge_explain(&j, &r);
        ck_assert(!r.imbalance);
    }
    ck_assert_int_eq(r.verdict, JUDGE_CERTIFIED);
    do {
        w.canary.assigned = 2;
        w.stable.assigned = 18;
        ck_assert_int_ne(judge_step(&j, &w), JUDGE_REGRESSED);
        judge_explain(&j, &r);
    } while (!r.imbalance && ++ticks < 1000);
    ck_assert_int_lt(ticks, 1000);
    ck_assert_int_eq(r.verdict, JUDGE_UNDECIDED);
    ck_assert_ptr_nonnull(strstr(r.reason, "routing imbalance"));
    for (ticks = 0; r.imbalance && ticks < 1000; ticks++) {
        w.canary.assigned = 1;
        w.stable.assigned = 19;
        judge_step(&j, &w);
        judge_explain(&j, &r);
    }
    ck_assert_int_lt(ticks, 1000);
    judge_begin(&j);
    judge_explain(&j, &r);
    ck_assert_double_eq_tol(r.split, 1, 1e-6); /* each step anew */
}
END_TEST

/* Counts above thresholds that somebody else took. */
START_TEST(counted_windows_need_no_histogram)
{
    struct judge_window w = {.stable = {.n = 950, .slow = {475, 95, 9}},
                             .canary = {.n = 50, .slow = {45, 20, 6}},
                             .counted = true};
    struct judge_report r;
    struct judge j = judge_fresh(1);

    judge_begin(&j);
    ck_assert_int_eq(judge_step(&j, &w), JUDGE_REGRESSED);
    judge_explain(&j, &r);
    ck_assert_int_ge(r.class, JUDGE_P50);
    ck_assert_uint_eq(r.classes[JUDGE_P90].tally.canary.bad, 20);
}
END_TEST

START_TEST(the_state_is_small)
{
    ck_assert_uint_le(sizeof(struct judge), 2560);
}
END_TEST

START_TEST(damaged_bytes_are_refused)
{
    struct judge j = judge_fresh(1), keep = j;
    unsigned char bytes[JUDGE_SAVED_MAX];
    size_t n = judge_save(&j, bytes);

    ck_assert_int_eq(judge_load(&j, bytes, n - 1), -1);
    ck_assert_int_eq(judge_load(&j, bytes, 0), -1);
    for (size_t i = 0; i < n; i += 37) {
        bytes[i] ^= 1;
        ck_assert_int_eq(judge_load(&j, bytes, n), -1);
        bytes[i] ^= 1;
    }
    ck_assert_mem_eq(&j, &keep, sizeof(j));
    ck_assert_int_eq(judge_load(&j, bytes, n), 0);
}
END_TEST

START_TEST(numbers_are_for_humans)
{
    struct judge j = judge_fresh(1);
    struct judge_window w = {.stable = {.n = 950, .errors = 9},
                             .canary = {.n = 50, .errors = 20}};
    struct judge_report r;

    judge_begin(&j);
    ck_assert_int_eq(judge_step(&j, &w), JUDGE_REGRESSED);
    judge_explain(&j, &r);
    ck_assert_int_eq(r.class, JUDGE_ERROR);
    ck_assert_double_eq_tol(r.classes[JUDGE_ERROR].limit, 200, 1e-9);
    ck_assert_double_eq_tol(r.classes[JUDGE_P50].limit, 600, 1e-9);
    ck_assert_double_eq_tol(r.classes[JUDGE_ERROR].excess, 0.4 - 9.0 / 950, 1e-9);
    ck_assert_uint_eq(r.classes[JUDGE_ERROR].tally.canary.bad, 20);
    ck_assert_ptr_nonnull(strstr(r.reason, "20 of 50"));
    ck_assert_str_eq(judge_class_name(r.class), "error");
    ck_assert_str_eq(judge_verdict_name(r.verdict), "regressed");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("judge");
    TCase *t = tcase_create("all");

    suite_add_tcase(s, t);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, equal_versions_are_left_alone);
    tcase_add_test(t, shared_outage_is_nobodys_fault);
    tcase_add_test(t, better_version_is_left_alone);
    tcase_add_test(t, errors_are_found);
    tcase_add_test(t, late_errors_are_found_as_fast);
    tcase_add_test(t, slowness_is_found);
    tcase_add_test(t, cold_start_counts_no_latency);
    tcase_add_test(t, warm_up_counts_errors);
    tcase_add_test(t, no_data_says_nothing);
    tcase_add_test(t, before_the_first_step_nothing_counts);
    tcase_add_test(t, few_bad_events_never_convict);
    tcase_add_test(t, tiny_excess_never_convicts);
    tcase_add_test(t, evidence_is_monotone);
    tcase_add_test(t, certificate_needs_its_requests);
    tcase_add_test(t, certificate_is_withheld_on_suspicion);
    tcase_add_test(t, certificate_is_rarely_false);
    tcase_add_test(t, ceiling_works_without_control);
    tcase_add_test(t, tolerance_allows_that_much);
    tcase_add_test(t, a_restart_changes_nothing);
    tcase_add_test(t, one_client_is_not_many);
    tcase_add_test(t, feedback_is_a_class_of_its_own);
    tcase_add_test(t, the_split_is_guarded);
    tcase_add_test(t, counted_windows_need_no_histogram);
    tcase_add_test(t, the_state_is_small);
    tcase_add_test(t, damaged_bytes_are_refused);
    tcase_add_test(t, numbers_are_for_humans);
    return unit_run(s);
}
