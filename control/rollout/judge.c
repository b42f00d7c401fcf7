/*
 * judge.c - the conditional e-process on bad events.
 *
 * With S start epochs and a grid G of ratios, the evidence of a class is
 *
 *   E = 1/|G| * sum over s, r of weight(s) exp(L[s][r])
 *   L[s][r] += k1 ln(r/r0) + (k1 + k0) (ln(rho r0 + 1 - rho) - ln(rho r + 1 - rho))
 *
 * for each tick after epoch s began; k1 and k0 are the bad events of canary and stable, rho the
 * canary's share of the tick's requests. An average of e-processes is one, so epochs cost a
 * factor 1/weight and find a regression that starts late as fast as an early one. What r0 and
 * rho are is known before the bad events are looked at; the same holds for the latency
 * thresholds, which come from earlier ticks only. That is all that validity needs.
 */
#include "control/rollout/judge.h"
#include "proxy/base/hash.h"

#include <math.h>
#include <string.h>

#define PAST_FULL  (1u << 15)
#define PAST_LEAST 10          /* above a quantile, before it is a threshold */
#define SAVE_MAGIC 0x32474a53u /* "SJG2" */
#define FLOAT_FAR  1e30        /* logs stay within +-this, far from infinity */

/* Times tolerance. */
static const double error_grid[JUDGE_ERROR_GRID] = {1.5, 2, 3, 5, 10, 30};
static const double latency_grid[JUDGE_LATENCY_GRID] = {1.25, 1.5, 2, 3, 6};
/* Times max_error_rate. */
static const double ceiling_grid[JUDGE_CEILING_GRID] = {1.5, 2, 4, 10};
static const double cert_grid[JUDGE_CERTS] = {1 / 2.0, 1 / 4.0, 0.1};
/* Odds of the canary, times those of the weight. */
static const double split_grid[JUDGE_SPLIT_GRID] = {0.25, 0.5, 0.8, 1.25, 2, 4};
static const double quantiles[JUDGE_QUANTILES] = {0.5, 0.9, 0.99};

void judge_defaults(struct judge_config *conf)
{
    *conf = (struct judge_config){.alpha = 0.01,
                                  .certify = 0.05,
                                  .tolerance = 1,
                                  .max_error_rate = 0.05,
                                  .min_excess = 0.001,
                                  .epochs = 1};
}

static bool config_valid(const struct judge_config *c)
{
    return c->alpha > 0 && c->alpha <= 0.5 && c->certify > 0 && c->certify <= 0.5 &&
           c->tolerance >= 1 && c->tolerance <= 10 && c->max_error_rate > 0 &&
           c->max_error_rate < 1 && c->min_excess >= 0 && c->min_excess < 1 &&
           c->ceiling <= 1 && c->clients < JUDGE_NUNITS && c->feedback <= 1 && c->epochs >= 1 &&
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
    memset(j->split, 0, sizeof(j->split));
    memset(j->step, 0, sizeof(j->step));
    j->assigned = (struct judge_count){0};
    j->asked = 0;
}

/* --- adding up --- */

static void add_log(float *sum, double step)
{
    *sum = (float)fmax(fmin((double)*sum + step, FLOAT_FAR), -FLOAT_FAR);
}

/* One tick's evidence: SEEN is what happened, RHO the share that equal versions would give the
 * canary of it; L[s * ngrid + i] is of epoch s and ratio i. */
static void add_ratio(const struct judge *j, const struct judge_tally *seen, double rho,
                      const double *grid, size_t ngrid, float *l)
{
    double r0 = j->conf.tolerance, k1 = (double)seen->canary.bad;
    double k = k1 + (double)seen->stable.bad;

    if (k <= 0)
        return;
    for (size_t i = 0; i < ngrid; i++) {
        double r = grid[i] * r0;
        double step =
            k1 * log(grid[i]) + k * (log(rho * r0 + 1 - rho) - log(rho * r + 1 - rho));

        for (size_t s = 0; s < j->begun; s++)
            add_log(&l[s * ngrid + i], step);
    }
}

static double realised_share(const struct judge_tally *seen)
{
    uint64_t n = seen->canary.n + seen->stable.n;

    return n ? (double)seen->canary.n / (double)n : 0;
}

