/* trial.h - many simulated rollouts under one rule, and their quantiles. */
#pragma once
#include "bench/judge/traffic.h"
#include "control/rollout/rules.h"

#define TRIAL_STEPS 10

struct trial_plan {
    const char *name;
    double shares[TRIAL_STEPS]; /* 0..1, rising; 0 ends */
    double step_s;
};
extern const struct trial_plan trial_p1; /* 5, 10, ... 50 per cent, 60 s each */
extern const struct trial_plan trial_p2; /* 1, 5, 10, 25, 50 per cent, 120 s each */

struct trial {
    const struct traffic *traffic;
    const struct trial_plan *plan;
    struct rule_config rule;
    double warmup_s;      /* eprocess: latency is left out for that long */
    bool until_certified; /* eprocess: ends with the first certificate, in the first step */
};

struct outcome {
    bool regressed, certified;
    double seconds;             /* from the start to the verdict, or the whole plan */
    double requests, of_canary; /* all, and the canary's, up to the verdict */
    double bad;                 /* errors of the canary up to a second after it */
};

struct outcome trial_run(const struct trial *t, uint64_t seed);

struct summary {                                 /* of N runs, by what ended them */
    double n, regressed, certified;              /* runs */
    double seconds, of_canary;                   /* medians over those that were regressed */
    double bad;                                  /* median over all */
    double requests50, of_canary50, of_canary95; /* over all; INFINITY: not regressed */
    double certified50, certified95;             /* canary requests; INFINITY: not certified */
};
struct summary trial_runs(const struct trial *t, uint32_t runs, uint64_t seed);
