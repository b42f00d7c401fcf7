/*
 * judge.c - the conditional e-process on bad events.
 *
 * With S start epochs and a grid G of ratios, the evidence of a class is
 *
 *   E = 1/(|S||G|) * sum over s, r of exp(L[s][r])
 *   L[s][r] += k1 ln(r/r0) + (k1 + k0) (ln(rho r0 + 1 - rho) - ln(rho r + 1 - rho))
 *
 * for each tick after epoch s began; k1 and k0 are the bad events of canary and stable, rho the
 * canary's share of the tick's requests. An average of e-processes is one, so epochs cost a
 * factor |S| and find a regression that starts late as fast as an early one. What r0 and rho
 * are is known before the bad events are looked at; the same holds for the latency thresholds,
 * which come from earlier ticks only. That is all that validity needs.
 */
#include "control/rollout/judge.h"
#include "proxy/base/hash.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MIN_BAD         5     /* bad events on the canary before anything is regressed */
#define MIN_EXCESS      0.001 /* error ratio above stable's, absolute */
#define PAST_FULL       (1u << 20)
#define EVALUE_MAX      1e12 /* shown and stored; far above every limit */
#define LATENCY_CLASSES 3
#define SAVE_MAGIC      0x31474a53u /* "SJG1" */

static const double error_grid[] = {1.5, 2, 3, 5, 10, 30};
static const double latency_grid[] = {1.25, 1.5, 2, 3, 6};
static const double ceiling_grid[] = {1.5, 2, 4, 10};      /* times max_error_rate */
static const double cert_grid[] = {1 / 2.0, 1 / 4.0, 0.1}; /* times max_error_rate */

