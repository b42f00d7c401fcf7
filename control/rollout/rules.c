/*
 * rules.c - the rules of others, and the judge's in the same harness.
 *
 * A look is due when T_S reaches next_s; between looks a rule only counts. A rule that has
 * convicted stays with it, as those systems do.
 */
#include "control/rollout/rules.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define POINT_S  10.0
#define Z_LIMIT  2.326 /* one-sided 1 % */
#define SLACK_S  1e-9
#define LAST_SET 75.0 /* Kayenta: a score below it fails at once */

const char *rule_name(enum rule_kind kind)
{
    static const char *const names[] = {
#define X(id, name) name,
        RULES(X)
#undef X
    };

    ASSERT((unsigned)kind < RULE_NKINDS);
    return names[kind];
}

void rule_defaults(struct rule_config *conf, enum rule_kind kind)
{
    *conf = (struct rule_config){.kind = kind,
                                 .interval_s = kind == RULE_KAYENTA ? 300 : 60,
                                 .limit = kind == RULE_FLAGGER ? 5 : 3,
                                 .min_success = 0.98,
                                 .max_p99_ms = 500};
    judge_defaults(&conf->judge);
}

void rule_init(struct rule *r, const struct rule_config *conf)
{
    ASSERT(conf->interval_s > 0);
    memset(r, 0, sizeof(*r));
    r->conf = *conf;
    r->next_s = conf->interval_s;
    r->point_s = POINT_S;
    judge_init(&r->judge, &conf->judge);
}

void rule_begin(struct rule *r)
{
    if (r->conf.kind == RULE_EPROCESS)
        judge_begin(&r->judge);
}

static double share(uint64_t part, uint64_t of)
{
    return of ? (double)part / (double)of : 0;
}

/* Within a bucket, values are taken to be spread evenly. Negative: none. */
static double quantile_ms(const uint64_t hist[HIST_BUCKETS], double q)
{
    uint64_t total = hist_total(hist), below = 0;
    int bucket = hist_quantile(hist, q);
    double low, high, part;

    if (bucket < 0)
        return -1;
    below = total - hist_above(hist, bucket) - hist[bucket];
    low = bucket ? (double)hist_upper_us(bucket - 1) : HIST_MIN_US;
    high = (double)hist_upper_us(bucket);
    part = (q * (double)total - (double)below) / (double)hist[bucket];
    return (low + (high - low) * fmin(fmax(part, 0), 1)) / 1000;
}

static void arm_add(struct judge_arm *sum, const struct judge_arm *arm)
{
    sum->n += arm->n;
    sum->errors += arm->errors;
    for (int i = 0; i < HIST_BUCKETS; i++)
        sum->hist[i] += arm->hist[i];
}

/* --- fixed thresholds --- */

/* NULL: both conditions hold; else the class that does not. */
static const char *breaks(const struct rule *r, struct rule_report *out)
{
    double success = 1 - share(r->recent.errors, r->recent.n);
    double p99 = quantile_ms(r->recent.hist, 0.99);

    if (r->recent.n > 0 && success < r->conf.min_success) {
        snprintf(out->reason, sizeof(out->reason), "success %.2f %% below %.4g %%",
                 100 * success, 100 * r->conf.min_success);
        return "error";
    }
    if (r->conf.max_p99_ms > 0 && p99 > r->conf.max_p99_ms) {
        snprintf(out->reason, sizeof(out->reason), "p99 %.4g ms above %.4g ms", p99,
                 r->conf.max_p99_ms);
        return "latency_p99";
    }
    snprintf(out->reason, sizeof(out->reason), "success %.2f %%, p99 %.4g ms", 100 * success,
             fmax(p99, 0));
    return NULL;
}

static void look_flagger(struct rule *r, struct rule_report *out)
{
    const char *class;

    out->limit = r->conf.limit;
    if (r->failed >= r->conf.limit) {
        r->verdict = JUDGE_REGRESSED;
        snprintf(out->reason, sizeof(out->reason), "%u failed checks reached the threshold",
                 r->failed);
    } else if (r->recent.n == 0) {
        r->halted = true;
        r->failed++;
        snprintf(out->reason, sizeof(out->reason), "no values found: a failed check");
    } else {
        class = breaks(r, out);
        r->halted = class != NULL;
        r->failed += r->halted;
        out->class = class ? class : "error";
    }
    out->evalue = r->failed;
}

static void look_argo(struct rule *r, struct rule_report *out)
{
    const char *class = NULL;

    out->limit = r->conf.limit + 1.0;
    if (r->recent.n > 0)
        class = breaks(r, out);
    else
        snprintf(out->reason, sizeof(out->reason), "no measurement");
    out->class = class ? class : "error";
    r->failed += class != NULL;
    out->evalue = r->failed;
    if (r->failed > r->conf.limit)
        r->verdict = JUDGE_REGRESSED;
}

