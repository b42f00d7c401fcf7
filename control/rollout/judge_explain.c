/*
 * judge_explain.c - from evidence to a verdict with its reason.
 *
 * Reads the judge, never changes it: whoever asks at the same moment gets the same answer.
 */
#include "control/rollout/judge.h"

#include <math.h>
#include <stdio.h>

#define FIRST_EPOCH 0.25
#define MIN_BAD     5    /* bad events on the canary before anything is regressed */
#define EVALUE_MAX  1e12 /* shown; far above every limit */

static const struct class_info {
    const char *name, *what;
} classes[JUDGE_NCLASSES] = {
    [JUDGE_ERROR] = {"error", "errors"},
    [JUDGE_P50] = {"latency_p50", "slower than stable's p50"},
    [JUDGE_P90] = {"latency_p90", "slower than stable's p90"},
    [JUDGE_P99] = {"latency_p99", "slower than stable's p99"},
    [JUDGE_FEEDBACK] = {"feedback", "bad reports"},
    [JUDGE_CEILING] = {"error_ceiling", "errors"},
};

const char *judge_class_name(enum judge_class c)
{
    ASSERT((unsigned)c < JUDGE_NCLASSES);
    return classes[c].name;
}

const char *judge_verdict_name(enum judge_verdict v)
{
    static const char *const names[] = {"undecided", "regressed", "certified"};

    ASSERT((unsigned)v < ARRAY_LEN(names));
    return names[v];
}