static const struct class_info {
    const char *name, *what;
    double quantile; /* latency: of stable */
} classes[JUDGE_NCLASSES] = {
    [JUDGE_ERROR] = {"error", "errors", 0},
    [JUDGE_P50] = {"latency_p50", "slower than stable's p50", 0.5},
    [JUDGE_P90] = {"latency_p90", "slower than stable's p90", 0.9},
    [JUDGE_P99] = {"latency_p99", "slower than stable's p99", 0.99},
    [JUDGE_CEILING] = {"error_ceiling", "errors", 0},
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

void judge_defaults(struct judge_config *conf)
{
    *conf = (struct judge_config){
        .alpha = 0.01, .certify = 0.05, .tolerance = 1, .max_error_rate = 0.05, .epochs = 1};
}

static bool config_valid(const struct judge_config *c)
{
    return c->alpha > 0 && c->alpha <= 0.5 && c->certify > 0 && c->certify <= 0.5 &&
           c->tolerance >= 1 && c->tolerance <= 10 && c->max_error_rate > 0 &&
           c->max_error_rate < 1 && c->ceiling <= 1 && c->epochs >= 1 &&
           c->epochs <= JUDGE_EPOCHS;
}

void judge_init(struct judge *j, const struct judge_config *conf)
{
    ASSERT(config_valid(conf));
    memset(j, 0, sizeof(*j));
    j->conf = *conf;
}

void judge_begin(struct judge *j)
{
    if (j->begun < j->conf.epochs)
        j->begun++;
    memset(j->cert, 0, sizeof(j->cert));
    memset(j->step, 0, sizeof(j->step));
}

static const double *class_grid(enum judge_class c, size_t *n)
{
    *n = c == JUDGE_ERROR ? ARRAY_LEN(error_grid) : ARRAY_LEN(latency_grid);
    return c == JUDGE_ERROR ? error_grid : latency_grid;
}

/* One tick's evidence on class C: SEEN is what happened in it. */
static void add_ratio(struct judge *j, enum judge_class c, const struct judge_tally *seen)
{
    double r0 = j->conf.tolerance, k1 = (double)seen->canary.bad;
    double k = k1 + (double)seen->stable.bad;
    uint64_t n = seen->canary.n + seen->stable.n;
    double rho = n ? (double)seen->canary.n / (double)n : 0;
    size_t ngrid;
    const double *grid = class_grid(c, &ngrid);

    if (k <= 0)
        return;
    for (size_t i = 0; i < ngrid; i++) {
        double r = grid[i] * r0;
        double step =
            k1 * log(grid[i]) + k * (log(rho * r0 + 1 - rho) - log(rho * r + 1 - rho));

        for (size_t s = 0; s < j->begun; s++)
            j->ratio[c][s][i] += step;
    }
}

/* Likelihood of K bad in N under rate A beside rate P, as a log ratio. */
static double bernoulli_step(double a, double p, uint64_t n, uint64_t k)
{
    return (double)k * log(a / p) + (double)(n - k) * log((1 - a) / (1 - p));
}

static double ceiling_rate(const struct judge *j, size_t i)
{
    return fmin(j->conf.max_error_rate * ceiling_grid[i], (1 + j->conf.max_error_rate) / 2);
}

static void add_rates(struct judge *j, const struct judge_count *canary)
{
    double p = j->conf.max_error_rate;

    for (size_t i = 0; i < ARRAY_LEN(cert_grid); i++)
        j->cert[i] += bernoulli_step(p * cert_grid[i], p, canary->n, canary->bad);
    for (size_t i = 0; i < ARRAY_LEN(ceiling_grid); i++)
        j->ceiling[i] += bernoulli_step(ceiling_rate(j, i), p, canary->n, canary->bad);
}

static void tally_add(struct judge_tally *sum, const struct judge_tally *seen)
{
    sum->stable.n += seen->stable.n;
    sum->stable.bad += seen->stable.bad;
    sum->canary.n += seen->canary.n;
    sum->canary.bad += seen->canary.bad;
    sum->canary_far += seen->canary_far;
}

static void tally_both(struct judge *j, enum judge_class c, const struct judge_tally *seen)
{
    tally_add(&j->total[c], seen);
    tally_add(&j->step[c], seen);
}

/* Bucket whose upper edge is the threshold of class C, from earlier ticks; -1: too few. */
static int threshold_bucket(const struct judge *j, enum judge_class c)
{
    double q = classes[c].quantile, want = q * (double)j->past_total;
    uint64_t sum = 0;

    if ((double)j->past_total * (1 - q) < 10)
        return -1;
    for (int i = 0; i < HIST_BUCKETS; i++)
        if ((double)(sum += j->past[i]) > want)
            return i;
    return HIST_BUCKETS - 1;
}

static void judge_errors(struct judge *j, const struct judge_window *w)
{
    struct judge_tally seen = {
        .stable = {w->stable.n, w->stable.errors},
        .canary = {w->canary.n, w->canary.errors},
    };

    if (seen.stable.bad > seen.stable.n)
        seen.stable.bad = seen.stable.n;
    if (seen.canary.bad > seen.canary.n)
        seen.canary.bad = seen.canary.n;
    add_ratio(j, JUDGE_ERROR, &seen);
    add_rates(j, &seen.canary);
    tally_both(j, JUDGE_ERROR, &seen);
    tally_both(j, JUDGE_CEILING, &seen);
}

static void judge_latency(struct judge *j, const struct judge_window *w)
{
    struct judge_tally seen = {0};

    seen.stable.n = hist_total(w->stable.hist);
    seen.canary.n = hist_total(w->canary.hist);
    for (enum judge_class c = JUDGE_P50; c <= JUDGE_P99; c++) {
        int bucket = threshold_bucket(j, c);

        if (bucket < 0)
            continue;
        seen.stable.bad = hist_above(w->stable.hist, bucket);
        seen.canary.bad = hist_above(w->canary.hist, bucket);
        seen.canary_far =
            bucket + 1 < HIST_BUCKETS ? hist_above(w->canary.hist, bucket + 1) : 0;
        add_ratio(j, c, &seen);
        tally_both(j, c, &seen);
    }
}

/* Remember stable's latency for later ticks; halving lets the old fade. */
static void remember(struct judge *j, const struct judge_arm *stable)
{
    j->past_total = 0;
    for (int i = 0; i < HIST_BUCKETS; i++) {
        uint64_t sum = j->past[i] + stable->hist[i];

        j->past[i] = sum < PAST_FULL ? (uint32_t)sum : PAST_FULL;
        j->past_total += j->past[i];
    }
    if (j->past_total < PAST_FULL)
        return;
    j->past_total = 0;
    for (int i = 0; i < HIST_BUCKETS; i++)
        j->past_total += j->past[i] /= 2;
}

enum judge_verdict judge_step(struct judge *j, const struct judge_window *w)
{
    struct judge_report report;

    if (j->begun > 0) {
        judge_errors(j, w);
        if (!w->warming)
            judge_latency(j, w);
    }
    remember(j, &w->stable);
    judge_explain(j, &report);
    return report.verdict;
}

/* Mean of exp over N logs, safe for large ones. */
static double mean_exp(const double *logs, size_t n)
{
    double max = logs[0], sum = 0, mean;

    for (size_t i = 1; i < n; i++)
        max = fmax(max, logs[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp(logs[i] - max);
    mean = max + log(sum / (double)n);
    return mean > log(EVALUE_MAX) ? EVALUE_MAX : exp(mean);
}

static double ratio_evalue(const struct judge *j, enum judge_class c)
{
    double logs[JUDGE_EPOCHS * JUDGE_GRID] = {0};
    size_t n = 0, ngrid;

    class_grid(c, &ngrid);
    for (size_t s = 0; s < j->conf.epochs; s++)
        for (size_t i = 0; i < ngrid; i++)
            logs[n++] = j->ratio[c][s][i];
    return mean_exp(logs, n);
}

/* Half of alpha is for errors, half for latency in equal parts. */
static double class_limit(const struct judge *j, enum judge_class c)
{
    bool error = c == JUDGE_ERROR || c == JUDGE_CEILING;
    double parts = error ? (double)(1 + j->conf.ceiling) : LATENCY_CLASSES;

    return 2 * parts / j->conf.alpha;
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
    if (c == JUDGE_ERROR)
        return excess >= MIN_EXCESS;
    return tally_slower(&j->total[c]) || tally_slower(&j->step[c]);
}

static void explain_class(const struct judge *j, enum judge_class c, struct judge_finding *f)
{
    *f = (struct judge_finding){.tally = j->total[c], .limit = class_limit(j, c)};
    f->active = c != JUDGE_CEILING || j->conf.ceiling;
    f->evalue =
        c == JUDGE_CEILING ? mean_exp(j->ceiling, ARRAY_LEN(ceiling_grid)) : ratio_evalue(j, c);
    f->excess = fmax(tally_excess(&j->total[c]), tally_excess(&j->step[c]));
    if (c == JUDGE_CEILING)
        f->excess = ratio_of(f->tally.canary.bad, f->tally.canary.n) - j->conf.max_error_rate;
    if (classes[c].quantile > 0) {
        int bucket = threshold_bucket(j, c);

        f->threshold_us = bucket < 0 ? 0 : hist_upper_us(bucket);
    }
    if (f->active && f->evalue >= f->limit && differs_enough(j, c, f->excess))
        f->verdict = JUDGE_REGRESSED;
}

static void write_reason(const struct judge *j, struct judge_report *r)
{
    const struct judge_finding *f = &r->classes[r->class];
    const struct judge_tally *t = &f->tally;

    if (r->verdict == JUDGE_REGRESSED)
        snprintf(r->reason, sizeof(r->reason),
                 "%s: %.2f %% (%llu of %llu) beside %.2f %% (%llu of %llu), "
                 "e-value %.4g of %.4g",
                 classes[r->class].what, 100 * ratio_of(t->canary.bad, t->canary.n),
                 (unsigned long long)t->canary.bad, (unsigned long long)t->canary.n,
                 100 * ratio_of(t->stable.bad, t->stable.n), (unsigned long long)t->stable.bad,
                 (unsigned long long)t->stable.n, f->evalue, f->limit);
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
    return false;
}

void judge_explain(const struct judge *j, struct judge_report *out)
{
    double worst = -1;

    *out = (struct judge_report){.step_n = j->step[JUDGE_ERROR].canary.n,
                                 .certificate = mean_exp(j->cert, JUDGE_CERTS),
                                 .certificate_limit = 1 / j->conf.certify};
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
    if (out->certificate >= out->certificate_limit && out->step_n > 0 && !doubted(j, out)) {
        if (out->classes[JUDGE_ERROR].verdict == JUDGE_UNDECIDED)
            out->classes[JUDGE_ERROR].verdict = JUDGE_CERTIFIED;
        if (out->verdict == JUDGE_UNDECIDED)
            out->verdict = JUDGE_CERTIFIED;
    }
    write_reason(j, out);
}

struct save_head {
    uint32_t magic, size;
    uint64_t sum;
};
_Static_assert(sizeof(struct save_head) + sizeof(struct judge) <= JUDGE_SAVED_MAX,
               "judge_save needs more room");

static uint64_t save_sum(const void *bytes)
{
    return hash64((struct str){bytes, sizeof(struct judge)}, SAVE_MAGIC);
}

size_t judge_save(const struct judge *j, unsigned char out[JUDGE_SAVED_MAX])
{
    struct save_head head = {SAVE_MAGIC, sizeof(*j), save_sum(j)};

    memcpy(out, &head, sizeof(head));
    memcpy(out + sizeof(head), j, sizeof(*j));
    return sizeof(head) + sizeof(*j);
}

int judge_load(struct judge *j, const unsigned char *bytes, size_t n)
{
    struct save_head head;
    struct judge got;

    if (n != sizeof(head) + sizeof(got))
        return -1;
    memcpy(&head, bytes, sizeof(head));
    memcpy(&got, bytes + sizeof(head), sizeof(got));
    if (head.magic != SAVE_MAGIC || head.size != sizeof(got) || head.sum != save_sum(&got))
        return -1;
    if (!config_valid(&got.conf) || got.begun > got.conf.epochs)
        return -1;
    *j = got;
    return 0;
}