static void look_ztest(struct rule *r, struct rule_report *out)
{
    const struct judge_count *stable = &r->sum[0], *canary = &r->sum[1];
    double pooled = share(stable->bad + canary->bad, stable->n + canary->n), se, z = 0;

    if (stable->n && canary->n) {
        se = sqrt(pooled * (1 - pooled) * (1 / (double)stable->n + 1 / (double)canary->n));
        z = se > 0 ? (share(canary->bad, canary->n) - share(stable->bad, stable->n)) / se : 0;
    }
    if (z > Z_LIMIT)
        r->verdict = JUDGE_REGRESSED;
    out->evalue = z;
    out->limit = Z_LIMIT;
    snprintf(out->reason, sizeof(out->reason), "z %.3g of %.4g", z, Z_LIMIT);
}

/* --- Kayenta --- */

static struct rule_point point_of(const struct judge_arm *arm)
{
    double p99 = quantile_ms(arm->hist, 0.99);

    return (struct rule_point){arm->n ? share(arm->errors, arm->n) : -1, p99};
}

static void keep_point(struct rule *r)
{
    if (r->npoints == RULE_POINTS) {
        r->npoints--;
        memmove(r->canary, r->canary + 1, r->npoints * sizeof(*r->canary));
        memmove(r->baseline, r->baseline + 1, r->npoints * sizeof(*r->baseline));
    }
    r->canary[r->npoints] = point_of(&r->recent);
    r->baseline[r->npoints++] = point_of(&r->control);
    memset(&r->recent, 0, sizeof(r->recent));
    memset(&r->control, 0, sizeof(r->control));
}

static size_t series(const struct rule_point *points, size_t n, bool latency, double *out,
                     double *mean)
{
    size_t kept = 0;
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        double v = latency ? points[i].p99 : points[i].errors;

        if (v < 0)
            continue;
        sum += out[kept++] = v;
    }
    *mean = kept ? sum / (double)kept : 0;
    return kept;
}

/* Is the canary high in this metric? A ratio of means below 1 is not, whatever the interval. */
static bool is_high(const struct rule *r, bool latency)
{
    double canary[RULE_POINTS], baseline[RULE_POINTS], ours, theirs, shift[3];
    size_t n = series(r->canary, r->npoints, latency, canary, &ours);
    size_t m = series(r->baseline, r->npoints, latency, baseline, &theirs);

    if (n == 0 || m == 0 || !rule_mann_whitney(canary, n, baseline, m, shift))
        return false;
    return ours == 0 || theirs == 0 || ours / theirs >= 1;
}

static void look_kayenta(struct rule *r, struct rule_report *out)
{
    bool errors = is_high(r, false), latency = is_high(r, true);
    double score = 50.0 * !errors + 50.0 * !latency;

    out->class = latency && !errors ? "latency_p99" : "error";
    out->evalue = 100 - score;
    out->limit = 100 - LAST_SET;
    if (score < LAST_SET)
        r->verdict = JUDGE_REGRESSED;
    snprintf(out->reason, sizeof(out->reason), "score %.0f over %u points%s%s", score,
             r->npoints, errors ? ", errors high" : "", latency ? ", latency high" : "");
}

/* --- all --- */

static void step_judge(struct rule *r, const struct judge_window *w, struct rule_report *out)
{
    struct judge_report report;
    const struct judge_finding *f = &report.classes[0];

    r->verdict = judge_step(&r->judge, w);
    judge_explain(&r->judge, &report);
    f = &report.classes[report.class];
    *out = (struct rule_report){.verdict = r->verdict,
                                .class = judge_class_name(report.class),
                                .evalue = f->evalue,
                                .limit = f->limit,
                                .excess = f->excess,
                                .looked = true};
    memcpy(out->reason, report.reason, sizeof(out->reason));
}

static void look(struct rule *r, struct rule_report *out)
{
    out->looked = true;
    r->looks++;
    r->next_s += r->conf.interval_s;
    if (r->conf.kind == RULE_FLAGGER)
        look_flagger(r, out);
    else if (r->conf.kind == RULE_ARGO)
        look_argo(r, out);
    else if (r->conf.kind == RULE_KAYENTA)
        look_kayenta(r, out);
    else
        look_ztest(r, out);
    if (r->conf.kind != RULE_KAYENTA)
        memset(&r->recent, 0, sizeof(r->recent));
}

static void count(struct rule *r, const struct judge_window *w,
                  const struct judge_arm *baseline)
{
    arm_add(&r->recent, &w->canary);
    arm_add(&r->control, baseline);
    r->sum[0].n += w->stable.n;
    r->sum[0].bad += w->stable.errors;
    r->sum[1].n += w->canary.n;
    r->sum[1].bad += w->canary.errors;
}

void rule_step(struct rule *r, double t_s, const struct judge_window *w,
               const struct judge_arm *baseline, struct rule_report *out)
{
    if (r->conf.kind == RULE_EPROCESS) {
        step_judge(r, w, out);
        return;
    }
    *out = (struct rule_report){.class = "error"};
    snprintf(out->reason, sizeof(out->reason), "between two looks");
    count(r, w, baseline ? baseline : &w->stable);
    if (r->conf.kind == RULE_KAYENTA && t_s >= r->point_s - SLACK_S) {
        keep_point(r);
        r->point_s += POINT_S;
    }
    if (t_s >= r->next_s - SLACK_S && r->verdict != JUDGE_REGRESSED)
        look(r, out);
    out->excess = share(r->sum[1].bad, r->sum[1].n) - share(r->sum[0].bad, r->sum[0].n);
    out->verdict = r->verdict;
}