/* Mean of exp over N logs, safe for large ones. */
static double mean_exp(const float *logs, size_t n)
{
    double max = logs[0], sum = 0, mean;

    for (size_t i = 1; i < n; i++)
        max = fmax(max, logs[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp(logs[i] - max);
    mean = max + log(sum / (double)n);
    return mean > log(EVALUE_MAX) ? EVALUE_MAX : exp(mean);
}

static bool is_latency(enum judge_class c)
{
    return c >= JUDGE_P50 && c <= JUDGE_P99;
}

/* Mean over the epochs of the means over the grid. Versions that are bad mostly are so from the
 * start, so the first epoch weighs a quarter at least and the others share the rest; any
 * weights known beforehand are valid. Epochs that have not begun count as 1 each: their logs
 * are 0. */
static double epochs_evalue(const struct judge *j, const float *l, size_t ngrid)
{
    size_t epochs = j->conf.epochs;
    double first = epochs > 1 ? fmax(FIRST_EPOCH, 1.0 / (double)epochs) : 1;
    double rest = epochs > 1 ? (1 - first) / (double)(epochs - 1) : 0, sum = 0;

    for (size_t s = 0; s < epochs; s++)
        sum += (s == 0 ? first : rest) * mean_exp(l + s * ngrid, ngrid);
    return fmin(sum, EVALUE_MAX);
}

static double class_evalue(const struct judge *j, enum judge_class c)
{
    if (c == JUDGE_CEILING)
        return mean_exp(j->ceiling, JUDGE_CEILING_GRID);
    if (is_latency(c))
        return epochs_evalue(j, j->latency[c - JUDGE_P50][0], JUDGE_LATENCY_GRID);
    return epochs_evalue(j, c == JUDGE_ERROR ? j->error[0] : j->feedback[0], JUDGE_ERROR_GRID);
}

/* Half of alpha is for bad events, half for latency, each in equal parts. The ceiling where
 * there is no control is no part: it tests something else, at a place where the others rest. */
static double class_limit(const struct judge *j, enum judge_class c)
{
    double parts = 1.0 + j->conf.ceiling + j->conf.feedback;

    return 2 * (is_latency(c) ? JUDGE_QUANTILES : parts) / j->conf.alpha;
}

static bool is_active(const struct judge *j, enum judge_class c)
{
    if (c == JUDGE_CEILING)
        return j->conf.ceiling || j->step[c].canary.n > 0;
    return c != JUDGE_FEEDBACK || j->conf.feedback;
}

static double ratio_of(uint64_t bad, uint64_t n)
{
    return n ? (double)bad / (double)n : 0;
}

static double tally_excess(const struct judge_tally *t)
{
    if (t->canary.n == 0)
        return 0;
    return ratio_of(t->canary.bad, t->canary.n) - ratio_of(t->stable.bad, t->stable.n);
}

/* Latency differs enough when the canary, made faster by a whole bucket, would still be slower.
 */
static bool tally_slower(const struct judge_tally *t)
{
    return ratio_of(t->canary_far, t->canary.n) > ratio_of(t->stable.bad, t->stable.n);
}

static bool differs_enough(const struct judge *j, enum judge_class c, double excess)
{
    if (j->total[c].canary.bad < MIN_BAD)
        return false;
    if (c == JUDGE_CEILING)
        return true;
    if (!is_latency(c))
        return excess >= j->conf.min_excess;
    return tally_slower(&j->total[c]) || tally_slower(&j->step[c]);
}

static void explain_class(const struct judge *j, enum judge_class c, struct judge_finding *f)
{
    *f = (struct judge_finding){.tally = j->total[c],
                                .limit = class_limit(j, c),
                                .evalue = class_evalue(j, c),
                                .active = is_active(j, c)};
    f->excess = fmax(tally_excess(&j->total[c]), tally_excess(&j->step[c]));
    if (c == JUDGE_CEILING)
        f->excess = ratio_of(f->tally.canary.bad, f->tally.canary.n) - j->conf.max_error_rate;
    if (is_latency(c)) {
        int bucket = judge_threshold(j, c);

        f->threshold_us = bucket < 0 ? 0 : hist_upper_us(bucket);
    }
    if (f->active && f->evalue >= f->limit && differs_enough(j, c, f->excess))
        f->verdict = JUDGE_REGRESSED;
}

static void say_regressed(struct judge_report *r)
{
    const struct judge_finding *f = &r->classes[r->class];
    const struct judge_tally *t = &f->tally;

    snprintf(r->reason, sizeof(r->reason),
             "%s: %.2f %% (%llu of %llu) beside %.2f %% (%llu of %llu), e-value %.4g of %.4g",
             classes[r->class].what, 100 * ratio_of(t->canary.bad, t->canary.n),
             (unsigned long long)t->canary.bad, (unsigned long long)t->canary.n,
             100 * ratio_of(t->stable.bad, t->stable.n), (unsigned long long)t->stable.bad,
             (unsigned long long)t->stable.n, f->evalue, f->limit);
}

static void write_reason(const struct judge *j, struct judge_report *r)
{
    const struct judge_finding *f = &r->classes[r->class];

    if (r->verdict == JUDGE_REGRESSED)
        say_regressed(r);
    else if (r->imbalance)
        snprintf(r->reason, sizeof(r->reason),
                 "routing imbalance: %.2f %% of %llu instead of %.2f %%, e-value %.4g of %.4g",
                 100 * r->share, (unsigned long long)j->assigned.n, 100 * r->share_asked,
                 r->split, r->split_limit);
    else if (r->step_n == 0)
        snprintf(r->reason, sizeof(r->reason), "no request on the canary in this step yet");
    else
        snprintf(r->reason, sizeof(r->reason),
                 "error rate below %.4g %%: e-value %.4g of %.4g after %llu requests; "
                 "against it %s %.4g of %.4g",
                 100 * j->conf.max_error_rate, r->certificate, r->certificate_limit,
                 (unsigned long long)r->step_n, classes[r->class].name, f->evalue, f->limit);
}

/* A sign against the canary as strong as the certificate for it: more traffic must wait. */
static bool doubted(const struct judge *j, const struct judge_report *r)
{
    for (enum judge_class c = 0; c < JUDGE_NCLASSES; c++)
        if (r->classes[c].active && r->classes[c].evalue >= 1 / j->conf.certify)
            return true;
    return r->imbalance;
}

static void explain_classes(const struct judge *j, struct judge_report *out)
{
    double worst = -1;

    for (enum judge_class c = 0; c < JUDGE_NCLASSES; c++) {
        struct judge_finding *f = &out->classes[c];
        double weight;

        explain_class(j, c, f);
        if (f->verdict == JUDGE_REGRESSED)
            out->verdict = JUDGE_REGRESSED;
        weight = f->evalue / f->limit + (f->verdict == JUDGE_REGRESSED ? EVALUE_MAX : 0);
        if (f->active && weight > worst) {
            worst = weight;
            out->class = c;
        }
    }
}

static void explain_split(const struct judge *j, struct judge_report *out)
{
    out->split = mean_exp(j->split, JUDGE_SPLIT_GRID);
    out->split_limit = JUDGE_SPLIT_LIMIT;
    out->imbalance = out->split >= out->split_limit;
    out->share = ratio_of(j->assigned.bad, j->assigned.n);
    out->share_asked = j->assigned.n ? j->asked / (double)j->assigned.n : 0;
}

void judge_explain(const struct judge *j, struct judge_report *out)
{
    *out = (struct judge_report){.step_n = j->step[JUDGE_ERROR].canary.n,
                                 .certificate = mean_exp(j->cert, JUDGE_CERTS),
                                 .certificate_limit = 1 / j->conf.certify};
    explain_classes(j, out);
    explain_split(j, out);
    if (out->certificate >= out->certificate_limit && out->step_n > 0 && !doubted(j, out)) {
        if (out->classes[JUDGE_ERROR].verdict == JUDGE_UNDECIDED)
            out->classes[JUDGE_ERROR].verdict = JUDGE_CERTIFIED;
        if (out->verdict == JUDGE_UNDECIDED)
            out->verdict = JUDGE_CERTIFIED;
    }
    write_reason(j, out);
}
