/* plan.c - the judge asked about traffic that was not yet. */
#include "control/rollout/plan.h"
#include "proxy/base/mem.h"

#include <math.h>
#include <string.h>

#define TICKS   200     /* of one question at most: a tick is longer in a longer step */
#define OPEN_MS 3600000 /* looked at where a step has no longest time */

const double plan_ratios[PLAN_RATIOS] = {10, 5, 2};

double plan_errors(const struct plan_traffic *t)
{
    return fmin(fmax(t->errors, PLAN_LEAST_ERRORS), 0.5);
}

/* The next whole count of what grows to TOTAL; *TOLD is what was said before. */
static uint64_t next_count(double total, uint64_t *told)
{
    uint64_t now = (uint64_t)floor(total + 1e-9), n = now - *told;

    *told = now;
    return n;
}

struct counts {
    uint64_t n, errors;
};

static void fill(struct judge_arm *arm, struct counts *told, double n, double errors)
{
    arm->n = arm->assigned = next_count(n, &told->n);
    arm->errors = arm->events = next_count(n * errors, &told->errors);
    if (arm->errors > arm->n)
        arm->errors = arm->events = arm->n;
}

/* Ask until the verdict is WANT. */
static void ask(const struct spec *s, double share, const struct plan_traffic *t, double ratio,
                enum judge_verdict want, uint64_t span_ms, struct plan_find *out)
{
    struct judge *j = xcalloc(1, sizeof(*j));
    struct judge_window *w = xcalloc(1, sizeof(*w));
    uint64_t tick_ms = span_ms / TICKS > 1000 ? span_ms / TICKS : 1000;
    struct counts stable = {0}, canary = {0};
    double bad = fmin(plan_errors(t) * ratio, 1);

    memset(out, 0, sizeof(*out));
    judge_init(j, &s->judge);
    judge_begin(j);
    for (uint64_t ms = tick_ms; ms <= span_ms && !out->found; ms += tick_ms) {
        double n = t->rps * (double)ms / 1000;

        memset(w, 0, sizeof(*w));
        w->share = share;
        w->counted = true; /* none was slow: only errors are asked about */
        fill(&w->stable, &stable, n * (1 - share), plan_errors(t));
        fill(&w->canary, &canary, n * share, bad);
        if (judge_step(j, w) == want)
            *out = (struct plan_find){true, canary.n, ms};
    }
    xfree(w);
    xfree(j);
}

void plan_step(const struct spec *s, uint32_t i, const struct plan_traffic *t,
               struct plan_step *out)
{
    const struct spec_step *step = &s->steps[i];
    double share = step->weight / 10000.0;

    memset(out, 0, sizeof(*out));
    if (step->kind != SPEC_WEIGHT)
        return;
    out->least_ms = step->min_ms;
    out->canary_rps = t->rps * share;
    if (step->weight == 10000 || t->rps <= 0)
        return;
    out->span_ms = step->max_ms               ? step->max_ms
                   : step->until == SPEC_TIME ? step->min_ms
                                              : OPEN_MS;
    ask(s, share, t, 1, JUDGE_CERTIFIED, out->span_ms, &out->certificate);
    for (size_t k = 0; k < PLAN_RATIOS; k++)
        ask(s, share, t, plan_ratios[k], JUDGE_REGRESSED, out->span_ms, &out->regress[k]);
    if (step->until != SPEC_EVIDENCE)
        return;
    if (!out->certificate.found) /* on_undecided decides after all of it */
        out->least_ms = out->span_ms;
    else if (out->certificate.ms > out->least_ms)
        out->least_ms = out->certificate.ms;
}