/* Where clients are dealt out, heavy ones bend the share of the requests. */
static double error_share(const struct judge *j, const struct judge_window *w,
                          const struct judge_tally *seen)
{
    return j->conf.clients && w->share > 0 ? w->share : realised_share(seen);
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

static void add_ceiling(struct judge *j, const struct judge_count *canary)
{
    for (size_t i = 0; i < JUDGE_CEILING_GRID; i++)
        add_log(&j->ceiling[i], bernoulli_step(ceiling_rate(j, i), j->conf.max_error_rate,
                                               canary->n, canary->bad));
}

static void add_certificate(struct judge *j, uint64_t n, uint64_t errors)
{
    double p = j->conf.max_error_rate;

    for (size_t i = 0; i < JUDGE_CERTS; i++)
        add_log(&j->cert[i], bernoulli_step(p * cert_grid[i], p, n, errors));
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

static uint64_t at_most(uint64_t x, uint64_t max)
{
    return x < max ? x : max;
}

static struct judge_count bad_of(const struct judge *j, const struct judge_arm *arm)
{
    uint64_t errors = at_most(arm->errors, arm->n);

    return (struct judge_count){arm->n,
                                j->conf.clients ? at_most(arm->events, errors) : errors};
}

static void judge_errors(struct judge *j, const struct judge_window *w)
{
    struct judge_tally seen = {.stable = bad_of(j, &w->stable),
                               .canary = bad_of(j, &w->canary)};

    add_ratio(j, &seen, error_share(j, w, &seen), error_grid, JUDGE_ERROR_GRID, j->error[0]);
    tally_both(j, JUDGE_ERROR, &seen);
    if (j->conf.ceiling || w->share >= 1) {
        add_ceiling(j, &seen.canary);
        tally_both(j, JUDGE_CEILING, &seen);
    }
    add_certificate(j, w->canary.n, at_most(w->canary.errors, w->canary.n));
}

static void judge_feedback(struct judge *j, const struct judge_window *w)
{
    struct judge_tally seen = {
        .stable = {w->stable.n, at_most(w->stable.feedback, w->stable.n)},
        .canary = {w->canary.n, at_most(w->canary.feedback, w->canary.n)},
    };

    if (!j->conf.feedback)
        return;
    add_ratio(j, &seen, error_share(j, w, &seen), error_grid, JUDGE_ERROR_GRID, j->feedback[0]);
    tally_both(j, JUDGE_FEEDBACK, &seen);
}

/* --- latency --- */

int judge_threshold(const struct judge *j, enum judge_class c)
{
    double q, want;
    uint64_t sum = 0;

    ASSERT(c >= JUDGE_P50 && c <= JUDGE_P99);
    q = quantiles[c - JUDGE_P50];
    want = q * (double)j->past_total;
    if ((double)j->past_total * (1 - q) < PAST_LEAST)
        return -1;
    for (int i = 0; i < HIST_BUCKETS; i++)
        if ((double)(sum += j->past[i]) > want)
            return i;
    return HIST_BUCKETS - 1;
}

/* What was slower than class C's threshold. False: it has none yet. */
static bool count_slow(const struct judge *j, enum judge_class c, const struct judge_window *w,
                       struct judge_tally *seen)
{
    int bucket;

    if (w->counted) {
        seen->stable = (struct judge_count){
            w->stable.n, at_most(w->stable.slow[c - JUDGE_P50], w->stable.n)};
        seen->canary = (struct judge_count){
            w->canary.n, at_most(w->canary.slow[c - JUDGE_P50], w->canary.n)};
        seen->canary_far = seen->canary.bad;
        return true;
    }
    bucket = judge_threshold(j, c);
    if (bucket < 0)
        return false;
    seen->stable.bad = hist_above(w->stable.hist, bucket);
    seen->canary.bad = hist_above(w->canary.hist, bucket);
    seen->canary_far = bucket + 1 < HIST_BUCKETS ? hist_above(w->canary.hist, bucket + 1) : 0;
    return true;
}

static void judge_latency(struct judge *j, const struct judge_window *w)
{
    struct judge_tally seen = {.stable.n = hist_total(w->stable.hist),
                               .canary.n = hist_total(w->canary.hist)};

    for (enum judge_class c = JUDGE_P50; c <= JUDGE_P99; c++) {
        if (!count_slow(j, c, w, &seen))
            continue;
        add_ratio(j, &seen, realised_share(&seen), latency_grid, JUDGE_LATENCY_GRID,
                  j->latency[c - JUDGE_P50][0]);
        tally_both(j, c, &seen);
    }
}

/* Remember stable's latency for later ticks; halving lets the old fade. */
static void remember(struct judge *j, const struct judge_arm *stable)
{
    uint64_t sums[HIST_BUCKETS], total = 0;
    unsigned shift = 0;

    for (int i = 0; i < HIST_BUCKETS; i++)
        total += sums[i] = j->past[i] + stable->hist[i];
    while (total >> shift >= PAST_FULL)
        shift++;
    j->past_total = 0;
    for (int i = 0; i < HIST_BUCKETS; i++)
        j->past_total += j->past[i] = (uint16_t)(sums[i] >> shift);
}

/* --- the split --- */

/* Evidence that decisions do not fall as SHARE says. It stops growing at twice what convicts,
 * so that a split which is right again is believed in time; less is always allowed. */
static void judge_split(struct judge *j, const struct judge_window *w)
{
    double share = w->share, k1 = (double)w->canary.assigned, k0 = (double)w->stable.assigned;

    if (share <= 0 || share >= 1 || k1 + k0 <= 0)
        return;
    for (size_t i = 0; i < JUDGE_SPLIT_GRID; i++) {
        double q = share * split_grid[i] / (share * split_grid[i] + 1 - share);

        add_log(&j->split[i], k1 * log(q / share) + k0 * log((1 - q) / (1 - share)));
        j->split[i] = fminf(j->split[i], (float)(2 * log(JUDGE_SPLIT_LIMIT)));
    }
    j->assigned.n += w->canary.assigned + w->stable.assigned;
    j->assigned.bad += w->canary.assigned;
    j->asked += share * (k1 + k0);
}

enum judge_verdict judge_step(struct judge *j, const struct judge_window *w)
{
    struct judge_report report;

    if (j->begun > 0) {
        judge_errors(j, w);
        judge_feedback(j, w);
        judge_split(j, w);
        if (!w->warming)
            judge_latency(j, w);
    }
    if (!w->counted)
        remember(j, &w->stable);
    judge_explain(j, &report);
    return report.verdict;
}

/* --- bytes --- */

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
