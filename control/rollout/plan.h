/*
 * plan.h - what a rollout would take, before it begins.
 *
 * The figures are the judge's own: expected counts of the present traffic, without chance, go
 * through judge_step with the rollout's settings until it decides. Half of real rollouts are
 * slower, half faster. Pure.
 */
#pragma once
#include "control/rollout/spec.h"

#define PLAN_LEAST_ERRORS 0.001 /* of stable, at least; one without errors has some one day */

struct plan_traffic {
    double rps;    /* of the service; 0: none, and nothing can be said */
    double errors; /* error ratio of stable */
};
struct plan_find { /* when the judge would have decided */
    bool found;    /* false: not within the step */
    uint64_t n;    /* requests on the canary until then */
    uint64_t ms;
};
#define PLAN_RATIOS 3
struct plan_step {
    uint64_t least_ms; /* of the step if all goes well */
    uint64_t span_ms;  /* what was looked at: its longest time */
    double canary_rps;
    struct plan_find certificate;          /* a version as good as stable is licensed */
    struct plan_find regress[PLAN_RATIOS]; /* one plan_ratios[i] times as bad is found */
};
extern const double plan_ratios[PLAN_RATIOS]; /* 10, 5, 2 */

/* Step I of S under T. A step that is no weight takes no time of its own. */
void plan_step(const struct spec *s, uint32_t i, const struct plan_traffic *t,
               struct plan_step *out);
/* What stable's errors are taken to be, 0..1. */
double plan_errors(const struct plan_traffic *t);
