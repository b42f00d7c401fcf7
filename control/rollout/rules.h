/*
 * rules.h - how others decide, beside the judge: "what would your old rule have done".
 *
 *   eprocess  judge.h
 *   flagger   every interval: success share and p99 of the canary against fixed thresholds; a
 *             failed check, also for want of data, halts the weight; when LIMIT have failed,
 *             the tick after takes it back. Checks that failed are never forgotten.
 *   argo      every interval, from the second on: the same two conditions; more than LIMIT
 *             failures abort. No data is no measurement.
 *   kayenta   points of 10 s of error ratio and p99 beside a baseline; a Mann-Whitney interval
 *             of the shift, judged over all points so far every interval.
 *   ztest     every interval: pooled two-proportion z-test of the errors so far, one-sided
 *             p < 0.01: what one gets by looking at a dashboard until it is significant.
 *
 * All but eprocess are for comparison and are not calibrated: how often they take back a
 * version that is equal depends on traffic and on the thresholds. Pure, as the judge is.
 */
#pragma once
#include "control/rollout/judge.h"

#define RULE_POINTS 1080 /* Kayenta: three hours of points; then the oldest go */

#define RULES(X)                                                                               \
    X(EPROCESS, "eprocess")                                                                    \
    X(FLAGGER, "flagger")                                                                      \
    X(ARGO, "argo")                                                                            \
    X(KAYENTA, "kayenta")                                                                      \
    X(ZTEST, "ztest")
enum rule_kind {
#define X(id, name) RULE_##id,
    RULES(X)
#undef X
        RULE_NKINDS
};
const char *rule_name(enum rule_kind kind);

struct rule_config {
    enum rule_kind kind;
    struct judge_config judge; /* eprocess */
    double interval_s;         /* > 0; between looks */
    uint32_t limit;            /* flagger: threshold; argo: failureLimit */
    double min_success;        /* 0..1 of answers that are no errors */
    double max_p99_ms;         /* 0: latency is not looked at */
};

struct rule_point {     /* Kayenta: one value of each metric */
    double errors, p99; /* negative: no value */
};

struct rule {
    struct rule_config conf;
    struct judge judge;
    double next_s, point_s;     /* when the next look, the next point is due */
    uint32_t looks, failed;     /* looks taken; that failed, for good */
    bool halted;                /* flagger: the last look failed, the weight stays */
    enum judge_verdict verdict; /* regressed stays, but for eprocess */
    struct judge_arm recent;    /* canary since the last look or point */
    struct judge_arm control;   /* baseline since the last point */
    struct judge_count sum[2];  /* stable, canary since the start: requests and errors */
    uint32_t npoints;
    struct rule_point canary[RULE_POINTS], baseline[RULE_POINTS];
};

/* What rule_step found, in the judge's words. */
struct rule_report {
    enum judge_verdict verdict;
    const char *class;            /* "error", "latency_p99", … */
    double evalue, limit, excess; /* others: their own number and where it convicts */
    bool looked;                  /* this step was a look; else nothing but counting */
    char reason[JUDGE_REASON_MAX];
};

/* Defaults: an interval of a minute, success 98 %, p99 500 ms, Flagger's limit 5, Argo's 3,
 * Kayenta's interval five minutes. */
void rule_defaults(struct rule_config *conf, enum rule_kind kind);
void rule_init(struct rule *r, const struct rule_config *conf);
/* The weight has risen. */
void rule_begin(struct rule *r);
/* The tick that ends at T_S seconds after the start counted W. BASELINE: an arm of stable as
 * large as the canary, or NULL to take W's stable one. */
void rule_step(struct rule *r, double t_s, const struct judge_window *w,
               const struct judge_arm *baseline, struct rule_report *out);

/* Kayenta's sentence on one metric, exposed for its test: is CANARY (N values) higher than
 * BASELINE (M values)? The interval of the shift goes to out[0..2]: low, estimate, high. */
bool rule_mann_whitney(const double *canary, size_t n, const double *baseline, size_t m,
                       double out[3]);
